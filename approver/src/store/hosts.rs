//! Hosts: enrolled machines and what they last said about themselves.

use sqlx::{FromRow, Row as _, Sqlite, Transaction, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Store, StoreError, parse, requests};
use crate::domain::{request::Event, time::Millis};

/// An enrolled machine.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) id: Uuid,
    pub(crate) hostname: String,
    pub(crate) certificate_serial: String,
    pub(crate) certificate_expires_at: Millis,
    pub(crate) enrolled_at: Millis,
    pub(crate) revoked_at: Option<Millis>,
    pub(crate) last_seen_at: Option<Millis>,
    pub(crate) version: String,
    pub(crate) kernel_release: String,
    pub(crate) enforcing: bool,
}

/// A machine that enrols now.
#[derive(Clone, Debug)]
pub(crate) struct NewHost {
    pub(crate) id: Uuid,
    pub(crate) hostname: String,
    pub(crate) certificate_serial: String,
    pub(crate) certificate_expires_at: Millis,
}

/// What a host says about itself when it connects.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) hostname: String,
    pub(crate) version: String,
    pub(crate) kernel_release: String,
    pub(crate) boot_id: String,
    pub(crate) enforcing: bool,
}

impl Store {
    /// The host `id`.
    pub(crate) async fn host(&self, id: Uuid) -> Result<Option<Host>, StoreError> {
        let host = sqlx::query_as("SELECT * FROM hosts WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.read)
            .await?;
        Ok(host)
    }

    /// Every host, in the order they enrolled.
    pub(crate) async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        let hosts = sqlx::query_as("SELECT * FROM hosts ORDER BY enrolled_at, id")
            .fetch_all(&self.read)
            .await?;
        Ok(hosts)
    }

    /// Notes what host `id` says about itself.
    pub(crate) async fn host_seen(
        &self,
        id: Uuid,
        sighting: &Sighting,
        now: Millis,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE hosts SET hostname = ?, version = ?, kernel_release = ?, boot_id = ?,
                 enforcing = ?, last_seen_at = ?
             WHERE id = ?",
        )
        .bind(&sighting.hostname)
        .bind(&sighting.version)
        .bind(&sighting.kernel_release)
        .bind(&sighting.boot_id)
        .bind(sighting.enforcing)
        .bind(now.get())
        .bind(id.to_string())
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// Shuts host `id` out for good and withdraws what it is waiting for. False
    /// if there is no such host or it is shut out already.
    pub(crate) async fn revoke_host(&self, id: Uuid, now: Millis) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let revoked =
            sqlx::query("UPDATE hosts SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
                .bind(now.get())
                .bind(id.to_string())
                .execute(&mut *change)
                .await?
                .rows_affected()
                == 1;
        if revoked {
            let pending: Vec<String> = sqlx::query_scalar(
                "SELECT id FROM requests WHERE host_id = ? AND state = 'pending'",
            )
            .bind(id.to_string())
            .fetch_all(&mut *change)
            .await?;
            for request in pending {
                let detail = "its host was revoked";
                requests::close(&mut change, &request, Event::Withdrawn, detail, now).await?;
            }
        }
        change.commit().await?;
        Ok(revoked)
    }
}

/// Adds a host as part of `change`.
pub(super) async fn insert(
    change: &mut Transaction<'_, Sqlite>,
    host: &NewHost,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO hosts (id, hostname, certificate_serial, certificate_expires_at, enrolled_at)
         VALUES (?, ?, ?, ?, ?)",
    )
    .bind(host.id.to_string())
    .bind(&host.hostname)
    .bind(&host.certificate_serial)
    .bind(host.certificate_expires_at.get())
    .bind(now.get())
    .execute(&mut **change)
    .await?;
    Ok(())
}

impl FromRow<'_, SqliteRow> for Host {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: parse("id", row.try_get("id")?)?,
            hostname: row.try_get("hostname")?,
            certificate_serial: row.try_get("certificate_serial")?,
            certificate_expires_at: Millis::new(row.try_get("certificate_expires_at")?),
            enrolled_at: Millis::new(row.try_get("enrolled_at")?),
            revoked_at: row
                .try_get::<Option<i64>, _>("revoked_at")?
                .map(Millis::new),
            last_seen_at: row
                .try_get::<Option<i64>, _>("last_seen_at")?
                .map(Millis::new),
            version: row.try_get("version")?,
            kernel_release: row.try_get("kernel_release")?,
            enforcing: row.try_get("enforcing")?,
        })
    }
}
