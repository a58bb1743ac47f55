//! Users: people's accounts.

use sqlx::{FromRow, Row as _, sqlite::SqliteRow};

use super::{Store, StoreError, parse};
use crate::domain::{
    account::{AccountName, Role},
    time::Millis,
};

/// A person's account.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: AccountName,
    pub(crate) role: Role,
    /// PHC string.
    pub(crate) password_hash: String,
    pub(crate) created_at: Millis,
}

impl Store {
    /// Adds `user`. False if the name is taken.
    pub(crate) async fn add_user(&self, user: &User) -> Result<bool, StoreError> {
        let added = sqlx::query(
            "INSERT INTO users (name, role, password_hash, created_at) VALUES (?, ?, ?, ?)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(user.name.as_str())
        .bind(user.role.as_str())
        .bind(&user.password_hash)
        .bind(user.created_at.get())
        .execute(&self.write)
        .await?;
        Ok(added.rows_affected() == 1)
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

    /// Sets a password and ends the account's logins: whoever knew the old one
    /// is out. False if there is no such account.
    pub(crate) async fn set_password(
        &self,
        name: &AccountName,
        password_hash: &str,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let set = sqlx::query("UPDATE users SET password_hash = ? WHERE name = ?")
            .bind(password_hash)
            .bind(name.as_str())
            .execute(&mut *change)
            .await?
            .rows_affected();
        sqlx::query("DELETE FROM logins WHERE username = ?")
            .bind(name.as_str())
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok(set == 1)
    }

    /// Removes an account and its logins; its decisions stay. False if there is
    /// no such account.
    pub(crate) async fn remove_user(&self, name: &AccountName) -> Result<bool, StoreError> {
        let removed = sqlx::query("DELETE FROM users WHERE name = ?")
            .bind(name.as_str())
            .execute(&self.write)
            .await?;
        Ok(removed.rows_affected() == 1)
    }
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
