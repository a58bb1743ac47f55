//! Grants: what approvals gave, and what became of it.
//!
//! What was given is written once, with its decision. Everything else follows
//! [`State::after`]; the host's word about uses only ever counts up, so that it
//! may come late, twice or out of order.

mod hello;
mod list;

use std::time::Duration;

use holdpoint_proto::v1::{GrantChange, GrantEvent, Operation, RequestContext, Session};
use prost::Message as _;
use sqlx::{FromRow, Row as _, Sqlite, SqliteConnection, Transaction, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Store, StoreError, TOGETHER, decisions::Decision, decode, events, parse, record};
use crate::domain::{
    audit::{Actor, AuditRecord, RequestRef},
    grant::{Event, Grant, State, Terms},
    time::Millis,
};

pub(crate) use list::Page;

/// A grant with where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) seq: i64,
    pub(crate) signed: Grant,
    pub(crate) request_id: String,
    pub(crate) host_id: Uuid,
    pub(crate) hostname: String,
    pub(crate) session: Session,
    pub(crate) operation: Operation,
    pub(crate) reviewer: String,
    pub(crate) since: Millis,
    /// As far as the host has told.
    pub(crate) uses: u64,
    pub(crate) state: State,
    pub(crate) revoked_by: Option<String>,
}

/// What is kept as the name of whoever revokes from the approver's own command
/// line. No account can have it.
const LOCAL: &str = "(operator)";

/// Who revokes a grant, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Revocation<'a> {
    pub(crate) by: &'a Actor,
    pub(crate) reason: &'a str,
    pub(crate) at: Millis,
}

impl Store {
    /// Revokes grant `id`. False if it is not active: then nothing happens.
    pub(crate) async fn revoke_grant(
        &self,
        id: &str,
        revocation: Revocation<'_>,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let revoked = revoke(&mut change, id, revocation).await?;
        change.commit().await?;
        Ok(revoked)
    }

    /// Ends grants whose time is up. Answers which; none if there is none left.
    pub(crate) async fn end_grants(&self, now: Millis) -> Result<Vec<String>, StoreError> {
        // Looking needs no write lock, and there is mostly nothing to do.
        let due: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM grants WHERE state IN ('active', 'revoking') AND expires_at <= ?
             ORDER BY expires_at LIMIT ?",
        )
        .bind(now.get())
        .bind(TOGETHER)
        .fetch_all(&self.read)
        .await?;
        if due.is_empty() {
            return Ok(due);
        }
        let mut change = self.begin().await?;
        let mut ended = Vec::with_capacity(due.len());
        for id in due {
            if end(&mut change, &id, Event::TimeUp, now).await? {
                record_end(&mut change, &id, "its time is up", now).await?;
                ended.push(id);
            }
        }
        change.commit().await?;
        Ok(ended)
    }

    /// When the next grant ends.
    pub(crate) async fn next_grant_end(&self) -> Result<Option<Millis>, StoreError> {
        let sql = "SELECT MIN(expires_at) FROM grants WHERE state IN ('active', 'revoking')";
        let next: Option<i64> = sqlx::query_scalar(sql).fetch_one(&self.read).await?;
        Ok(next.map(Millis::new))
    }
}

/// Notes what the host `host_id` tells of one of its grants, as part of the change that
/// `conn` is in. What it tells of others means nothing.
pub(crate) async fn told(
    conn: &mut SqliteConnection,
    host_id: &str,
    event: &GrantEvent,
    now: Millis,
) -> Result<(), StoreError> {
    let known: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM grants JOIN requests ON requests.id = grants.request_id
         WHERE grants.id = ? AND requests.host_id = ?",
    )
    .bind(&event.grant_id)
    .bind(host_id)
    .fetch_optional(&mut *conn)
    .await?;
    if known.is_none() {
        tracing::warn!(grant.id = ?event.grant_id, host.id = host_id, "news of an unknown grant");
        return Ok(());
    }
    sqlx::query("UPDATE grants SET uses = MAX(uses, ?) WHERE id = ?")
        .bind(i64::try_from(event.uses).unwrap_or(i64::MAX))
        .bind(&event.grant_id)
        .execute(&mut *conn)
        .await?;
    match event.change() {
        GrantChange::Ended | GrantChange::Revoked => {
            end(conn, &event.grant_id, Event::HostEnded, now).await?;
        }
        GrantChange::Active | GrantChange::Used | GrantChange::Unspecified => {}
    }
    Ok(())
}

/// Adds the grant of a request that is approved by `change`.
pub(super) async fn insert(
    change: &mut Transaction<'_, Sqlite>,
    decision: &Decision,
    grant: &Grant,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO grants (id, request_id, scope, ttl_ms, expires_at, max_uses)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(&grant.id)
    .bind(&decision.request_id)
    .bind(grant.terms.scope.as_str())
    .bind(i64::try_from(grant.terms.ttl.as_millis()).unwrap_or(i64::MAX))
    .bind(grant.expires_at.get())
    .bind(grant.terms.max_uses)
    .execute(&mut **change)
    .await?;
    let issued = AuditRecord::GrantIssued {
        request: record::request(change, &decision.request_id).await?,
        grant: grant.clone().into(),
        reviewer: decision.reviewer.clone(),
    };
    events::append(change, decision.decided_at, &issued).await?;
    Ok(())
}

/// Revokes every active grant on an operation, as part of `change`.
pub(super) async fn revoke_for(
    change: &mut Transaction<'_, Sqlite>,
    operation_digest: &[u8],
    revocation: Revocation<'_>,
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let active: Vec<(String, String)> = sqlx::query_as(
        "SELECT requests.host_id, grants.id FROM grants
         JOIN requests ON requests.id = grants.request_id
         WHERE grants.state = 'active' AND requests.operation_digest = ?",
    )
    .bind(operation_digest)
    .fetch_all(&mut **change)
    .await?;
    revoke_all(change, active, revocation).await
}

/// Revokes every active grant of a host that is shut out by `change`.
pub(super) async fn revoke_of_host(
    change: &mut Transaction<'_, Sqlite>,
    host: Uuid,
    revocation: Revocation<'_>,
) -> Result<(), StoreError> {
    let active: Vec<(String, String)> = sqlx::query_as(
        "SELECT requests.host_id, grants.id FROM grants
         JOIN requests ON requests.id = grants.request_id
         WHERE grants.state = 'active' AND requests.host_id = ?",
    )
    .bind(host.to_string())
    .fetch_all(&mut **change)
    .await?;
    revoke_all(change, active, revocation).await.map(drop)
}

async fn revoke_all(
    change: &mut Transaction<'_, Sqlite>,
    active: Vec<(String, String)>,
    revocation: Revocation<'_>,
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let mut revoked = Vec::with_capacity(active.len());
    for (host, id) in active {
        revoke(change, &id, revocation).await?;
        revoked.push((parse("host_id", &host)?, id));
    }
    Ok(revoked)
}

async fn revoke(
    conn: &mut SqliteConnection,
    id: &str,
    revocation: Revocation<'_>,
) -> Result<bool, StoreError> {
    let Some(state) = after(conn, id, Event::Revoked).await? else {
        return Ok(false);
    };
    sqlx::query(
        "UPDATE grants SET state = ?, revoked_at = ?, revoked_by = ?, revoke_reason = ?
         WHERE id = ?",
    )
    .bind(state.as_str())
    .bind(revocation.at.get())
    .bind(match revocation.by {
        Actor::Person(name) | Actor::Tool { person: name, .. } => name.as_str(),
        Actor::Local => LOCAL,
    })
    .bind(revocation.reason)
    .bind(id)
    .execute(&mut *conn)
    .await?;
    let revoked = AuditRecord::GrantRevoked {
        request: of(conn, id).await?,
        grant_id: id.to_owned(),
        by: revocation.by.clone(),
        reason: revocation.reason.to_owned(),
    };
    events::append(conn, revocation.at, &revoked).await?;
    Ok(true)
}

/// The request that grant `id` came from.
async fn of(conn: &mut SqliteConnection, id: &str) -> Result<RequestRef, StoreError> {
    let request: String = sqlx::query_scalar("SELECT request_id FROM grants WHERE id = ?")
        .bind(id)
        .fetch_one(&mut *conn)
        .await?;
    record::request(conn, &request).await
}

/// Records the end of grant `id`, where its host did not tell of it itself.
async fn record_end(
    conn: &mut SqliteConnection,
    id: &str,
    detail: &str,
    at: Millis,
) -> Result<(), StoreError> {
    let uses: i64 = sqlx::query_scalar("SELECT uses FROM grants WHERE id = ?")
        .bind(id)
        .fetch_one(&mut *conn)
        .await?;
    let ended = AuditRecord::GrantEnded {
        request: of(conn, id).await?,
        grant_id: id.to_owned(),
        uses: uses.unsigned_abs(),
        detail: detail.to_owned(),
    };
    events::append(conn, at, &ended).await?;
    Ok(())
}

/// Ends grant `id` by `event`. False if that changes nothing.
async fn end(
    conn: &mut SqliteConnection,
    id: &str,
    event: Event,
    at: Millis,
) -> Result<bool, sqlx::Error> {
    let Some(state) = after(conn, id, event).await? else {
        return Ok(false);
    };
    sqlx::query("UPDATE grants SET state = ?, ended_at = ? WHERE id = ?")
        .bind(state.as_str())
        .bind(at.get())
        .bind(id)
        .execute(&mut *conn)
        .await?;
    Ok(true)
}

/// The state of grant `id` after `event`; none if that changes nothing.
async fn after(
    conn: &mut SqliteConnection,
    id: &str,
    event: Event,
) -> Result<Option<State>, sqlx::Error> {
    let state: Option<String> = sqlx::query_scalar("SELECT state FROM grants WHERE id = ?")
        .bind(id)
        .fetch_optional(&mut *conn)
        .await?;
    let state: Option<State> = state.map(|state| parse("state", &state)).transpose()?;
    Ok(state.and_then(|state| state.after(event)))
}

/// What was signed of the grant of a row.
pub(super) fn signed(row: &SqliteRow, id: String) -> Result<Grant, sqlx::Error> {
    let ttl: i64 = row.try_get("ttl_ms")?;
    Ok(Grant {
        id,
        terms: Terms {
            scope: parse("scope", row.try_get("scope")?)?,
            ttl: Duration::from_millis(ttl.unsigned_abs()),
            max_uses: row.try_get("max_uses")?,
        },
        expires_at: Millis::new(row.try_get("expires_at")?),
    })
}

impl FromRow<'_, SqliteRow> for Issued {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let context: &[u8] = row.try_get("context")?;
        let context = RequestContext::decode(context).map_err(|e| decode("context", e))?;
        Ok(Self {
            seq: row.try_get("seq")?,
            signed: signed(row, row.try_get("id")?)?,
            request_id: row.try_get("request_id")?,
            host_id: parse("host_id", row.try_get("host_id")?)?,
            hostname: row.try_get("hostname")?,
            session: context.session.unwrap_or_default(),
            operation: context.operation.unwrap_or_default(),
            reviewer: row.try_get("reviewer")?,
            since: Millis::new(row.try_get("decided_at")?),
            uses: row.try_get::<i64, _>("uses")?.unsigned_abs(),
            state: parse("state", row.try_get("state")?)?,
            revoked_by: row.try_get("revoked_by")?,
        })
    }
}

#[cfg(test)]
mod tests;
