//! SQL over the table `events`: read-only, bounded in length, depth, rows, time
//! and memory, two statements at a time.
//!
//! A statement sees that table and nothing else: no file, no setting, no other
//! table, and nothing it says can change anything. Whatever it says must leave
//! the approver running.

mod plan;
mod words;

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, RecordBatch},
    datatypes::{DataType, Float64Type, Int8Type, Int16Type, Int32Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    dataframe::DataFrame,
    error::DataFusionError,
    execution::{context::SQLOptions, runtime_env::RuntimeEnv},
    prelude::SessionContext,
};
use futures::StreamExt as _;
use serde_json::Value;
use tokio::{runtime::Runtime, sync::Semaphore, time::timeout};

pub use plan::functions;

use super::{AbortOnDrop, History, Snapshot, config, in_files, in_memory};
use crate::{HistoryError, error::in_words};

/// Longest a statement may take, and longest it waits for its turn.
const WITHIN: Duration = Duration::from_secs(30);
/// Most bytes of an answer, about.
const ANSWER_MAX: usize = 32 * 1024 * 1024;
/// Statements that are answered at once.
const AT_ONCE: usize = 2;
/// Rows that an expression is answered for at once: what it makes of them is in
/// memory together.
const BATCH_ROWS: usize = 128;

/// What a statement found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Values in the order of the columns. 64-bit integers are strings of
    /// digits, because JSON numbers lose them; times are RFC 3339.
    pub rows: Vec<Vec<Value>>,
    /// There were more rows.
    pub cut: bool,
}

/// Where statements are answered.
pub(super) struct Sql {
    environment: Arc<RuntimeEnv>,
    turns: Arc<Semaphore>,
    /// Taken when dropped. A statement that is read for long keeps its thread,
    /// and must not keep that of another question.
    runtime: Option<Runtime>,
}

impl Sql {
    pub(super) fn new(runtime: Runtime, environment: Arc<RuntimeEnv>) -> Self {
        Self {
            environment,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            runtime: Some(runtime),
        }
    }

    /// Turns that are free.
    #[cfg(test)]
    pub(super) fn available(&self) -> usize {
        self.turns.available_permits()
    }

    /// A context of its own: what one statement makes no other sees.
    fn context(&self) -> SessionContext {
        let config = config()
            .with_batch_size(BATCH_ROWS)
            .set_bool("datafusion.execution.enable_recursive_ctes", false);
        let context = SessionContext::new_with_config_rt(config, Arc::clone(&self.environment));
        // They make tables out of nothing.
        let made: Vec<String> = context.state().table_functions().keys().cloned().collect();
        for function in made {
            context.deregister_udtf(&function);
        }
        context
    }
}

impl Drop for Sql {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not allowed where this may be dropped.
            runtime.shutdown_background();
        }
    }
}

impl History {
    /// Answers `sql` with up to `limit` rows.
    pub async fn sql(&self, sql: &str, limit: usize) -> Result<Answer, HistoryError> {
        words::examine(sql)?;
        let turn = Arc::clone(&self.sql.turns).acquire_owned();
        let turn = timeout(WITHIN, turn).await.map_err(|_| {
            HistoryError::Sql("others ask for SQL at the moment; try again later".to_owned())
        })?;
        let turn = turn.map_err(|_| HistoryError::Died)?;
        let runtime = self.sql.runtime.as_ref().ok_or(HistoryError::Died)?;
        let (context, snapshot, sql) = (self.sql.context(), self.snapshot(), sql.to_owned());
        let mut task = AbortOnDrop(runtime.spawn(async move {
            let answer = answer(&context, snapshot, &sql, limit).await;
            // As long as the work lasts, whether anybody waits for it or not.
            drop(turn);
            answer
        }));
        let answered = timeout(WITHIN, &mut task.0).await.map_err(|_| {
            HistoryError::Sql(format!(
                "the statement took longer than {} s; ask for less, say with WHERE time > ...",
                WITHIN.as_secs()
            ))
        })?;
        answered.map_err(|error| {
            if error.is_panic() {
                HistoryError::Sql("the engine failed at this statement; ask otherwise".to_owned())
            } else {
                HistoryError::Died
            }
        })?
    }
}

async fn answer(
    context: &SessionContext,
    snapshot: Snapshot,
    sql: &str,
    limit: usize,
) -> Result<Answer, HistoryError> {
    // Its files stay until all is read.
    let units = snapshot.units;
    let mut events = in_memory(context, sliced(&snapshot.fresh))?;
    if let Some(kept) = in_files(context, units.values().map(AsRef::as_ref), None).await? {
        events = kept.union(events)?;
    }
    context.register_table("events", events.into_view())?;
    let found = planned(context, sql).await.map_err(said)?;
    let columns = found.schema().fields().iter();
    let mut answer = Answer {
        columns: columns.map(|field| field.name().clone()).collect(),
        ..Answer::default()
    };
    let mut size = 0;
    let mut batches = found.execute_stream().await.map_err(said)?;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(said)?;
        let mut room = limit - answer.rows.len();
        size += batch.get_array_memory_size();
        if size > ANSWER_MAX {
            room = 0;
        }
        answer.cut = batch.num_rows() > room;
        let batch = batch.slice(0, batch.num_rows().min(room));
        answer.rows.append(&mut rows(&batch)?);
        if answer.cut {
            break;
        }
    }
    Ok(answer)
}

/// The same rows, no more than are answered for at once in each batch.
fn sliced(batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let slices = |batch: &RecordBatch| {
        let (batch, rows) = (batch.clone(), batch.num_rows());
        let from = (0..rows).step_by(BATCH_ROWS);
        from.map(move |from| batch.slice(from, BATCH_ROWS.min(rows - from)))
    };
    batches.iter().flat_map(slices).collect()
}

/// What `sql` asks for, if it may.
async fn planned(context: &SessionContext, sql: &str) -> Result<DataFrame, DataFusionError> {
    let plan = context.state().create_logical_plan(sql).await?;
    // First: whatever else looks at the plan goes all the way down.
    plan::examine(&plan)?;
    let options = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    options.verify_plan(&plan)?;
    context.execute_logical_plan(plan).await
}

/// What the engine says of a statement is for whoever wrote it, except where its
/// own files fail.
fn said(error: DataFusionError) -> HistoryError {
    match error.find_root() {
        DataFusionError::ObjectStore(_)
        | DataFusionError::ParquetError(_)
        | DataFusionError::IoError(_)
        | DataFusionError::Internal(_) => HistoryError::Engine(Box::new(error)),
        DataFusionError::ResourcesExhausted(_) => HistoryError::Sql(
            "the statement wants more memory than there is for it; ask for less".to_owned(),
        ),
        root => HistoryError::Sql(in_words(root)),
    }
}

fn rows(batch: &RecordBatch) -> Result<Vec<Vec<Value>>, HistoryError> {
    let columns = batch.columns().iter().map(values);
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let row = |number: usize| {
        let values = columns.iter().filter_map(|column| column.get(number));
        values.cloned().collect()
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

fn values(column: &ArrayRef) -> Result<Vec<Value>, HistoryError> {
    let options = FormatOptions::default();
    let format = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let value = |row: usize| -> Value {
        if column.is_null(row) {
            return Value::Null;
        }
        match column.data_type() {
            DataType::Boolean => column.as_boolean().value(row).into(),
            DataType::Int8 => column.as_primitive::<Int8Type>().value(row).into(),
            DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
            DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
            // What is no number in JSON is null there.
            DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
            _ => format.value(row).to_string().into(),
        }
    };
    Ok((0..column.len()).map(value).collect())
}
