//! Opens the database and brings its schema up to date.

use std::time::Duration;

use sqlx::{
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Store, StoreError};
use crate::state_dir::StateDir;

/// The database's file in the state directory.
const FILE: &str = "approver.db";

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: u32 = 8;

static MIGRATIONS: Migrator = sqlx::migrate!();

impl Store {
    /// Opens the database of `directory`; made first if there is none.
    pub(crate) async fn open(directory: &StateDir) -> Result<Self, StoreError> {
        // Empty and private: SQLite gives the files beside it the same mode.
        directory.ensure_private(FILE)?;
        let path = directory.file(FILE);
        let open = |source| StoreError::Open {
            path: path.clone(),
            source,
        };
        // Commands that come first at once would each begin with an empty
        // database: sqlx takes no lock of its own for SQLite.
        let turn = directory.clone();
        let turn = tokio::task::spawn_blocking(move || turn.lock()).await;
        let turn = turn.map_err(|_| open(sqlx::Error::WorkerCrashed))??;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            // A decision is on disk before its host hears of it.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(open)?;
        let migrated = MIGRATIONS.run(&write).await;
        drop(turn);
        migrated.map_err(|error| match error {
            MigrateError::VersionMissing(version) => StoreError::Newer {
                path: path.clone(),
                version,
            },
            error => StoreError::Migrate {
                path: path.clone(),
                source: Box::new(error),
            },
        })?;
        let read = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.pragma("query_only", "ON"))
            .await
            .map_err(open)?;
        Ok(Self { read, write })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A store in a directory of its own, which lives as long as the guard.
    pub(crate) async fn store() -> (Store, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        (Store::open(&state).await.unwrap(), directory)
    }

    #[tokio::test]
    async fn all_files_are_private_and_the_modes_are_set() {
        let (store, directory) = store().await;
        let mut files = 0;
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.file_name());
            files += 1;
        }
        assert_eq!(files, 3, "the database, its log and the log's index");
        for (pragma, value) in [
            ("journal_mode", "wal"),
            ("foreign_keys", "1"),
            ("synchronous", "2"),
        ] {
            let sql = format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}");
            let found: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .fetch_one(&store.write)
                .await
                .unwrap();
            assert_eq!(found, value, "{pragma}");
        }
        let refused = sqlx::query("DELETE FROM users").execute(&store.read).await;
        assert!(refused.is_err(), "readers can't write");
    }

    #[tokio::test]
    async fn a_newer_schema_is_left_alone() {
        let (store, directory) = store().await;
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'later', TRUE, x'00', 0)",
        )
        .execute(&store.write)
        .await
        .unwrap();
        store.close().await;
        let state = StateDir::open(directory.path()).unwrap();
        let error = Store::open(&state).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("newer holdpoint-approver (schema 9999)"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        std::fs::write(state.file(FILE), "rubbish ".repeat(1000)).unwrap();
        let error = Store::open(&state).await.unwrap_err();
        assert!(error.to_string().contains("approver.db"), "{error}");
    }
}
