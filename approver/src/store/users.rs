//! Users: people's accounts.

use sqlx::{FromRow, Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{Store, StoreError, events, parse};
use crate::domain::{
    account::{AccountName, Role},
    audit::{Actor, AuditRecord},
    secret::SecretHash,
    time::Millis,
};

/// What a record calls a change of a password.
const PASSWORD: &str = "password";

/// A person's account.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: AccountName,
    pub(crate) role: Role,
    /// PHC string.
    pub(crate) password_hash: String,
    pub(crate) created_at: Millis,
}

/// What became of a change that could take away an administrator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Changed {
    /// It is done.
    Done,
    /// There is no such account.
    Unknown,
    /// Nobody would be left to administer: nothing was changed.
    LastAdministrator,
}

impl Store {
    /// Adds `user`. False if the name is taken.
    pub(crate) async fn add_user(&self, user: &User, by: &Actor) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let added = sqlx::query(
            "INSERT INTO users (name, role, password_hash, created_at) VALUES (?, ?, ?, ?)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(user.name.as_str())
        .bind(user.role.as_str())
        .bind(&user.password_hash)
        .bind(user.created_at.get())
        .execute(&mut *change)
        .await?;
        if added.rows_affected() != 1 {
            return Ok(false);
        }
        let added = AuditRecord::UserAdded {
            username: user.name.to_string(),
            role: user.role.to_string(),
            by: by.clone(),
        };
        events::append(&mut change, user.created_at, &added).await?;
        change.commit().await?;
        Ok(true)
    }

    /// The account `name`.
    pub(crate) async fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let user = sqlx::query_as("SELECT * FROM users WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.read)
            .await?;
        Ok(user)
    }

    /// Every account, by name.
    pub(crate) async fn users(&self) -> Result<Vec<User>, StoreError> {
        let users = sqlx::query_as("SELECT * FROM users ORDER BY name")
            .fetch_all(&self.read)
            .await?;
        Ok(users)
    }

    /// Changes a password from the one with the hash `old`, and ends the
    /// account's logins but the one with the hash `keep`, all of it by its person.
    /// False if the account has another password by now.
    pub(crate) async fn change_password(
        &self,
        name: &AccountName,
        old: &str,
        new: &str,
        keep: &SecretHash,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let set =
            sqlx::query("UPDATE users SET password_hash = ? WHERE name = ? AND password_hash = ?")
                .bind(new)
                .bind(name.as_str())
                .bind(old)
                .execute(&mut *change)
                .await?
                .rows_affected();
        if set != 1 {
            change.rollback().await?;
            return Ok(false);
        }
        sqlx::query("DELETE FROM logins WHERE username = ? AND token_sha256 <> ?")
            .bind(name.as_str())
            .bind(keep.as_slice())
            .execute(&mut *change)
            .await?;
        let by = Actor::Person(name.to_string());
        changed(&mut change, name, PASSWORD.to_owned(), &by, now).await?;
        change.commit().await?;
        Ok(true)
    }

    /// Sets a password and ends the account's logins and tokens: whoever knew the
    /// old one is out. False if there is no such account.
    pub(crate) async fn set_password(
        &self,
        name: &AccountName,
        password_hash: &str,
        by: &Actor,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let set = sqlx::query("UPDATE users SET password_hash = ? WHERE name = ?")
            .bind(password_hash)
            .bind(name.as_str())
            .execute(&mut *change)
            .await?
            .rows_affected();
        for sql in [
            "DELETE FROM logins WHERE username = ?",
            "DELETE FROM api_tokens WHERE username = ?",
        ] {
            sqlx::query(sql)
                .bind(name.as_str())
                .execute(&mut *change)
                .await?;
        }
        if set == 1 {
            changed(&mut change, name, PASSWORD.to_owned(), by, now).await?;
        }
        change.commit().await?;
        Ok(set == 1)
    }

    /// Gives an account another role.
    pub(crate) async fn set_role(
        &self,
        name: &AccountName,
        role: Role,
        by: &Actor,
        now: Millis,
    ) -> Result<Changed, StoreError> {
        let mut change = self.begin().await?;
        let before: Option<String> = sqlx::query_scalar("SELECT role FROM users WHERE name = ?")
            .bind(name.as_str())
            .fetch_optional(&mut *change)
            .await?;
        let Some(before) = before else {
            return Ok(Changed::Unknown);
        };
        if role != Role::Administrator && is_last_administrator(&mut change, name).await? {
            return Ok(Changed::LastAdministrator);
        }
        sqlx::query("UPDATE users SET role = ? WHERE name = ?")
            .bind(role.as_str())
            .bind(name.as_str())
            .execute(&mut *change)
            .await?;
        let what = format!("role: {before} -> {role}");
        changed(&mut change, name, what, by, now).await?;
        change.commit().await?;
        Ok(Changed::Done)
    }

    /// Removes an account and its logins; its decisions stay.
    pub(crate) async fn remove_user(
        &self,
        name: &AccountName,
        by: &Actor,
        now: Millis,
    ) -> Result<Changed, StoreError> {
        let mut change = self.begin().await?;
        if is_last_administrator(&mut change, name).await? {
            return Ok(Changed::LastAdministrator);
        }
        let removed = sqlx::query("DELETE FROM users WHERE name = ?")
            .bind(name.as_str())
            .execute(&mut *change)
            .await?;
        if removed.rows_affected() != 1 {
            return Ok(Changed::Unknown);
        }
        let removed = AuditRecord::UserRemoved {
            username: name.to_string(),
            by: by.clone(),
        };
        events::append(&mut change, now, &removed).await?;
        change.commit().await?;
        Ok(Changed::Done)
    }
}

/// Records that an account was changed.
async fn changed(
    change: &mut Transaction<'_, Sqlite>,
    name: &AccountName,
    what: String,
    by: &Actor,
    now: Millis,
) -> Result<(), StoreError> {
    let changed = AuditRecord::UserChanged {
        username: name.to_string(),
        change: what,
        by: by.clone(),
    };
    events::append(change, now, &changed).await?;
    Ok(())
}

async fn is_last_administrator(
    change: &mut Transaction<'_, Sqlite>,
    name: &AccountName,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT COUNT(*) = 1 AND MAX(name) = ? FROM users WHERE role = 'administrator'",
    )
    .bind(name.as_str())
    .fetch_one(&mut **change)
    .await
    .map(|last: Option<bool>| last.unwrap_or(false))
}

impl FromRow<'_, SqliteRow> for User {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: parse("name", row.try_get("name")?)?,
            role: parse("role", row.try_get("role")?)?,
            password_hash: row.try_get("password_hash")?,
            created_at: Millis::new(row.try_get("created_at")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open::tests::store;

    #[tokio::test]
    async fn the_last_administrator_stays() {
        let (store, _directory) = store().await;
        let name = |name: &str| name.parse::<AccountName>().unwrap();
        let add = async |text: &str, role| {
            let user = User {
                name: name(text),
                role,
                password_hash: "h".into(),
                created_at: Millis::new(0),
            };
            assert!(store.add_user(&user, &Actor::Local).await.unwrap());
        };
        add("ada", Role::Administrator).await;
        add("bob", Role::Reviewer).await;
        let set = async |who: &str, role| {
            let now = Millis::new(1);
            store
                .set_role(&name(who), role, &Actor::Local, now)
                .await
                .unwrap()
        };
        let remove = async |who: &str| {
            let now = Millis::new(1);
            store
                .remove_user(&name(who), &Actor::Local, now)
                .await
                .unwrap()
        };
        assert_eq!(set("ada", Role::Reviewer).await, Changed::LastAdministrator);
        assert_eq!(remove("ada").await, Changed::LastAdministrator);
        assert_eq!(set("ada", Role::Administrator).await, Changed::Done);
        assert_eq!(set("eve", Role::Administrator).await, Changed::Unknown);
        assert_eq!(set("bob", Role::Administrator).await, Changed::Done);
        let role = store.user("bob").await.unwrap().unwrap().role;
        assert_eq!(role, Role::Administrator);

        // Both go at once: one stays.
        let (one, other) = tokio::join!(remove("ada"), remove("bob"));
        assert_ne!(one, other);
        assert_eq!(store.users().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn ones_own_change_of_password_is_on_record() {
        let (store, _directory) = store().await;
        let user = User {
            name: "ada".parse().unwrap(),
            role: Role::Reviewer,
            password_hash: "h1".into(),
            created_at: Millis::new(0),
        };
        assert!(store.add_user(&user, &Actor::Local).await.unwrap());
        let change = async |old: &str| {
            let now = Millis::new(7);
            let changed = store.change_password(&user.name, old, "h2", &[1; 32], now);
            changed.await.unwrap()
        };
        assert!(!change("h0").await, "it is another one");
        assert_eq!(store.count().await.unwrap(), 1, "nothing changed");
        assert!(change("h1").await);
        let records = store.records(1, 9).await.unwrap();
        let [record] = records.as_slice() else {
            panic!("{records:?}");
        };
        let record: serde_json::Value = serde_json::from_slice(&record.json).unwrap();
        assert_eq!(record["activity_name"], "Password Change");
        assert_eq!(record["actor"]["user"]["name"], "ada");
        assert_eq!(record["time"], 7);
    }
}
