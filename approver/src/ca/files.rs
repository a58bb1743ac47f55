//! Keeps the CA in the state directory: `ca.key` and `ca.pem`.
//!
//! The key comes first. A crash between the two files leaves a key that has
//! signed nothing, and the next start makes a certificate for it. A certificate
//! without its key is never replaced: hosts trust it.

use rcgen::{Issuer, KeyPair, PublicKeyData as _};

use super::{Authority, IssueError, authority_params};
use crate::{
    domain::time::Millis,
    state_dir::{PRIVATE, PUBLIC, StateDir, StateDirError},
};

const KEY: &str = "ca.key";
const CERTIFICATE: &str = "ca.pem";

/// Why there is no CA to sign with.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityFileError {
    /// The files can't be read or written.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// Making the certificate failed.
    #[error("cannot make the certificate authority")]
    Issue(#[source] IssueError),
    /// A file has other content than we wrote.
    #[error("{path} is damaged ({source}); restore it from a backup")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: rcgen::Error,
    },
    /// There is a certificate, but not its key.
    #[error(
        "{certificate} exists but {key} is missing; restore it from a backup, or remove \
         {certificate} to begin anew (every host must then enrol again)"
    )]
    KeyMissing {
        /// The file that is there.
        certificate: String,
        /// The file that is not.
        key: String,
    },
    /// The two files are from different CAs.
    #[error("{key} is not the key of {certificate}; restore both from one backup")]
    Mismatch {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
    },
}

/// The CA of `directory`; made first if there is none.
pub(crate) fn load_or_create(
    directory: &StateDir,
    now: Millis,
) -> Result<Authority, AuthorityFileError> {
    let path = |name| directory.file(name).display().to_string();
    let _turn = directory.lock()?;
    let key = match (directory.read(KEY)?, directory.read(CERTIFICATE)?) {
        (Some(key), _) => {
            KeyPair::from_pem(&key).map_err(|source| AuthorityFileError::Damaged {
                path: path(KEY),
                source,
            })?
        }
        (None, None) => {
            let key = KeyPair::generate()
                .map_err(|error| AuthorityFileError::Issue(IssueError::Sign(error)))?;
            directory.write(KEY, PRIVATE, &key.serialize_pem())?;
            key
        }
        (None, Some(_)) => {
            return Err(AuthorityFileError::KeyMissing {
                certificate: path(CERTIFICATE),
                key: path(KEY),
            });
        }
    };
    let certificate = if let Some(certificate) = directory.read(CERTIFICATE)? {
        certificate
    } else {
        let certificate = authority_params(now)
            .and_then(|params| params.self_signed(&key).map_err(IssueError::Sign))
            .map_err(AuthorityFileError::Issue)?
            .pem();
        directory.write(CERTIFICATE, PUBLIC, &certificate)?;
        tracing::info!(path = path(CERTIFICATE), "made a new certificate authority");
        certificate
    };
    if !belongs(&certificate, &key) {
        return Err(AuthorityFileError::Mismatch {
            certificate: path(CERTIFICATE),
            key: path(KEY),
        });
    }
    let issuer = Issuer::from_ca_cert_pem(&certificate, key).map_err(|source| {
        AuthorityFileError::Damaged {
            path: path(CERTIFICATE),
            source,
        }
    })?;
    Ok(Authority {
        issuer,
        certificate,
    })
}

/// Whether `certificate` carries the public half of `key`.
fn belongs(certificate: &str, key: &KeyPair) -> bool {
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()) else {
        return false;
    };
    pem.parse_x509().is_ok_and(|certificate| {
        certificate.public_key().subject_public_key.data.as_ref() == key.der_bytes()
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    const NOW: Millis = Millis::new(1_800_000_000_000);

    #[test]
    fn many_first_commands_at_once_get_one_authority() {
        let outer = tempfile::tempdir().unwrap();
        let certificates: Vec<String> = thread::scope(|scope| {
            let make = || {
                let directory = StateDir::open(outer.path()).unwrap();
                load_or_create(&directory, NOW).unwrap().certificate
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(
            certificates
                .iter()
                .all(|certificate| *certificate == certificates[0])
        );
    }

    #[test]
    fn a_crash_between_the_files_is_mended() {
        let outer = tempfile::tempdir().unwrap();
        let directory = StateDir::open(outer.path()).unwrap();
        load_or_create(&directory, NOW).unwrap();
        let key = directory.read(KEY).unwrap();
        fs::remove_file(directory.file(CERTIFICATE)).unwrap();
        load_or_create(&directory, NOW).unwrap();
        assert_eq!(directory.read(KEY).unwrap(), key);
    }

    #[test]
    fn a_lost_or_foreign_key_is_said_and_nothing_is_replaced() {
        let outer = tempfile::tempdir().unwrap();
        let directory = StateDir::open(outer.path()).unwrap();
        let certificate = load_or_create(&directory, NOW).unwrap().certificate;
        fs::write(
            directory.file(KEY),
            KeyPair::generate().unwrap().serialize_pem(),
        )
        .unwrap();
        let error = load_or_create(&directory, NOW).unwrap_err();
        assert!(
            matches!(error, AuthorityFileError::Mismatch { .. }),
            "{error}"
        );
        fs::write(directory.file(KEY), "rubbish").unwrap();
        let error = load_or_create(&directory, NOW).unwrap_err();
        assert!(error.to_string().contains("ca.key is damaged"), "{error}");
        fs::remove_file(directory.file(KEY)).unwrap();
        let error = load_or_create(&directory, NOW).unwrap_err();
        assert!(
            matches!(error, AuthorityFileError::KeyMissing { .. }),
            "{error}"
        );
        assert_eq!(directory.read(CERTIFICATE).unwrap(), Some(certificate));
    }
}
