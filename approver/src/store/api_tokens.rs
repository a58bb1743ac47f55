//! Tokens for tools: each acts as its person, with at most its own role, until
//! it expires or is revoked.

use sqlx::{FromRow, Row as _, sqlite::SqliteRow};

use super::{Store, StoreError, events, logins::Login, parse};
use crate::domain::{
    account::{AccountName, Role, Via},
    audit::{Actor, AuditRecord},
    secret::SecretHash,
    time::Millis,
};

/// A token, as lists show it.
#[derive(Clone, Debug)]
pub(crate) struct ApiToken {
    pub(crate) id: String,
    pub(crate) username: AccountName,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) created_at: Millis,
    pub(crate) expires_at: Millis,
}

impl Store {
    /// Adds `token` and forgets expired ones. False if its person has `limit`
    /// already, or no account any more.
    pub(crate) async fn add_api_token(
        &self,
        token: &ApiToken,
        hash: &SecretHash,
        limit: u32,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        sqlx::query("DELETE FROM api_tokens WHERE expires_at <= ?")
            .bind(token.created_at.get())
            .execute(&mut *change)
            .await?;
        let added = sqlx::query(
            "INSERT INTO api_tokens
                 (id, token_sha256, username, name, role, created_at, expires_at)
             SELECT ?, ?, users.name, ?, ?, ?, ? FROM users
             WHERE users.name = ?
               AND (SELECT COUNT(*) FROM api_tokens WHERE username = users.name) < ?",
        )
        .bind(&token.id)
        .bind(hash.as_slice())
        .bind(&token.name)
        .bind(token.role.as_str())
        .bind(token.created_at.get())
        .bind(token.expires_at.get())
        .bind(token.username.as_str())
        .bind(limit)
        .execute(&mut *change)
        .await?
        .rows_affected();
        if added == 1 {
            let record = AuditRecord::ApiTokenMade {
                id: token.id.clone(),
                name: token.name.clone(),
                username: token.username.to_string(),
                role: token.role.to_string(),
                expires_at: token.expires_at.get(),
            };
            events::append(&mut change, token.created_at, &record).await?;
        }
        change.commit().await?;
        Ok(added == 1)
    }

    /// The tokens of `username` that are good at `now`, newest first.
    pub(crate) async fn api_tokens(
        &self,
        username: &AccountName,
        now: Millis,
    ) -> Result<Vec<ApiToken>, StoreError> {
        let tokens = sqlx::query_as(
            "SELECT id, username, name, role, created_at, expires_at FROM api_tokens
             WHERE username = ? AND expires_at > ? ORDER BY created_at DESC, id DESC",
        )
        .bind(username.as_str())
        .bind(now.get())
        .fetch_all(&self.read)
        .await?;
        Ok(tokens)
    }

    /// Who calls with this token at `now`: its person, whose role it can only
    /// narrow.
    pub(crate) async fn api_login(
        &self,
        hash: &SecretHash,
        now: Millis,
    ) -> Result<Option<Login>, StoreError> {
        let login: Option<(String, String, String, String, i64)> = sqlx::query_as(
            "SELECT api_tokens.id, users.name, users.role, api_tokens.role, api_tokens.expires_at
             FROM api_tokens JOIN users ON users.name = api_tokens.username
             WHERE api_tokens.token_sha256 = ? AND api_tokens.expires_at > ?",
        )
        .bind(hash.as_slice())
        .bind(now.get())
        .fetch_optional(&self.read)
        .await?;
        let Some((id, username, role, cap, expires_at)) = login else {
            return Ok(None);
        };
        let (role, cap): (Role, Role) = (parse("role", &role)?, parse("role", &cap)?);
        Ok(Some(Login {
            username: parse("name", &username)?,
            role: role.min(cap),
            expires_at: Millis::new(expires_at),
            via: Via::ApiToken,
            token: Some(id),
        }))
    }

    /// Ends the token `id` of `username`, by themselves. False if there is none.
    pub(crate) async fn remove_api_token(
        &self,
        username: &AccountName,
        id: &str,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let name: Option<String> = sqlx::query_scalar(
            "DELETE FROM api_tokens WHERE id = ? AND username = ? RETURNING name",
        )
        .bind(id)
        .bind(username.as_str())
        .fetch_optional(&mut *change)
        .await?;
        let Some(name) = name else {
            return Ok(false);
        };
        let record = AuditRecord::ApiTokenRevoked {
            id: id.to_owned(),
            name,
            username: username.to_string(),
            by: Actor::Person(username.to_string()),
        };
        events::append(&mut change, now, &record).await?;
        change.commit().await?;
        Ok(true)
    }
}

impl FromRow<'_, SqliteRow> for ApiToken {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            username: parse("username", row.try_get("username")?)?,
            name: row.try_get("name")?,
            role: parse("role", row.try_get("role")?)?,
            created_at: Millis::new(row.try_get("created_at")?),
            expires_at: Millis::new(row.try_get("expires_at")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        open::tests::store,
        users::{Changed, User},
    };

    #[tokio::test]
    async fn a_token_narrows_its_person_and_ends_with_them() {
        let (store, _directory) = store().await;
        let name: AccountName = "ada".parse().unwrap();
        let user = User {
            name: name.clone(),
            role: Role::Reviewer,
            password_hash: "h1".into(),
            created_at: Millis::new(0),
        };
        assert!(store.add_user(&user, &Actor::Local).await.unwrap());
        let token = |id: &str, role| ApiToken {
            id: id.into(),
            username: name.clone(),
            name: "ci".into(),
            role,
            created_at: Millis::new(1),
            expires_at: Millis::new(10),
        };
        let add = async |id: &str, role, hash: [u8; 32]| {
            store
                .add_api_token(&token(id, role), &hash, 2)
                .await
                .unwrap()
        };
        assert!(add("a", Role::Viewer, [1; 32]).await);
        assert!(add("b", Role::Administrator, [2; 32]).await);
        assert!(!add("c", Role::Viewer, [3; 32]).await, "two are enough");
        let role = async |hash: [u8; 32], at| {
            let login = store.api_login(&hash, Millis::new(at)).await.unwrap();
            login.map(|login| login.role)
        };
        assert_eq!(role([1; 32], 2).await, Some(Role::Viewer));
        assert_eq!(
            role([2; 32], 2).await,
            Some(Role::Reviewer),
            "no more than ada"
        );
        assert_eq!(role([2; 32], 10).await, None, "expired");
        let login = store.api_login(&[2; 32], Millis::new(2)).await.unwrap();
        let by = login.map(|login| login.actor());
        let tool = Actor::Tool {
            person: "ada".into(),
            token: "b".into(),
        };
        assert_eq!(by, Some(tool), "records tell it from ada");

        let eve: AccountName = "eve".parse().unwrap();
        let now = Millis::new(2);
        assert!(!store.remove_api_token(&eve, "a", now).await.unwrap());
        assert!(store.remove_api_token(&name, "a", now).await.unwrap());
        // Ada was added, two were made, one was revoked.
        assert_eq!(store.count().await.unwrap(), 4);
        assert_eq!(role([1; 32], 2).await, None, "revoked");
        let left = store.api_tokens(&name, Millis::new(2)).await.unwrap();
        assert_eq!(left.len(), 1);

        assert_eq!(
            store
                .remove_user(&name, &Actor::Local, Millis::new(3))
                .await
                .unwrap(),
            Changed::Done
        );
        assert_eq!(role([2; 32], 2).await, None, "the person is gone");
    }
}
