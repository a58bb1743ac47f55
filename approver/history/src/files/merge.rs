//! Small units become large ones: a question opens every file there is.

use std::{collections::BTreeMap, fs, fs::File, io::ErrorKind, path::Path, sync::Arc};

use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{
    Kept, Unit, Units, io,
    write::{Partition, write_file},
};
use crate::HistoryError;

/// Rows that are read at once.
const READ_ROWS: usize = 1024;

/// Which units are put together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiers {
    /// Rows of a small unit.
    pub(crate) small: u64,
    /// So many neighbours of one size become one.
    pub(crate) together: usize,
    /// Most rows of the one.
    pub(crate) most: u64,
}

impl Tiers {
    /// Which of its kind a unit of so many rows is: each is so many times as
    /// large as the one before.
    fn tier(self, rows: u64) -> u32 {
        let times = (rows / self.small.max(1)).max(1);
        times.ilog((self.together as u64).max(2))
    }
}

/// The newest units below `below`, if they are to become one.
pub(crate) fn adjacent(units: &Units, below: u64, tiers: Tiers) -> Option<Vec<Arc<Unit>>> {
    let newest = units.values().rev().filter(|unit| unit.to <= below);
    let mut newest: Vec<_> = newest.take(tiers.together).cloned().collect();
    newest.reverse();
    let first = newest.first().filter(|_| newest.len() == tiers.together)?;
    let tier = tiers.tier(first.rows());
    let alike = newest.iter().all(|unit| tiers.tier(unit.rows()) == tier);
    let rows: u64 = newest.iter().map(|unit| unit.rows()).sum();
    (alike && rows <= tiers.most).then_some(newest)
}

/// Writes what `units`, which follow each other, hold as one. Comes back when all
/// of it is on disk; they are there still.
pub(crate) fn merge(directory: &Path, units: &[Arc<Unit>]) -> Result<Unit, HistoryError> {
    let (from, to) = match units {
        [first, .., last] => (first.from, last.to),
        _ => return Err(HistoryError::Died),
    };
    // What was changed must not become what was written.
    units.iter().try_for_each(|unit| unit.verify())?;
    let mut partitions = BTreeMap::<Partition, Vec<&Kept>>::new();
    for file in units.iter().flat_map(|unit| &unit.files) {
        let partition = (file.day.clone(), file.host.clone());
        partitions.entry(partition).or_default().push(file);
    }
    let mut files = Vec::new();
    for (partition, parts) in partitions {
        let rows = parts.iter().map(|file| file.rows).sum();
        let pieces = parts.into_iter().flat_map(pieces);
        files.push(write_file(directory, partition, (from, to, rows), pieces)?);
    }
    Ok(Unit { from, to, files })
}

/// The rows of a file, in order.
fn pieces(file: &Kept) -> Box<dyn Iterator<Item = Result<RecordBatch, HistoryError>>> {
    let reader = File::open(&file.path)
        .map_err(io(&file.path))
        .and_then(|file| {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
            Ok(builder.with_batch_size(READ_ROWS).build()?)
        });
    match reader {
        Ok(reader) => Box::new(reader.map(|piece| Ok(piece?))),
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}

/// Removes the files of `unit`.
pub(crate) fn remove(unit: &Unit) -> Result<(), HistoryError> {
    for file in &unit.files {
        match fs::remove_file(&file.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io(&file.path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIERS: Tiers = Tiers {
        small: 10,
        together: 4,
        most: 200,
    };

    fn units(lengths: &[u64]) -> Units {
        let mut next = 0;
        let unit = |length: &u64| {
            let from = next;
            next += length;
            let unit = Unit {
                from,
                to: next,
                files: Vec::new(),
            };
            (from, Arc::new(unit))
        };
        lengths.iter().map(unit).collect()
    }

    fn joined(lengths: &[u64], below: u64) -> Option<(u64, u64)> {
        let found = adjacent(&units(lengths), below, TIERS)?;
        Some((found.first()?.from, found.last()?.to))
    }

    #[test]
    fn the_newest_of_one_size_are_put_together() {
        assert_eq!(joined(&[10, 10, 10], 99), None, "too few");
        assert_eq!(joined(&[10, 12, 39, 10], 99), Some((0, 71)));
        assert_eq!(joined(&[40, 10, 10, 10, 1], 99), Some((40, 71)));
        assert_eq!(joined(&[10, 10, 10, 40], 99), None, "another size");
        assert_eq!(joined(&[40, 40, 40, 40], 999), Some((0, 160)));
        assert_eq!(joined(&[60, 60, 60, 60], 999), None, "too large");
        assert_eq!(joined(&[10, 10, 10, 10], 39), None, "not all are kept");
    }
}
