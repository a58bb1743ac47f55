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
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Fewer records are not moved: each round makes a file for each day and host.
const AT_LEAST: u64 = 10_000;

/// Moves records until the approver goes down.
pub(crate) async fn run(approver: Arc<Approver>) {
    loop {
        tokio::select! {
            () = time::sleep(LOOK_EVERY) => {}
            () = approver.live.closing() => return,
        }
        if let Err(error) = approver.keep_events(AT_LEAST).await {
            // Nothing is lost: the records are in the database.
            tracing::error!(error = error_chain(&error), "cannot move records to files");
        }
    }
}

impl Approver {
    /// Moves what the log has, if it is `at_least` so many records. Gives the
    /// number below which all are in files.
    pub(crate) async fn keep_events(&self, at_least: u64) -> Result<u64, EventsError> {
        self.refresh_events().await?;
        let history = &self.events.history;
        let (kept, logged) = (history.kept_below(), self.store.log_state().await?);
        let logged = logged.map_or(0, |state| state.bundled);
        if logged.saturating_sub(kept) < at_least {
            return Ok(kept);
        }
        let kept = history.keep(logged).await?;
        self.store.drop_kept(kept).await?;
        tracing::info!(kept_below = kept, "records moved to files");
        Ok(kept)
    }
}
