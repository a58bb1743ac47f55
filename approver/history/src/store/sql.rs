//! SQL over the table `events`: read-only, bounded in rows, time and memory.
//!
//! A statement sees that table and nothing else: no file, no setting, no other
//! table, and nothing it says can change anything.

use std::time::Duration;

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, RecordBatch},
    datatypes::{DataType, Float64Type, Int8Type, Int16Type, Int32Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    error::DataFusionError, execution::context::SQLOptions, logical_expr::LogicalPlan,
    prelude::SessionContext,
};
use futures::StreamExt as _;
use serde_json::Value;

use super::{History, Snapshot, in_files, in_memory};
use crate::{HistoryError, error::in_words};

/// Longest a statement may take.
const WITHIN: Duration = Duration::from_secs(30);
/// Longest statement, in bytes.
const SQL_MAX: usize = 64 * 1024;
/// Most bytes of an answer, about.
const ANSWER_MAX: usize = 32 * 1024 * 1024;
/// Functions that make much of little in one step, past every bound.
const BARRED: [&str; 3] = ["repeat", "lpad", "rpad"];

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

impl History {
    /// Answers `sql` with up to `limit` rows.
    pub async fn sql(&self, sql: &str, limit: usize) -> Result<Answer, HistoryError> {
        if sql.len() > SQL_MAX {
            return Err(HistoryError::Sql(format!(
                "the statement has {} bytes; the most is {SQL_MAX}",
                sql.len()
            )));
        }
        let (config, environment) = (self.context.copied_config(), self.context.runtime_env());
        let (snapshot, sql) = (self.snapshot(), sql.to_owned());
        self.run(async move {
            // A context of its own: what one statement makes no other sees.
            let context = SessionContext::new_with_config_rt(config, environment);
            let answer = tokio::time::timeout(WITHIN, answer(&context, snapshot, &sql, limit));
            answer.await.map_err(|_| {
                HistoryError::Sql(format!(
                    "the statement took longer than {} s; ask for less, say with WHERE time > ...",
                    WITHIN.as_secs()
                ))
            })?
        })
        .await
    }
}

async fn answer(
    context: &SessionContext,
    snapshot: Snapshot,
    sql: &str,
    limit: usize,
) -> Result<Answer, HistoryError> {
    let files = snapshot.units.into_values().flat_map(|unit| unit.files);
    let files = files.map(|(_, path)| path).collect();
    let mut events = in_memory(context, snapshot.fresh)?;
    if let Some(kept) = in_files(context, files).await? {
        events = kept.union(events)?;
    }
    context.register_table("events", events.into_view())?;
    for function in BARRED {
        context.deregister_udf(function);
    }
    let options = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    let found = context.sql_with_options(sql, options).await.map_err(said)?;
    if matches!(
        found.logical_plan(),
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_)
    ) {
        return Err(HistoryError::Sql(
            "only SELECT is answered, also with WITH before it".to_owned(),
        ));
    }
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
