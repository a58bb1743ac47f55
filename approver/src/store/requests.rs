//! Requests: what people are asked, where each stands and what became of it.

mod burst;
mod query;
mod search;

use holdpoint_proto::v1::{self, RequestContext};
use prost::Message as _;
use sqlx::{FromRow, Row as _, Sqlite, Transaction, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Store, StoreError,
    decisions::{self, Decision},
    decode, events, flags, parse, record,
};
use crate::domain::{
    audit::AuditRecord,
    request::{Event, Outcome, State},
    time::Millis,
};

pub(crate) use query::{Earlier, Filter, Page};

/// A request as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) seq: i64,
    pub(crate) revision: i64,
    pub(crate) id: String,
    pub(crate) host_id: Uuid,
    pub(crate) hostname: String,
    pub(crate) digest: Vec<u8>,
    /// Empty if the context names no operation.
    pub(crate) operation_digest: Vec<u8>,
    pub(crate) context: RequestContext,
    pub(crate) owner: String,
    pub(crate) created_at: Millis,
    pub(crate) deadline: Millis,
    pub(crate) state: State,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) outcome_detail: String,
    pub(crate) decision: Option<Decision>,
}

/// A request that is opened now.
#[derive(Clone, Debug)]
pub(crate) struct NewRequest<'a> {
    pub(crate) id: &'a str,
    pub(crate) host_id: Uuid,
    pub(crate) digest: &'a [u8],
    pub(crate) operation_digest: [u8; 32],
    pub(crate) context: &'a RequestContext,
    pub(crate) kind: &'static str,
    pub(crate) held_at: Option<Millis>,
    pub(crate) created_at: Millis,
    pub(crate) deadline: Millis,
}

/// What became of an attempt to open a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Opened {
    /// It is stored.
    New,
    /// It is stored as flagged: its operation carries a flag, of which this is
    /// said.
    Flagged(String),
    /// There is one with this id.
    Exists,
    /// Its host has as many pending requests as it may.
    LimitReached,
}

/// A host's report about the operation.
#[derive(Clone, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) outcome: Outcome,
    pub(crate) detail: &'a str,
    /// What it means for a request that is still pending.
    pub(crate) closes: Event,
}

impl Store {
    /// Stores `request`, unless its host has `limit` pending ones.
    pub(crate) async fn open_request(
        &self,
        request: &NewRequest<'_>,
        limit: u32,
    ) -> Result<Opened, StoreError> {
        let mut change = self.begin().await?;
        let exists: Option<i64> = sqlx::query_scalar("SELECT 1 FROM requests WHERE id = ?")
            .bind(request.id)
            .fetch_optional(&mut *change)
            .await?;
        if exists.is_some() {
            return Ok(Opened::Exists);
        }
        // Before the limit: it takes nobody's place in the queue.
        let flag = flags::on(&mut change, &request.operation_digest).await?;
        if flag.is_none() && is_full(&mut change, request.host_id, limit).await? {
            return Ok(Opened::LimitReached);
        }
        insert(
            &mut change,
            request,
            flag.as_ref().map(|flag| flag.said.as_str()),
        )
        .await?;
        let opened = AuditRecord::RequestOpened {
            request: record::request(&mut change, request.id).await?,
            deadline: request.deadline.get(),
        };
        events::append(&mut change, request.created_at, &opened).await?;
        if let Some(flag) = &flag {
            flags::record(&mut change, request.id, flag, request.created_at).await?;
        }
        change.commit().await?;
        Ok(flag.map_or(Opened::New, |flag| Opened::Flagged(flag.said)))
    }

    /// Withdraws a request of `host`. One that is decided already keeps its
    /// decision; its operation is noted as gone. False if `host` has no such
    /// request.
    pub(crate) async fn withdraw_request(
        &self,
        id: &str,
        host: Uuid,
        reason: &str,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        match state_of(&mut change, id, host).await? {
            None => return Ok(false),
            Some(State::Pending) => {
                withdraw(&mut change, id, reason, now).await?;
            }
            // Said before.
            Some(State::Withdrawn) => return Ok(true),
            Some(State::Approved | State::Denied | State::Flagged | State::Expired) => {
                let gone = Report {
                    outcome: Outcome::Gone,
                    detail: reason,
                    closes: Event::Withdrawn,
                };
                set_outcome(&mut change, id, &gone, now).await?;
            }
        }
        change.commit().await?;
        Ok(true)
    }

    /// Stores what `host` reports about a request of its own. The first report
    /// stays. Answers the state the request was in, none if `host` has no such
    /// request.
    pub(crate) async fn report_outcome(
        &self,
        id: &str,
        host: Uuid,
        report: &Report<'_>,
        now: Millis,
    ) -> Result<Option<State>, StoreError> {
        let mut change = self.begin().await?;
        let Some(state) = state_of(&mut change, id, host).await? else {
            return Ok(None);
        };
        match report.closes {
            Event::DeadlinePassed => expire(&mut change, id, now).await?,
            _ => withdraw(&mut change, id, "", now).await?,
        };
        set_outcome(&mut change, id, report, now).await?;
        change.commit().await?;
        Ok(Some(state))
    }
}

/// Whether `host` has `limit` pending requests.
async fn is_full(
    change: &mut Transaction<'_, Sqlite>,
    host: Uuid,
    limit: u32,
) -> Result<bool, sqlx::Error> {
    let pending: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM requests WHERE host_id = ? AND state = 'pending'")
            .bind(host.to_string())
            .fetch_one(&mut **change)
            .await?;
    Ok(pending >= i64::from(limit))
}

/// Adds `request` as part of `change`: pending, or flagged if there is a flag on
/// its operation.
async fn insert(
    change: &mut Transaction<'_, Sqlite>,
    request: &NewRequest<'_>,
    flag: Option<&str>,
) -> Result<(), sqlx::Error> {
    let session = request.context.session.clone().unwrap_or_default();
    let rule = request.context.rule.clone().unwrap_or_default();
    let state = match flag {
        None => State::Pending,
        Some(_) => State::Flagged,
    };
    sqlx::query(
        "INSERT INTO requests
             (revision, id, host_id, digest, operation_digest, context, kind, session_id, profile,
              owner, rule, search, held_at, created_at, deadline, state, closed_at,
              outcome_detail)
         VALUES ((SELECT COALESCE(MAX(revision), 0) + 1 FROM requests),
                 ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(request.id)
    .bind(request.host_id.to_string())
    .bind(request.digest)
    .bind(request.operation_digest.as_slice())
    .bind(request.context.encode_to_vec())
    .bind(request.kind)
    .bind(session.id)
    .bind(session.profile)
    .bind(session.owner)
    .bind(rule.name)
    .bind(search::text(request.context))
    .bind(request.held_at.map(Millis::get))
    .bind(request.created_at.get())
    .bind(request.deadline.get())
    .bind(state.as_str())
    .bind(flag.map(|_| request.created_at.get()))
    .bind(flag.unwrap_or_default())
    .execute(&mut **change)
    .await?;
    Ok(())
}

/// Withdraws a request as part of `change`. False if it is not pending: then
/// nothing happens to it.
async fn withdraw(
    change: &mut Transaction<'_, Sqlite>,
    id: &str,
    reason: &str,
    now: Millis,
) -> Result<bool, StoreError> {
    let closed = close(change, id, Event::Withdrawn, reason, now).await?;
    if closed {
        let withdrawn = AuditRecord::Withdrawn {
            request: record::request(change, id).await?,
            reason: reason.to_owned(),
        };
        events::append(change, now, &withdrawn).await?;
    }
    Ok(closed)
}

/// Expires a request as part of `change`. False if it is not pending: then
/// nothing happens to it.
async fn expire(
    change: &mut Transaction<'_, Sqlite>,
    id: &str,
    now: Millis,
) -> Result<bool, StoreError> {
    let closed = close(change, id, Event::DeadlinePassed, "", now).await?;
    if closed {
        let request = record::request(change, id).await?;
        events::append(change, now, &AuditRecord::Expired { request }).await?;
    }
    Ok(closed)
}

/// Closes a request by `event` as part of `change`. False if it is not pending:
/// then nothing happens to it.
pub(super) async fn close(
    change: &mut Transaction<'_, Sqlite>,
    id: &str,
    event: Event,
    detail: &str,
    now: Millis,
) -> Result<bool, sqlx::Error> {
    let Ok(state) = State::Pending.after(event) else {
        return Ok(false);
    };
    let closed = sqlx::query(
        "UPDATE requests SET state = ?, closed_at = ?, outcome_detail = ?,
             revision = (SELECT MAX(revision) + 1 FROM requests)
         WHERE id = ? AND state = 'pending'",
    )
    .bind(state.as_str())
    .bind(now.get())
    .bind(detail)
    .bind(id)
    .execute(&mut **change)
    .await?;
    Ok(closed.rows_affected() == 1)
}

/// Notes an outcome, unless there is one.
async fn set_outcome(
    change: &mut Transaction<'_, Sqlite>,
    id: &str,
    report: &Report<'_>,
    now: Millis,
) -> Result<(), StoreError> {
    let set = sqlx::query(
        "UPDATE requests SET outcome = ?1, outcome_at = ?2,
             outcome_detail = CASE WHEN ?3 = '' THEN outcome_detail ELSE ?3 END,
             revision = (SELECT MAX(revision) + 1 FROM requests)
         WHERE id = ?4 AND outcome IS NULL",
    )
    .bind(report.outcome.as_str())
    .bind(now.get())
    .bind(report.detail)
    .bind(id)
    .execute(&mut **change)
    .await?;
    if set.rows_affected() == 1 {
        let reported = AuditRecord::OutcomeReported {
            request: record::request(change, id).await?,
            outcome: report.outcome.into(),
            detail: report.detail.to_owned(),
            expired: report.closes == Event::DeadlinePassed,
        };
        events::append(change, now, &reported).await?;
    }
    Ok(())
}

/// Where a request of `host` stands, none if `host` has no such request.
async fn state_of(
    change: &mut Transaction<'_, Sqlite>,
    id: &str,
    host: Uuid,
) -> Result<Option<State>, sqlx::Error> {
    let state: Option<String> =
        sqlx::query_scalar("SELECT state FROM requests WHERE id = ? AND host_id = ?")
            .bind(id)
            .bind(host.to_string())
            .fetch_optional(&mut **change)
            .await?;
    state.map(|state| parse("state", &state)).transpose()
}

impl From<Outcome> for v1::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Released => Self::Released,
            Outcome::Refused => Self::Refused,
            Outcome::Gone => Self::Gone,
        }
    }
}

impl FromRow<'_, SqliteRow> for Request {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let id: String = row.try_get("id")?;
        let context: &[u8] = row.try_get("context")?;
        let outcome: Option<&str> = row.try_get("outcome")?;
        Ok(Self {
            seq: row.try_get("seq")?,
            revision: row.try_get("revision")?,
            host_id: parse("host_id", row.try_get("host_id")?)?,
            hostname: row.try_get("hostname")?,
            digest: row.try_get("digest")?,
            operation_digest: row.try_get("operation_digest")?,
            context: RequestContext::decode(context).map_err(|e| decode("context", e))?,
            owner: row.try_get("owner")?,
            created_at: Millis::new(row.try_get("created_at")?),
            deadline: Millis::new(row.try_get("deadline")?),
            state: parse("state", row.try_get("state")?)?,
            outcome: outcome.map(|text| parse("outcome", text)).transpose()?,
            outcome_detail: row.try_get("outcome_detail")?,
            decision: decisions::joined(row, &id)?,
            id,
        })
    }
}

#[cfg(test)]
pub(in crate::store) mod tests;
