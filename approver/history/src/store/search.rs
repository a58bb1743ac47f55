//! Records that match, newest first or in the order they came.

use std::sync::Arc;

use datafusion::{
    logical_expr::{Expr, SortExpr, ident},
    prelude::{DataFrame, SessionContext},
};
use tokio::task::spawn_blocking;

use super::{
    History, Snapshot,
    compare::{honest, read},
    in_files, in_memory,
};
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
        // Of all records there is one before each but the first, so no more is
        // looked at than was asked for.
        let all = search.predicate.is_none();
        let wanted = if all { limit } else { limit + 1 };
        let mut records = self.run(search.page(wanted)).await?;
        let more = if all {
            records.len() == limit && records.last().is_some_and(|last| last.log_index > 0)
        } else {
            records.len() > limit
        };
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
    /// The newest that match.
    async fn page(mut self, wanted: usize) -> Result<Vec<Record>, HistoryError> {
        if self.predicate.is_none() {
            // Of all records these are the newest, so nothing else is opened.
            let end = self.before.min(self.snapshot.next);
            self.from = end.saturating_sub(wanted as u64);
            let records = self.newest(wanted).await?;
            if records.len() == wanted || self.from == 0 {
                return Ok(records);
            }
            // Unless some are missing.
            self.from = 0;
        }
        self.newest(wanted).await
    }

    /// From the newest backwards: the fresh ones, then round by round of files.
    async fn newest(&self, wanted: usize) -> Result<Vec<Record>, HistoryError> {
        let mut records = self.fresh(wanted, false).await?;
        let units: Vec<_> = self.snapshot.units.values().rev().collect();
        for some in units.chunks(UNITS_AT_ONCE) {
            self.kept(some, &mut records, wanted, false).await?;
        }
        Ok(records)
    }

    async fn oldest(self, wanted: usize) -> Result<Vec<Record>, HistoryError> {
        let mut records = Vec::new();
        let units: Vec<_> = self.snapshot.units.values().collect();
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
        let rows = self.matching(rows)?;
        let rows = rows.select_columns(&[LOG_INDEX, RECORD])?;
        Ok(read(&sorted(rows, wanted, ascending)?.collect().await?))
    }

    /// Adds what matches in `units` until there are `wanted` records.
    async fn kept(
        &self,
        units: &[&Arc<Unit>],
        records: &mut Vec<Record>,
        wanted: usize,
        ascending: bool,
    ) -> Result<(), HistoryError> {
        if records.len() >= wanted {
            return Ok(());
        }
        let asked = |unit: &Unit| unit.from < self.before && unit.to > self.from;
        let units: Vec<_> = units.iter().filter(|unit| asked(unit)).collect();
        if self.predicate.is_none() {
            // Whoever asks for everything gets what was written, or nothing.
            let units: Vec<_> = units.iter().map(|unit| Arc::clone(unit)).collect();
            spawn_blocking(move || units.iter().try_for_each(|unit| unit.verify())).await??;
        }
        let units = units.iter().map(AsRef::as_ref);
        let Some(rows) = in_files(&self.context, units, self.since.as_deref()).await? else {
            return Ok(());
        };
        let missing = wanted - records.len();
        let mut rows = self.matching(rows)?;
        if self.predicate.is_some() {
            rows = rows.select_columns(&[LOG_INDEX, RECORD])?;
        }
        let found = sorted(rows, missing, ascending)?.collect().await?;
        records.append(&mut match self.predicate {
            Some(_) => read(&found),
            None => honest(&found)?,
        });
        Ok(())
    }

    /// Those of `rows` that are asked for.
    fn matching(&self, mut rows: DataFrame) -> Result<DataFrame, HistoryError> {
        if self.from > 0 {
            rows = rows.filter(not_before(self.from))?;
        }
        if self.before < u64::MAX {
            rows = rows.filter(before(self.before))?;
        }
        if let Some(predicate) = &self.predicate {
            rows = rows.filter(predicate.clone())?;
        }
        Ok(rows)
    }
}

fn sorted(rows: DataFrame, wanted: usize, ascending: bool) -> Result<DataFrame, HistoryError> {
    let sorted = rows.sort(vec![order(ascending)])?;
    Ok(sorted.limit(0, Some(wanted))?)
}

fn order(ascending: bool) -> SortExpr {
    ident(LOG_INDEX).sort(ascending, false)
}
