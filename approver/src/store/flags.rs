//! Flags: operations that are refused everywhere until an administrator lifts
//! the flag. Set by a decision only, as part of it.

use holdpoint_proto::v1::{self, Operation, RequestContext};
use prost::Message as _;
use sqlx::{FromRow, Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    Store, StoreError,
    decisions::{Decision, Effects},
    decode, events,
    grants::{self, Revocation},
    parse, record, requests,
};
use crate::domain::{
    audit::{Actor, AuditRecord},
    request::Event,
    time::Millis,
};

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

/// The flag that an attempt of its operation meets.
#[derive(Clone, Debug)]
pub(super) struct OnOperation {
    pub(super) reviewer: String,
    /// What is said of it to whoever attempts the operation.
    pub(super) said: String,
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
        if lifted == 1 {
            let lifted = AuditRecord::FlagLifted {
                operation_digest: operation_digest.to_vec(),
                by: Actor::Person(administrator.to_owned()),
                reason: reason.to_owned(),
            };
            events::append(&mut change, now, &lifted).await?;
        }
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
    let set = AuditRecord::FlagSet {
        request: record::request(change, id).await?,
        reviewer: decision.reviewer.clone(),
        reason: decision.reason.clone(),
    };
    events::append(change, at, &set).await?;
    let pending: Vec<(String, String)> = sqlx::query_as(
        "SELECT host_id, id FROM requests WHERE operation_digest = ? AND state = 'pending'",
    )
    .bind(&digest)
    .fetch_all(&mut **change)
    .await?;
    let mut effects = Effects::default();
    let detail = said(&decision.reviewer, &decision.reason, at);
    let flag = OnOperation {
        reviewer: decision.reviewer.clone(),
        said: detail.clone(),
    };
    for (host, other) in pending {
        requests::close(change, &other, Event::FlagFound, &detail, at).await?;
        record(change, &other, &flag, at).await?;
        effects.flagged.push((parse("host_id", &host)?, other));
    }
    let by = Actor::Person(decision.reviewer.clone());
    let revocation = Revocation {
        by: &by,
        reason: &detail,
        at,
    };
    effects.revoked = grants::revoke_for(change, &digest, revocation).await?;
    Ok(effects)
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
