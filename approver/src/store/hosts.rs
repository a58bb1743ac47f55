//! Hosts: enrolled machines and what they last said about themselves.

use sqlx::{FromRow, Row as _, Sqlite, Transaction, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Store, StoreError, events,
    grants::{self, Revocation},
    parse, record,
};
use crate::domain::{
    audit::{Actor, AuditRecord},
    time::Millis,
};

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
    pub(crate) boot_id: String,
    pub(crate) enforcing: bool,
    pub(crate) not_enforcing_because: String,
}

/// The policy that a host decides by for one profile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HostPolicy {
    pub(crate) profile: String,
    pub(crate) owner: String,
    pub(crate) policy_sha256: Vec<u8>,
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
    pub(crate) not_enforcing_because: String,
    pub(crate) policies: Vec<HostPolicy>,
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

    /// The policies that host `id` decides by, by profile.
    pub(crate) async fn host_policies(&self, id: Uuid) -> Result<Vec<HostPolicy>, StoreError> {
        let policies: Vec<(String, String, Vec<u8>)> = sqlx::query_as(
            "SELECT profile, owner, policy_sha256 FROM host_policies
             WHERE host_id = ? ORDER BY profile",
        )
        .bind(id.to_string())
        .fetch_all(&self.read)
        .await?;
        let policy = |(profile, owner, policy_sha256)| HostPolicy {
            profile,
            owner,
            policy_sha256,
        };
        Ok(policies.into_iter().map(policy).collect())
    }

    /// How many of `hosts` enforce.
    pub(crate) async fn enforcing(&self, hosts: &[Uuid]) -> Result<u64, StoreError> {
        let enforcing: Vec<String> =
            sqlx::query_scalar("SELECT id FROM hosts WHERE enforcing AND revoked_at IS NULL")
                .fetch_all(&self.read)
                .await?;
        let known = |id: &&String| hosts.iter().any(|host| host.to_string() == **id);
        Ok(enforcing.iter().filter(known).count() as u64)
    }

    /// Notes what host `id` says about itself. True if it has booted since it last
    /// did.
    pub(crate) async fn host_seen(
        &self,
        id: Uuid,
        sighting: &Sighting,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let before: String = sqlx::query_scalar("SELECT boot_id FROM hosts WHERE id = ?")
            .bind(id.to_string())
            .fetch_one(&mut *change)
            .await?;
        sqlx::query(
            "UPDATE hosts SET hostname = ?, version = ?, kernel_release = ?, boot_id = ?,
                 enforcing = ?, not_enforcing_because = ?, last_seen_at = ?
             WHERE id = ?",
        )
        .bind(&sighting.hostname)
        .bind(&sighting.version)
        .bind(&sighting.kernel_release)
        .bind(&sighting.boot_id)
        .bind(sighting.enforcing)
        .bind(&sighting.not_enforcing_because)
        .bind(now.get())
        .bind(id.to_string())
        .execute(&mut *change)
        .await?;
        sqlx::query("DELETE FROM host_policies WHERE host_id = ?")
            .bind(id.to_string())
            .execute(&mut *change)
            .await?;
        for policy in &sighting.policies {
            sqlx::query(
                "INSERT INTO host_policies (host_id, profile, owner, policy_sha256)
                 VALUES (?, ?, ?, ?) ON CONFLICT (host_id, profile) DO NOTHING",
            )
            .bind(id.to_string())
            .bind(&policy.profile)
            .bind(&policy.owner)
            .bind(&policy.policy_sha256)
            .execute(&mut *change)
            .await?;
        }
        let connected = AuditRecord::HostConnected {
            host: record::host(&mut change, id).await?,
            version: sighting.version.clone(),
            kernel_release: sighting.kernel_release.clone(),
            boot_id: sighting.boot_id.clone(),
            enforcing: sighting.enforcing,
            not_enforcing_because: sighting.not_enforcing_because.clone(),
        };
        events::append(&mut change, now, &connected).await?;
        change.commit().await?;
        // One that can't be read is no sign of another boot.
        let known = !before.is_empty() && !sighting.boot_id.is_empty();
        Ok(known && before != sighting.boot_id)
    }

    /// Notes that the stream of host `id` has ended.
    pub(crate) async fn host_left(&self, id: Uuid, now: Millis) -> Result<(), StoreError> {
        let mut change = self.begin().await?;
        sqlx::query("UPDATE hosts SET last_seen_at = ? WHERE id = ?")
            .bind(now.get())
            .bind(id.to_string())
            .execute(&mut *change)
            .await?;
        let host = record::host(&mut change, id).await?;
        events::append(&mut change, now, &AuditRecord::HostDisconnected { host }).await?;
        change.commit().await?;
        Ok(())
    }

    /// Shuts host `id` out for good, withdraws what it is waiting for and revokes
    /// its grants. False if there is no such host or it is shut out already.
    pub(crate) async fn revoke_host(
        &self,
        id: Uuid,
        by: &Actor,
        now: Millis,
    ) -> Result<bool, StoreError> {
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
            let revocation = Revocation {
                by,
                reason: "its host was revoked",
                at: now,
            };
            grants::revoke_of_host(&mut change, id, revocation).await?;
            let revoked = AuditRecord::HostRevoked {
                host: record::host(&mut change, id).await?,
                by: by.clone(),
            };
            events::append(&mut change, now, &revoked).await?;
        }
        change.commit().await?;
        // Nobody can decide them any more; of the grants each was given by a person,
        // of these there can be thousands.
        while revoked && !self.withdraw_revoked(now).await?.is_empty() {}
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
            boot_id: row.try_get("boot_id")?,
            enforcing: row.try_get("enforcing")?,
            not_enforcing_because: row.try_get("not_enforcing_because")?,
        })
    }
}
