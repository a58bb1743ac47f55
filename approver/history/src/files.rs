//! Parquet files: `day=2026-01-31/host=<id>/<from>-<to>.parquet`.
//!
//! One round of keeping writes one file for each day and host of the records
//! from `from` up to `to`, all named alike. A file appears under its name only
//! when it is whole and on disk. The records leave the database after that, so a
//! round that was cut short is found by its numbers and done again: nothing in
//! it is missing, and nothing counts twice.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array as _, AsArray as _, RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::TimestampMillisecondType,
};
use jiff::{Timestamp, tz::TimeZone};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use crate::{
    HistoryError,
    columns::{HOST_ID, TIME},
};

/// What is not about one host.
const NO_HOST: &str = "approver";

/// Rows that are compressed together.
const ROW_GROUP: usize = 16 * 1024;

/// Files of one round.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Unit {
    /// Number after its last record.
    pub(crate) to: u64,
    /// Each with its day.
    pub(crate) files: Vec<(String, PathBuf)>,
}

/// All rounds, by the number of their first record.
pub(crate) type Units = BTreeMap<u64, Unit>;

/// Finds what is kept in `directory`. Files from `kept_below` on are of a round
/// that was cut short: their records are all in the database still, and they are
/// removed. `next_index` is the number after the last record of the database.
pub(crate) fn open(
    directory: &Path,
    kept_below: u64,
    next_index: u64,
) -> Result<Units, HistoryError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| HistoryError::Io { path, source }
    };
    fs::create_dir_all(directory).map_err(io(directory))?;
    let mut units = Units::new();
    for day in folders(directory).map_err(io(directory))? {
        for host in folders(&day).map_err(io(&day))? {
            for entry in fs::read_dir(&host).map_err(io(&host))? {
                let path = entry.map_err(io(&host))?.path();
                let Some((from, to)) = numbers(&path) else {
                    // Never got its name.
                    if path.extension().is_some_and(|one| one == "tmp") {
                        fs::remove_file(&path).map_err(io(&path))?;
                    }
                    continue;
                };
                if to > next_index {
                    return Err(HistoryError::Newer { path, next_index });
                }
                if from >= kept_below {
                    fs::remove_file(&path).map_err(io(&path))?;
                    continue;
                }
                let unit = units.entry(from).or_default();
                unit.to = to;
                let day = day.file_name().unwrap_or_default().to_string_lossy();
                let day = day.trim_start_matches("day=").to_owned();
                unit.files.push((day, path));
            }
        }
    }
    Ok(units)
}

fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

fn numbers(path: &Path) -> Option<(u64, u64)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".parquet")?;
    let (from, to) = name.split_once('-')?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

/// Writes `batch`, the records from `from` up to `to`, and comes back when all of
/// it is on disk.
pub(crate) fn write(
    directory: &Path,
    batch: &RecordBatch,
    from: u64,
    to: u64,
) -> Result<Unit, HistoryError> {
    let mut unit = Unit {
        to,
        files: Vec::new(),
    };
    for ((day, host), rows) in partitions(batch) {
        let part = take_record_batch(batch, &UInt32Array::from(rows))?;
        let folder = directory
            .join(format!("day={day}"))
            .join(format!("host={host}"));
        let path = folder.join(format!("{from:020}-{to:020}.parquet"));
        write_one(directory, &folder, &path, &part)?;
        unit.files.push((day, path));
    }
    Ok(unit)
}

/// The rows of each day and host.
fn partitions(batch: &RecordBatch) -> BTreeMap<(String, String), Vec<u32>> {
    let times = batch
        .column_by_name(TIME)
        .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
    let hosts = batch
        .column_by_name(HOST_ID)
        .and_then(|column| column.as_string_opt::<i32>());
    let mut partitions = BTreeMap::<_, Vec<u32>>::new();
    for row in 0..batch.num_rows() {
        let day = times.map_or_else(String::new, |times| day(times.value(row)));
        let host = hosts
            .filter(|hosts| hosts.is_valid(row))
            .map_or(NO_HOST, |hosts| hosts.value(row));
        // An id of ours is a UUID; whatever else it were must stay a name.
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        let host: String = host.chars().take(64).map(plain).collect();
        partitions
            .entry((day, host))
            .or_default()
            .push(u32::try_from(row).unwrap_or(u32::MAX));
    }
    partitions
}

/// The day of a time, as folders are called.
pub(crate) fn day(millis: i64) -> String {
    // A host's clock may say anything; what is no date is the first of all days.
    let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MIN);
    let date = time.to_zoned(TimeZone::UTC).date();
    if date.year() < 0 {
        "0000-01-01".to_owned()
    } else {
        date.to_string()
    }
}

fn write_one(
    directory: &Path,
    folder: &Path,
    path: &Path,
    part: &RecordBatch,
) -> Result<(), HistoryError> {
    let io = |source| HistoryError::Io {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(io)?;
    let temporary = path.with_extension("tmp");
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .build();
    let file = File::create(&temporary).map_err(io)?;
    let mut writer = ArrowWriter::try_new(file, part.schema(), Some(properties))?;
    writer.write(part)?;
    let file = writer.into_inner()?;
    file.sync_all().map_err(io)?;
    fs::rename(&temporary, path).map_err(io)?;
    // The names are on disk when their folders are.
    let day = folder.parent().unwrap_or(directory);
    for folder in [folder, day, directory] {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io)?;
    }
    Ok(())
}
