//! Closes requests that many can close at once: time, a flag, a host that is
//! shut out.
//!
//! Never many in one change: whoever decides waits for the same lock. So each
//! method closes a few and says which; who calls goes on until there is none.
//! What decides about a request looks itself whether it may still be decided, and
//! what was left open by a process that died is found by the next look.

use sqlx::{Sqlite, Transaction};
use uuid::Uuid;

use super::{Store, StoreError, close, expire, withdraw};
use crate::{
    domain::{request::Event, time::Millis},
    store::{TOGETHER, flags, parse},
};

/// Requests that were closed, with their hosts.
type Closed = Vec<(Uuid, String)>;

impl Store {
    /// Expires pending requests whose deadline is `now` or earlier. Answers
    /// which; none if there is none left.
    pub(crate) async fn expire_requests(&self, now: Millis) -> Result<Closed, StoreError> {
        // Looking needs no write lock, and there is mostly nothing to do.
        let due: Vec<(String, String)> = sqlx::query_as(
            "SELECT host_id, id FROM requests
             WHERE state = 'pending' AND deadline <= ? ORDER BY deadline LIMIT ?",
        )
        .bind(now.get())
        .bind(TOGETHER)
        .fetch_all(&self.read)
        .await?;
        self.close_each(due, Cause::Time, now).await
    }

    /// Refuses pending requests whose operation has a flag. Answers which; none if
    /// there is none left.
    pub(crate) async fn refuse_flagged(&self, now: Millis) -> Result<Closed, StoreError> {
        let due: Vec<(String, String)> = sqlx::query_as(
            "SELECT requests.host_id, requests.id FROM requests
             JOIN flags ON flags.operation_digest = requests.operation_digest
             WHERE requests.state = 'pending' AND flags.lifted_at IS NULL
             ORDER BY requests.seq LIMIT ?",
        )
        .bind(TOGETHER)
        .fetch_all(&self.read)
        .await?;
        self.close_each(due, Cause::Flag, now).await
    }

    /// Withdraws pending requests whose host was revoked. Answers which; none if
    /// there is none left.
    pub(crate) async fn withdraw_revoked(&self, now: Millis) -> Result<Closed, StoreError> {
        let due: Vec<(String, String)> = sqlx::query_as(
            "SELECT requests.host_id, requests.id FROM requests
             JOIN hosts ON hosts.id = requests.host_id
             WHERE requests.state = 'pending' AND hosts.revoked_at IS NOT NULL
             ORDER BY requests.seq LIMIT ?",
        )
        .bind(TOGETHER)
        .fetch_all(&self.read)
        .await?;
        self.close_each(due, Cause::Host, now).await
    }

    /// Closes those of `due` for which `cause` still holds.
    async fn close_each(
        &self,
        due: Vec<(String, String)>,
        cause: Cause,
        now: Millis,
    ) -> Result<Closed, StoreError> {
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let mut change = self.begin().await?;
        let mut closed = Vec::with_capacity(due.len());
        for (host, id) in due {
            let done = match cause {
                Cause::Time => expire(&mut change, &id, now).await?,
                Cause::Flag => refuse(&mut change, &id, now).await?,
                Cause::Host => withdraw(&mut change, &id, "its host was revoked", now).await?,
            };
            if done {
                closed.push((parse("host_id", &host)?, id));
            }
        }
        change.commit().await?;
        Ok(closed)
    }
}

/// Why many requests are closed.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Time,
    Flag,
    Host,
}

/// Refuses a request as part of `change`, if it is pending and there still is a
/// flag on its operation.
async fn refuse(
    change: &mut Transaction<'_, Sqlite>,
    id: &str,
    now: Millis,
) -> Result<bool, StoreError> {
    let Some(flag) = flags::of_request(change, id).await? else {
        return Ok(false);
    };
    let closed = close(change, id, Event::FlagFound, &flag.said, now).await?;
    if closed {
        flags::record(change, id, &flag, now).await?;
    }
    Ok(closed)
}
