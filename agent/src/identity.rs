//! Who this host is to its approver: a private key that never leaves the state
//! directory, the certificate the approver gave for it, and what the host needs
//! to trust the approver in turn.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use holdpoint_proto::{decision, v1};
use serde::{Deserialize, Serialize};

const FILE: &str = "identity.json";

/// The identity of an enrolled host.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Name of the host at the approver.
    pub host_id: String,
    /// Address of the approver, `https://host:port`.
    pub approver: String,
    /// The approver's CA certificate, PEM.
    pub ca: String,
    /// This host's certificate, PEM.
    pub certificate: String,
    /// This host's private key, PEM.
    pub key: String,
    /// The approver's Ed25519 public key for decisions.
    pub decision_key: [u8; 32],
}

/// Why the identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Its content is not what enrolment wrote.
    #[error(
        "{} is damaged: {source}; enrol this host again with `holdpointd enrol`",
        path.display()
    )]
    Content {
        /// Which file.
        path: PathBuf,
        /// Cause.
        source: serde_json::Error,
    },
    /// Its certificate is none.
    #[error("the certificate of this host cannot be read; enrol it again with `holdpointd enrol`")]
    Certificate,
    /// Others than its owner may read the key.
    #[error(
        "{} can be read by others (mode {mode:o}); run `chmod 600 {}`",
        path.display(),
        path.display()
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl Identity {
    /// Reads the identity from `state_dir`; none if the host is not enrolled.
    pub fn load(state_dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = state_dir.join(FILE);
        let file = |action| {
            let path = path.clone();
            move |source| IdentityError::File {
                action,
                path,
                source,
            }
        };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file("read")(error)),
        };
        let mode = fs::metadata(&path)
            .map_err(file("look at"))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed {
                path,
                mode: mode & 0o777,
            });
        }
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| IdentityError::Content { path, source })
    }

    /// Writes the identity to `state_dir`, whole or not at all.
    pub fn store(&self, state_dir: &Path) -> Result<(), IdentityError> {
        let path = state_dir.join(FILE);
        let fresh = state_dir.join(format!("{FILE}.new"));
        let written = || -> io::Result<()> {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(state_dir)?;
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            fs::File::open(state_dir)?.sync_all()
        };
        written().map_err(|source| IdentityError::File {
            action: "write",
            path,
            source,
        })
    }

    /// From when to when this host's certificate is valid, seconds since the epoch.
    pub fn certificate_lifetime(&self) -> Result<(i64, i64), IdentityError> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(self.certificate.as_bytes())
            .map_err(|_| IdentityError::Certificate)?;
        let certificate = pem.parse_x509().map_err(|_| IdentityError::Certificate)?;
        let validity = certificate.validity();
        Ok((
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        ))
    }

    /// Whether the approver signed exactly this decision.
    pub fn signed(&self, decision: &v1::Decision) -> bool {
        UnparsedPublicKey::new(&ED25519, self.decision_key)
            .verify(&decision::signing_bytes(decision), &decision.signature)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn identity(decision_key: [u8; 32]) -> Identity {
        Identity {
            host_id: "h".into(),
            approver: "https://localhost:7443".into(),
            ca: "ca".into(),
            certificate: "certificate".into(),
            key: "key".into(),
            decision_key,
        }
    }

    #[test]
    fn it_is_stored_for_its_owner_alone_and_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        assert!(Identity::load(&state).unwrap().is_none());
        identity([3; 32]).store(&state).unwrap();
        let loaded = Identity::load(&state).unwrap().unwrap();
        assert_eq!(loaded.decision_key, [3; 32]);
        let path = state.join(FILE);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            Identity::load(&state),
            Err(IdentityError::Exposed { mode: 0o644, .. })
        ));
    }

    #[test]
    fn a_damaged_file_says_how_to_mend_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        fs::write(&path, "{").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let Err(error) = Identity::load(directory.path()) else {
            panic!("loaded");
        };
        assert!(error.to_string().contains("holdpointd enrol"), "{error}");
    }

    #[test]
    fn only_the_approvers_own_words_are_signed() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = pair.public_key().as_ref().try_into().unwrap();
        let mut decision = v1::Decision {
            request_id: "r".into(),
            verdict: v1::Verdict::Deny.into(),
            ..v1::Decision::default()
        };
        decision.signature = pair
            .sign(&decision::signing_bytes(&decision))
            .as_ref()
            .to_vec();
        assert!(identity(key).signed(&decision));
        decision.verdict = v1::Verdict::Approve.into();
        assert!(!identity(key).signed(&decision));
    }
}
