//! What the approver remembers: SQLite through sqlx, one file per noun.
//!
//! Only SQL lives here. What may happen is decided in [`crate::domain`]; a
//! statement repeats a rule only where two callers could race, as a condition
//! of its `UPDATE`. What a method has returned is on disk.

pub(crate) mod api_tokens;
pub(crate) mod decisions;
pub(crate) mod enrolment_tokens;
pub(crate) mod events;
pub(crate) mod flags;
pub(crate) mod grants;
pub(crate) mod hosts;
pub(crate) mod log_state;
pub(crate) mod logins;
mod open;
mod record;
pub(crate) mod requests;
pub(crate) mod sessions;
pub(crate) mod spools;
pub(crate) mod users;

use std::path::PathBuf;

use crate::state_dir::StateDirError;
use sqlx::{Sqlite, SqlitePool, Transaction, error::BoxDynError, migrate::MigrateError};

/// The database.
///
/// SQLite has one writer at a time. All writes of this process queue for one
/// connection, which is fair and never busy; other processes (commands) are
/// waited for by the busy timeout.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    read: SqlitePool,
    browse: SqlitePool,
    write: SqlitePool,
}

/// Most requests or grants that one change closes because of something that many
/// have in common. A decision waits for the same lock, and must not wait for
/// thousands.
const TOGETHER: u32 = 64;

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file can't be made.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The file can't be opened.
    #[error("cannot open the database {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// A newer program has changed its layout.
    #[error(
        "the database {} was made by a newer holdpoint-approver (schema {version}); install that \
         version or a later one", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        version: i64,
    },
    /// Its layout can't be brought up to date.
    #[error("cannot bring the database {} up to date", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<MigrateError>,
    },
    /// A statement failed.
    #[error("the database failed")]
    Query(#[from] sqlx::Error),
}

impl Store {
    /// Begins a change. It holds the only write lock from here on, so what it
    /// reads stays true until it commits.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.write.begin_with("BEGIN IMMEDIATE").await
    }

    /// The same database, read over a few connections of its own. For people who
    /// list, search and follow: they wait for each other, and never keep a host or
    /// a decision waiting.
    pub(crate) fn browsing(&self) -> Self {
        Self {
            read: self.browse.clone(),
            ..self.clone()
        }
    }

    /// Whether it can still be written to: takes the write lock and gives it back.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.begin().await?.rollback().await?)
    }

    /// Ends all connections; what was committed is in the main file then.
    pub(crate) async fn close(&self) {
        self.browse.close().await;
        self.read.close().await;
        self.write.close().await;
    }
}

/// A column holds what this program never writes there.
fn decode(column: &str, source: impl Into<BoxDynError>) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: source.into(),
    }
}

/// A text column as one of the domain's types.
fn parse<T>(column: &str, text: &str) -> Result<T, sqlx::Error>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error: T::Err| decode(column, error))
}
