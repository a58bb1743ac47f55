//! What can go wrong for the operator.

use uuid::Uuid;

use super::{LABEL_MAX, TTL_MAX};
use crate::{
    ca::AuthorityFileError,
    domain::account::{AccountName, PasswordError},
    passwords::HashError,
    random::RandomError,
    state_dir::StateDirError,
    store::StoreError,
};

/// Why something the operator wanted was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The state directory can't be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The database can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no CA.
    #[error(transparent)]
    Authority(#[from] AuthorityFileError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Hashing failed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The password is refused.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The token's life is too short or too long.
    #[error("a token must live longer than nothing and at most {} h", TTL_MAX.as_secs() / 3600)]
    Ttl,
    /// The token's label is unfit to show.
    #[error("a label has at most {LABEL_MAX} characters and no control characters")]
    Label,
    /// The name is taken.
    #[error(
        "user {0} exists already; change its password with `holdpoint-approver user passwd {0}`"
    )]
    UserExists(AccountName),
    /// There is no such account.
    #[error("there is no user {0}; `holdpoint-approver user list` shows all")]
    NoUser(AccountName),
    /// There is no such host.
    #[error("there is no host {0}; `holdpoint-approver host list` shows all")]
    NoHost(Uuid),
    /// Nothing to do.
    #[error("host {0} is revoked already")]
    HostRevoked(Uuid),
}
