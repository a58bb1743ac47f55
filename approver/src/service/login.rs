//! Login: a name and a password become a bearer token, for half a day.

use std::{
    sync::{MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Approver, api_tokens, now};
use crate::{
    domain::{
        account::{NAME_MAX, PASSWORD_MAX, Via},
        secret::{self, Secret},
        throttle::{Throttle, Throttled},
        time::Millis,
    },
    passwords::HashError,
    random::{self, RandomError},
    store::{StoreError, logins::Login},
};

const LIFETIME: Duration = Duration::from_hours(12);

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// One text for every cause: who has an account is nobody's business.
    #[error("wrong user name or password")]
    Wrong,
    #[error(transparent)]
    Throttled(#[from] Throttled),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Random(#[from] RandomError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a call has no caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallerError {
    #[error("you are not logged in, or not any more; log in with `holdpoint login`")]
    Unknown,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Approver {
    /// Logs `username` in. The secret is good only for the way it was asked for.
    pub(crate) async fn log_in(
        &self,
        username: &str,
        password: String,
        via: Via,
    ) -> Result<(Secret, Millis), LoginError> {
        // Longer ones belong to nobody and would only take memory.
        if username.len() > NAME_MAX || password.len() > PASSWORD_MAX {
            self.metrics.login_failed();
            return Err(LoginError::Wrong);
        }
        let attempt = self.throttle().admit(username, Instant::now());
        let attempt = attempt.inspect_err(|_| {
            self.metrics.login_failed();
            tracing::warn!(user.name = ?username, "login refused: too many failures");
        })?;
        let user = self.store.user(username).await?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let right = self.passwords.verify(password, hash).await?;
        let Some(user) = user.filter(|_| right) else {
            self.metrics.login_failed();
            tracing::warn!(user.name = ?username, "login failed");
            // Bounded by the throttle, which lets few attempts come this far.
            let why = "wrong user name or password";
            self.store.login_refused(username, why, now()).await?;
            return Err(LoginError::Wrong);
        };
        let (token, now) = (random::secret()?, now());
        let expires_at = now.plus(LIFETIME);
        let added = self
            .store
            .add_login(
                &token.hash(),
                &user.name,
                &user.password_hash,
                via,
                now,
                expires_at,
            )
            .await?;
        if !added {
            return Err(LoginError::Wrong);
        }
        self.throttle().forgive(&attempt);
        tracing::info!(user.name = username, "logged in");
        Ok((token, expires_at))
    }

    /// Ends the login with this token.
    pub(crate) async fn log_out(&self, token: &str) -> Result<(), StoreError> {
        self.store.remove_login(&secret::hash(token), now()).await
    }

    /// Who calls with this bearer token: that of a login, or a tool's.
    pub(crate) async fn caller(&self, token: &str) -> Result<Login, CallerError> {
        let (hash, now) = (secret::hash(token), now());
        let login = if token.starts_with(api_tokens::PREFIX) {
            self.store.api_login(&hash, now).await?
        } else {
            self.store.login(&hash, now).await?
        };
        login
            .filter(|login| login.via != Via::Cookie)
            .ok_or(CallerError::Unknown)
    }

    /// Whose browser presents this cookie.
    pub(crate) async fn browser(&self, cookie: &str) -> Result<Login, CallerError> {
        let login = self.store.login(&secret::hash(cookie), now()).await?;
        login
            .filter(|login| login.via == Via::Cookie)
            .ok_or(CallerError::Unknown)
    }

    pub(super) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        // Counters are never left half done.
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
