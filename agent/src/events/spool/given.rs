//! Up to which number somebody may have seen events, kept across restarts in a
//! file that is there while no events are given out.
//!
//! Must never say less than was seen: the file is gone for certain before anything
//! is given out, and a daemon that finds none takes every event for seen. It may
//! say more, and then a state that was set back goes unnoticed.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

const NAME: &str = "given";

fn text(id: [u8; 16], upto: u64) -> String {
    format!("{:032x} {upto}\n", u128::from_be_bytes(id))
}

/// Notes that of spool `id` no more than the first `upto` events were given out.
pub(super) fn note(directory: &Path, id: [u8; 16], upto: u64) -> io::Result<()> {
    let mut mark = fs::File::create(directory.join(NAME))?;
    mark.write_all(text(id, upto).as_bytes())?;
    mark.sync_all()?;
    fs::File::open(directory)?.sync_all()
}

/// Takes back what was noted, for certain.
pub(super) fn forget(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    fs::File::open(directory)?.sync_all()
}

/// How many events of spool `id`, which has `last`, were given out at most.
pub(super) fn at_most(directory: &Path, id: [u8; 16], last: u64) -> u64 {
    let noted = || {
        let found = fs::read_to_string(directory.join(NAME)).ok()?;
        let upto = found.trim_end().rsplit_once(' ')?.1.parse().ok()?;
        (upto <= last && found == text(id, upto)).then_some(upto)
    };
    noted().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_noted_for_certain_counts_as_seen() {
        let directory = tempfile::tempdir().unwrap();
        let at_most = |id, last| super::at_most(directory.path(), id, last);
        assert_eq!(at_most([7; 16], 9), 9);
        note(directory.path(), [7; 16], 3).unwrap();
        assert_eq!(at_most([7; 16], 9), 3);
        assert_eq!(at_most([8; 16], 9), 9, "another spool's");
        assert_eq!(at_most([7; 16], 2), 2, "there are no more");
        let path = directory.path().join(NAME);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(at_most([7; 16], 9), 9, "torn");
        }
        forget(directory.path()).unwrap();
        forget(directory.path()).unwrap();
        assert_eq!(at_most([7; 16], 9), 9);
    }
}
