//! Records that match, newest first or in the order they came.

use std::path::PathBuf;

use arrow::{
    array::{AsArray as _, RecordBatch},
    datatypes::Int64Type,
};
use datafusion::{
    logical_expr::{Expr, SortExpr, ident},
    prelude::{DataFrame, SessionContext},
};

use super::{History, Snapshot, in_files, in_memory};
use crate::{
    HistoryError, Record,
    columns::{LOG_INDEX, RECORD},
    files::{Unit, day},
    filter::{before, not_before, predicate},
    query::Query,
};

/// Rounds of files that are looked through at once.
const UNITS_AT_ONCE: usize = 16;

/// Part of an answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// Newest first.
    pub records: Vec<Record>,
    /// There are more: the next page begins before this record.
    pub next: Option<u64>,
}

/// Records in the order they came.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Stretch {
    /// Oldest first.
    pub records: Vec<Record>,
    /// Everything before this number was looked at.
    pub seen: u64,
}

impl History {
    /// Up to `limit` records that match `query`, the newest of those before
    /// `before`.
    pub async fn search(
        &self,
        query: &Query,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page, HistoryError> {
        let search = Search {
            before: before.unwrap_or(u64::MAX),
            ..self.begin(query)
        };
        let mut records = self.run(search.newest(limit + 1)).await?;
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records.last().filter(|_| more).map(|last| last.log_index);
        Ok(Page { records, next })
    }

    /// Up to `limit` records that match `query`, the oldest of those from `from`
    /// on.
    pub async fn follow(
        &self,
        query: &Query,
        from: u64,
        limit: usize,
    ) -> Result<Stretch, HistoryError> {
        let search = Search {
            from,
            ..self.begin(query)
        };
        let end = search.snapshot.next;
        let records = self.run(search.oldest(limit)).await?;
        let seen = match records.last() {
            Some(last) if records.len() == limit => last.log_index + 1,
            _ => end.max(from),
        };
        Ok(Stretch { records, seen })
    }

    fn begin(&self, query: &Query) -> Search {
        Search {
            context: self.context.clone(),
            snapshot: self.snapshot(),
            predicate: predicate(query),
            since: query.since().map(day),
            from: 0,
            before: u64::MAX,
        }
    }
}

struct Search {
    context: SessionContext,
    snapshot: Snapshot,
    predicate: Option<Expr>,
    /// The first day that can matter.
    since: Option<String>,
    from: u64,
    before: u64,
}

impl Search {
    /// From the newest backwards: the fresh ones, then round by round of files.
    async fn newest(self, wanted: usize) -> Result<Vec<Record>, HistoryError> {
        let mut records = self.fresh(wanted, false).await?;
        let units: Vec<_> = self.snapshot.units.iter().rev().collect();
        for some in units.chunks(UNITS_AT_ONCE) {
            self.kept(some, &mut records, wanted, false).await?;
        }
        Ok(records)
    }

    async fn oldest(self, wanted: usize) -> Result<Vec<Record>, HistoryError> {
        let mut records = Vec::new();
        let units: Vec<_> = self.snapshot.units.iter().collect();
        for some in units.chunks(UNITS_AT_ONCE) {
            self.kept(some, &mut records, wanted, true).await?;
        }
        let missing = wanted - records.len();
        records.append(&mut self.fresh(missing, true).await?);
        Ok(records)
    }

    async fn fresh(&self, wanted: usize, ascending: bool) -> Result<Vec<Record>, HistoryError> {
        if wanted == 0 || self.before <= self.snapshot.first {
            return Ok(Vec::new());
        }
        let rows = in_memory(&self.context, self.snapshot.fresh.clone())?;
        self.rows(rows, wanted, ascending).await
    }

    /// Adds what matches in `units` until there are `wanted` records.
    async fn kept(
        &self,
        units: &[(&u64, &Unit)],
        records: &mut Vec<Record>,
        wanted: usize,
        ascending: bool,
    ) -> Result<(), HistoryError> {
        if records.len() >= wanted {
            return Ok(());
        }
        let files: Vec<PathBuf> = units
            .iter()
            .filter(|(from, unit)| **from < self.before && unit.to > self.from)
            .flat_map(|(_, unit)| &unit.files)
            .filter(|(day, _)| self.since.as_ref().is_none_or(|since| day >= since))
            .map(|(_, path)| path.clone())
            .collect();
        if let Some(rows) = in_files(&self.context, files).await? {
            let missing = wanted - records.len();
            records.append(&mut self.rows(rows, missing, ascending).await?);
        }
        Ok(())
    }

    async fn rows(
        &self,
        rows: DataFrame,
        wanted: usize,
        ascending: bool,
    ) -> Result<Vec<Record>, HistoryError> {
        let mut rows = rows;
        if self.from > 0 {
            rows = rows.filter(not_before(self.from))?;
        }
        if self.before < u64::MAX {
            rows = rows.filter(before(self.before))?;
        }
        if let Some(predicate) = &self.predicate {
            rows = rows.filter(predicate.clone())?;
        }
        let sorted = rows
            .select_columns(&[LOG_INDEX, RECORD])?
            .sort(vec![order(ascending)])?
            .limit(0, Some(wanted))?;
        Ok(read(&sorted.collect().await?))
    }
}

fn order(ascending: bool) -> SortExpr {
    ident(LOG_INDEX).sort(ascending, false)
}

/// The records of `batches`, which have their numbers and themselves.
fn read(batches: &[RecordBatch]) -> Vec<Record> {
    let mut records = Vec::new();
    for batch in batches {
        let numbers = batch.column(0).as_primitive_opt::<Int64Type>();
        let texts = batch.column(1).as_string_opt::<i32>();
        let (Some(numbers), Some(texts)) = (numbers, texts) else {
            continue;
        };
        for row in 0..batch.num_rows() {
            records.push(Record {
                log_index: numbers.value(row).cast_unsigned(),
                json: texts.value(row).as_bytes().to_vec(),
            });
        }
    }
    records
}
