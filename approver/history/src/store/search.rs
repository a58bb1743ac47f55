//! Records that match, newest first.

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
    columns::{LOG_INDEX, RECORD, batch},
    files::day,
    filter::{before, predicate},
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
            context: self.context.clone(),
            snapshot: self.snapshot(),
            predicate: predicate(query),
            since: query.since().map(day),
            before,
        };
        let mut records = self.run(search.run(limit + 1)).await?;
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records.last().filter(|_| more).map(|last| last.log_index);
        Ok(Page { records, next })
    }

    /// Those of `records` that match `query`, in their order.
    pub async fn select(
        &self,
        query: &Query,
        records: Vec<Record>,
    ) -> Result<Vec<Record>, HistoryError> {
        let Some(predicate) = predicate(query) else {
            return Ok(records);
        };
        let context = self.context.clone();
        self.run(async move {
            let rows = in_memory(&context, vec![batch(&records)?])?.filter(predicate)?;
            let sorted = rows
                .select_columns(&[LOG_INDEX, RECORD])?
                .sort(vec![order(true)])?;
            Ok(read(&sorted.collect().await?))
        })
        .await
    }
}

struct Search {
    context: SessionContext,
    snapshot: Snapshot,
    predicate: Option<Expr>,
    /// The first day that can matter.
    since: Option<String>,
    before: Option<u64>,
}

impl Search {
    async fn run(self, wanted: usize) -> Result<Vec<Record>, HistoryError> {
        let mut records = Vec::new();
        if self.before.is_none_or(|before| before > self.snapshot.first) {
            let fresh = in_memory(&self.context, self.snapshot.fresh.clone())?;
            records = self.newest(fresh, wanted).await?;
        }
        let units: Vec<_> = self.snapshot.units.iter().rev().collect();
        for some in units.chunks(UNITS_AT_ONCE) {
            if records.len() >= wanted {
                break;
            }
            let files: Vec<PathBuf> = some
                .iter()
                .filter(|(from, _)| self.before.is_none_or(|before| before > **from))
                .flat_map(|(_, unit)| &unit.files)
                .filter(|(day, _)| self.since.as_ref().is_none_or(|since| day >= since))
                .map(|(_, path)| path.clone())
                .collect();
            if let Some(rows) = in_files(&self.context, files).await? {
                let missing = wanted - records.len();
                records.append(&mut self.newest(rows, missing).await?);
            }
        }
        Ok(records)
    }

    async fn newest(&self, rows: DataFrame, wanted: usize) -> Result<Vec<Record>, HistoryError> {
        let mut rows = rows;
        if let Some(predicate) = &self.predicate {
            rows = rows.filter(predicate.clone())?;
        }
        if let Some(number) = self.before {
            rows = rows.filter(before(number))?;
        }
        let sorted = rows
            .select_columns(&[LOG_INDEX, RECORD])?
            .sort(vec![order(false)])?
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
