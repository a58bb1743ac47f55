//! Login: a name and a password become a bearer token, for half a day.

use std::{
    net::IpAddr,
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
    store::{
        StoreError,
        logins::{Login, NewLogin},
    },
};

const LIFETIME: Duration = Duration::from_hours(12);
/// What a name without an account is called in logs and records: some people
/// type their password there.
const UNKNOWN: &str = "(unknown)";

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

/// Why nobody was logged out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogoutError {
    #[error("an API token is no login; to end it, revoke it while you are logged in")]
    ByToken,
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
    /// Logs `username` in, who calls from the address `from`. The secret is good
    /// only for the way it was asked for.
    pub(crate) async fn log_in(
        &self,
        username: &str,
        password: String,
        via: Via,
        from: Option<IpAddr>,
    ) -> Result<(Secret, Millis), LoginError> {
        // Longer ones belong to nobody and would only take memory.
        if username.len() > NAME_MAX || password.len() > PASSWORD_MAX {
            self.metrics.login_failed();
            return Err(LoginError::Wrong);
        }
        let user = self.store.user(username).await?;
        let known = user.as_ref().map_or(UNKNOWN, |user| user.name.as_str());
        let address = from.map(tracing::field::display);
        // Before it counts: who finds no room has not guessed.
        let place = self.passwords.place()?;
        let attempt = self.throttle().admit(username, from, Instant::now());
        let attempt = attempt.inspect_err(|_| {
            self.metrics.login_failed();
            tracing::warn!(
                user.name = known,
                client.address = address,
                "login refused: too many failures"
            );
        })?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let right = self.passwords.verify(place, password, hash).await?;
        if !right {
            self.metrics.login_failed();
            tracing::warn!(user.name = known, client.address = address, "login failed");
            // Bounded by the throttle, which lets few attempts come this far.
            let why = "wrong user name or password";
            self.store.login_refused(known, from, why, now()).await?;
        }
        let user = user.filter(|_| right).ok_or(LoginError::Wrong)?;
        let (token, now) = (random::secret()?, now());
        let login = NewLogin {
            hash: token.hash(),
            username: &user.name,
            password_hash: &user.password_hash,
            via,
            from,
            now,
            expires_at: now.plus(LIFETIME),
        };
        if !self.store.add_login(&login).await? {
            return Err(LoginError::Wrong);
        }
        self.throttle().forgive(&attempt);
        tracing::info!(user.name = %user.name, client.address = address, "logged in");
        Ok((token, login.expires_at))
    }

    /// Ends the login of `caller`, whose secret is `secret`.
    pub(crate) async fn log_out(&self, caller: &Login, secret: &str) -> Result<(), LogoutError> {
        if caller.via == Via::ApiToken {
            return Err(LogoutError::ByToken);
        }
        Ok(self.end_login(secret).await?)
    }

    /// Ends the login with this secret, if there is one.
    pub(crate) async fn end_login(&self, secret: &str) -> Result<(), StoreError> {
        self.store.remove_login(&secret::hash(secret), now()).await
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
