//! Flags: list, lift.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Web,
    access::Caller,
    body::{Body, Segments},
    grants::ReasonBody,
    problem::Problem,
    requests::digest,
    view::{hex, operation::OperationView, time},
};
use crate::store::flags::Flag;

/// What refuses an operation everywhere.
#[derive(Serialize, ToSchema)]
#[schema(as = Flag)]
pub(super) struct FlagView {
    operation_digest: String,
    #[schema(required)]
    operation: Option<OperationView>,
    /// The request whose decision set it.
    request_id: String,
    reviewer: String,
    reason: String,
    flagged_at: String,
}

/// Every flag that is in force.
#[derive(Serialize, ToSchema)]
pub(super) struct FlagList {
    flags: Vec<FlagView>,
}

impl From<Flag> for FlagView {
    fn from(flag: Flag) -> Self {
        Self {
            operation_digest: hex(&flag.operation_digest),
            operation: OperationView::new(flag.operation),
            request_id: flag.request_id,
            reviewer: flag.reviewer,
            reason: flag.reason,
            flagged_at: time(flag.flagged_at),
        }
    }
}

/// List flags
#[utoipa::path(get, path = "/flags", tag = "flags",
    responses((status = 200, description = "Those in force, newest first", body = FlagList)))]
pub(super) async fn list(State(web): State<Web>) -> Result<Json<FlagList>, Problem> {
    let flags = web.approver.flags().await?;
    let flags = flags.into_iter().map(FlagView::from).collect();
    Ok(Json(FlagList { flags }))
}

/// Lift a flag
#[utoipa::path(post, path = "/flags/{operation_digest}/lift", tag = "flags",
    params(("operation_digest" = String, Path, description = "The flagged operation")),
    request_body = ReasonBody,
    responses((status = 204, description = "The operation is put to people again")))]
pub(super) async fn lift(
    State(web): State<Web>,
    caller: Caller,
    Segments(operation): Segments<String>,
    Body(body): Body<ReasonBody>,
) -> Result<StatusCode, Problem> {
    let operation = digest(&operation)?;
    web.approver
        .lift_flag(&caller.login, &operation, &body.reason)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
