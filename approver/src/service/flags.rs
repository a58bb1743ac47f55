//! Flags: operations that are refused everywhere, looked at and lifted. They are
//! set by decisions.

use super::{Approver, now};
use crate::{
    domain::{
        capability::{Capability, Lacking},
        decide::{self, Refusal},
    },
    store::{StoreError, flags::Flag, logins::Login},
};

/// Why a flag is not lifted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlagError {
    #[error("there is no flag on the operation {0}; list them with `holdpoint flags list`")]
    NotFound(String),
    #[error(transparent)]
    Lacking(#[from] Lacking),
    #[error(transparent)]
    Reason(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Approver {
    /// Every flag in force, newest first.
    pub(crate) async fn flags(&self) -> Result<Vec<Flag>, StoreError> {
        self.store.flags().await
    }

    /// Lifts the flag on an operation as `caller`. What was refused by it stays
    /// refused.
    pub(crate) async fn lift_flag(
        &self,
        caller: &Login,
        operation_digest: &[u8],
        reason: &str,
    ) -> Result<(), FlagError> {
        caller.role.check(Capability::Administer)?;
        let reason = decide::reason(reason)?;
        let (name, digest) = (&caller.username, operation_digest);
        let hex = || data_encoding::HEXLOWER.encode(digest.get(..32).unwrap_or(digest));
        if !self
            .store
            .lift_flag(digest, name.as_str(), &reason, now())
            .await?
        {
            return Err(FlagError::NotFound(hex()));
        }
        tracing::info!(operation.digest = hex(), user.name = %name, ?reason, "flag lifted");
        Ok(())
    }
}
