//! Signs decisions with the approver's Ed25519 key (`decision.key`).
//!
//! The one place that holds this key. It signs decisions that are about to be
//! stored and nothing else: a host releases an operation on this signature.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use holdpoint_proto::{decision::signing_bytes, v1::Decision};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};

use crate::state_dir::{PRIVATE, StateDir, StateDirError};

const KEY: &str = "decision.key";

/// The key that signs decisions.
#[derive(Debug)]
pub(crate) struct Signer {
    key: Ed25519KeyPair,
}

/// Why there is no key to sign decisions with.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The file can't be read or written.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// Making the key failed.
    #[error("cannot make the decision key: {0}")]
    Generate(rcgen::Error),
    /// The file has other content than we wrote.
    #[error("{path} is damaged ({reason}); restore it from a backup")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Signer {
    /// The key of `directory`; made first if there is none.
    pub(crate) fn load_or_create(directory: &StateDir) -> Result<Self, SignerError> {
        let _turn = directory.lock()?;
        let pem = if let Some(pem) = directory.read(KEY)? {
            pem
        } else {
            let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)
                .map_err(SignerError::Generate)?
                .serialize_pem();
            directory.write(KEY, PRIVATE, &pem)?;
            pem
        };
        let damaged = |reason: String| SignerError::Damaged {
            path: directory.file(KEY).display().to_string(),
            reason,
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| damaged(error.to_string()))?;
        let key = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|error| damaged(error.to_string()))?;
        Ok(Self { key })
    }

    /// The public key, 32 bytes.
    pub(crate) fn public_key(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    /// Signs every other field of `decision`.
    pub(crate) fn sign(&self, decision: &mut Decision) {
        decision.signature = self.key.sign(&signing_bytes(decision)).as_ref().to_vec();
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn the_key_survives_a_restart_and_its_signatures_verify() {
        let outer = tempfile::tempdir().unwrap();
        let directory = StateDir::open(outer.path()).unwrap();
        let first = Signer::load_or_create(&directory).unwrap();
        let second = Signer::load_or_create(&directory).unwrap();
        assert_eq!(first.public_key(), second.public_key());

        let mut decision = Decision {
            request_id: "r".into(),
            reason: "ok".into(),
            ..Decision::default()
        };
        second.sign(&mut decision);
        let key = UnparsedPublicKey::new(&ED25519, first.public_key());
        assert!(
            key.verify(&signing_bytes(&decision), &decision.signature)
                .is_ok()
        );
        decision.reason.push('x');
        assert!(
            key.verify(&signing_bytes(&decision), &decision.signature)
                .is_err()
        );
    }

    #[test]
    fn a_damaged_key_is_named() {
        let outer = tempfile::tempdir().unwrap();
        let directory = StateDir::open(outer.path()).unwrap();
        directory.write(KEY, PRIVATE, "rubbish").unwrap();
        let error = Signer::load_or_create(&directory).unwrap_err();
        assert!(
            error.to_string().contains("decision.key is damaged"),
            "{error}"
        );
    }
}
