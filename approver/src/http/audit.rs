//! Evidence: what the log shows of itself.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Web, view::time};
use crate::service::evidence::CheckpointView as Checkpoint;

/// The newest signed checkpoint of the log.
#[derive(Serialize, ToSchema)]
#[schema(as = Checkpoint)]
pub(super) struct CheckpointView {
    /// C2SP tlog-checkpoint: a signed note.
    checkpoint: String,
    /// What checks its signature: `origin+hash+key`.
    verifier_key: String,
    /// How many records it is over.
    size: String,
    /// Hexadecimal.
    root_hash: String,
    /// When it was signed.
    at: String,
}

impl From<Checkpoint> for CheckpointView {
    fn from(checkpoint: Checkpoint) -> Self {
        Self {
            checkpoint: checkpoint.checkpoint,
            verifier_key: checkpoint.verifier_key,
            size: checkpoint.size.to_string(),
            root_hash: checkpoint.root_hash,
            at: time(checkpoint.at),
        }
    }
}

/// The newest checkpoint
#[utoipa::path(get, path = "/audit/checkpoint", tag = "events",
    responses((status = 200, description = "It and the key to check it", body = CheckpointView)))]
pub(super) async fn checkpoint(State(web): State<Web>) -> Json<CheckpointView> {
    Json(web.approver.checkpoint().into())
}
