//! Decisions: what people answered, as it was signed, with all that an answer
//! changes beside its own request.

use holdpoint_proto::v1;
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Store, StoreError, events, flags, grants, parse, record, requests};
use crate::domain::{
    account::Role,
    audit::AuditRecord,
    grant::{Grant, Scope},
    request::{Event, Verdict},
    time::Millis,
};

/// A signed decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Decision {
    pub(crate) request_id: String,
    pub(crate) digest: Vec<u8>,
    pub(crate) verdict: Verdict,
    pub(crate) reviewer: String,
    pub(crate) reason: String,
    pub(crate) decided_at: Millis,
    pub(crate) signature: Vec<u8>,
    /// Id of the API token, if a tool decides with it now; only for the record.
    pub(crate) token: Option<String>,
    /// Of an approval; none: once.
    pub(crate) grant: Option<Grant>,
}

/// What makes a call that comes twice the same call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CallKey {
    pub(crate) key: String,
    /// SHA-256 of everything else in the call.
    pub(crate) content: [u8; 32],
}

/// What became of an attempt to decide.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Decided {
    /// It is recorded.
    Recorded {
        /// Grants that were revoked with it, and their hosts, which have to hear
        /// of it.
        revoked: Vec<(Uuid, String)>,
    },
    /// The reviewer's account has this role by now, or is gone.
    NotAllowed(Option<Role>),
    /// The request is not pending any more, or is about to be closed: its deadline
    /// has passed, its host is revoked, its operation may not be approved because
    /// it is flagged.
    TooLate,
    /// The reviewer has used the key before.
    KeyUsed(UsedKey),
}

/// The call that a key was used for before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct UsedKey {
    pub(crate) request_id: String,
    pub(crate) content: Vec<u8>,
}

impl Store {
    /// Records `decision` and closes its request, with its grant or flag: all or
    /// nothing.
    pub(crate) async fn decide(
        &self,
        decision: &Decision,
        key: Option<&CallKey>,
    ) -> Result<Decided, StoreError> {
        let mut change = self.begin().await?;
        if let Some(key) = key
            && let Some(used) = used_key(&mut *change, &decision.reviewer, &key.key).await?
        {
            change.rollback().await?;
            return Ok(Decided::KeyUsed(used));
        }
        let role = role(&mut change, &decision.reviewer).await?;
        if !role.is_some_and(Role::may_decide) {
            change.rollback().await?;
            return Ok(Decided::NotAllowed(role));
        }
        let event = Event::Decided(decision.verdict);
        let (id, at) = (decision.request_id.as_str(), decision.decided_at);
        if !is_open(&mut change, decision).await?
            || !requests::close(&mut change, id, event, "", at).await?
        {
            change.rollback().await?;
            return Ok(Decided::TooLate);
        }
        insert(&mut change, decision, key).await?;
        let decided = AuditRecord::Decided {
            request: record::request(&mut change, id).await?,
            verdict: decision.verdict.into(),
            reviewer: decision.reviewer.clone(),
            token: decision.token.clone(),
            reason: decision.reason.clone(),
            grant: decision.grant.clone().map(v1::Grant::from),
        };
        events::append(&mut change, at, &decided).await?;
        if let Some(grant) = &decision.grant {
            grants::insert(&mut change, decision, grant).await?;
        }
        let revoked = if decision.verdict == Verdict::Flag {
            flags::set(&mut change, decision).await?
        } else {
            Vec::new()
        };
        change.commit().await?;
        Ok(Decided::Recorded { revoked })
    }

    /// The call that `reviewer` has used `key` for.
    pub(crate) async fn used_key(
        &self,
        reviewer: &str,
        key: &str,
    ) -> Result<Option<UsedKey>, StoreError> {
        Ok(used_key(&self.read, reviewer, key).await?)
    }
}

/// The role of an account now; none if there is no such account.
async fn role(
    change: &mut Transaction<'_, Sqlite>,
    name: &str,
) -> Result<Option<Role>, sqlx::Error> {
    let role: Option<String> = sqlx::query_scalar("SELECT role FROM users WHERE name = ?")
        .bind(name)
        .fetch_optional(&mut **change)
        .await?;
    role.map(|role| parse("role", &role)).transpose()
}

/// Whether nothing stands against `decision` that closes its request anyway.
async fn is_open(
    change: &mut Transaction<'_, Sqlite>,
    decision: &Decision,
) -> Result<bool, sqlx::Error> {
    let (id, at) = (decision.request_id.as_str(), decision.decided_at);
    let in_time: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM requests JOIN hosts ON hosts.id = requests.host_id
         WHERE requests.id = ? AND requests.deadline > ? AND hosts.revoked_at IS NULL",
    )
    .bind(id)
    .bind(at.get())
    .fetch_optional(&mut **change)
    .await?;
    if in_time.is_none() {
        return Ok(false);
    }
    let approves = decision.verdict == Verdict::Approve;
    Ok(!approves || flags::of_request(change, id).await?.is_none())
}

async fn used_key(
    executor: impl sqlx::Executor<'_, Database = Sqlite>,
    reviewer: &str,
    key: &str,
) -> Result<Option<UsedKey>, sqlx::Error> {
    let used: Option<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT request_id, idempotency_sha256 FROM decisions
         WHERE reviewer = ? AND idempotency_key = ?",
    )
    .bind(reviewer)
    .bind(key)
    .fetch_optional(executor)
    .await?;
    Ok(used.map(|(request_id, content)| UsedKey {
        request_id,
        content,
    }))
}

async fn insert(
    change: &mut Transaction<'_, Sqlite>,
    decision: &Decision,
    key: Option<&CallKey>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO decisions
             (request_id, digest, verdict, reviewer, reason, decided_at, signature,
              idempotency_key, idempotency_sha256)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&decision.request_id)
    .bind(&decision.digest)
    .bind(decision.verdict.as_str())
    .bind(&decision.reviewer)
    .bind(&decision.reason)
    .bind(decision.decided_at.get())
    .bind(&decision.signature)
    .bind(key.map(|key| key.key.as_str()))
    .bind(key.map(|key| key.content.to_vec()))
    .execute(&mut **change)
    .await?;
    Ok(())
}

/// The columns of a decision and its grant, for [`decision_joins`].
macro_rules! decision_columns {
    () => {
        "decisions.digest AS decision_digest, decisions.verdict, decisions.reviewer,
         decisions.reason, decisions.decided_at, decisions.signature,
         grants.id AS grant_id, grants.scope, grants.ttl_ms, grants.expires_at, grants.max_uses"
    };
}
pub(super) use decision_columns;

/// Joins a request with its decision and grant, if it has any.
macro_rules! decision_joins {
    () => {
        " LEFT JOIN decisions ON decisions.request_id = requests.id
          LEFT JOIN grants ON grants.request_id = requests.id "
    };
}
pub(super) use decision_joins;

/// The decision of a joined row, none if the request has none.
pub(super) fn joined(row: &SqliteRow, request_id: &str) -> Result<Option<Decision>, sqlx::Error> {
    let Some(verdict) = row.try_get::<Option<&str>, _>("verdict")? else {
        return Ok(None);
    };
    let grant = match row.try_get::<Option<String>, _>("grant_id")? {
        Some(id) => Some(grants::signed(row, id)?),
        None => None,
    };
    Ok(Some(Decision {
        request_id: request_id.to_owned(),
        digest: row.try_get("decision_digest")?,
        verdict: parse("verdict", verdict)?,
        reviewer: row.try_get("reviewer")?,
        reason: row.try_get("reason")?,
        decided_at: Millis::new(row.try_get("decided_at")?),
        signature: row.try_get("signature")?,
        token: None,
        grant,
    }))
}

impl From<Decision> for v1::Decision {
    fn from(decision: Decision) -> Self {
        Self {
            request_id: decision.request_id,
            digest: decision.digest,
            verdict: v1::Verdict::from(decision.verdict).into(),
            reviewer: decision.reviewer,
            reason: decision.reason,
            decided_at: Some(decision.decided_at.into()),
            signature: decision.signature,
            grant: decision.grant.map(v1::Grant::from),
        }
    }
}

impl From<Verdict> for v1::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Approve => Self::Approve,
            Verdict::Deny => Self::Deny,
            Verdict::Flag => Self::Flag,
        }
    }
}

impl From<Grant> for v1::Grant {
    fn from(grant: Grant) -> Self {
        let scope = match grant.terms.scope {
            Scope::Process => v1::GrantScope::Process,
            Scope::Session => v1::GrantScope::Session,
        };
        Self {
            id: grant.id,
            scope: scope.into(),
            // Fails for more than 10,000 years, which no rule allows.
            ttl: prost_types::Duration::try_from(grant.terms.ttl).ok(),
            expires_at: Some(grant.expires_at.into()),
            max_uses: grant.terms.max_uses,
        }
    }
}
