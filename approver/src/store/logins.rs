//! Logins: bearer tokens and cookies of people, kept as hashes until they expire.

use std::net::IpAddr;

use sqlx::{FromRow, Row as _, sqlite::SqliteRow};

use super::{Store, StoreError, events, parse};
use crate::domain::{
    account::{AccountName, Role, Via},
    audit::{Actor, AuditRecord},
    secret::SecretHash,
    time::Millis,
};

/// A person who is logged in, with the role they have now.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) username: AccountName,
    pub(crate) role: Role,
    pub(crate) expires_at: Millis,
    pub(crate) via: Via,
    /// Id of the API token, if it is one.
    pub(crate) token: Option<String>,
}

/// A login that begins.
#[derive(Clone, Debug)]
pub(crate) struct NewLogin<'a> {
    /// Of its secret.
    pub(crate) hash: SecretHash,
    pub(crate) username: &'a AccountName,
    /// The one that was checked.
    pub(crate) password_hash: &'a str,
    pub(crate) via: Via,
    pub(crate) from: Option<IpAddr>,
    pub(crate) now: Millis,
    pub(crate) expires_at: Millis,
}

impl Login {
    /// Whoever it is, as records name them.
    pub(crate) fn actor(&self) -> Actor {
        let person = self.username.to_string();
        match &self.token {
            Some(token) => Actor::Tool {
                person,
                token: token.clone(),
            },
            None => Actor::Person(person),
        }
    }
}

impl Store {
    /// Adds a login and forgets expired ones. False if the account is gone or has
    /// another password than the one that was checked.
    pub(crate) async fn add_login(&self, login: &NewLogin<'_>) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        sqlx::query("DELETE FROM logins WHERE expires_at <= ?")
            .bind(login.now.get())
            .execute(&mut *change)
            .await?;
        let added = sqlx::query(
            "INSERT INTO logins (token_sha256, via, username, created_at, expires_at)
             SELECT ?, ?, name, ?, ? FROM users WHERE name = ? AND password_hash = ?",
        )
        .bind(login.hash.as_slice())
        .bind(login.via.as_str())
        .bind(login.now.get())
        .bind(login.expires_at.get())
        .bind(login.username.as_str())
        .bind(login.password_hash)
        .execute(&mut *change)
        .await?
        .rows_affected();
        if added == 1 {
            let logged_in = AuditRecord::LoggedIn {
                username: login.username.to_string(),
                from: login.from,
            };
            events::append(&mut change, login.now, &logged_in).await?;
        }
        change.commit().await?;
        Ok(added == 1)
    }

    /// Who is logged in with this token at `now`.
    pub(crate) async fn login(
        &self,
        hash: &SecretHash,
        now: Millis,
    ) -> Result<Option<Login>, StoreError> {
        let login = sqlx::query_as(
            "SELECT users.name, users.role, logins.expires_at, logins.via
             FROM logins JOIN users ON users.name = logins.username
             WHERE logins.token_sha256 = ? AND logins.expires_at > ?",
        )
        .bind(hash.as_slice())
        .bind(now.get())
        .fetch_optional(&self.read)
        .await?;
        Ok(login)
    }

    /// Ends a login.
    pub(crate) async fn remove_login(
        &self,
        hash: &SecretHash,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut change = self.begin().await?;
        let username: Option<String> =
            sqlx::query_scalar("DELETE FROM logins WHERE token_sha256 = ? RETURNING username")
                .bind(hash.as_slice())
                .fetch_optional(&mut *change)
                .await?;
        if let Some(username) = username {
            events::append(&mut change, now, &AuditRecord::LoggedOut { username }).await?;
        }
        change.commit().await?;
        Ok(())
    }

    /// Records that somebody was not let in as `username`.
    pub(crate) async fn login_refused(
        &self,
        username: &str,
        from: Option<IpAddr>,
        why: &str,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut change = self.begin().await?;
        let refused = AuditRecord::LoginRefused {
            username: username.to_owned(),
            from,
            why: why.to_owned(),
        };
        events::append(&mut change, now, &refused).await?;
        change.commit().await?;
        Ok(())
    }
}

impl FromRow<'_, SqliteRow> for Login {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            username: parse("name", row.try_get("name")?)?,
            role: parse("role", row.try_get("role")?)?,
            expires_at: Millis::new(row.try_get("expires_at")?),
            via: parse("via", row.try_get("via")?)?,
            token: None,
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
    async fn logins_end_by_time_password_removal_and_logout() {
        let (store, _directory) = store().await;
        let user = User {
            name: "ada".parse().unwrap(),
            role: Role::Reviewer,
            password_hash: "h1".into(),
            created_at: Millis::new(0),
        };
        assert!(store.add_user(&user, &Actor::Local).await.unwrap());
        assert!(
            !store.add_user(&user, &Actor::Local).await.unwrap(),
            "taken"
        );
        let (now, end) = (Millis::new(1), Millis::new(10));
        let add = async |hash: [u8; 32], password: &str| {
            let login = NewLogin {
                hash,
                username: &user.name,
                password_hash: password,
                via: Via::Cookie,
                from: None,
                now,
                expires_at: end,
            };
            store.add_login(&login).await.unwrap()
        };
        let known = async |hash: [u8; 32], at| store.login(&hash, at).await.unwrap().is_some();

        assert!(add([1; 32], "h1").await);
        assert!(known([1; 32], Millis::new(9)).await);
        assert!(!known([1; 32], end).await, "expired");
        assert!(!known([2; 32], now).await, "unknown");

        store.remove_login(&[1; 32], now).await.unwrap();
        assert!(!known([1; 32], now).await, "logged out");

        assert!(add([3; 32], "h1").await);
        assert!(
            store
                .set_password(&user.name, "h2", &Actor::Local, now)
                .await
                .unwrap()
        );
        assert!(!known([3; 32], now).await, "password changed");
        assert!(
            !add([4; 32], "h1").await,
            "the password checked is no longer valid"
        );

        assert!(add([5; 32], "h2").await);
        assert_eq!(
            store
                .remove_user(&user.name, &Actor::Local, now)
                .await
                .unwrap(),
            Changed::Done
        );
        assert!(!known([5; 32], now).await, "removed");
        let again = store
            .remove_user(&user.name, &Actor::Local, now)
            .await
            .unwrap();
        assert_eq!(again, Changed::Unknown);
    }
}
