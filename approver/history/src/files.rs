//! Parquet files: `day=2026-01-31/host=<id>/<from>-<to>-<rows>-<digest>.parquet`.
//!
//! A unit is what was written together: one file for each day and host of the
//! records from `from` up to `to`. A file appears under its name only when it is whole and on disk, so the names
//! alone tell whether a unit is whole: its files hold as many rows as it has
//! numbers. A unit that was not finished is not used, and whoever wanted it does
//! it again; of two that hold the same records the larger whole one is used and
//! the other removed. So nothing is missing and nothing counts twice, whatever
//! ended when.

mod cover;
mod digest;
mod merge;
mod place;
mod write;

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

#[cfg(test)]
pub(crate) use self::digest::digest_of;
pub(crate) use self::{
    merge::{Tiers, adjacent, merge, remove},
    place::day,
    write::write,
};
use crate::HistoryError;

/// Files that were written together.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    /// Number of its first record.
    pub(crate) from: u64,
    /// Number after its last.
    pub(crate) to: u64,
    pub(crate) files: Vec<Kept>,
}

/// One file of a unit.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) day: String,
    pub(crate) host: String,
    /// Records it holds.
    pub(crate) rows: u64,
    /// Of its bytes.
    digest: String,
    pub(crate) path: PathBuf,
    checked: digest::Checked,
}

/// All units, by the number of their first record. Whoever holds one may read its
/// files: they are there as long as it is.
pub(crate) type Units = BTreeMap<u64, Arc<Unit>>;

impl Unit {
    /// Records it should hold.
    pub(crate) fn rows(&self) -> u64 {
        self.to - self.from
    }

    /// Whether all its files are there.
    fn is_whole(&self) -> bool {
        let mut rows = self.files.iter().map(|file| file.rows);
        rows.try_fold(0, u64::checked_add) == Some(self.rows())
    }
}

/// What is in the folder, before anything is made of it.
#[derive(Debug, Default)]
struct Found {
    /// By `from` and `to`.
    units: BTreeMap<(u64, u64), Unit>,
    /// Never got their names, or hold what another holds too.
    superfluous: Vec<PathBuf>,
}

/// Finds what is kept in `directory`: all records below `kept_below`, or it is an
/// error. Files from there on are of a round that was cut short: their records
/// are all in the database still, and they are removed. `next_index` is the
/// number after the last record of the database.
pub(crate) fn open(
    directory: &Path,
    kept_below: u64,
    next_index: u64,
) -> Result<Units, HistoryError> {
    place::make_private(directory).map_err(io(directory))?;
    let found = look(directory)?;
    let mut superfluous = found.superfluous;
    let mut kept = Vec::new();
    for unit in found.units.into_values() {
        let path = || {
            let file = unit.files.first();
            file.map_or_else(|| directory.to_owned(), |file| file.path.clone())
        };
        if unit.to > next_index {
            return Err(HistoryError::Newer {
                path: path(),
                next_index,
            });
        }
        if unit.from >= kept_below {
            superfluous.extend(unit.files.into_iter().map(|file| file.path));
        } else if unit.to > kept_below {
            return Err(HistoryError::Astride {
                path: path(),
                kept_below,
            });
        } else {
            kept.push(unit);
        }
    }
    let (units, others) = cover::cover(kept, kept_below).map_err(|missing| {
        let directory = directory.to_owned();
        HistoryError::Missing {
            directory,
            first: missing.start,
            last: missing.end - 1,
        }
    })?;
    superfluous.extend(others.into_iter().flat_map(paths));
    // Only now is it sure that none of them is needed.
    for path in superfluous {
        fs::remove_file(&path).map_err(io(&path))?;
    }
    Ok(units)
}

fn paths(unit: Unit) -> impl Iterator<Item = PathBuf> {
    unit.files.into_iter().map(|file| file.path)
}

impl Found {
    fn take(&mut self, (from, to): (u64, u64), kept: Kept) {
        let unit = self.units.entry((from, to)).or_default();
        (unit.from, unit.to) = (from, to);
        let same = |other: &Kept| {
            (&other.day, &other.host, other.rows) == (&kept.day, &kept.host, kept.rows)
        };
        if unit.files.iter().any(same) {
            // A round that was done again may come to other bytes.
            self.superfluous.push(kept.path);
        } else {
            unit.files.push(kept);
        }
    }
}

fn look(directory: &Path) -> Result<Found, HistoryError> {
    let mut found = Found::default();
    for day in folders(directory)? {
        for host in folders(&day)? {
            for entry in fs::read_dir(&host).map_err(io(&host))? {
                let path = entry.map_err(io(&host))?.path();
                if let Some(name) = Name::read(&path) {
                    let kept = Kept {
                        day: value(&day, "day="),
                        host: value(&host, "host="),
                        rows: name.rows,
                        digest: name.digest,
                        path,
                        checked: digest::Checked::default(),
                    };
                    found.take((name.from, name.to), kept);
                } else if path.extension().is_some_and(|one| one == write::UNNAMED) {
                    found.superfluous.push(path);
                }
            }
        }
    }
    Ok(found)
}

fn folders(path: &Path) -> Result<Vec<PathBuf>, HistoryError> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(path).map_err(io(path))? {
        let entry = entry.map_err(io(path))?;
        if entry.file_type().map_err(io(path))?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

fn value(folder: &Path, key: &str) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix(key).unwrap_or(&name).to_owned()
}

/// What a file is called.
struct Name {
    from: u64,
    to: u64,
    rows: u64,
    digest: String,
}

impl Name {
    fn read(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(".parquet")?;
        let parts: Vec<&str> = name.split('-').collect();
        let &[from, to, rows, digest] = parts.as_slice() else {
            return None;
        };
        let name = Self {
            from: from.parse().ok()?,
            to: to.parse().ok()?,
            rows: rows.parse().ok()?,
            digest: digest.to_owned(),
        };
        (name.from < name.to && digest::is_digest(digest)).then_some(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            rows,
            digest,
        } = self;
        write!(f, "{from:020}-{to:020}-{rows}-{digest}.parquet")
    }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> HistoryError {
    let path = path.to_owned();
    move |source| HistoryError::Io { path, source }
}
