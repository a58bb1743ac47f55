//! Files that were changed, cut or removed are noticed.

use std::{fs, path::PathBuf};

use arrow::array::{ArrayRef, StringArray};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

use super::*;

/// All Parquet files under `directory`, in order.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The six records, in two units of files.
async fn kept() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let history = Arc::new(History::open(directory.path(), 0, 6).unwrap());
    history.offer(&records()).unwrap();
    assert_eq!(history.keep(3).await.unwrap(), 3);
    assert_eq!(history.keep(6).await.unwrap(), 6);
    directory
}

fn open(directory: &TempDir) -> Result<History, HistoryError> {
    History::open(directory.path(), 6, 6)
}

async fn everything(history: &History) -> Result<Vec<Record>, HistoryError> {
    let page = history.search(&Query::default(), None, 100).await?;
    Ok(page.records)
}

#[tokio::test]
async fn a_missing_file_ends_the_start_and_is_named() {
    let directory = kept().await;
    for file in files(directory.path()) {
        let bytes = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let first: u64 = name.split('-').next().unwrap().parse().unwrap();
        let error = open(&directory).unwrap_err();
        match error {
            HistoryError::Missing {
                first: found, last, ..
            } => assert_eq!((found, last), (first, first + 2), "{name}"),
            other => panic!("{other:?}"),
        }
        fs::write(&file, bytes).unwrap();
    }
    // The whole of it, and the whole of one unit.
    let all = files(directory.path());
    for file in all
        .iter()
        .filter(|file| file.to_string_lossy().contains("0006-"))
    {
        fs::remove_file(file).unwrap();
    }
    let error = open(&directory).unwrap_err().to_string();
    assert!(error.contains("lacks records 3 to 5"), "{error}");
    for entry in fs::read_dir(directory.path()).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    let error = open(&directory).unwrap_err().to_string();
    assert!(error.contains("lacks records 0 to 5"), "{error}");
}

#[tokio::test]
async fn nothing_is_removed_by_a_start_that_fails() {
    let directory = kept().await;
    let before = files(directory.path());
    // Older than the history, in each way: it has not even the records, or it has
    // them and did not know that they were kept.
    let error = History::open(directory.path(), 0, 5).unwrap_err();
    assert!(matches!(error, HistoryError::Newer { .. }), "{error}");
    let error = History::open(directory.path(), 4, 6).unwrap_err();
    assert!(matches!(error, HistoryError::Astride { .. }), "{error}");
    let removed = fs::read(&before[0]).unwrap();
    fs::remove_file(&before[0]).unwrap();
    let error = History::open(directory.path(), 3, 6).unwrap_err();
    assert!(matches!(error, HistoryError::Missing { .. }), "{error}");
    fs::write(&before[0], removed).unwrap();
    assert_eq!(files(directory.path()), before);
    // What a round that was cut short left is removed by one that does not.
    History::open(directory.path(), 3, 6).unwrap();
    assert!(files(directory.path()).len() < before.len());
}

#[tokio::test]
async fn each_changed_byte_is_found_by_whoever_reads_everything() {
    let directory = kept().await;
    for file in files(directory.path()) {
        let whole = fs::read(&file).unwrap();
        // Prime, so that all kinds of places are met.
        for at in (0..whole.len()).step_by(331) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&file, &bytes).unwrap();
            let history = open(&directory).unwrap();
            let error = everything(&history).await.unwrap_err();
            assert!(error.is_damage(), "{at}: {error:?}");
            let error = error.to_string();
            assert!(error.contains(file.to_str().unwrap()), "{error}");
        }
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let error = everything(&open(&directory).unwrap()).await.unwrap_err();
        assert!(matches!(error, HistoryError::Changed { .. }), "{error:?}");
        fs::write(&file, &whole).unwrap();
    }
    let found = everything(&open(&directory).unwrap()).await.unwrap();
    assert_eq!(numbers(&found), [5, 4, 3, 2, 1, 0]);
}

#[tokio::test]
async fn a_file_that_goes_or_changes_while_the_approver_runs_is_noticed() {
    let directory = kept().await;
    let history = open(&directory).unwrap();
    everything(&history).await.unwrap();
    let file = &files(directory.path())[0];
    let bytes = fs::read(file).unwrap();
    fs::remove_file(file).unwrap();
    for _ in 0..2 {
        let error = everything(&history).await.unwrap_err();
        assert!(matches!(error, HistoryError::Gone { .. }), "{error:?}");
        // Never a smaller number instead.
        let error = history.sql("SELECT count(*) FROM events", 1).await;
        let error = error.unwrap_err();
        assert!(matches!(error, HistoryError::Gone { .. }), "{error:?}");
    }
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(file, changed).unwrap();
    let error = everything(&history).await.unwrap_err();
    assert!(matches!(error, HistoryError::Changed { .. }), "{error:?}");
    fs::write(file, bytes).unwrap();
    everything(&history).await.unwrap();
}

/// Writes `file` anew with `column` of all rows saying `value`, and with the name
/// that goes with it.
fn change(file: &Path, column: &str, value: &str) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(file).unwrap()).unwrap();
    let rows = reader.build().unwrap().next().unwrap().unwrap();
    let at = rows.schema().index_of(column).unwrap();
    let mut columns = rows.columns().to_vec();
    let changed: ArrayRef = Arc::new(StringArray::from(vec![value; rows.num_rows()]));
    columns[at] = changed;
    let rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let digest = crate::files::digest_of(&bytes);
    let (numbers, _) = name.rsplit_once('-').unwrap();
    fs::remove_file(file).unwrap();
    let file = file.with_file_name(format!("{numbers}-{digest}.parquet"));
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_column_that_does_not_say_what_its_record_says_is_found() {
    let directory = kept().await;
    let file = files(directory.path());
    let file = file
        .iter()
        .find(|file| file.to_string_lossy().contains("web-1"));
    change(file.unwrap(), "outcome", "allowed");
    let history = open(&directory).unwrap();
    // The name is right, so it is no damage.
    let found = everything(&history).await.unwrap();
    let mut wrong = Vec::new();
    for (found, told) in found.iter().rev().zip(records()) {
        assert_eq!(found.log_index, told.log_index);
        if found.json != told.json {
            let found: Value = serde_json::from_slice(&found.json).unwrap();
            assert_eq!(found["unmapped"]["kind"], "damaged");
            let text = found["unmapped"]["record"].as_str().unwrap();
            assert_eq!(text.as_bytes(), told.json);
            wrong.push(told.log_index);
        }
    }
    // Record 0 was allowed before, too.
    assert_eq!(wrong, [1]);
}
