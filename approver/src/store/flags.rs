//! Flags: operations that are refused everywhere until an administrator lifts
//! the flag. Set by a decision only, as part of it.

use holdpoint_proto::v1::{Operation, RequestContext};
use prost::Message as _;
use sqlx::{FromRow, Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    Store, StoreError,
    decisions::{Decision, Effects},
    decode, grants, parse, requests,
};
use crate::domain::{request::Event, time::Millis};

/// A flag in force.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    pub(crate) operation_digest: Vec<u8>,
    pub(crate) operation: Operation,
    /// The request whose decision set it.
    pub(crate) request_id: String,
    pub(crate) reviewer: String,
    pub(crate) reason: String,
    pub(crate) flagged_at: Millis,
}

impl Store {
    /// Every flag in force, newest first.
    pub(crate) async fn flags(&self) -> Result<Vec<Flag>, StoreError> {
        let flags = sqlx::query_as(
            "SELECT flags.operation_digest, flags.request_id, requests.context,
                 decisions.reviewer, decisions.reason, decisions.decided_at
             FROM flags JOIN requests ON requests.id = flags.request_id
             JOIN decisions ON decisions.request_id = flags.request_id
             WHERE flags.lifted_at IS NULL ORDER BY flags.seq DESC",
        )
        .fetch_all(&self.read)
        .await?;
        Ok(flags)
    }

    /// Lifts the flag on an operation. False if there is none in force.
    pub(crate) async fn lift_flag(
        &self,
        operation_digest: &[u8],
        administrator: &str,
        reason: &str,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let lifted = sqlx::query(
            "UPDATE flags SET lifted_at = ?, lifted_by = ?, lift_reason = ?
             WHERE operation_digest = ? AND lifted_at IS NULL",
        )
        .bind(now.get())
        .bind(administrator)
        .bind(reason)
        .bind(operation_digest)
        .execute(&mut *change)
        .await?
        .rows_affected();
        change.commit().await?;
        Ok(lifted == 1)
    }
}

/// Flags the operation of the request that `decision` is about, as part of
/// `change`: other requests that are pending on it are flagged with it, and
/// grants that would let it go on are revoked.
pub(super) async fn set(
    change: &mut Transaction<'_, Sqlite>,
    decision: &Decision,
) -> Result<Effects, StoreError> {
    let (id, at) = (decision.request_id.as_str(), decision.decided_at);
    let digest: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT operation_digest FROM requests WHERE id = ?")
            .bind(id)
            .fetch_one(&mut **change)
            .await?;
    // A request of an older program may name no operation: its flag is its own.
    let Some(digest) = digest.filter(|digest| !digest.is_empty()) else {
        return Ok(Effects::default());
    };
    sqlx::query(
        "INSERT INTO flags (operation_digest, request_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(&digest)
    .bind(id)
    .execute(&mut **change)
    .await?;
    let pending: Vec<(String, String)> = sqlx::query_as(
        "SELECT host_id, id FROM requests WHERE operation_digest = ? AND state = 'pending'",
    )
    .bind(&digest)
    .fetch_all(&mut **change)
    .await?;
    let mut effects = Effects::default();
    let detail = said(&decision.reviewer, &decision.reason, at);
    for (host, other) in pending {
        requests::close(change, &other, Event::FlagFound, &detail, at).await?;
        effects.flagged.push((parse("host_id", &host)?, other));
    }
    effects.revoked = grants::revoke_for(change, &digest, &decision.reviewer, &detail, at).await?;
    Ok(effects)
}

/// What is said of a flag on an operation to whoever attempts it; none if there
/// is no flag in force.
pub(super) async fn on(
    change: &mut Transaction<'_, Sqlite>,
    operation_digest: &[u8],
) -> Result<Option<String>, sqlx::Error> {
    let flag: Option<(String, String, i64)> = sqlx::query_as(
        "SELECT decisions.reviewer, decisions.reason, decisions.decided_at
         FROM flags JOIN decisions ON decisions.request_id = flags.request_id
         WHERE flags.operation_digest = ? AND flags.lifted_at IS NULL",
    )
    .bind(operation_digest)
    .fetch_optional(&mut **change)
    .await?;
    Ok(flag.map(|(reviewer, reason, at)| said(&reviewer, &reason, Millis::new(at))))
}

fn said(reviewer: &str, reason: &str, at: Millis) -> String {
    format!("the same operation was flagged by {reviewer} at {at}: {reason}")
}

impl FromRow<'_, SqliteRow> for Flag {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let context: &[u8] = row.try_get("context")?;
        let context = RequestContext::decode(context).map_err(|e| decode("context", e))?;
        Ok(Self {
            operation_digest: row.try_get("operation_digest")?,
            operation: context.operation.unwrap_or_default(),
            request_id: row.try_get("request_id")?,
            reviewer: row.try_get("reviewer")?,
            reason: row.try_get("reason")?,
            flagged_at: Millis::new(row.try_get("decided_at")?),
        })
    }
}
