//! Decisions: what people answered, as it was signed.

use holdpoint_proto::v1;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{Store, StoreError, parse, requests};
use crate::domain::{
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
}

impl Store {
    /// Records `decision` and closes its request, both or neither. False if the
    /// request is not pending any more or its deadline has passed.
    pub(crate) async fn decide(&self, decision: &Decision) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let in_time: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM requests WHERE id = ? AND deadline > ?")
                .bind(&decision.request_id)
                .bind(decision.decided_at.get())
                .fetch_optional(&mut *change)
                .await?;
        let event = Event::Decided(decision.verdict);
        let closed = in_time.is_some()
            && requests::close(
                &mut change,
                &decision.request_id,
                event,
                "",
                decision.decided_at,
            )
            .await?;
        if !closed {
            change.rollback().await?;
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO decisions
                 (request_id, digest, verdict, reviewer, reason, decided_at, signature)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&decision.request_id)
        .bind(&decision.digest)
        .bind(decision.verdict.as_str())
        .bind(&decision.reviewer)
        .bind(&decision.reason)
        .bind(decision.decided_at.get())
        .bind(&decision.signature)
        .execute(&mut *change)
        .await?;
        change.commit().await?;
        Ok(true)
    }
}

/// The columns of a decision, for a `LEFT JOIN`.
macro_rules! decision_columns {
    () => {
        "decisions.digest AS decision_digest, decisions.verdict, decisions.reviewer,
         decisions.reason, decisions.decided_at, decisions.signature"
    };
}
pub(super) use decision_columns;

/// The decision of a joined row, none if the request has none.
pub(super) fn joined(row: &SqliteRow, request_id: &str) -> Result<Option<Decision>, sqlx::Error> {
    let Some(verdict) = row.try_get::<Option<&str>, _>("verdict")? else {
        return Ok(None);
    };
    Ok(Some(Decision {
        request_id: request_id.to_owned(),
        digest: row.try_get("decision_digest")?,
        verdict: parse("verdict", verdict)?,
        reviewer: row.try_get("reviewer")?,
        reason: row.try_get("reason")?,
        decided_at: Millis::new(row.try_get("decided_at")?),
        signature: row.try_get("signature")?,
    }))
}

impl From<Decision> for v1::Decision {
    fn from(decision: Decision) -> Self {
        let verdict = match decision.verdict {
            Verdict::Approve => v1::Verdict::Approve,
            Verdict::Deny => v1::Verdict::Deny,
        };
        Self {
            request_id: decision.request_id,
            digest: decision.digest,
            verdict: verdict.into(),
            reviewer: decision.reviewer,
            reason: decision.reason,
            decided_at: Some(decision.decided_at.into()),
            signature: decision.signature,
        }
    }
}
