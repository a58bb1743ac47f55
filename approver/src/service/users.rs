//! People's accounts, managed by administrators; and one's own password.
//!
//! There is always an administrator, once there was one: nobody takes away their
//! own role, and the store refuses to lose the last.

use std::{net::IpAddr, time::Instant};

use super::{Approver, now};
use crate::{
    domain::{
        account::{AccountName, NameError, PASSWORD_MAX, PasswordError, Role, Via, check_password},
        capability::{Capability, Lacking},
        secret,
        throttle::Throttled,
    },
    passwords::HashError,
    random::{self, RandomError},
    store::{
        StoreError,
        logins::Login,
        users::{Changed, User},
    },
};

/// Why an account is not made or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    #[error(transparent)]
    Lacking(#[from] Lacking),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("there is an account {0} already")]
    Exists(AccountName),
    #[error("there is no account {0}")]
    Unknown(AccountName),
    #[error("you can't do this to your own account; ask another administrator")]
    Oneself,
    #[error("this sets the password of others; change your own where the current one is asked for")]
    OwnPassword,
    #[error("{0} is the only administrator; make somebody else one first")]
    LastAdministrator(AccountName),
    #[error("the current password is wrong")]
    WrongPassword,
    #[error("only a person who is logged in can change accounts and passwords, a token can't")]
    ByToken,
    #[error(transparent)]
    Throttled(#[from] Throttled),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Random(#[from] RandomError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Approver {
    /// Every account, by name.
    pub(crate) async fn users(&self, caller: &Login) -> Result<Vec<User>, UserError> {
        caller.role.check(Capability::Administer)?;
        Ok(self.store.users().await?)
    }

    /// Adds an account. Without a password one is made up, and answered once.
    pub(crate) async fn add_user(
        &self,
        caller: &Login,
        name: &str,
        role: Role,
        password: Option<String>,
    ) -> Result<(User, Option<String>), UserError> {
        administrator(caller)?;
        let name: AccountName = name.parse()?;
        let (password, made_up) = given_or_made_up(password)?;
        let user = User {
            name,
            role,
            password_hash: self.passwords.hash(password).await?,
            created_at: now(),
        };
        if !self.store.add_user(&user, &caller.actor()).await? {
            return Err(UserError::Exists(user.name));
        }
        tracing::info!(user.name = %user.name, %role, by = %caller.username, "user added");
        Ok((user, made_up))
    }

    /// Gives an account another role.
    pub(crate) async fn change_role(
        &self,
        caller: &Login,
        name: &str,
        role: Role,
    ) -> Result<User, UserError> {
        let name = of_another(caller, name)?;
        let by = caller.actor();
        let set = self.store.set_role(&name, role, &by, now()).await?;
        changed(set, &name)?;
        tracing::info!(user.name = %name, %role, by = %caller.username, "role changed");
        let user = self.store.user(name.as_str()).await?;
        user.ok_or(UserError::Unknown(name))
    }

    /// Gives another account another password and ends its logins and tokens.
    /// Without a password one is made up, and answered once.
    pub(crate) async fn reset_password(
        &self,
        caller: &Login,
        name: &str,
        password: Option<String>,
    ) -> Result<Option<String>, UserError> {
        let name = of_another(caller, name).map_err(|error| match error {
            // Or whoever sits down at an open browser needed no password.
            UserError::Oneself => UserError::OwnPassword,
            error => error,
        })?;
        let (password, made_up) = given_or_made_up(password)?;
        let hash = self.passwords.hash(password).await?;
        let by = caller.actor();
        if !self.store.set_password(&name, &hash, &by, now()).await? {
            return Err(UserError::Unknown(name));
        }
        tracing::info!(user.name = %name, by = %caller.username, "password reset");
        Ok(made_up)
    }

    /// Changes the caller's own password and ends their other logins. This one,
    /// whose secret is `secret`, goes on, and so do their API tokens.
    pub(crate) async fn change_password(
        &self,
        caller: &Login,
        secret: &str,
        from: Option<IpAddr>,
        current: String,
        new: String,
    ) -> Result<(), UserError> {
        if caller.via == Via::ApiToken {
            return Err(UserError::ByToken);
        }
        let name = &caller.username;
        check_password(&new)?;
        // Whoever sits down at somebody's open browser may not guess either.
        let place = self.passwords.place()?;
        let attempt = self.throttle().admit(name.as_str(), from, Instant::now())?;
        let user = self.store.user(name.as_str()).await?;
        let old = user.map(|user| user.password_hash).unwrap_or_default();
        if current.len() > PASSWORD_MAX
            || !self
                .passwords
                .verify(place, current, Some(old.clone()))
                .await?
        {
            return Err(UserError::WrongPassword);
        }
        self.throttle().forgive(&attempt);
        let new = self.passwords.hash(new).await?;
        let keep = secret::hash(secret);
        let changed = self.store.change_password(name, &old, &new, &keep, now());
        if !changed.await? {
            return Err(UserError::WrongPassword);
        }
        tracing::info!(user.name = %name, "password changed");
        Ok(())
    }

    /// Removes an account and its logins; its decisions stay.
    pub(crate) async fn remove_user(&self, caller: &Login, name: &str) -> Result<(), UserError> {
        let name = of_another(caller, name)?;
        let by = caller.actor();
        let removed = self.store.remove_user(&name, &by, now()).await?;
        changed(removed, &name)?;
        tracing::info!(user.name = %name, by = %caller.username, "user removed");
        Ok(())
    }
}

/// Whether `caller` may change accounts. A tool may not: a token that leaked would
/// make administrators who stay when it is revoked.
fn administrator(caller: &Login) -> Result<(), UserError> {
    caller.role.check(Capability::Administer)?;
    if caller.via == Via::ApiToken {
        return Err(UserError::ByToken);
    }
    Ok(())
}

/// The name of an account that `caller` may take something away from.
fn of_another(caller: &Login, name: &str) -> Result<AccountName, UserError> {
    administrator(caller)?;
    let name: AccountName = name.parse()?;
    if name == caller.username {
        return Err(UserError::Oneself);
    }
    Ok(name)
}

fn changed(changed: Changed, name: &AccountName) -> Result<(), UserError> {
    match changed {
        Changed::Done => Ok(()),
        Changed::Unknown => Err(UserError::Unknown(name.clone())),
        Changed::LastAdministrator => Err(UserError::LastAdministrator(name.clone())),
    }
}

/// The password to set, and the one to tell if it was made up.
fn given_or_made_up(password: Option<String>) -> Result<(String, Option<String>), UserError> {
    if let Some(password) = password {
        check_password(&password)?;
        return Ok((password, None));
    }
    let made_up = random::secret()?.reveal().to_owned();
    Ok((made_up.clone(), Some(made_up)))
}
