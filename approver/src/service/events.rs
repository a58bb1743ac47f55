//! Questions about what happened.
//!
//! The database is the source and the history answers: before each question it
//! is offered what came since the last, so an answer holds everything that was
//! stored when it was asked.

use std::{sync::Arc, time::Duration};

use holdpoint_history::{Answer, Histogram, History, HistoryError, Page, Record, query::Query};
use tokio::{sync::Mutex, time};

use super::{Approver, now};
use crate::{
    domain::{account::Role, audit::AuditRecord},
    store::{StoreError, logins::Login},
};

/// Records of one page unless the caller says how many, and the most.
const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1000;
/// About the most bytes of one page.
const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Most rows of an answer to SQL.
const ROWS_MAX: u32 = 10_000;
/// Most stretches of a histogram.
const BUCKETS_MAX: u32 = 1000;
/// Records that are offered to the history at once.
const OFFERED: u32 = 1000;
/// How often a follower looks for what is new.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventsError {
    /// The text says where and what.
    #[error("{0}")]
    Query(String),
    #[error("{0}")]
    Sql(String),
    #[error("your role is {0}; SQL is answered to reviewers and administrators")]
    Role(Role),
    #[error("the history failed")]
    History(#[source] HistoryError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<HistoryError> for EventsError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Query(error) => Self::Query(error.to_string()),
            HistoryError::Sql(text) => Self::Sql(text),
            error => Self::History(error),
        }
    }
}

/// The history, and whose turn it is to bring it up to date.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) history: Arc<History>,
    refreshing: Mutex<()>,
}

impl Events {
    pub(super) fn new(history: History) -> Self {
        Self {
            history: Arc::new(history),
            refreshing: Mutex::new(()),
        }
    }
}

impl Approver {
    /// The newest records that match `query`, of those before `before`.
    /// `page_size` 0 means 100.
    pub(crate) async fn search_events(
        &self,
        query: &str,
        before: Option<u64>,
        page_size: u32,
    ) -> Result<Page, EventsError> {
        let query = parse(query)?;
        self.refresh_events().await?;
        let limit = match page_size {
            0 => PAGE,
            size => size.min(PAGE_MAX),
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let page = self.events.history.search(&query, before, limit).await?;
        Ok(bounded(page))
    }

    /// The answer to one statement. `limit` 0 means 10,000, which is the most.
    pub(crate) async fn events_sql(
        &self,
        login: &Login,
        sql: &str,
        limit: u32,
    ) -> Result<Answer, EventsError> {
        if login.role == Role::Viewer {
            return Err(EventsError::Role(login.role));
        }
        self.refresh_events().await?;
        let limit = match limit {
            0 => ROWS_MAX,
            limit => limit.min(ROWS_MAX),
        };
        tracing::info!(user = %login.username, sql, "sql asked");
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.events.history.sql(sql, limit).await?)
    }

    /// How many operations that match `query` were allowed, held, ... over time.
    pub(crate) async fn events_histogram(
        &self,
        query: &str,
        buckets: u32,
    ) -> Result<Histogram, EventsError> {
        let query = parse(query)?;
        self.refresh_events().await?;
        let buckets = buckets.clamp(1, BUCKETS_MAX);
        let histogram = self.events.history.histogram(&query, buckets, now().get());
        Ok(histogram.await?)
    }

    /// Begins to follow what matches `query`, from the record after `after`;
    /// without one, from now on.
    pub(crate) async fn follow_events(
        self: &Arc<Self>,
        query: &str,
        after: Option<u64>,
    ) -> Result<Follow, EventsError> {
        let query = parse(query)?;
        let next = match after {
            Some(after) => after.saturating_add(1),
            None => self.browse.count().await?,
        };
        Ok(Follow {
            approver: Arc::clone(self),
            query,
            next,
        })
    }

    /// Records what the approver did that changed nothing else.
    pub(crate) async fn record(&self, record: &AuditRecord) -> Result<u64, StoreError> {
        self.store.record(now(), record).await
    }

    /// Offers the history what it does not have.
    pub(super) async fn refresh_events(&self) -> Result<(), EventsError> {
        let _turn = self.events.refreshing.lock().await;
        loop {
            let records = self
                .store
                .records(self.events.history.next(), OFFERED)
                .await?;
            let some = records.len();
            if some > 0 {
                let history = Arc::clone(&self.events.history);
                let offered = tokio::task::spawn_blocking(move || history.offer(&records)).await;
                offered.map_err(|_| HistoryError::Died)??;
            }
            if some < usize::try_from(OFFERED).unwrap_or(usize::MAX) {
                return Ok(());
            }
        }
    }
}

/// Somebody who is told what comes.
#[derive(Debug)]
pub(crate) struct Follow {
    approver: Arc<Approver>,
    query: Query,
    next: u64,
}

impl Follow {
    /// Waits for the next records that match. May be dropped at any time and
    /// called again.
    pub(crate) async fn next(&mut self) -> Result<Vec<Record>, EventsError> {
        loop {
            if self.approver.browse.count().await? > self.next {
                self.approver.refresh_events().await?;
                let history = &self.approver.events.history;
                let limit = usize::try_from(PAGE).unwrap_or(usize::MAX);
                let stretch = history.follow(&self.query, self.next, limit).await?;
                self.next = stretch.seen;
                if !stretch.records.is_empty() {
                    return Ok(stretch.records);
                }
            }
            time::sleep(LOOK_EVERY).await;
        }
    }
}

fn parse(query: &str) -> Result<Query, EventsError> {
    Query::parse(query, now().get()).map_err(|error| EventsError::Query(error.to_string()))
}

/// As much of `page` as goes into one answer.
fn bounded(mut page: Page) -> Page {
    let mut bytes = 0;
    let fits = page.records.iter().take_while(|record| {
        bytes += record.json.len();
        bytes <= PAGE_BYTES
    });
    let fits = fits.count().max(1);
    if fits < page.records.len() {
        page.records.truncate(fits);
        page.next = page.records.last().map(|last| last.log_index);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_large_records_ends_early_and_goes_on() {
        let record = |log_index| Record {
            log_index,
            json: vec![b' '; PAGE_BYTES / 4],
        };
        let page = bounded(Page {
            records: (0..9).rev().map(record).collect(),
            next: None,
        });
        assert_eq!(page.records.len(), 4);
        assert_eq!(page.next, Some(5));
    }
}
