//! Hosts: who may connect, and what they say about themselves.

use holdpoint_proto::v1::Hello;
use uuid::Uuid;

use super::{Approver, now};
use crate::{
    ca::Peer,
    store::{StoreError, hosts::Sighting},
};

/// Longest host name.
const HOSTNAME_MAX: usize = 253;
/// Longest of the other texts a host says about itself.
const TEXT_MAX: usize = 128;

/// Why a host with a good certificate may not connect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdmitError {
    #[error(
        "host {0} is not enrolled here; enrol it with a token from `holdpoint-approver token \
         create`"
    )]
    Unknown(Uuid),
    #[error(
        "host {0} was revoked; to let it in again, enrol it with a token from \
         `holdpoint-approver token create`"
    )]
    Revoked(Uuid),
    #[error("the certificate with serial {serial} is not the current one of host {host}")]
    OtherCertificate { host: Uuid, serial: String },
    #[error(
        "the certificate of host {0} expired; enrol it again with a token from \
         `holdpoint-approver token create`"
    )]
    Expired(Uuid),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Approver {
    /// Whether the host with this certificate may talk to us now.
    pub(crate) async fn admit(&self, peer: &Peer) -> Result<(), AdmitError> {
        let host = self.store.host(peer.host_id).await?;
        let host = host.ok_or(AdmitError::Unknown(peer.host_id))?;
        if host.revoked_at.is_some() {
            return Err(AdmitError::Revoked(host.id));
        }
        if host.certificate_serial != peer.serial {
            return Err(AdmitError::OtherCertificate {
                host: host.id,
                serial: peer.serial.clone(),
            });
        }
        // TLS has checked this when the connection began, which may be long ago.
        if host.certificate_expires_at <= now() {
            return Err(AdmitError::Expired(host.id));
        }
        Ok(())
    }

    /// Notes what a host says about itself.
    pub(crate) async fn greet(&self, host: Uuid, hello: &Hello) -> Result<(), StoreError> {
        let sighting = Sighting {
            hostname: printable(&hello.hostname, HOSTNAME_MAX),
            version: printable(&hello.version, TEXT_MAX),
            kernel_release: printable(&hello.kernel_release, TEXT_MAX),
            boot_id: printable(&hello.boot_id, TEXT_MAX),
            enforcing: hello.enforcing,
        };
        self.store.host_seen(host, &sighting, now()).await?;
        tracing::info!(
            host.id = %host,
            host.name = sighting.hostname,
            host.version = sighting.version,
            host.enforcing = sighting.enforcing,
            "host connected"
        );
        if !sighting.enforcing {
            tracing::warn!(host.id = %host, "the host's kernel does not enforce");
        }
        Ok(())
    }
}

/// Whether a new host may be called `hostname`.
pub(super) fn check_hostname(hostname: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !hostname.is_empty() && hostname.len() <= HOSTNAME_MAX && hostname.chars().all(allowed)
}

/// A host may say anything about itself; what is shown to people is one short
/// line of plain ASCII.
fn printable(text: &str, max: usize) -> String {
    let plain = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    text.chars().take(max).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_is_shown_harmlessly() {
        assert_eq!(printable("6.12.0 #1\n\u{202e}x", 128), "6.12.0 #1??x");
        assert_eq!(printable("abcdef", 3), "abc");
    }

    #[test]
    fn host_names() {
        assert!(check_hostname("build-7.example"));
        for bad in ["", "a b", "a\n", "ä", &"a".repeat(254)] {
            assert!(!check_hostname(bad), "{bad:?}");
        }
    }
}
