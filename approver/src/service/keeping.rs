//! Moves records out of the database: from there into files, when the log has
//! them.
//!
//! The files come first and the rows go after. Whatever ends in between, the rows
//! are there still and the round is done again.

use std::{sync::Arc, time::Duration};

use tokio::time;

use super::{Approver, events::EventsError};
use crate::error_chain::error_chain;

/// How often it is looked whether there is enough to move.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Fewer records are not moved: each round makes a file for each day and host.
const AT_LEAST: u64 = 10_000;

/// Unless they take so much memory.
const BYTES_AT_LEAST: usize = 64 * 1024 * 1024;

/// Moves records until the approver goes down.
pub(crate) async fn run(approver: Arc<Approver>) {
    let mut clean = false;
    loop {
        tokio::select! {
            () = time::sleep(LOOK_EVERY) => {}
            () = approver.live.closing() => return,
        }
        let kept = async {
            if !clean {
                approver.forget_kept().await?;
                clean = true;
            }
            approver.keep_events(AT_LEAST).await
        };
        if let Err(error) = kept.await {
            // Nothing is lost: the records are in the database.
            tracing::error!(error = error_chain(&error), "cannot move records to files");
        }
    }
}

impl Approver {
    /// Deletes the rows of records that are in files. The process before may have
    /// ended in the middle of it.
    async fn forget_kept(&self) -> Result<u64, EventsError> {
        let kept = self.events.history.kept_below();
        self.store.drop_kept(kept).await?;
        Ok(kept)
    }

    /// Moves what the log has, as long as it is `at_least` so many records or they
    /// take much memory. Gives the number below which all are in files.
    pub(crate) async fn keep_events(&self, at_least: u64) -> Result<u64, EventsError> {
        let history = &self.events.history;
        loop {
            self.refresh_events().await?;
            let (kept, logged) = (history.kept_below(), self.store.log_state().await?);
            let logged = logged.map_or(0, |state| state.bundled);
            let waiting = logged.saturating_sub(kept);
            let enough = waiting >= at_least || history.fresh_bytes() >= BYTES_AT_LEAST;
            if waiting == 0 || !enough {
                break;
            }
            history.keep(logged).await?;
            let kept = self.forget_kept().await?;
            tracing::info!(kept_below = kept, "records moved to files");
        }
        let forgotten = self.store.event_marks().await?.kept_below;
        while history.merge(forgotten).await? {
            tracing::info!("small files of the history were put together");
        }
        Ok(history.kept_below())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use holdpoint_history::{History, query::Query};

    use super::*;
    use crate::{
        ca, config::Config, domain::audit::AuditRecord, log::Log, metrics::Metrics, service::now,
        signer::Signer, state_dir::StateDir, store::Store,
    };

    async fn open(place: &Path) -> (Approver, Arc<Log>) {
        let directory = StateDir::open(place).unwrap();
        let store = Store::open(&directory).await.unwrap();
        let marks = store.event_marks().await.unwrap();
        let history = directory.file("history");
        let history = History::open(&history, marks.kept_below, marks.next_index).unwrap();
        let authority = ca::load_or_create(&directory, now()).unwrap();
        let signer = Signer::load_or_create(&directory).unwrap();
        let log = Log::open(&directory, &store).await.unwrap();
        let config = Config::default();
        let metrics = Metrics::off();
        let shared = Arc::clone(&log);
        let approver = Approver::new(store, authority, signer, &config, metrics, history, shared);
        (approver, log)
    }

    async fn record(approver: &Approver, count: usize) {
        for number in 0..count {
            let username = format!("user-{number}");
            let record = AuditRecord::LoggedOut { username };
            approver.record(&record).await.unwrap();
        }
    }

    /// All records, by search and by count.
    async fn is_whole(approver: &Approver, count: u64) {
        approver.refresh_events().await.unwrap();
        let history = &approver.events.history;
        let page = history.search(&Query::default(), None, 5000).await.unwrap();
        let numbers = page.records.iter().rev().map(|record| record.log_index);
        assert!(numbers.eq(0..count));
        let counted = history.sql("SELECT count(*) FROM events", 1).await.unwrap();
        assert_eq!(counted.rows[0][0], count.to_string());
    }

    #[tokio::test]
    async fn what_the_log_has_moves_to_files_and_is_found_there() {
        let place = tempfile::tempdir().unwrap();
        let (approver, log) = open(place.path()).await;
        record(&approver, 700).await;
        assert_eq!(approver.keep_events(1).await.unwrap(), 0, "not logged yet");
        log.integrate().await.unwrap();
        assert_eq!(approver.keep_events(10_000).await.unwrap(), 0, "too few");
        assert_eq!(approver.keep_events(1).await.unwrap(), 512);
        let left = approver.store.records(0, 1000).await.unwrap();
        assert_eq!((left.len(), left[0].log_index), (188, 512));
        is_whole(&approver, 700).await;
        record(&approver, 300).await;
        log.integrate().await.unwrap();
        assert_eq!(approver.keep_events(1).await.unwrap(), 768);
        is_whole(&approver, 1000).await;
        approver.close().await;
        drop((approver, log));
        let (approver, _log) = open(place.path()).await;
        is_whole(&approver, 1000).await;
        let waiting = approver.gauges().await.unwrap();
        let value = |name| waiting.iter().find(|one| one.name == name).unwrap().value;
        assert_eq!(value("holdpoint_log_records"), 1000);
        assert_eq!(value("holdpoint_history_waiting_records"), 232);
        assert_eq!(value("holdpoint_log_unsigned_records"), 0);
        record(&approver, 5).await;
        let waiting = approver.gauges().await.unwrap();
        let value = |name| waiting.iter().find(|one| one.name == name).unwrap().value;
        assert_eq!(value("holdpoint_log_unsigned_records"), 5);
    }

    #[tokio::test]
    async fn many_small_rounds_leave_few_files() {
        let place = tempfile::tempdir().unwrap();
        let (approver, log) = open(place.path()).await;
        for _ in 0..17 {
            record(&approver, 256).await;
            log.integrate().await.unwrap();
            approver.keep_events(1).await.unwrap();
        }
        is_whole(&approver, 17 * 256).await;
        let mut files = 0;
        let mut folders = vec![place.path().join("history")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files += 1;
                }
            }
        }
        // Midnight may come in between.
        assert!(files <= 4, "{files} files");
    }
}
