//! How far the approver has the events, kept in two places of one file that are
//! written in turn: whichever is whole and higher counts.
//!
//! Not synced: a mark that is lost only has events sent twice, which the approver
//! tells by their numbers.

use std::{
    fs, io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

const NAME: &str = "acknowledged";
/// Spool id, number, checksum.
const MARK: usize = 16 + 8 + 4;
const PLACE: u64 = 32;

/// The file.
#[derive(Debug)]
pub(super) struct Marks {
    file: fs::File,
    next: u64,
}

fn encode(id: [u8; 16], sequence: u64) -> Vec<u8> {
    let mut mark = id.to_vec();
    mark.extend_from_slice(&sequence.to_le_bytes());
    let checksum = crc32fast::hash(&mark);
    mark.extend_from_slice(&checksum.to_le_bytes());
    mark
}

fn decode(id: [u8; 16], mark: &[u8]) -> Option<u64> {
    let sequence = u64::from_le_bytes(mark.get(16..24)?.try_into().ok()?);
    (mark == encode(id, sequence)).then_some(sequence)
}

impl Marks {
    /// Opens the marks in `directory`, and gives the one of spool `id`, 0 if there
    /// is none.
    pub(super) fn open(directory: &Path, id: [u8; 16]) -> io::Result<(Self, u64)> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join(NAME))?;
        let mut found = [None, None];
        for (place, found) in found.iter_mut().enumerate() {
            let mut mark = [0; MARK];
            if file.read_exact_at(&mut mark, place as u64 * PLACE).is_ok() {
                *found = decode(id, &mark);
            }
        }
        let [first, second] = found;
        // `None` is below everything: the next goes where the lower one is.
        let next = u64::from(first >= second);
        Ok((Self { file, next }, first.max(second).unwrap_or(0)))
    }

    /// Notes that the approver has everything up to `sequence`.
    pub(super) fn write(&mut self, id: [u8; 16], sequence: u64) -> io::Result<()> {
        self.file
            .write_all_at(&encode(id, sequence), self.next * PLACE)?;
        self.next = 1 - self.next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_whole_mark_of_this_spool_counts() {
        let directory = tempfile::tempdir().unwrap();
        let id = [7; 16];
        for sequence in 1..6 {
            let (mut marks, found) = Marks::open(directory.path(), id).unwrap();
            assert_eq!(found, sequence - 1);
            marks.write(id, sequence).unwrap();
        }
        let path = directory.path().join(NAME);
        let whole = fs::read(&path).unwrap();
        // A torn write leaves the one before.
        for place in [0, PLACE as usize] {
            let mut torn = whole.clone();
            torn[place + 17] ^= 1;
            fs::write(&path, torn).unwrap();
            let (_, found) = Marks::open(directory.path(), id).unwrap();
            assert!(found == 4 || found == 5, "{found}");
        }
        let (_, found) = Marks::open(directory.path(), [8; 16]).unwrap();
        assert_eq!(found, 0, "another spool's");
    }
}
