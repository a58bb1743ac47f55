//! Why the history can't answer.

use std::{io, path::PathBuf};

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use parquet::errors::ParquetError;
use tokio::task::JoinError;

use crate::query::QueryError;

/// Why the history can't answer.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The query can't be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The SQL can't be answered: the text is for whoever wrote it.
    #[error("{0}")]
    Sql(String),
    /// A file or folder can't be used.
    #[error("cannot use {} of the history; check `state_dir` and the room on its disk", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are files of records the database has never seen.
    #[error(
        "the history holds {} and the database ends at {next_index}: the database is older than \
         the history; restore both from the same backup", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The number after the database's last record.
        next_index: u64,
    },
    /// A file holds records that the database has kept and some that it has not.
    #[error(
        "the history holds {} and the database has its records from {kept_below} on: the database \
         is older than the history; restore both from the same backup", path.display()
    )]
    Astride {
        /// The file.
        path: PathBuf,
        /// The first record of the database.
        kept_below: u64,
    },
    /// Files are not there.
    #[error(
        "{} lacks records {first} to {last}: files were removed from it; restore the state \
         directory from a backup", directory.display()
    )]
    Missing {
        /// Where they should be.
        directory: PathBuf,
        /// The first record that is missing.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A file went away while the approver runs.
    #[error(
        "records {first} to {last} of the history can't all be read: {} is gone; restore it from \
         a backup", path.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
        /// The first record of its unit.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A file is not the one that was written.
    #[error(
        "records {first} to {last} of the history can't be trusted: {} was changed; restore it \
         from a backup", path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The first record of its unit.
        first: u64,
        /// The last.
        last: u64,
    },
    /// Files that are put together hold more or fewer records than they should.
    #[error("{} would hold {held} records instead of {wanted}", path.display())]
    Rows {
        /// The file that was not made.
        path: PathBuf,
        /// Its rows.
        held: u64,
        /// What it should have.
        wanted: u64,
    },
    /// Records were offered that do not follow those before.
    #[error("record {found} came where {wanted} was expected")]
    Gap {
        /// What came.
        found: u64,
        /// What should have come.
        wanted: u64,
    },
    /// The threads of the history can't be started.
    #[error("cannot start the threads of the history")]
    Start(#[source] io::Error),
    /// The engine failed.
    #[error("the query engine failed")]
    Engine(#[source] Box<DataFusionError>),
    /// A Parquet file can't be written or read.
    #[error("a Parquet file of the history failed")]
    Parquet(#[from] ParquetError),
    /// Columns can't be made.
    #[error("the history's columns failed")]
    Columns(#[from] ArrowError),
    /// The work was ended.
    #[error("the history is going down")]
    Died,
    /// The engine did not expect what it found.
    #[error("the query engine panicked; the reason is in the log")]
    Panicked,
}

impl HistoryError {
    /// Whether the files are to blame, and not the question.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Gone { .. }
            | Self::Changed { .. }
            | Self::Rows { .. }
            | Self::Parquet(_)
            | Self::Columns(_)
            | Self::Panicked => true,
            Self::Engine(error) => !matches!(
                error.find_root(),
                DataFusionError::ResourcesExhausted(_) | DataFusionError::Plan(_)
            ),
            _ => false,
        }
    }
}

impl From<JoinError> for HistoryError {
    fn from(error: JoinError) -> Self {
        if error.is_panic() {
            Self::Panicked
        } else {
            Self::Died
        }
    }
}

impl From<DataFusionError> for HistoryError {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(Box::new(error))
    }
}

/// What the engine says of a mistake in a statement, in one line.
pub(crate) fn in_words(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.lines().next().unwrap_or_default();
    let words = [
        "Error during planning: ",
        "SQL error: ",
        "Schema error: ",
        "This feature is not implemented: ",
    ];
    let mut text = text;
    for word in words {
        text = text.strip_prefix(word).unwrap_or(text);
    }
    text.to_owned()
}
