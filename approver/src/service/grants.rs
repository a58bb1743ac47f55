//! Grants: what approvals gave, looked at and taken back.

use uuid::Uuid;

use super::{
    Approver,
    hosts::Greeting,
    now,
    review::{canonical, page_size, start},
};
use crate::{
    domain::{
        capability::{Capability, Lacking},
        decide::{self, Refusal},
        grant::State,
    },
    live::{News, Reload},
    store::{
        Store, StoreError,
        grants::{Issued, Page, Revocation},
        logins::Login,
    },
};

/// Why a grant is not revoked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantError {
    #[error("{0:?} is no grant id: give the whole UUID, or its first hexadecimal digits")]
    BadId(String),
    #[error("there is no grant {0}; list them with `holdpoint grants list`")]
    NotFound(String),
    #[error("several grants begin with {0}; give more digits of the id")]
    Ambiguous(String),
    #[error(transparent)]
    Lacking(#[from] Lacking),
    #[error(
        "you own the session that the grant serves ({0}), so somebody else has to revoke it; ask \
         another reviewer"
    )]
    Owner(String),
    #[error(transparent)]
    Reason(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Approver {
    /// Grants that were issued before `before`, newest first.
    pub(crate) async fn grants(
        &self,
        active_only: bool,
        before: i64,
        size: u32,
    ) -> Result<Page, StoreError> {
        let size = page_size(size);
        self.browse.grants(active_only, before, size).await
    }

    /// Takes a grant back as `caller`. One that gives nothing any more stays as
    /// it is.
    pub(crate) async fn revoke_grant(
        &self,
        caller: &Login,
        id: &str,
        reason: &str,
    ) -> Result<Issued, GrantError> {
        caller.role.check(Capability::Decide)?;
        let grant = find(&self.store, id).await?;
        if grant.session.owner == caller.username.as_str() {
            return Err(GrantError::Owner(grant.session.owner));
        }
        let reason = decide::reason(reason)?;
        let revocation = Revocation {
            by: &caller.actor(),
            reason: &reason,
            at: now(),
        };
        let id = grant.signed.id;
        if self.store.revoke_grant(&id, revocation).await? {
            tracing::info!(grant.id = id, user.name = %caller.username, ?reason, "grant revoked");
            self.live.tell(grant.host_id, News::Revoked(id.clone()));
            self.live.reload(Reload::Grant(id.clone()));
        }
        let now = self.store.grant(&id).await?;
        now.ok_or(GrantError::NotFound(id))
    }

    /// Whether grant `id` gives anything now.
    pub(crate) async fn gives(&self, id: &str) -> Result<bool, StoreError> {
        let grant = self.store.grant(id).await?;
        Ok(grant.is_some_and(|grant| grant.state == State::Active))
    }

    /// Which of the grants that `host` names it should not honour. Ends those that
    /// its greeting shows to be over.
    pub(crate) async fn wrong_grants(
        &self,
        host: Uuid,
        greeting: &Greeting,
    ) -> Result<Vec<String>, StoreError> {
        let Greeting { grants, rebooted } = greeting;
        let honoured = self.store.honoured(host, grants, *rebooted, now()).await?;
        for id in honoured.over {
            tracing::info!(grant.id = id, host.id = %host, "grant ended: its host honours it no more");
            self.live.reload(Reload::Grant(id));
        }
        Ok(honoured.wrong)
    }

    /// Grants of `host` that are revoked, and it has not said that it knows.
    pub(crate) async fn revoking(&self, host: Uuid) -> Result<Vec<String>, StoreError> {
        self.store.revoking(host).await
    }
}

/// The grant in `store` with this id, or the only one whose id begins so.
async fn find(store: &Store, id: &str) -> Result<Issued, GrantError> {
    let prefix = canonical(id).ok_or_else(|| GrantError::BadId(start(id)))?;
    let ids = store.grant_ids(&prefix).await?;
    let [id] = ids.as_slice() else {
        return Err(match ids.len() {
            0 => GrantError::NotFound(prefix),
            _ => GrantError::Ambiguous(prefix),
        });
    };
    let grant = store.grant(id).await?;
    grant.ok_or(GrantError::NotFound(prefix))
}
