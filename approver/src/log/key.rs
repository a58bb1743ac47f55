//! The key that signs checkpoints (`log.key`), and the name of the log, which is
//! made of it: one key is one log.

use holdpoint_evidence::{SigningKey, note::KeyError};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};

use super::open::LogError;
use crate::state_dir::{PRIVATE, StateDir};

pub(super) const KEY: &str = "log.key";

/// The key of `directory`. Made first if there is none, unless a log has been
/// `begun`: nobody can go on with that log without its key.
pub(super) fn load_or_create(directory: &StateDir, begun: bool) -> Result<SigningKey, LogError> {
    let _turn = directory.lock()?;
    let path = || directory.file(KEY);
    let pem = match directory.read(KEY)? {
        Some(pem) => pem,
        None if begun => return Err(LogError::KeyMissing { path: path() }),
        None => {
            let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)
                .map_err(LogError::Generate)?
                .serialize_pem();
            directory.write(KEY, PRIVATE, &pem)?;
            pem
        }
    };
    let damaged = |reason: String| LogError::KeyDamaged {
        path: path(),
        reason,
    };
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| damaged(error.to_string()))?;
    SigningKey::named_by(der.secret_pkcs8_der(), origin)
        .map_err(|error: KeyError| damaged(error.to_string()))
}

/// What the log of this key is called.
fn origin(public: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut name = "holdpoint/log/".to_owned();
    for byte in Sha256::digest(public).iter().take(16) {
        // Writing to a String can't fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_survives_a_restart_and_names_the_log() {
        let outer = tempfile::tempdir().unwrap();
        let directory = StateDir::open(outer.path()).unwrap();
        let first = load_or_create(&directory, false).unwrap();
        let second = load_or_create(&directory, true).unwrap();
        assert_eq!(first.verifier(), second.verifier());
        let name = first.verifier().name();
        assert!(
            name.starts_with("holdpoint/log/") && name.len() == 46,
            "{name}"
        );
    }

    #[test]
    fn a_lost_or_damaged_key_is_named() {
        let outer = tempfile::tempdir().unwrap();
        let directory = StateDir::open(outer.path()).unwrap();
        let error = load_or_create(&directory, true).unwrap_err();
        assert!(matches!(error, LogError::KeyMissing { .. }), "{error}");
        directory.write(KEY, PRIVATE, "rubbish").unwrap();
        let error = load_or_create(&directory, false).unwrap_err();
        assert!(error.to_string().contains("log.key is damaged"), "{error}");
    }
}
