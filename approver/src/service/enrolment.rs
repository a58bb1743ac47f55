//! Enrolment: a token and a signing request become a host.

use std::time::Duration;

use data_encoding::HEXLOWER;
use holdpoint_proto::token::EnrolmentToken;
use uuid::Uuid;

use super::{Approver, hosts::check_hostname, now};
use crate::{
    ca::IssueError,
    domain::{
        capability::{Capability, Lacking},
        secret::{self, Secret},
        time::Millis,
    },
    random::{self, RandomError},
    store::{
        StoreError,
        enrolment_tokens::{NewToken, Token},
        hosts::NewHost,
        logins::Login,
    },
};

/// Longest life of an enrolment token.
pub(crate) const LIFE_MAX: Duration = Duration::from_hours(30 * 24);
/// Longest label of an enrolment token, in characters.
pub(crate) const LABEL_MAX: usize = 128;

/// Why there is no enrolment token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It would live too short or too long.
    #[error("a token must live longer than nothing and at most {} h", LIFE_MAX.as_secs() / 3600)]
    Life,
    /// Its label is unfit to show.
    #[error("a label has at most {LABEL_MAX} characters and no control characters")]
    Label,
    /// There is none to revoke.
    #[error("there is no enrolment token {0:?} that could still be used")]
    NotFound(String),
    /// The caller's role does not allow it.
    #[error(transparent)]
    Lacking(#[from] Lacking),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The database can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A token as it is kept, and its secret part.
pub(crate) fn mint(life: Duration, label: &str) -> Result<(NewToken, Secret), TokenError> {
    if life.is_zero() || life > LIFE_MAX {
        return Err(TokenError::Life);
    }
    if label.chars().count() > LABEL_MAX || label.chars().any(char::is_control) {
        return Err(TokenError::Label);
    }
    let (created_at, secret) = (now(), random::secret()?);
    let token = NewToken {
        id: HEXLOWER.encode(&random::bytes::<4>()?),
        secret_hash: secret.hash(),
        label: label.to_owned(),
        created_at,
        expires_at: created_at.plus(life),
    };
    Ok((token, secret))
}

/// A host that is enrolled now.
#[derive(Debug)]
pub(crate) struct Enrolled {
    pub(crate) host_id: Uuid,
    pub(crate) certificate: String,
    pub(crate) decision_key: Vec<u8>,
}

/// Why a host was not enrolled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolError {
    #[error(
        "the enrolment token is not known here; make one with `holdpoint-approver token create`"
    )]
    Unknown,
    #[error(
        "the enrolment token was used at {0} and works only once; make a new one with \
         `holdpoint-approver token create`"
    )]
    Used(Millis),
    #[error(
        "the enrolment token expired at {0}; make a new one with `holdpoint-approver token create`"
    )]
    Expired(Millis),
    #[error("the host name {0:?} is invalid; use 1 to 253 of a-z, A-Z, 0-9, '.', '_' and '-'")]
    Hostname(String),
    #[error(transparent)]
    Issue(#[from] IssueError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Approver {
    /// Makes a token that lets one host enrol within `life`. The text is the
    /// secret: nobody can ask for it again.
    pub(crate) async fn make_token(
        &self,
        caller: &Login,
        life: Duration,
        label: &str,
    ) -> Result<(NewToken, String), TokenError> {
        caller.role.check(Capability::Administer)?;
        let (token, secret) = mint(life, label)?;
        self.store.add_token(&token, &caller.actor()).await?;
        tracing::info!(user.name = %caller.username, token.id, "enrolment token made");
        let text = EnrolmentToken {
            approver: self.address.to_string(),
            ca: self.authority.certificate().to_owned(),
            secret: secret.reveal().to_owned(),
        };
        Ok((token, text.encode()))
    }

    /// Every enrolment token, newest first.
    pub(crate) async fn tokens(&self, caller: &Login) -> Result<Vec<Token>, TokenError> {
        caller.role.check(Capability::Administer)?;
        Ok(self.store.tokens().await?)
    }

    /// Has a token let nobody in any more.
    pub(crate) async fn revoke_token(&self, caller: &Login, id: &str) -> Result<(), TokenError> {
        caller.role.check(Capability::Administer)?;
        let by = caller.actor();
        if !self.store.remove_token(id, &by, now()).await? {
            return Err(TokenError::NotFound(id.chars().take(64).collect()));
        }
        tracing::info!(user.name = %caller.username, token.id = id, "enrolment token revoked");
        Ok(())
    }

    /// Enrols the host that holds `secret` and the key of `csr`.
    pub(crate) async fn enrol(
        &self,
        secret: &str,
        csr: &[u8],
        hostname: &str,
    ) -> Result<Enrolled, EnrolError> {
        let (hash, now) = (secret::hash(secret), now());
        self.check_token(&hash, now).await?;
        if !check_hostname(hostname) {
            return Err(EnrolError::Hostname(hostname.chars().take(253).collect()));
        }
        // Before the token is used up: a bad signing request must not cost it.
        let host_id = Uuid::now_v7();
        let certificate = self.authority.sign_host(csr, host_id, now)?;
        let host = NewHost {
            id: host_id,
            hostname: hostname.to_owned(),
            certificate_serial: certificate.serial,
            certificate_expires_at: certificate.expires_at,
        };
        if !self.store.enrol(&hash, &host, now).await? {
            // Somebody else was faster, or time ran out in between.
            self.check_token(&hash, now).await?;
            return Err(EnrolError::Unknown);
        }
        tracing::info!(host.id = %host_id, host.name = hostname, "host enrolled");
        Ok(Enrolled {
            host_id,
            certificate: certificate.pem,
            decision_key: self.signer.public_key().to_vec(),
        })
    }

    async fn check_token(&self, hash: &secret::SecretHash, now: Millis) -> Result<(), EnrolError> {
        let token = self.store.token(hash).await?.ok_or(EnrolError::Unknown)?;
        if let Some(used_at) = token.used_at {
            return Err(EnrolError::Used(used_at));
        }
        if token.expires_at <= now {
            return Err(EnrolError::Expired(token.expires_at));
        }
        Ok(())
    }
}
