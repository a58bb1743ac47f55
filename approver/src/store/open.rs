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
/// Connections that read for hosts, deciders and the approver itself, and those for
/// people who look around.
const READERS: u32 = 8;
const BROWSERS: u32 = 4;

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
        let reading = options.pragma("query_only", "ON");
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .connect_with(reading.clone())
        };
        let read = pool(READERS).await.map_err(open)?;
        let browse = pool(BROWSERS).await.map_err(open)?;
        let store = Self {
            read,
            browse,
            write,
        };
        store.complete_requests().await?;
        Ok(store)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use holdpoint_proto::v1::{Exec, Operation, Process, RequestContext, operation::Kind};
    use prost::Message as _;
    use sqlx::{Sqlite, pool::PoolConnection};

    use super::*;
    use crate::store::requests::Filter;

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
        for pool in [&store.read, &store.browse] {
            let refused = sqlx::query("DELETE FROM users").execute(pool).await;
            assert!(refused.is_err(), "readers can't write");
        }
    }

    impl Store {
        /// Every connection that this reads with.
        pub(crate) async fn hold_readers(&self) -> Vec<PoolConnection<Sqlite>> {
            let mut held = Vec::new();
            for _ in 0..self.read.options().get_max_connections() {
                held.push(self.read.acquire().await.unwrap());
            }
            held
        }
    }

    #[tokio::test]
    async fn who_looks_around_takes_no_connection_from_those_who_must_not_wait() {
        let (store, _directory) = store().await;
        let browsing = store.browsing();
        let held = browsing.hold_readers().await;
        assert!(browsing.read.try_acquire().is_none(), "no more than these");
        store.revision().await.unwrap();
        drop(held);
        browsing.revision().await.unwrap();
    }

    /// A database as the first version leaves it, with one of everything.
    async fn first_version(state: &StateDir) {
        let context = RequestContext {
            operation: Some(Operation {
                kind: Some(Kind::Exec(Exec {
                    path: b"/usr/bin/Curl".to_vec(),
                    ..Exec::default()
                })),
            }),
            process: Some(Process::default()),
            ..RequestContext::default()
        };
        state.ensure_private(FILE).unwrap();
        let options = SqliteConnectOptions::new()
            .filename(state.file(FILE))
            .foreign_keys(true);
        let database = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .unwrap();
        MIGRATIONS.run_to(1, &database).await.unwrap();
        sqlx::raw_sql(
            "INSERT INTO users VALUES ('ada', 'viewer', 'h', 1);
             INSERT INTO logins VALUES (zeroblob(32), 'ada', 1, 2);
             INSERT INTO hosts (id, hostname, certificate_serial, certificate_expires_at,
                 enrolled_at) VALUES ('0198f000-0000-7000-8000-000000000001', 'build-1', '1', 9, 1);
             INSERT INTO enrolment_tokens VALUES ('t', zeroblob(32), 'l', 1, 2, 1,
                 '0198f000-0000-7000-8000-000000000001');",
        )
        .execute(&database)
        .await
        .unwrap();
        for (seq, state, closed, context) in [
            (3, "approved", Some(5), context.encode_to_vec()),
            (5, "denied", Some(6), Vec::new()),
            (9, "withdrawn", Some(7), Vec::new()),
            (12, "pending", None, context.encode_to_vec()),
        ] {
            sqlx::query(
                "INSERT INTO requests VALUES (?1, ?1 + 100, 'r' || ?1,
                     '0198f000-0000-7000-8000-000000000001', zeroblob(32), ?2, 'exec', 's', 'p',
                     'ada', 'rule', 4, 5, 600, ?3, ?4, NULL, 'detail', NULL)",
            )
            .bind(seq)
            .bind(context)
            .bind(state)
            .bind(closed)
            .execute(&database)
            .await
            .unwrap();
        }
        sqlx::raw_sql(
            "INSERT INTO decisions VALUES ('r3', zeroblob(32), 'approve', 'bob', 'fine', 5,
                 zeroblob(64));
             INSERT INTO decisions VALUES ('r5', zeroblob(32), 'deny', 'eve', 'no', 6,
                 zeroblob(64));",
        )
        .execute(&database)
        .await
        .unwrap();
        database.close().await;
    }

    #[tokio::test]
    async fn what_the_first_version_kept_is_all_there() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        first_version(&state).await;
        let store = Store::open(&state).await.unwrap();
        let page = store
            .requests(&Filter::default(), i64::MAX, 50)
            .await
            .unwrap();
        let seen: Vec<_> = page
            .requests
            .iter()
            .map(|one| {
                let reviewer = one.decision.as_ref().map(|one| one.reviewer.as_str());
                let digest = one.operation_digest.len();
                (
                    one.seq,
                    one.revision,
                    one.id.as_str(),
                    one.state.as_str(),
                    reviewer,
                    digest,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (12, 112, "r12", "pending", None, 32),
                (9, 109, "r9", "withdrawn", None, 0),
                (5, 105, "r5", "denied", Some("eve"), 0),
                (3, 103, "r3", "approved", Some("bob"), 32),
            ]
        );
        assert_eq!(page.requests[0].outcome_detail, "detail");
        assert_eq!(
            page.requests[0].operation_digest,
            page.requests[3].operation_digest
        );
        let earlier = store
            .earlier_decisions(&page.requests[0], 20)
            .await
            .unwrap();
        assert_eq!(earlier.len(), 1);
        assert_eq!(
            (earlier[0].request_id.as_str(), earlier[0].reason.as_str()),
            ("r3", "fine")
        );
        let text = Filter {
            text: Some("bin/curl".into()),
            ..Filter::default()
        };
        let found = store.requests(&text, i64::MAX, 50).await.unwrap();
        assert_eq!(found.requests.len(), 2);
        for (table, rows) in [
            ("users", 1),
            ("logins", 1),
            ("hosts", 1),
            ("enrolment_tokens", 1),
        ] {
            let sql = format!("SELECT COUNT(*) FROM {table}");
            let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .fetch_one(&store.read)
                .await
                .unwrap();
            assert_eq!(found, rows, "{table}");
        }
        let broken = sqlx::query("PRAGMA foreign_key_check")
            .fetch_all(&store.read)
            .await
            .unwrap();
        assert!(broken.is_empty(), "every reference leads somewhere");
        let next: i64 =
            sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'requests'")
                .fetch_one(&store.read)
                .await
                .unwrap();
        assert_eq!(next, 12, "no place in the order is given twice");
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
