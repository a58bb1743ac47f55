//! Administration: what the operator does on the approver's machine, whether the
//! server runs or not.
//!
//! Works on the state directory: who may write there is the operator. Each call
//! is safe beside a running server and beside other commands.

mod error;
mod view;

use std::time::Duration;

use data_encoding::HEXLOWER;
use holdpoint_proto::token::EnrolmentToken;
use uuid::Uuid;

use crate::{
    ca,
    config::{Address, Config},
    domain::account::{AccountName, Role, check_password},
    passwords::Passwords,
    random,
    service::now,
    state_dir::StateDir,
    store::{Store, enrolment_tokens::NewToken, users::User},
};

pub use error::AdminError;
pub use view::{HostView, TokenView, UserView};

/// Longest life of an enrolment token.
pub const TTL_MAX: Duration = Duration::from_hours(30 * 24);
/// Longest label of an enrolment token, in characters.
pub const LABEL_MAX: usize = 128;

/// The operator's access to one state directory.
#[derive(Debug)]
pub struct Admin {
    directory: StateDir,
    store: Store,
    address: Address,
    passwords: Passwords,
}

impl Admin {
    /// Opens the state directory of `config`, making what is missing.
    pub async fn open(config: &Config) -> Result<Self, AdminError> {
        let directory = StateDir::open(&config.state_dir)?;
        let store = Store::open(&directory).await?;
        Ok(Self {
            directory,
            store,
            address: config.address.clone(),
            passwords: Passwords::new(),
        })
    }

    /// Makes a token that lets one host enrol within `ttl`.
    pub async fn create_token(
        &self,
        ttl: Duration,
        label: &str,
    ) -> Result<EnrolmentToken, AdminError> {
        if ttl.is_zero() || ttl > TTL_MAX {
            return Err(AdminError::Ttl);
        }
        if label.chars().count() > LABEL_MAX || label.chars().any(char::is_control) {
            return Err(AdminError::Label);
        }
        let (created_at, secret) = (now(), random::secret()?);
        let authority = ca::load_or_create(&self.directory, created_at)?;
        let token = NewToken {
            id: HEXLOWER.encode(&random::bytes::<4>()?),
            secret_hash: secret.hash(),
            label: label.to_owned(),
            created_at,
            expires_at: created_at.plus(ttl),
        };
        self.store.add_token(&token).await?;
        Ok(EnrolmentToken {
            approver: self.address.to_string(),
            ca: authority.certificate().to_owned(),
            secret: secret.reveal().to_owned(),
        })
    }

    /// Every enrolment token, newest first.
    pub async fn tokens(&self) -> Result<Vec<TokenView>, AdminError> {
        let (tokens, now) = (self.store.tokens().await?, now());
        Ok(tokens
            .into_iter()
            .map(|token| TokenView::new(token, now))
            .collect())
    }

    /// Adds an account.
    pub async fn add_user(
        &self,
        name: &AccountName,
        role: Role,
        password: &str,
    ) -> Result<(), AdminError> {
        check_password(password)?;
        let user = User {
            name: name.clone(),
            role,
            password_hash: self.passwords.hash(password.to_owned()).await?,
            created_at: now(),
        };
        if self.store.add_user(&user).await? {
            Ok(())
        } else {
            Err(AdminError::UserExists(name.clone()))
        }
    }

    /// Every account, by name.
    pub async fn users(&self) -> Result<Vec<UserView>, AdminError> {
        let users = self.store.users().await?;
        Ok(users.into_iter().map(UserView::from).collect())
    }

    /// Whether there is an account `name`: asked before a person types a password
    /// for nothing.
    pub async fn has_user(&self, name: &AccountName) -> Result<bool, AdminError> {
        Ok(self.store.user(name.as_str()).await?.is_some())
    }

    /// Sets an account's password and ends its logins.
    pub async fn set_password(&self, name: &AccountName, password: &str) -> Result<(), AdminError> {
        check_password(password)?;
        let hash = self.passwords.hash(password.to_owned()).await?;
        if self.store.set_password(name, &hash).await? {
            Ok(())
        } else {
            Err(AdminError::NoUser(name.clone()))
        }
    }

    /// Removes an account and its logins.
    pub async fn remove_user(&self, name: &AccountName) -> Result<(), AdminError> {
        if self.store.remove_user(name).await? {
            Ok(())
        } else {
            Err(AdminError::NoUser(name.clone()))
        }
    }

    /// Every host, in the order they enrolled.
    pub async fn hosts(&self) -> Result<Vec<HostView>, AdminError> {
        let hosts = self.store.hosts().await?;
        Ok(hosts.into_iter().map(HostView::from).collect())
    }

    /// Shuts a host out for good and withdraws its pending requests. A running
    /// server ends its stream within seconds.
    pub async fn revoke_host(&self, id: Uuid) -> Result<(), AdminError> {
        if self.store.revoke_host(id, now()).await? {
            return Ok(());
        }
        Err(match self.store.host(id).await? {
            Some(_) => AdminError::HostRevoked(id),
            None => AdminError::NoHost(id),
        })
    }

    /// Ends all use of the database.
    pub async fn close(self) {
        self.store.close().await;
    }
}
