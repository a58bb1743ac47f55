//! Secrets that are handed out once and kept only as a hash: the secret part of
//! enrolment tokens, and the bearer tokens of logins.
//!
//! 256 random bits need no slow hash: nobody can guess one, so SHA-256 keeps
//! them as well as argon2 would, at a cost every call can bear.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};

/// What the database keeps of a secret.
pub type SecretHash = [u8; 32];

/// A secret of 256 bits. Shows itself only through [`reveal`](Self::reveal).
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Makes a secret of 32 bytes from a cryptographic random source.
    pub fn from_random(bytes: &[u8; 32]) -> Self {
        Self(BASE64URL_NOPAD.encode(bytes))
    }

    /// The secret as text, to hand out.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What to keep of it.
    pub fn hash(&self) -> SecretHash {
        hash(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Hash of a text somebody presents as a secret.
pub fn hash(presented: &str) -> SecretHash {
    Sha256::digest(presented.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presented_secret_hashes_to_what_was_kept() {
        let secret = Secret::from_random(&[7; 32]);
        assert_eq!(hash(secret.reveal()), secret.hash());
        assert_ne!(hash("x"), secret.hash());
    }

    #[test]
    fn debug_output_gives_nothing_away() {
        let secret = Secret::from_random(&[7; 32]);
        assert!(!format!("{secret:?}").contains(secret.reveal()));
    }
}
