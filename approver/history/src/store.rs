//! All records in one place: the fresh ones in memory, the others in Parquet.
//!
//! The caller's database is the source: it offers what is new before it asks,
//! and says from where on records may be kept in files. Whatever is asked sees
//! each record once, because the fresh rows of a round go in the same moment in
//! which its files come.
//!
//! Work runs on threads of its own: a question that takes long must not keep a
//! host or a reviewer waiting.

mod histogram;
mod search;
mod sql;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::{array::RecordBatch, compute::concat_batches};
use datafusion::{
    execution::{
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        runtime_env::RuntimeEnvBuilder,
    },
    prelude::{DataFrame, ParquetReadOptions, SessionConfig, SessionContext},
};
use tokio::runtime::Runtime;

pub use histogram::{Bucket, Histogram};
pub use search::{Page, Stretch};
pub use sql::Answer;

use crate::{
    HistoryError, Record,
    columns::{batch, schema},
    files::{self, Units},
};

/// What all questions together may hold in memory while they are answered.
const MEMORY: usize = 512 * 1024 * 1024;

/// Fresh batches smaller than this are put together.
const BATCH_ROWS: usize = 4096;

/// The history in one directory.
pub struct History {
    directory: PathBuf,
    context: SessionContext,
    state: Mutex<State>,
    /// Taken when dropped.
    runtime: Option<Runtime>,
}

#[derive(Debug, Default)]
struct State {
    /// Without a gap between them, and behind all units.
    fresh: Vec<RecordBatch>,
    /// Number of the first fresh record.
    first: u64,
    /// Number after the last.
    next: u64,
    units: Units,
}

/// Records as they stood at one moment.
#[derive(Clone, Debug)]
struct Snapshot {
    fresh: Vec<RecordBatch>,
    first: u64,
    next: u64,
    units: Units,
}

impl History {
    /// Opens the history in `directory`. Of the caller's records those below
    /// `kept_below` are there, and `next_index` is the number of its next one.
    pub fn open(directory: &Path, kept_below: u64, next_index: u64) -> Result<Self, HistoryError> {
        let units = files::open(directory, kept_below, next_index)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("history")
            .enable_all()
            .build()
            .map_err(HistoryError::Start)?;
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_limit(MEMORY, 1.0)
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let config = SessionConfig::new()
            .with_target_partitions(2)
            .with_information_schema(false)
            .set_bool(
                "datafusion.execution.parquet.schema_force_view_types",
                false,
            )
            .set_bool("datafusion.execution.parquet.pushdown_filters", true);
        Ok(Self {
            directory: directory.to_owned(),
            context: SessionContext::new_with_config_rt(config, environment),
            state: Mutex::new(State {
                first: kept_below,
                next: kept_below,
                units,
                ..State::default()
            }),
            runtime: Some(runtime),
        })
    }

    /// Number of the record it wants to be offered next.
    pub fn next(&self) -> u64 {
        self.state().next
    }

    /// Number of its first fresh record: everything below is in files.
    pub fn kept_below(&self) -> u64 {
        self.state().first
    }

    /// Takes `records`, which follow each other. Those it has are passed over.
    pub fn offer(&self, records: &[Record]) -> Result<(), HistoryError> {
        let mut state = self.state();
        let from = records.partition_point(|record| record.log_index < state.next);
        let new = records.get(from..).unwrap_or_default();
        let (Some(first), Some(last)) = (new.first(), new.last()) else {
            return Ok(());
        };
        if first.log_index != state.next || last.log_index - first.log_index + 1 != new.len() as u64
        {
            return Err(HistoryError::Gap {
                found: first.log_index,
                wanted: state.next,
            });
        }
        let mut added = batch(new)?;
        if let Some(previous) = state.fresh.pop_if(|one| one.num_rows() < BATCH_ROWS) {
            added = concat_batches(&schema(), &[previous, added])?;
        }
        state.fresh.push(added);
        state.next = last.log_index + 1;
        Ok(())
    }

    /// Writes fresh records below `below` to files, and gives the number below
    /// which all are there now: the caller may forget those. Must not run twice
    /// at a time.
    pub async fn keep(self: &Arc<Self>, below: u64) -> Result<u64, HistoryError> {
        let (from, to, rows) = {
            let state = self.state();
            let to = below.min(state.next);
            if to <= state.first {
                return Ok(state.first);
            }
            let rows = concat_batches(&schema(), &state.fresh)?;
            let length = usize::try_from(to - state.first).unwrap_or(usize::MAX);
            (state.first, to, rows.slice(0, length.min(rows.num_rows())))
        };
        let directory = self.directory.clone();
        let written =
            tokio::task::spawn_blocking(move || files::write(&directory, &rows, from, to));
        let unit = written.await.map_err(|_| HistoryError::Died)??;
        let mut state = self.state();
        let kept = usize::try_from(to - from).unwrap_or(usize::MAX);
        let rows = concat_batches(&schema(), &state.fresh)?;
        let rest = rows.num_rows().saturating_sub(kept);
        // A copy: a slice would hold on to all that was kept.
        let rest = concat_batches(&schema(), [&rows.slice(rows.num_rows() - rest, rest)])?;
        state.fresh = if rest.num_rows() == 0 {
            Vec::new()
        } else {
            vec![rest]
        };
        state.first = to;
        state.units.insert(from, unit);
        Ok(to)
    }

    fn snapshot(&self) -> Snapshot {
        let state = self.state();
        Snapshot {
            fresh: state.fresh.clone(),
            first: state.first,
            next: state.next,
            units: state.units.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is made whole or not at all.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the threads of the history, until whoever waits hangs up.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, HistoryError>> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let runtime = self.runtime.as_ref().ok_or(HistoryError::Died)?;
        let mut task = AbortOnDrop(runtime.spawn(work));
        (&mut task.0).await.map_err(|_| HistoryError::Died)?
    }
}

/// A task nobody waits for ends.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not allowed where this may be dropped.
            runtime.shutdown_background();
        }
    }
}

/// The rows of `batches`.
fn in_memory(
    context: &SessionContext,
    batches: Vec<RecordBatch>,
) -> Result<DataFrame, HistoryError> {
    if batches.is_empty() {
        return Ok(context.read_batch(RecordBatch::new_empty(schema()))?);
    }
    Ok(context.read_batches(batches)?)
}

/// The rows of `files`; none if there are no files.
async fn in_files(
    context: &SessionContext,
    files: Vec<PathBuf>,
) -> Result<Option<DataFrame>, HistoryError> {
    if files.is_empty() {
        return Ok(None);
    }
    let paths: Vec<String> = files
        .into_iter()
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    let schema = schema();
    let options = ParquetReadOptions::default().schema(&schema);
    Ok(Some(context.read_parquet(paths, options).await?))
}
