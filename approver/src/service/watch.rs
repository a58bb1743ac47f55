//! Watching: every pending request or all that changed since a revision, then
//! every change as it happens.
//!
//! A watcher follows the revision of the store, not a queue of messages: a slow
//! one misses steps between two looks but never the state a request is in now,
//! and costs no memory while it is slow.

use std::sync::Arc;

use tokio::sync::watch;

use super::Approver;
use crate::store::{StoreError, requests::Request};

/// Requests read at a time.
const PAGE: usize = 64;

/// One watcher's place in the course of changes.
#[derive(Debug)]
pub(crate) struct Watch {
    approver: Arc<Approver>,
    changes: watch::Receiver<()>,
    /// Everything up to here was seen.
    revision: i64,
    /// Place in the list of pending requests; none when it is through.
    pending_after: Option<i64>,
}

impl Watch {
    /// Begins with what is pending now.
    pub(crate) async fn begin(approver: Arc<Approver>) -> Result<Self, StoreError> {
        // In this order: what changes while we list is told again, not lost.
        let changes = approver.live.changes();
        let revision = approver.browse.revision().await?;
        Ok(Self {
            approver,
            changes,
            revision,
            pending_after: Some(0),
        })
    }

    /// Goes on after `revision`: what has changed since comes first. A revision
    /// that is yet to come is of another database, and says nothing about this.
    pub(crate) async fn resume(approver: Arc<Approver>, revision: i64) -> Result<Self, StoreError> {
        let mut watch = Self::begin(approver).await?;
        if (0..=watch.revision).contains(&revision) {
            watch.revision = revision;
            watch.pending_after = None;
        }
        Ok(watch)
    }

    /// Whoever has seen `request` as it came from here, and all before it, can
    /// [`resume`](Self::resume) after this revision and misses nothing.
    pub(crate) fn place(&self, request: &Request) -> i64 {
        // What is pending is told out of turn: it may have come after changes
        // that are yet to be told.
        request.revision.min(self.revision)
    }

    /// The revision that is seen.
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    /// The next requests to show; waits until there are any.
    ///
    /// Can be dropped while it waits without losing anything.
    pub(crate) async fn next(&mut self) -> Result<Vec<Request>, StoreError> {
        while let Some(after) = self.pending_after {
            let page = self.approver.browse.pending_requests(after, PAGE).await?;
            let last = page.requests.last().map(|request| request.seq);
            self.pending_after = last.filter(|_| page.more);
            if last.is_some() {
                return Ok(page.requests);
            }
        }
        loop {
            self.changes.borrow_and_update();
            let page = self
                .approver
                .browse
                .changed_requests(self.revision, PAGE)
                .await?;
            if let Some(last) = page.requests.last() {
                self.revision = last.revision;
                return Ok(page.requests);
            }
            // Fails only when the approver is gone, and we hold it.
            let _ = self.changes.changed().await;
        }
    }
}
