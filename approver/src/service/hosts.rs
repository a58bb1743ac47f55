//! Hosts: who may connect, and what they say about themselves.

use std::collections::HashSet;

use holdpoint_proto::v1::{Hello, ProfilePolicy};
use uuid::Uuid;

use super::{Approver, now};
use crate::{
    ca::Peer,
    domain::capability::{Capability, Lacking},
    live::Reload,
    store::{
        StoreError,
        hosts::{Host, HostPolicy, Sighting},
        logins::Login,
    },
};

/// Longest host name.
const HOSTNAME_MAX: usize = 253;
/// Longest of the other texts a host says about itself.
const TEXT_MAX: usize = 128;
/// Longest explanation why it doesn't enforce.
const REASON_MAX: usize = 1024;
/// Most policies of one host.
const POLICIES_MAX: usize = 256;
/// Most grants that one host may honour: far more than people give.
const GRANTS_MAX: usize = 10_000;
/// Bytes of a SHA-256.
const SHA256_BYTES: usize = 32;

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

/// Why a Hello is no beginning.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("the Hello names {0} grants; the most that a host may honour is {GRANTS_MAX}")]
    Grants(usize),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a Hello says that is not stored with the host.
#[derive(Clone, Debug)]
pub(crate) struct Greeting {
    /// Grants the host honours.
    pub(crate) grants: HashSet<String>,
    /// It has booted since its last Hello.
    pub(crate) rebooted: bool,
}

/// A host, and whether its stream is open.
#[derive(Clone, Debug)]
pub(crate) struct SeenHost {
    pub(crate) host: Host,
    pub(crate) connected: bool,
    pub(crate) policies: Vec<HostPolicy>,
    /// The last number of its newest spool that is stored, and its gaps.
    pub(crate) spool: (u64, u64),
}

/// Why a host is not shut out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevokeHostError {
    #[error("there is no host {0}")]
    Unknown(String),
    #[error("host {0} is revoked already")]
    Revoked(Uuid),
    #[error(transparent)]
    Lacking(#[from] Lacking),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Approver {
    /// Every host, in the order they enrolled.
    pub(crate) async fn hosts(&self) -> Result<Vec<SeenHost>, StoreError> {
        let connected = self.live.connected();
        let mut hosts = Vec::new();
        for host in self.browse.hosts().await? {
            hosts.push(SeenHost {
                connected: connected.contains(&host.id),
                policies: self.browse.host_policies(host.id).await?,
                spool: self.spool_state(&host.id.to_string()).await?,
                host,
            });
        }
        Ok(hosts)
    }

    /// Shuts a host out for good and withdraws its pending requests. Its stream
    /// ends within seconds.
    pub(crate) async fn revoke_host(
        &self,
        caller: &Login,
        id: &str,
    ) -> Result<(), RevokeHostError> {
        caller.role.check(Capability::Administer)?;
        let unknown = || RevokeHostError::Unknown(id.chars().take(64).collect());
        let id: Uuid = id.parse().map_err(|_| unknown())?;
        if !self.store.revoke_host(id, &caller.actor(), now()).await? {
            return Err(match self.store.host(id).await? {
                Some(_) => RevokeHostError::Revoked(id),
                None => unknown(),
            });
        }
        tracing::info!(host.id = %id, user.name = %caller.username, "host revoked");
        self.live.changed();
        self.live.reload(Reload::Host(id));
        Ok(())
    }

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

    /// Notes that a stream of `host` has ended, unless another took over.
    pub(crate) async fn part(&self, host: Uuid) -> Result<(), StoreError> {
        if self.live.connected().contains(&host) {
            return Ok(());
        }
        self.store.host_left(host, now()).await?;
        self.live.reload(Reload::Host(host));
        Ok(())
    }

    /// Notes what a host says about itself.
    pub(crate) async fn greet(&self, host: Uuid, hello: Hello) -> Result<Greeting, HelloError> {
        let named = hello.grant_ids.len();
        if named > GRANTS_MAX {
            return Err(HelloError::Grants(named));
        }
        let sighting = Sighting {
            hostname: printable(&hello.hostname, HOSTNAME_MAX),
            version: printable(&hello.version, TEXT_MAX),
            kernel_release: printable(&hello.kernel_release, TEXT_MAX),
            boot_id: printable(&hello.boot_id, TEXT_MAX),
            enforcing: hello.enforcing,
            not_enforcing_because: printable(&hello.not_enforcing_because, REASON_MAX),
            policies: hello
                .policies
                .iter()
                .take(POLICIES_MAX)
                .map(policy)
                .collect(),
        };
        let rebooted = self.store.host_seen(host, &sighting, now()).await?;
        self.live.reload(Reload::Host(host));
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
        Ok(Greeting {
            grants: hello.grant_ids.into_iter().collect(),
            rebooted,
        })
    }
}

fn policy(told: &ProfilePolicy) -> HostPolicy {
    let digest = &told.policy_sha256;
    HostPolicy {
        profile: printable(&told.profile, TEXT_MAX),
        owner: printable(&told.owner, TEXT_MAX),
        policy_sha256: digest.iter().take(SHA256_BYTES).copied().collect(),
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
