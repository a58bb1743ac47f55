//! Writing units.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use arrow::{
    array::{Array as _, AsArray as _, RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::TimestampMillisecondType,
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use super::{
    Kept, Name, Unit,
    digest::{Checked, Hashing},
    io,
    place::{folder_day, folder_host, make_private, sync},
};
use crate::{
    HistoryError,
    columns::{HOST_ID, LOGGED_TIME, TIME, schema},
};

/// How a file is called while it is written.
pub(super) const UNNAMED: &str = "tmp";

/// Rows that are compressed together, at most, and their bytes, about.
const ROW_GROUP: usize = 16 * 1024;
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// A day and a host.
pub(super) type Partition = (String, String);

/// Writes `batches`, the records from `from` up to `to`, and comes back when all
/// of it is on disk.
pub(crate) fn write(
    directory: &Path,
    batches: &[RecordBatch],
    from: u64,
    to: u64,
) -> Result<Unit, HistoryError> {
    let mut files = Vec::new();
    for (partition, pieces) in partitions(batches)? {
        let rows = pieces.iter().map(|piece| piece.num_rows() as u64).sum();
        let range = (from, to, rows);
        files.push(write_file(
            directory,
            partition,
            range,
            pieces.into_iter().map(Ok),
        )?);
    }
    Ok(Unit { from, to, files })
}

/// The rows of each day and host.
fn partitions(
    batches: &[RecordBatch],
) -> Result<BTreeMap<Partition, Vec<RecordBatch>>, HistoryError> {
    let mut partitions = BTreeMap::<Partition, Vec<RecordBatch>>::new();
    for batch in batches {
        for (partition, rows) in rows(batch) {
            let piece = take_record_batch(batch, &UInt32Array::from(rows))?;
            partitions.entry(partition).or_default().push(piece);
        }
    }
    Ok(partitions)
}

fn rows(batch: &RecordBatch) -> BTreeMap<Partition, Vec<u32>> {
    let times = |name| {
        let column = batch.column_by_name(name);
        column.and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>())
    };
    let (times, logged) = (times(TIME), times(LOGGED_TIME));
    let hosts = batch
        .column_by_name(HOST_ID)
        .and_then(|column| column.as_string_opt::<i32>());
    let mut rows = BTreeMap::<Partition, Vec<u32>>::new();
    for row in 0..batch.num_rows() {
        let time = times.map_or(0, |times| times.value(row));
        let logged = logged.map_or(time, |logged| logged.value(row));
        let host = hosts.filter(|hosts| hosts.is_valid(row));
        let host = folder_host(host.map(|hosts| hosts.value(row)));
        let number = u32::try_from(row).unwrap_or(u32::MAX);
        rows.entry((folder_day(time, logged), host))
            .or_default()
            .push(number);
    }
    rows
}

/// Writes one file of a unit from `from` up to `to`, which is to hold so many
/// rows, and comes back when it is on disk.
pub(super) fn write_file(
    directory: &Path,
    (day, host): Partition,
    (from, to, rows): (u64, u64, u64),
    pieces: impl Iterator<Item = Result<RecordBatch, HistoryError>>,
) -> Result<Kept, HistoryError> {
    let day_folder = directory.join(format!("day={day}"));
    let folder = day_folder.join(format!("host={host}"));
    for folder in [&day_folder, &folder] {
        make_private(folder).map_err(io(folder))?;
    }
    let unnamed = folder.join(format!("{from}-{to}.{UNNAMED}"));
    let named = fill(&unnamed, pieces).and_then(|(held, digest)| {
        if held != rows {
            return Err(HistoryError::Rows {
                path: unnamed.clone(),
                held,
                wanted: rows,
            });
        }
        let name = Name {
            from,
            to,
            rows,
            digest: digest.clone(),
        };
        let path = folder.join(name.to_string());
        fs::rename(&unnamed, &path).map_err(io(&path))?;
        Ok((path, digest))
    });
    let (path, digest) = match named {
        Ok(named) => named,
        Err(error) => {
            // The disk may be full of it. If it stays, the next start removes it.
            let _ = fs::remove_file(&unnamed);
            return Err(error);
        }
    };
    sync(&folder).map_err(io(&folder))?;
    Ok(Kept {
        day,
        host,
        rows,
        digest,
        path,
        checked: Checked::default(),
    })
}

/// Writes `pieces` into a file at `path`, durably. Gives the number of rows and
/// the digest.
fn fill(
    path: &Path,
    pieces: impl Iterator<Item = Result<RecordBatch, HistoryError>>,
) -> Result<(u64, String), HistoryError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .build();
    let file = Hashing::new(private(path).map_err(io(path))?);
    let mut writer = ArrowWriter::try_new(file, schema(), Some(properties))?;
    let mut rows = 0;
    for piece in pieces {
        let piece = piece?;
        rows += piece.num_rows() as u64;
        writer.write(&piece)?;
    }
    let (digest, file) = writer.into_inner()?.finish();
    file.sync_all().map_err(io(path))?;
    Ok((rows, digest))
}

/// A new, empty file for its owner alone.
fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}
