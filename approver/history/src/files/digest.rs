//! Whether a file is the one that was written: its name ends with its digest.

use std::{
    fs::{File, Metadata},
    io::{self, ErrorKind, Read as _, Write},
    os::unix::fs::MetadataExt as _,
    sync::{Mutex, PoisonError},
};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::{Kept, Unit};
use crate::HistoryError;

/// Bytes of a digest that are in a name.
const LENGTH: usize = 16;

const CHUNK: usize = 64 * 1024;

/// A file as the system tells of it: another after every change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// As what a file was last found to be as it was written.
#[derive(Debug, Default)]
pub(crate) struct Checked(Mutex<Option<Stamp>>);

impl Unit {
    /// Whether its files are those that were written.
    pub(crate) fn verify(&self) -> Result<(), HistoryError> {
        let (first, last) = (self.from, self.to - 1);
        for file in &self.files {
            let path = file.path.clone();
            match file.is_as_written() {
                Ok(true) => {}
                Ok(false) => return Err(HistoryError::Changed { path, first, last }),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(HistoryError::Gone { path, first, last });
                }
                Err(source) => return Err(HistoryError::Io { path, source }),
            }
        }
        Ok(())
    }
}

impl Kept {
    /// Whether it is as it was written. Reads it only if it was not read since it
    /// last changed.
    fn is_as_written(&self) -> io::Result<bool> {
        let mut file = File::open(&self.path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let mut checked = self
            .checked
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *checked == Some(stamp) {
            return Ok(true);
        }
        let mut hashing = Hashing::new(io::sink());
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                read => hashing.write_all(chunk.get(..read).unwrap_or_default())?,
            }
        }
        let (digest, _) = hashing.finish();
        let same = digest == self.digest;
        if same {
            *checked = Some(stamp);
        }
        Ok(same)
    }
}

/// The digest of `bytes`.
#[cfg(test)]
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    let mut hashing = Hashing::new(io::sink());
    // A sink takes everything.
    let _ = hashing.write_all(bytes);
    hashing.finish().0
}

/// Whether `text` can be the digest in a name.
pub(super) fn is_digest(text: &str) -> bool {
    HEXLOWER
        .decode(text.as_bytes())
        .is_ok_and(|bytes| bytes.len() == LENGTH)
}

/// Hands on what is written, and makes a digest of it.
pub(super) struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W> Hashing<W> {
    pub(super) fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
        }
    }

    /// The digest as a name has it.
    pub(super) fn finish(self) -> (String, W) {
        let digest = self.hash.finalize();
        let digest = digest.get(..LENGTH).unwrap_or_default();
        (HEXLOWER.encode(digest), self.inner)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
