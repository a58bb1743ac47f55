//! Flags: operations that are refused everywhere until an administrator lifts
//! the flag. Set by a decision only, as part of it.

use holdpoint_proto::v1::{self, Operation, RequestContext};
use prost::Message as _;
use sqlx::{FromRow, Row as _, Sqlite, Transaction, sqlite::SqliteRow};
use tokio_stream::StreamExt as _;
use uuid::Uuid;

use super::{
    Store, StoreError,
    decisions::Decision,
    decode, events,
    grants::{self, Revocation},
    logins::Login,
    record,
};
use crate::domain::{
    audit::{Actor, AuditRecord},
    time::Millis,
};

/// Bytes after which a list ends: an operation can be megabytes.
const PAGE_BYTES: usize = 3 * 1024 * 1024;

/// A flag in force.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    pub(crate) seq: i64,
    pub(crate) operation_digest: Vec<u8>,
    pub(crate) operation: Operation,
    /// The request whose decision set it.
    pub(crate) request_id: String,
    pub(crate) reviewer: String,
    pub(crate) reason: String,
    pub(crate) flagged_at: Millis,
}

/// Some flags, and whether there are more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) flags: Vec<Flag>,
    pub(crate) more: bool,
}

/// What became of an attempt to lift a flag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lifted {
    /// It is lifted.
    Done,
    /// There is none in force.
    None,
    /// Whoever would lift it owns a session that asked for the operation.
    Own,
}

/// The flag that an attempt of its operation meets.
#[derive(Clone, Debug)]
pub(super) struct OnOperation {
    pub(super) reviewer: String,
    /// What is said of it to whoever attempts the operation.
    pub(super) said: String,
}

impl Store {
    /// Flags in force that were set before `before`, newest first.
    pub(crate) async fn flags(&self, before: i64, limit: usize) -> Result<Page, StoreError> {
        let mut rows = sqlx::query_as::<_, Flag>(
            "SELECT flags.seq, flags.operation_digest, flags.request_id, requests.context,
                 decisions.reviewer, decisions.reason, decisions.decided_at
             FROM flags JOIN requests ON requests.id = flags.request_id
             JOIN decisions ON decisions.request_id = flags.request_id
             WHERE flags.lifted_at IS NULL AND flags.seq < ?
             ORDER BY flags.seq DESC LIMIT ?",
        )
        .bind(before)
        // One more than asked for tells whether there are more.
        .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1))
        .fetch(&self.read);
        let mut page = Page::default();
        let mut bytes = 0;
        while let Some(flag) = rows.next().await {
            let flag = flag?;
            bytes += flag.operation.encoded_len();
            let full = page.flags.len() == limit || bytes > PAGE_BYTES;
            if full && !page.flags.is_empty() {
                page.more = true;
                break;
            }
            page.flags.push(flag);
        }
        Ok(page)
    }

    /// Lifts the flag on an operation, unless `administrator` owns a session that
    /// asked for it.
    pub(crate) async fn lift_flag(
        &self,
        operation_digest: &[u8],
        administrator: &Login,
        reason: &str,
        now: Millis,
    ) -> Result<Lifted, StoreError> {
        let mut change = self.begin().await?;
        if on(&mut change, operation_digest).await?.is_none() {
            return Ok(Lifted::None);
        }
        let own: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM requests WHERE operation_digest = ? AND owner = ? LIMIT 1",
        )
        .bind(operation_digest)
        .bind(administrator.username.as_str())
        .fetch_optional(&mut *change)
        .await?;
        if own.is_some() {
            return Ok(Lifted::Own);
        }
        sqlx::query(
            "UPDATE flags SET lifted_at = ?, lifted_by = ?, lift_reason = ?
             WHERE operation_digest = ? AND lifted_at IS NULL",
        )
        .bind(now.get())
        .bind(administrator.username.as_str())
        .bind(reason)
        .bind(operation_digest)
        .execute(&mut *change)
        .await?;
        let lifted = AuditRecord::FlagLifted {
            operation_digest: operation_digest.to_vec(),
            by: administrator.actor(),
            reason: reason.to_owned(),
        };
        events::append(&mut change, now, &lifted).await?;
        change.commit().await?;
        Ok(Lifted::Done)
    }

    /// What is said of the flag that voids an approval of this operation that was
    /// given at `approved_at` and has not been carried out; none if there is none.
    ///
    /// A flag that was set since does so even when it is lifted by now: what was
    /// refused by it stays refused, whichever of the two the host hears of first.
    pub(crate) async fn flagged_since(
        &self,
        operation_digest: &[u8],
        approved_at: Millis,
    ) -> Result<Option<String>, StoreError> {
        let flag: Option<(String, String, i64)> = sqlx::query_as(
            "SELECT decisions.reviewer, decisions.reason, decisions.decided_at
             FROM flags JOIN decisions ON decisions.request_id = flags.request_id
             WHERE flags.operation_digest = ?
                 AND (flags.lifted_at IS NULL OR decisions.decided_at >= ?)
             ORDER BY flags.seq DESC LIMIT 1",
        )
        .bind(operation_digest)
        .bind(approved_at.get())
        .fetch_optional(&self.read)
        .await?;
        Ok(flag.map(|(reviewer, reason, at)| said(&reviewer, &reason, Millis::new(at))))
    }
}

/// Flags the operation of the request that `decision` is about, as part of
/// `change`, and revokes the grants that would let it go on. Answers which, with
/// their hosts. Each was given by a person, so there are not too many for one
/// change. Other requests that are pending on it can be: they are refused after it
/// ([`Store::refuse_flagged`]), and nobody can approve them meanwhile.
pub(super) async fn set(
    change: &mut Transaction<'_, Sqlite>,
    decision: &Decision,
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let (id, at) = (decision.request_id.as_str(), decision.decided_at);
    let digest: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT operation_digest FROM requests WHERE id = ?")
            .bind(id)
            .fetch_one(&mut **change)
            .await?;
    // A request of an older program may name no operation: its flag is its own.
    let Some(digest) = digest.filter(|digest| !digest.is_empty()) else {
        return Ok(Vec::new());
    };
    let set = sqlx::query(
        "INSERT INTO flags (operation_digest, request_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(&digest)
    .bind(id)
    .execute(&mut **change)
    .await?;
    // Another may have been faster, with another request on the same operation.
    if set.rows_affected() == 1 {
        let set = AuditRecord::FlagSet {
            request: record::request(change, id).await?,
            reviewer: decision.reviewer.clone(),
            reason: decision.reason.clone(),
        };
        events::append(change, at, &set).await?;
    }
    let by = Actor::Person(decision.reviewer.clone());
    let revocation = Revocation {
        by: &by,
        reason: &said(&decision.reviewer, &decision.reason, at),
        at,
    };
    grants::revoke_for(change, &digest, revocation).await
}

/// Records that a request was refused by the flag on its operation.
pub(super) async fn record(
    change: &mut Transaction<'_, Sqlite>,
    request_id: &str,
    flag: &OnOperation,
    at: Millis,
) -> Result<(), StoreError> {
    let refused = AuditRecord::Decided {
        request: record::request(change, request_id).await?,
        verdict: v1::Verdict::Flag,
        reviewer: flag.reviewer.clone(),
        token: None,
        reason: flag.said.clone(),
        grant: None,
    };
    events::append(change, at, &refused).await?;
    Ok(())
}

/// The flag on an operation; none if there is none in force.
pub(super) async fn on(
    change: &mut Transaction<'_, Sqlite>,
    operation_digest: &[u8],
) -> Result<Option<OnOperation>, sqlx::Error> {
    let flag: Option<(String, String, i64)> = sqlx::query_as(
        "SELECT decisions.reviewer, decisions.reason, decisions.decided_at
         FROM flags JOIN decisions ON decisions.request_id = flags.request_id
         WHERE flags.operation_digest = ? AND flags.lifted_at IS NULL",
    )
    .bind(operation_digest)
    .fetch_optional(&mut **change)
    .await?;
    Ok(flag.map(|(reviewer, reason, at)| OnOperation {
        said: said(&reviewer, &reason, Millis::new(at)),
        reviewer,
    }))
}

/// The flag on the operation of a request; none if there is none in force.
pub(super) async fn of_request(
    change: &mut Transaction<'_, Sqlite>,
    request_id: &str,
) -> Result<Option<OnOperation>, sqlx::Error> {
    let digest: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT operation_digest FROM requests WHERE id = ?")
            .bind(request_id)
            .fetch_optional(&mut **change)
            .await?
            .flatten();
    match digest {
        Some(digest) => on(change, &digest).await,
        None => Ok(None),
    }
}

fn said(reviewer: &str, reason: &str, at: Millis) -> String {
    format!("the same operation was flagged by {reviewer} at {at}: {reason}")
}

impl FromRow<'_, SqliteRow> for Flag {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let context: &[u8] = row.try_get("context")?;
        let context = RequestContext::decode(context).map_err(|e| decode("context", e))?;
        Ok(Self {
            seq: row.try_get("seq")?,
            operation_digest: row.try_get("operation_digest")?,
            operation: context.operation.unwrap_or_default(),
            request_id: row.try_get("request_id")?,
            reviewer: row.try_get("reviewer")?,
            reason: row.try_get("reason")?,
            flagged_at: Millis::new(row.try_get("decided_at")?),
        })
    }
}
