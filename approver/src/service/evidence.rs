//! Evidence: what the log shows of itself, to people and their tools.

use holdpoint_evidence::path::PathError;

use super::Approver;
use crate::{domain::time::Millis, log::ServeResourceError};

/// The newest checkpoint, and what it says.
#[derive(Clone, Debug)]
pub(crate) struct CheckpointView {
    /// Signed note.
    pub(crate) checkpoint: String,
    /// What checks its signature.
    pub(crate) verifier_key: String,
    /// How many records it is over.
    pub(crate) size: u64,
    /// Hexadecimal.
    pub(crate) root_hash: String,
    /// When it was signed.
    pub(crate) at: Millis,
}

/// Why a part of the log can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvidenceError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Resource(#[from] ServeResourceError),
}

impl Approver {
    /// The newest checkpoint.
    pub(crate) fn checkpoint(&self) -> CheckpointView {
        let published = self.log.published();
        CheckpointView {
            checkpoint: published.checkpoint.clone(),
            verifier_key: self.log.verifier().to_string(),
            size: published.size(),
            root_hash: published.root.to_string(),
            at: published.signed_at,
        }
    }

    /// The part of the log that `path` names, as far as the newest checkpoint
    /// goes.
    pub(crate) async fn tile(&self, path: &str) -> Result<Vec<u8>, EvidenceError> {
        Ok(self.log.resource(path.parse()?).await?)
    }
}
