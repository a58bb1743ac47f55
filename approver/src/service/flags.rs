//! Flags: operations that are refused everywhere, looked at and lifted. They are
//! set by decisions.

use super::{Approver, now, review::page_size};
use crate::{
    domain::{
        capability::{Capability, Lacking},
        decide::{self, Refusal},
    },
    error_chain::error_chain,
    live::{News, Reload},
    store::{
        StoreError,
        flags::{Lifted, Page},
        logins::Login,
    },
};

/// Why a flag is not lifted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlagError {
    #[error("there is no flag on the operation {0}; list them with `holdpoint flags list`")]
    NotFound(String),
    #[error(
        "you own a session that asked for this operation, so somebody else has to lift the flag; \
         ask another administrator"
    )]
    Own,
    #[error(transparent)]
    Lacking(#[from] Lacking),
    #[error(transparent)]
    Reason(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Approver {
    /// Flags in force that were set before `before`, newest first.
    pub(crate) async fn flags(&self, before: i64, size: u32) -> Result<Page, StoreError> {
        self.browse.flags(before, page_size(size)).await
    }

    /// Refuses requests that are pending on a flagged operation, and tells watchers
    /// and hosts.
    pub(super) async fn refuse_flagged(&self) -> Result<(), StoreError> {
        loop {
            let refused = self.store.refuse_flagged(now()).await?;
            if refused.is_empty() {
                return Ok(());
            }
            self.live.changed();
            for (host, id) in refused {
                tracing::info!(request.id = id, host.id = %host, "request flagged with another");
                self.live.tell(host, News::Request(id));
            }
        }
    }

    /// The same after a flag is set. If it fails the next look does it: the flag
    /// itself is in force.
    pub(super) async fn spread_flag(&self) {
        if let Err(error) = self.refuse_flagged().await {
            tracing::error!(
                error = error_chain(&error),
                "cannot refuse what a flag refuses; trying again"
            );
        }
    }

    /// Lifts the flag on an operation as `caller`, unless they own a session that
    /// asked for it: nobody decides about their own. What was refused by the flag
    /// stays refused.
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
        let lifted = self.store.lift_flag(digest, caller, &reason, now());
        match lifted.await? {
            Lifted::Done => self.live.reload(Reload::Flag(hex())),
            Lifted::None => return Err(FlagError::NotFound(hex())),
            Lifted::Own => return Err(FlagError::Own),
        }
        tracing::info!(operation.digest = hex(), user.name = %name, ?reason, "flag lifted");
        Ok(())
    }
}
