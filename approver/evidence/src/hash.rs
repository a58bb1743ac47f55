//! RFC 6962 hashing: SHA-256, leaves and nodes told apart by their first byte.
//!
//! A hash is 32 bytes and nothing else; whatever is compared here is public, so
//! comparing takes no care about time.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// Characters of a hash in base64.
const BASE64_LENGTH: usize = 44;

/// A node of the tree.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Hash(pub [u8; HASH_BYTES]);

impl Hash {
    /// The root of the tree without leaves.
    pub fn empty() -> Self {
        Self::of(&[])
    }

    /// The leaf of an entry.
    pub fn leaf(entry: &[u8]) -> Self {
        Self::of(&[&[0], entry])
    }

    /// The node above two others.
    pub fn node(left: Self, right: Self) -> Self {
        Self::of(&[&[1], &left.0, &right.0])
    }

    /// Plain SHA-256 of `parts`, one after the other.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        Self::from_slice(context.finish().as_ref()).unwrap_or(Self([0; HASH_BYTES]))
    }

    /// The hash in `bytes`; none unless there are 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// In the standard base64, as checkpoints and proofs show it.
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }

    /// From base64 in its one canonical form.
    pub fn from_base64(text: &str) -> Option<Self> {
        if text.len() != BASE64_LENGTH {
            return None;
        }
        Self::from_slice(&STANDARD.decode(text).ok()?)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Hash({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(
            Hash::empty().to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        // The empty leaf, as in the reference implementations of RFC 6962.
        assert_eq!(
            Hash::leaf(b"").to_string(),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn base64_has_one_form() {
        let hash = Hash::leaf(b"x");
        assert_eq!(Hash::from_base64(&hash.to_base64()), Some(hash));
        for bad in ["", "AAAA", &format!("{}=", hash.to_base64())] {
            assert_eq!(Hash::from_base64(bad), None, "{bad:?}");
        }
        // The last character before the padding has two bits that say nothing.
        let mut other = Hash([0; 32]).to_base64();
        other.replace_range(42..43, "B");
        assert_eq!(Hash::from_base64(&other), None);
    }
}
