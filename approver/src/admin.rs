//! Administration: what the operator does on the approver's machine, whether the
//! server runs or not.
//!
//! Works on the state directory: who may write there is the operator. Each call
//! is safe beside a running server and beside other commands.

mod error;
mod view;

use std::time::Duration;

use holdpoint_proto::token::EnrolmentToken;
use uuid::Uuid;

use crate::{
    ca,
    config::{Address, Config},
    domain::{
        account::{AccountName, Role, check_password},
        audit::Actor,
    },
    passwords::Passwords,
    service::{enrolment::mint, now},
    state_dir::StateDir,
    store::{
        Store,
        users::{Changed, User},
    },
};

pub use error::AdminError;
pub use view::{HostView, TokenView, UserView};

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
        let (token, secret) = mint(ttl, label)?;
        let authority = ca::load_or_create(&self.directory, token.created_at)?;
        self.store.add_token(&token, &Actor::Local).await?;
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
        if self.store.add_user(&user, &Actor::Local).await? {
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
        let set = self.store.set_password(name, &hash, &Actor::Local, now());
        if set.await? {
            Ok(())
        } else {
            Err(AdminError::NoUser(name.clone()))
        }
    }

    /// Removes an account and its logins.
    pub async fn remove_user(&self, name: &AccountName) -> Result<(), AdminError> {
        let removed = self.store.remove_user(name, &Actor::Local, now());
        changed(removed.await?, name)
    }

    /// Gives an account another role.
    pub async fn set_role(&self, name: &AccountName, role: Role) -> Result<(), AdminError> {
        let set = self.store.set_role(name, role, &Actor::Local, now());
        changed(set.await?, name)
    }

    /// Every host, in the order they enrolled.
    pub async fn hosts(&self) -> Result<Vec<HostView>, AdminError> {
        let hosts = self.store.hosts().await?;
        Ok(hosts.into_iter().map(HostView::from).collect())
    }

    /// Shuts a host out for good and withdraws its pending requests. A running
    /// server ends its stream within seconds.
    pub async fn revoke_host(&self, id: Uuid) -> Result<(), AdminError> {
        if self.store.revoke_host(id, &Actor::Local, now()).await? {
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

fn changed(changed: Changed, name: &AccountName) -> Result<(), AdminError> {
    match changed {
        Changed::Done => Ok(()),
        Changed::Unknown => Err(AdminError::NoUser(name.clone())),
        Changed::LastAdministrator => Err(AdminError::LastAdministrator(name.clone())),
    }
}
