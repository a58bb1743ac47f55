//! Enrolment: a token, once, for an identity.

use std::{path::Path, time::Duration};

use holdpoint_proto::{
    token::{EnrolmentToken, TokenError},
    v1::{EnrolRequest, enrolment_client::EnrolmentClient},
};
use rcgen::{CertificateParams, KeyPair};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::{
    events::{journal::Journal, spool::SpoolError},
    identity::{Identity, IdentityError},
};

/// Longest wait for the approver.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why a host could not enrol.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The text is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The host is enrolled already.
    #[error(
        "this host is enrolled already as {host_id} at {approver}; to enrol it anew remove {} first",
        path.display()
    )]
    Enrolled {
        /// Its name there.
        host_id: String,
        /// Where.
        approver: String,
        /// Where the identity is kept.
        path: std::path::PathBuf,
    },
    /// The key or the certificate request could not be made.
    #[error("cannot make a key for this host: {0}")]
    Key(#[from] rcgen::Error),
    /// The approver could not be reached.
    #[error("cannot reach the approver at {approver}: {reason}")]
    Unreachable {
        /// Where.
        approver: String,
        /// Cause, with all it has behind it.
        reason: String,
    },
    /// The approver refused.
    #[error("the approver at {approver} refused to enrol this host: {reason}")]
    Refused {
        /// Where.
        approver: String,
        /// Its words.
        reason: String,
    },
    /// Its answer makes no sense.
    #[error(
        "the approver's answer has a decision key of {0} bytes, not 32; is it of another version?"
    )]
    Answer(usize),
    /// The identity could not be kept.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// There is no place for its events.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Enrols this host with `token` and keeps the identity in `state_dir`.
pub async fn enrol(token: &str, hostname: &str, state_dir: &Path) -> Result<Identity, EnrolError> {
    let token = EnrolmentToken::decode(token)?;
    if let Some(identity) = Identity::load(state_dir)? {
        return Err(EnrolError::Enrolled {
            host_id: identity.host_id,
            approver: identity.approver,
            path: state_dir.to_owned(),
        });
    }
    let unreachable = |error: tonic::transport::Error| EnrolError::Unreachable {
        approver: token.approver.clone(),
        reason: crate::link::causes(&error),
    };
    let key = KeyPair::generate()?;
    let request = CertificateParams::default().serialize_request(&key)?;
    let channel = Endpoint::from_shared(token.approver.clone())
        .map_err(unreachable)?
        .connect_timeout(TIMEOUT)
        .timeout(TIMEOUT)
        .tls_config(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&token.ca)))
        .map_err(unreachable)?
        .connect()
        .await
        .map_err(unreachable)?;
    let answer = EnrolmentClient::new(channel)
        .enrol(EnrolRequest {
            secret: token.secret.clone(),
            csr: request.der().to_vec(),
            hostname: hostname.to_owned(),
        })
        .await
        .map_err(|status| EnrolError::Refused {
            approver: token.approver.clone(),
            reason: status.message().to_owned(),
        })?
        .into_inner();
    let length = answer.decision_key.len();
    let identity = Identity {
        host_id: answer.host_id,
        approver: token.approver,
        ca: token.ca,
        certificate: answer.certificate,
        key: key.serialize_pem(),
        decision_key: answer
            .decision_key
            .try_into()
            .map_err(|_| EnrolError::Answer(length))?,
    };
    // First: a host that is known and has no spool has lost one.
    Journal::prepare(state_dir)?;
    identity.store(state_dir)?;
    Ok(identity)
}
