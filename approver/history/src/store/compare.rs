//! Records out of columns, and whether the columns say what the record says.
//!
//! The log vouches for every byte of a record and for no column, but questions
//! are answered from columns. So whoever reads everything, as a verification
//! does, gets a record whose columns were changed as one that is not the record.

use arrow::{
    array::{AsArray as _, RecordBatch},
    datatypes::Int64Type,
};
use serde_json::json;

use crate::{
    HistoryError, Record,
    columns::{LOG_INDEX, RECORD, batch},
};

/// The records of `batches`.
pub(super) fn read(batches: &[RecordBatch]) -> Vec<Record> {
    batches.iter().flat_map(records).collect()
}

fn records(rows: &RecordBatch) -> Vec<Record> {
    let numbers = rows
        .column_by_name(LOG_INDEX)
        .and_then(|column| column.as_primitive_opt::<Int64Type>());
    let texts = rows
        .column_by_name(RECORD)
        .and_then(|column| column.as_string_opt::<i32>());
    let (Some(numbers), Some(texts)) = (numbers, texts) else {
        return Vec::new();
    };
    let record = |row| Record {
        log_index: numbers.value(row).cast_unsigned(),
        json: texts.value(row).as_bytes().to_vec(),
    };
    (0..rows.num_rows()).map(record).collect()
}

/// The records of `batches`, which have all columns. In place of one that was
/// changed stands a word about that, with what is left of it.
pub(super) fn honest(batches: &[RecordBatch]) -> Result<Vec<Record>, HistoryError> {
    let mut all = Vec::new();
    for rows in batches {
        let mut records = records(rows);
        let made = batch(&records)?;
        if !alike(&made, rows) {
            for (row, record) in records.iter_mut().enumerate() {
                if !alike(&made.slice(row, 1), &rows.slice(row, 1)) {
                    record.json = changed(record);
                }
            }
        }
        all.append(&mut records);
    }
    Ok(all)
}

fn alike(made: &RecordBatch, found: &RecordBatch) -> bool {
    let schema = made.schema();
    let mut columns = schema.fields().iter().zip(made.columns());
    columns.all(|(field, made)| {
        let found = found.column_by_name(field.name());
        found.is_some_and(|found| found.as_ref() == made.as_ref())
    })
}

fn changed(record: &Record) -> Vec<u8> {
    let message = format!(
        "record {} was changed in the history: its columns do not say what it says; \
         `holdpoint audit verify` tells how much is changed",
        record.log_index
    );
    let told = json!({
        "message": message,
        "severity_id": 5,
        "severity": "Critical",
        "unmapped": {
            "kind": "damaged",
            "record": String::from_utf8_lossy(&record.json),
        },
    });
    told.to_string().into_bytes()
}
