//! Enrolment: a token and a signing request become a host.

use uuid::Uuid;

use super::{Approver, hosts::check_hostname, now};
use crate::{
    ca::IssueError,
    domain::{secret, time::Millis},
    store::{StoreError, hosts::NewHost},
};

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
