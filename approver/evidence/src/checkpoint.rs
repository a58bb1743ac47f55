//! Checkpoints (C2SP tlog-checkpoint): what a log signs of itself.

use std::fmt;

use crate::{
    hash::Hash,
    note::{NoteError, SigningKey, VerifierKey},
};

/// How many records a log has, and their root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    /// Which log: the name of its key.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Why a checkpoint is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it is wrong.
    #[error("the checkpoint is not valid: {0}")]
    Note(#[from] NoteError),
    /// The text is no checkpoint.
    #[error("the checkpoint is not valid: its text is not of that form")]
    Form,
    /// It is signed for another log.
    #[error("the checkpoint is of another log than the key")]
    Origin,
}

impl Checkpoint {
    /// Signs it.
    pub fn sign(&self, key: &SigningKey) -> String {
        key.sign(&self.to_string())
    }

    /// The checkpoint in `note`, if `key` has signed it.
    pub fn open(note: &[u8], key: &VerifierKey) -> Result<Self, CheckpointError> {
        let checkpoint = Self::parse(key.open(note)?).ok_or(CheckpointError::Form)?;
        if checkpoint.origin == key.name() {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Origin)
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        // Extension lines say nothing here, but they have to be lines.
        if origin.is_empty() || lines.any(str::is_empty) {
            return None;
        }
        let number: u64 = size.parse().ok()?;
        (number.to_string() == size).then_some(())?;
        let root = Hash::from_base64(root)?;
        if number == 0 && root != Hash::empty() {
            return None;
        }
        Some(Self {
            origin: origin.to_owned(),
            size: number,
            root,
        })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = self.root.to_base64();
        write!(formatter, "{}\n{}\n{root}\n", self.origin, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::tests::key;

    #[test]
    fn a_checkpoint_comes_back_from_its_note() {
        let key = key("holdpoint/log/0123");
        let checkpoint = Checkpoint {
            origin: "holdpoint/log/0123".into(),
            size: 20_852_163,
            root: Hash::from_base64("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=").unwrap(),
        };
        let note = checkpoint.sign(&key);
        assert!(note.starts_with(
            "holdpoint/log/0123\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u{2014} "
        ));
        let opened = Checkpoint::open(note.as_bytes(), key.verifier());
        assert_eq!(opened.as_ref(), Ok(&checkpoint));
        let extended = key.sign(&format!("{checkpoint}an extension\n"));
        assert_eq!(
            Checkpoint::open(extended.as_bytes(), key.verifier()),
            Ok(checkpoint)
        );
    }

    #[test]
    fn what_is_no_checkpoint_is_refused_though_it_is_signed() {
        let key = key("log");
        let root = Hash::leaf(b"").to_base64();
        for bad in [
            "log\n".to_owned(),
            "log\n1\n".to_owned(),
            format!("log\n01\n{root}\n"),
            format!("log\n+1\n{root}\n"),
            format!("log\n-1\n{root}\n"),
            format!("log\n18446744073709551616\n{root}\n"),
            format!("log\n1\n{}\n", &root[1..]),
            format!("log\n0\n{root}\n"),
            format!("log\n1\n{root}\n\nx\n"),
            format!("\n1\n{root}\n"),
        ] {
            let opened = Checkpoint::open(key.sign(&bad).as_bytes(), key.verifier());
            assert_eq!(opened, Err(CheckpointError::Form), "{bad:?}");
        }
        let other = key.sign(&format!("gol\n1\n{root}\n"));
        let opened = Checkpoint::open(other.as_bytes(), key.verifier());
        assert_eq!(opened, Err(CheckpointError::Origin));
    }
}
