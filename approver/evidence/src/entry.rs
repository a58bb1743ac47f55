//! Entries: what the log hashes for a record, and bundles of them.
//!
//! The format gives an entry 65,535 bytes. A record that fits is its own entry,
//! byte for byte. A longer one stays whole beside the log, and its entry is a
//! [`Stub`]: its length and its SHA-256, which commit to every byte of it. A
//! record that begins like a stub is stubbed too, so no record can be taken for
//! the stub of another.

use std::{borrow::Cow, fmt};

use crate::{hash::Hash, tiles::TILE_WIDTH};

/// Most bytes of an entry.
pub const ENTRY_MAX: usize = u16::MAX as usize;

/// How every stub begins. A record is a JSON object and begins otherwise.
const STUB: &[u8] = b"holdpoint-long-record-v1\n";

/// Stands in the log for a record that is too long for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stub {
    /// Bytes of the record.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: Hash,
}

/// Why bytes are no bundle.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BundleError {
    /// It ends inside an entry.
    #[error("it ends in the middle of entry {0}")]
    Cut(usize),
    /// It holds fewer or more entries than it should.
    #[error("it holds {found} entries instead of {wanted}")]
    Count {
        /// How many there are; one too many stands for any number.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// An entry does not fit into a bundle.
    #[error("an entry of {0} bytes does not fit into a bundle")]
    Long(usize),
}

/// The entry of `record`.
pub fn entry_of(record: &[u8]) -> Cow<'_, [u8]> {
    if is_long(record) {
        Cow::Owned(Stub::of(record).to_string().into_bytes())
    } else {
        Cow::Borrowed(record)
    }
}

/// Whether `record` is kept beside the log and only its stub in it.
pub fn is_long(record: &[u8]) -> bool {
    record.len() > ENTRY_MAX || record.starts_with(STUB)
}

/// The leaf of `record`.
pub fn leaf_of(record: &[u8]) -> Hash {
    Hash::leaf(&entry_of(record))
}

impl Stub {
    /// The stub of `record`.
    pub fn of(record: &[u8]) -> Self {
        Self {
            length: record.len() as u64,
            sha256: Hash::of(&[record]),
        }
    }

    /// The stub that `entry` is; none if it is a record itself.
    pub fn parse(entry: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(entry.strip_prefix(STUB)?).ok()?;
        let (length, sha256) = text.strip_suffix('\n')?.split_once('\n')?;
        let stub = Self {
            length: length.parse().ok()?,
            sha256: from_hex(sha256)?,
        };
        // Only the canonical form is one.
        (stub.to_string().as_bytes() == entry).then_some(stub)
    }

    /// Whether this is the stub of `record`.
    pub fn is_of(&self, record: &[u8]) -> bool {
        *self == Self::of(record)
    }
}

impl fmt::Display for Stub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = String::from_utf8_lossy(STUB);
        write!(formatter, "{head}{}\n{}\n", self.length, self.sha256)
    }
}

fn from_hex(text: &str) -> Option<Hash> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(Hash(bytes))
}

/// A bundle of `entries`.
pub fn bundle<T: AsRef<[u8]>>(
    entries: impl IntoIterator<Item = T>,
) -> Result<Vec<u8>, BundleError> {
    let mut bundle = Vec::new();
    let mut count = 0;
    for entry in entries {
        let entry = entry.as_ref();
        let length = u16::try_from(entry.len()).map_err(|_| BundleError::Long(entry.len()))?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
        count += 1;
    }
    if count > TILE_WIDTH {
        return Err(BundleError::Count {
            found: count,
            wanted: TILE_WIDTH,
        });
    }
    Ok(bundle)
}

/// The entries of `bundle`, which must be `wanted`.
pub fn entries(bundle: &[u8], wanted: usize) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::with_capacity(wanted.min(TILE_WIDTH));
    let mut rest = bundle;
    while !rest.is_empty() {
        if entries.len() == wanted {
            return Err(BundleError::Count {
                found: wanted + 1,
                wanted,
            });
        }
        let cut = BundleError::Cut(entries.len());
        let (length, after) = rest.split_first_chunk::<2>().ok_or(cut)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(cut)?;
        entries.push(entry);
        rest = after;
    }
    if entries.len() == wanted {
        Ok(entries)
    } else {
        Err(BundleError::Count {
            found: entries.len(),
            wanted,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_that_fits_is_its_own_entry() {
        let fits = vec![b'{'; ENTRY_MAX];
        assert_eq!(entry_of(&fits), fits);
        let long = vec![b'{'; ENTRY_MAX + 1];
        let entry = entry_of(&long).into_owned();
        assert!(entry.starts_with(b"holdpoint-long-record-v1\n65536\n"));
        let stub = Stub::parse(&entry).unwrap();
        assert!(stub.is_of(&long));
        let mut other = long.clone();
        other[60_000] ^= 1;
        assert!(!stub.is_of(&other));
        assert!(!stub.is_of(&long[1..]));
    }

    #[test]
    fn no_record_passes_for_the_stub_of_another() {
        let long = vec![b'x'; ENTRY_MAX + 1];
        let forged = entry_of(&long).into_owned();
        let entry = entry_of(&forged);
        assert_ne!(entry, forged, "a stub as a record gets a stub of its own");
        assert!(Stub::parse(&entry).unwrap().is_of(&forged));
    }

    #[test]
    fn only_the_canonical_stub_is_one() {
        let good = Stub::of(b"x").to_string();
        assert!(Stub::parse(good.as_bytes()).is_some());
        let hex = Stub::of(b"x").sha256.to_string();
        for bad in [
            good.replace("\n1\n", "\n01\n"),
            good.replace("\n1\n", "\n+1\n"),
            good.replace(&hex, &hex.to_uppercase()),
            good.replace(&hex, &format!("+{}", &hex[1..])),
            good.trim_end().to_owned(),
            format!("{good}\n"),
        ] {
            assert_eq!(Stub::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn bundles_come_back(
            list in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..=256)
        ) {
            let bytes = bundle(&list).unwrap();
            prop_assert_eq!(entries(&bytes, list.len()).unwrap(), list.clone());
            prop_assert!(entries(&bytes, list.len() + 1).is_err());
            if !list.is_empty() {
                prop_assert!(entries(&bytes, list.len() - 1).is_err());
                prop_assert!(entries(&bytes[..bytes.len() - 1], list.len()).is_err());
            }
        }

        #[test]
        fn rubbish_is_refused_or_read_but_never_worse(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), wanted in 0_usize..300
        ) {
            if let Ok(list) = entries(&bytes, wanted) {
                prop_assert_eq!(bundle(list).unwrap(), bytes.clone());
            }
            let _ = Stub::parse(&bytes);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(
            bundle([vec![0; ENTRY_MAX + 1]]),
            Err(BundleError::Long(ENTRY_MAX + 1))
        );
        assert!(bundle(vec![b""; 257]).is_err());
    }
}
