//! Enrolment tokens: each lets one host in, once, for a while. Kept as hashes.

use sqlx::{FromRow, Row as _, sqlite::SqliteRow};

use super::{
    Store, StoreError, events,
    hosts::{self, NewHost},
    record,
};
use crate::domain::{
    audit::{Actor, AuditRecord},
    secret::SecretHash,
    time::Millis,
};

/// An enrolment token, without its secret.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) created_at: Millis,
    pub(crate) expires_at: Millis,
    pub(crate) used_at: Option<Millis>,
    /// The host that used it.
    pub(crate) host_id: Option<String>,
}

/// A token that is made now.
#[derive(Clone, Debug)]
pub(crate) struct NewToken {
    pub(crate) id: String,
    pub(crate) secret_hash: SecretHash,
    pub(crate) label: String,
    pub(crate) created_at: Millis,
    pub(crate) expires_at: Millis,
}

impl Store {
    /// Adds a token.
    pub(crate) async fn add_token(&self, token: &NewToken, by: &Actor) -> Result<(), StoreError> {
        let mut change = self.begin().await?;
        sqlx::query(
            "INSERT INTO enrolment_tokens (id, secret_sha256, label, created_at, expires_at)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&token.id)
        .bind(token.secret_hash.as_slice())
        .bind(&token.label)
        .bind(token.created_at.get())
        .bind(token.expires_at.get())
        .execute(&mut *change)
        .await?;
        let made = AuditRecord::TokenMade {
            id: token.id.clone(),
            label: token.label.clone(),
            expires_at: token.expires_at.get(),
            by: by.clone(),
        };
        events::append(&mut change, token.created_at, &made).await?;
        change.commit().await?;
        Ok(())
    }

    /// Removes token `id`, unless it was used: then it says how a host came in.
    /// False if there is none to remove.
    pub(crate) async fn remove_token(
        &self,
        id: &str,
        by: &Actor,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let label: Option<String> = sqlx::query_scalar(
            "DELETE FROM enrolment_tokens WHERE id = ? AND used_at IS NULL RETURNING label",
        )
        .bind(id)
        .fetch_optional(&mut *change)
        .await?;
        let Some(label) = label else {
            return Ok(false);
        };
        let revoked = AuditRecord::TokenRevoked {
            id: id.to_owned(),
            label,
            by: by.clone(),
        };
        events::append(&mut change, now, &revoked).await?;
        change.commit().await?;
        Ok(true)
    }

    /// The token with this secret.
    pub(crate) async fn token(&self, hash: &SecretHash) -> Result<Option<Token>, StoreError> {
        let token = sqlx::query_as("SELECT * FROM enrolment_tokens WHERE secret_sha256 = ?")
            .bind(hash.as_slice())
            .fetch_optional(&self.read)
            .await?;
        Ok(token)
    }

    /// Every token, newest first.
    pub(crate) async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let tokens = sqlx::query_as("SELECT * FROM enrolment_tokens ORDER BY created_at DESC, id")
            .fetch_all(&self.read)
            .await?;
        Ok(tokens)
    }

    /// Uses the token with this secret up and adds `host`, both or neither.
    /// False if the token is unknown, used or expired by now.
    pub(crate) async fn enrol(
        &self,
        hash: &SecretHash,
        host: &NewHost,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        hosts::insert(&mut change, host, now).await?;
        let used = sqlx::query(
            "UPDATE enrolment_tokens SET used_at = ?1, host_id = ?2
             WHERE secret_sha256 = ?3 AND used_at IS NULL AND expires_at > ?1",
        )
        .bind(now.get())
        .bind(host.id.to_string())
        .bind(hash.as_slice())
        .execute(&mut *change)
        .await?
        .rows_affected();
        if used == 1 {
            let token_label =
                sqlx::query_scalar("SELECT label FROM enrolment_tokens WHERE secret_sha256 = ?")
                    .bind(hash.as_slice())
                    .fetch_one(&mut *change)
                    .await?;
            let enrolled = AuditRecord::HostEnrolled {
                host: record::host(&mut change, host.id).await?,
                token_label,
            };
            events::append(&mut change, now, &enrolled).await?;
            change.commit().await?;
        } else {
            change.rollback().await?;
        }
        Ok(used == 1)
    }
}

impl FromRow<'_, SqliteRow> for Token {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            label: row.try_get("label")?,
            created_at: Millis::new(row.try_get("created_at")?),
            expires_at: Millis::new(row.try_get("expires_at")?),
            used_at: row.try_get::<Option<i64>, _>("used_at")?.map(Millis::new),
            host_id: row.try_get("host_id")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::open::tests::store;

    fn host() -> NewHost {
        NewHost {
            id: Uuid::now_v7(),
            hostname: "h".into(),
            certificate_serial: "1".into(),
            certificate_expires_at: Millis::new(1000),
        }
    }

    #[tokio::test]
    async fn a_revoked_token_lets_nobody_in_and_says_who_revoked_it() {
        let (store, _directory) = store().await;
        let token = |id: &str, secret| NewToken {
            id: id.into(),
            secret_hash: [secret; 32],
            label: "web".into(),
            created_at: Millis::new(0),
            expires_at: Millis::new(100),
        };
        let by = Actor::Person("ada".into());
        for token in [token("used", 1), token("spare", 2)] {
            store.add_token(&token, &Actor::Local).await.unwrap();
        }
        let now = Millis::new(1);
        assert!(store.enrol(&[1; 32], &host(), now).await.unwrap());
        let before = store.count().await.unwrap();
        for id in ["used", "nothing"] {
            assert!(!store.remove_token(id, &by, now).await.unwrap(), "{id}");
        }
        assert_eq!(store.count().await.unwrap(), before, "nothing changed");
        assert!(store.remove_token("spare", &by, now).await.unwrap());
        assert!(!store.enrol(&[2; 32], &host(), now).await.unwrap());
        let records = store.records(before, 9).await.unwrap();
        let [record] = records.as_slice() else {
            panic!("{records:?}");
        };
        let record: serde_json::Value = serde_json::from_slice(&record.json).unwrap();
        assert_eq!(record["message"], "enrolment token web revoked");
        assert_eq!(record["entity"]["uid"], "spare");
        assert_eq!(record["actor"]["user"]["name"], "ada");
    }

    #[tokio::test]
    async fn racing_hosts_get_one_enrolment_and_leave_no_trace_otherwise() {
        let (store, _directory) = store().await;
        let token = NewToken {
            id: "t".into(),
            secret_hash: [7; 32],
            label: String::new(),
            created_at: Millis::new(0),
            expires_at: Millis::new(100),
        };
        store.add_token(&token, &Actor::Local).await.unwrap();
        assert!(
            !store
                .enrol(&[7; 32], &host(), Millis::new(100))
                .await
                .unwrap(),
            "expired"
        );
        assert!(
            !store
                .enrol(&[8; 32], &host(), Millis::new(1))
                .await
                .unwrap(),
            "unknown"
        );
        let mut racing = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let store = store.clone();
            racing.spawn(async move { store.enrol(&[7; 32], &host(), Millis::new(1)).await });
        }
        let results = racing.join_all().await;
        assert_eq!(
            results
                .into_iter()
                .filter(|won| *won.as_ref().unwrap())
                .count(),
            1
        );
        assert_eq!(store.hosts().await.unwrap().len(), 1);
    }
}
