//! Expiry: a request nobody answered in time is closed as expired and a grant
//! ends when its time is up, whoever is or isn't connected, also what came due
//! while the approver was down.

use std::{sync::Arc, time::Duration};

use super::{Approver, now};
use crate::{
    error_chain::error_chain,
    live::{News, Reload},
    store::StoreError,
};

/// Longest pause between two looks. Commands change the database in processes
/// of their own (a revoked host); this is how long watchers may not know.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Shortest pause, so that a failing database is not asked in a tight loop.
const PAUSE: Duration = Duration::from_millis(5);

impl Approver {
    /// Expires what is due, requests and grants, and closes what a flag or a
    /// revoked host left open. Tells watchers and hosts.
    pub(crate) async fn expire(&self) -> Result<(), StoreError> {
        self.expire_requests().await?;
        self.refuse_flagged().await?;
        while !self.store.withdraw_revoked(now()).await?.is_empty() {
            self.live.changed();
        }
        self.end_grants().await
    }

    async fn expire_requests(&self) -> Result<(), StoreError> {
        loop {
            let expired = self.store.expire_requests(now()).await?;
            if expired.is_empty() {
                return Ok(());
            }
            self.metrics.requests_expired(expired.len());
            self.live.changed();
            for (host, id) in expired {
                tracing::info!(request.id = id, host.id = %host, "request expired");
                self.live.tell(host, News::Request(id));
            }
        }
    }

    async fn end_grants(&self) -> Result<(), StoreError> {
        loop {
            let ended = self.store.end_grants(now()).await?;
            if ended.is_empty() {
                return Ok(());
            }
            for grant in ended {
                tracing::info!(grant.id = grant, "grant ended: its time is up");
                self.live.reload(Reload::Grant(grant));
            }
        }
    }
}

/// Expires requests as they come due, for ever.
pub(crate) async fn run(approver: Arc<Approver>) {
    let mut revision = 0;
    loop {
        let pause = match look(&approver, &mut revision).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(
                    error = error_chain(&error),
                    "cannot expire requests; trying again"
                );
                LOOK_AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause.clamp(PAUSE, LOOK_AGAIN)) => {}
            () = approver.live.new_deadline() => {}
        }
    }
}

/// One look. Answers how long nothing will come due.
async fn look(approver: &Approver, revision: &mut i64) -> Result<Duration, StoreError> {
    approver.expire().await?;
    let current = approver.store.revision().await?;
    if current != *revision {
        *revision = current;
        approver.live.changed();
    }
    let next = approver.store.next_deadline().await?;
    let end = approver.store.next_grant_end().await?;
    let next = next.into_iter().chain(end).min();
    Ok(next.map_or(LOOK_AGAIN, |deadline| deadline.since(now())))
}
