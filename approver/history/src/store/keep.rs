//! Fresh records become files, and small files large ones.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
};
use tokio::task::spawn_blocking;

use super::{History, State};
use crate::{
    HistoryError,
    files::{self, Tiers, Unit, adjacent, merge, remove},
};

/// Most records of one round, and most bytes of their columns, about: a round is
/// in memory twice.
const ROUND_ROWS: usize = 65_536;
const ROUND_BYTES: usize = 256 * 1024 * 1024;

/// Which units are put together.
const TIERS: Tiers = Tiers {
    small: 10_000,
    together: 16,
    most: 16 * ROUND_ROWS as u64,
};

/// Records on their way into files.
struct Round {
    from: u64,
    to: u64,
    rows: Vec<RecordBatch>,
}

impl History {
    /// Writes one round of fresh records below `below` to files, and gives the
    /// number below which all are there now: the caller may forget those. There
    /// may be more to keep. Must not run twice at a time.
    pub async fn keep(self: &Arc<Self>, below: u64) -> Result<u64, HistoryError> {
        let round = self.state().begin(below, ROUND_ROWS, ROUND_BYTES);
        let Some(Round { from, to, rows }) = round else {
            return Ok(self.kept_below());
        };
        let directory = self.directory.clone();
        let written = spawn_blocking(move || files::write(&directory, &rows, from, to));
        let unit = written.await??;
        self.state().finish(unit)?;
        Ok(to)
    }

    /// Puts the newest small units together, if there are enough of one size. All
    /// records below `below` must be forgotten by the caller, for good. True if
    /// it did: there may be more. Must not run beside itself or [`Self::keep`].
    pub async fn merge(self: &Arc<Self>, below: u64) -> Result<bool, HistoryError> {
        self.merge_as(below, TIERS).await
    }

    pub(super) async fn merge_as(
        self: &Arc<Self>,
        below: u64,
        tiers: Tiers,
    ) -> Result<bool, HistoryError> {
        let history = Arc::clone(self);
        spawn_blocking(move || {
            history.sweep()?;
            let Some(small) = adjacent(&history.state().units, below, tiers) else {
                return Ok(false);
            };
            let large = Arc::new(merge(&history.directory, &small)?);
            {
                let mut state = history.state();
                for unit in &small {
                    state.units.remove(&unit.from);
                }
                state.units.insert(large.from, large);
                state.merged.extend(small);
            }
            history.sweep()?;
            Ok(true)
        })
        .await?
    }

    /// Removes the files of merged units that nobody reads any more. Whoever
    /// reads took the unit from the state, where it is no longer.
    fn sweep(&self) -> Result<(), HistoryError> {
        let merged = std::mem::take(&mut self.state().merged);
        let mut failed = None;
        for unit in merged {
            let removed = match Arc::strong_count(&unit) {
                1 => remove(&unit).map(|()| true),
                _ => Ok(false),
            };
            if !matches!(removed, Ok(true)) {
                self.state().merged.push(unit);
            }
            failed = failed.or(removed.err());
        }
        failed.map_or(Ok(()), Err)
    }
}

impl State {
    /// The next round of records below `below`; the last one again, if it has
    /// not been finished.
    fn begin(&mut self, below: u64, most_rows: usize, most_bytes: usize) -> Option<Round> {
        let end = below.min(self.next);
        if end <= self.first {
            return None;
        }
        let wanted = |to: u64| usize::try_from(to - self.first).unwrap_or(usize::MAX);
        let rows = match self.trying {
            Some(to) => front(&self.fresh, wanted(to), usize::MAX),
            None => front(&self.fresh, wanted(end).min(most_rows), most_bytes),
        };
        let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
        let to = self.first + count as u64;
        self.trying = Some(to);
        Some(Round {
            from: self.first,
            to,
            rows,
        })
    }

    /// The round that has begun is on disk as `unit`.
    fn finish(&mut self, unit: Unit) -> Result<(), HistoryError> {
        let rows = usize::try_from(unit.rows()).unwrap_or(usize::MAX);
        self.fresh = without_front(&self.fresh, rows)?;
        self.first = unit.to;
        self.trying = None;
        self.units.insert(unit.from, Arc::new(unit));
        Ok(())
    }
}

/// The first rows of `batches`: so many, and no more batches than have so many
/// bytes, but at least one.
fn front(batches: &[RecordBatch], most_rows: usize, most_bytes: usize) -> Vec<RecordBatch> {
    let (mut rows, mut bytes, mut front) = (0, 0_usize, Vec::new());
    for batch in batches {
        bytes = bytes.saturating_add(batch.get_array_memory_size());
        if rows == most_rows || (rows > 0 && bytes > most_bytes) {
            break;
        }
        let some = batch.num_rows().min(most_rows - rows);
        rows += some;
        front.push(batch.slice(0, some));
    }
    front
}

/// `batches` without their first rows.
fn without_front(
    batches: &[RecordBatch],
    mut rows: usize,
) -> Result<Vec<RecordBatch>, HistoryError> {
    let mut rest = Vec::new();
    for batch in batches {
        let count = batch.num_rows();
        if rows >= count {
            rows -= count;
        } else if rows > 0 {
            // A copy: a slice would hold on to all that was kept.
            let range = std::mem::take(&mut rows)..count;
            let numbers = range.filter_map(|row| u32::try_from(row).ok());
            let numbers = UInt32Array::from_iter_values(numbers);
            rest.push(take_record_batch(batch, &numbers)?);
        } else {
            rest.push(batch.clone());
        }
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray as _, Int64Array};

    use super::*;

    fn batch(values: std::ops::Range<i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    fn values(batches: &[RecordBatch]) -> Vec<i64> {
        let of = |batch: &RecordBatch| {
            let column = batch
                .column(0)
                .as_primitive::<arrow::datatypes::Int64Type>();
            column.values().to_vec()
        };
        batches.iter().flat_map(of).collect()
    }

    #[test]
    fn a_round_takes_the_front_and_leaves_the_rest() {
        let fresh = [batch(0..3), batch(3..7), batch(7..8)];
        for rows in 0..=9_usize {
            let wanted: Vec<i64> = (0..8).collect();
            let (front, rest) = wanted.split_at(rows.min(8));
            assert_eq!(values(&super::front(&fresh, rows, usize::MAX)), front);
            assert_eq!(values(&without_front(&fresh, rows).unwrap()), rest);
        }
        let one = fresh[0].get_array_memory_size();
        assert_eq!(values(&super::front(&fresh, 8, 1)).len(), 3, "at least one");
        assert_eq!(values(&super::front(&fresh, 8, one)).len(), 3);
        assert_eq!(values(&super::front(&fresh, 8, 9 * one)).len(), 8);
    }

    #[test]
    fn a_round_is_bounded_and_begins_again_as_it_was() {
        let mut state = State {
            fresh: vec![batch(0..4), batch(4..8)],
            next: 8,
            ..State::default()
        };
        let end = |state: &mut State, below| {
            let round = state.begin(below, 5, usize::MAX);
            round.map(|round| (round.from, round.to, values(&round.rows).len()))
        };
        assert_eq!(end(&mut state, 3), Some((0, 3, 3)));
        assert_eq!(end(&mut state, 8), Some((0, 3, 3)), "it was not finished");
        let unit = |from, to| Unit {
            from,
            to,
            files: Vec::new(),
        };
        state.finish(unit(0, 3)).unwrap();
        assert_eq!(end(&mut state, 8), Some((3, 8, 5)));
        state.finish(unit(3, 8)).unwrap();
        assert_eq!(end(&mut state, 8), None);
        assert!(state.fresh.is_empty());
    }
}
