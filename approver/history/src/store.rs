//! All records in one place: the fresh ones in memory, the others in Parquet.
//!
//! The caller's database is the source: it offers what is new before it asks,
//! and says from where on records may be kept in files. Whatever is asked sees
//! each record once, because the fresh rows of a round go in the same moment in
//! which its files come.
//!
//! Work runs on threads of its own: a question that takes long must not keep a
//! host or a reviewer waiting, and SQL no other question.

mod compare;
mod histogram;
mod keep;
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
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::{DataFrame, ParquetReadOptions, SessionConfig, SessionContext},
};
use tokio::runtime::Runtime;

pub use histogram::{Bucket, Histogram};
pub use search::{Page, Stretch};
pub use sql::{Answer, functions};

use self::sql::Sql;
use crate::{
    HistoryError, Record,
    columns::{batch, schema},
    files::{self, Unit, Units},
};

/// What all questions together may hold in memory while they are answered; SQL
/// has as much for itself.
const MEMORY: usize = 512 * 1024 * 1024;

/// Threads that answer, and as many for SQL.
const THREADS: usize = 2;
/// Threads that read files, at most.
const READERS: usize = 16;
/// The engine goes down into a question as deep as it is nested. Only what is
/// used of a stack takes memory.
const STACK: usize = 64 * 1024 * 1024;

/// Fresh batches smaller than this are put together.
const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// The history in one directory.
pub struct History {
    directory: PathBuf,
    context: SessionContext,
    state: Mutex<State>,
    sql: Sql,
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
    /// End of the round that has begun: one that failed left files, and is done
    /// again as it was, so that the same names come over them.
    trying: Option<u64>,
    /// Became part of a larger unit, and wait until nobody reads them.
    merged: Vec<Arc<Unit>>,
}

/// Records as they stood at one moment. Its files stay while it is there.
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
        Ok(Self {
            directory: directory.to_owned(),
            context: SessionContext::new_with_config_rt(config(), environment()?),
            state: Mutex::new(State {
                first: kept_below,
                next: kept_below,
                units,
                ..State::default()
            }),
            sql: Sql::new(threads("history-sql")?, environment()?),
            runtime: Some(threads("history")?),
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

    /// Bytes that the fresh records take in memory, about.
    pub fn fresh_bytes(&self) -> usize {
        let state = self.state();
        let sizes = state.fresh.iter().map(RecordBatch::get_array_memory_size);
        sizes.sum()
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
        let small = |one: &&mut RecordBatch| {
            one.num_rows() < BATCH_ROWS && one.get_array_memory_size() < BATCH_BYTES
        };
        if let Some(previous) = state.fresh.last_mut().filter(small) {
            added = concat_batches(&schema(), [&*previous, &added])?;
            *previous = added;
        } else {
            state.fresh.push(added);
        }
        state.next = last.log_index + 1;
        Ok(())
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
        (&mut task.0).await?
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

fn threads(name: &str) -> Result<Runtime, HistoryError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(READERS)
        .thread_stack_size(STACK)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(HistoryError::Start)
}

fn environment() -> Result<Arc<RuntimeEnv>, HistoryError> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let environment = RuntimeEnvBuilder::new()
        .with_memory_limit(MEMORY, 1.0)
        .with_disk_manager_builder(disk)
        .build_arc()?;
    Ok(environment)
}

fn config() -> SessionConfig {
    SessionConfig::new()
        .with_target_partitions(THREADS)
        .with_information_schema(false)
        .set_bool(
            "datafusion.execution.parquet.schema_force_view_types",
            false,
        )
        .set_bool("datafusion.execution.parquet.pushdown_filters", true)
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

/// The rows of `units` whose day is `first_day` or later, all without one; none
/// if there are no such files.
async fn in_files<'a>(
    context: &SessionContext,
    units: impl Iterator<Item = &'a Unit>,
    first_day: Option<&str>,
) -> Result<Option<DataFrame>, HistoryError> {
    let mut paths = Vec::new();
    for unit in units {
        for file in &unit.files {
            if first_day.is_some_and(|first| file.day.as_str() < first) {
                continue;
            }
            // The engine takes a file that is not there for an empty one.
            if !file.path.is_file() {
                return Err(HistoryError::Gone {
                    path: file.path.clone(),
                    first: unit.from,
                    last: unit.to - 1,
                });
            }
            paths.push(file.path.to_string_lossy().into_owned());
        }
    }
    if paths.is_empty() {
        return Ok(None);
    }
    let schema = schema();
    let options = ParquetReadOptions::default().schema(&schema);
    Ok(Some(context.read_parquet(paths, options).await?))
}
