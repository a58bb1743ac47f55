//! What can go wrong for the operator.

use uuid::Uuid;

use crate::{
    ca::AuthorityFileError,
    domain::account::{AccountName, NameError, PasswordError},
    passwords::HashError,
    random::RandomError,
    service::enrolment::TokenError,
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
    /// The name is no account's.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The password is refused.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The token is not made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The name is taken.
    #[error(
        "user {0} exists already; change its password with `holdpoint-approver user passwd {0}`"
    )]
    UserExists(AccountName),
    /// There is no such account.
    #[error("there is no user {0}; `holdpoint-approver user list` shows all")]
    NoUser(AccountName),
    /// Nobody would be left to administer.
    #[error(
        "{0} is the only administrator; make another first: `holdpoint-approver user role NAME \
         administrator`"
    )]
    LastAdministrator(AccountName),
    /// There is no such host.
    #[error("there is no host {0}; `holdpoint-approver host list` shows all")]
    NoHost(Uuid),
    /// Nothing to do.
    #[error("host {0} is revoked already")]
    HostRevoked(Uuid),
}
