//! An export, checked without the approver that made it.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use holdpoint_evidence::{Resource, VerifierKey, audit::Source, note::NOTE_MAX};

use super::{
    AuditError,
    check::{Checked, Outcome, Reading, Task, Trusted, check},
    memory::Memory,
    tar::Archive,
};

/// The files of an export beside those that the log's paths name.
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const KEY: &str = "verifier-key";

/// Most bytes of any file of a log.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// An export.
enum Export {
    Directory(PathBuf),
    Archive(Archive),
}

/// Checks the export at `path`. `known` is what this context knows of its log, and
/// counts if it is of the same key.
pub(super) fn verify(
    path: &Path,
    trusted: Trusted,
    known: Option<&Memory>,
) -> Result<Outcome, AuditError> {
    let mut export = Export::open(path)?;
    let no_export = |message: String| AuditError::NoExport {
        path: path.to_owned(),
        message,
    };
    let mut text = |name: &str| {
        let bytes = export
            .file(name, NOTE_MAX as u64)?
            .ok_or_else(|| no_export(format!("there is no file {name} in it")))?;
        String::from_utf8(bytes).map_err(|_| no_export(format!("{name} is no text")))
    };
    let note = text(CHECKPOINT)?;
    let served: VerifierKey = text(KEY)?
        .trim_end()
        .parse()
        .map_err(|error| no_export(format!("{KEY}: {error}")))?;
    let pinned = trusted.key.is_some() || known.is_some_and(|known| known.key == served);
    let task = Task {
        known,
        reading: Reading::All,
        copy: true,
    };
    let mut outcome = check(&mut export, &note, &served, trusted, &task)?;
    outcome.first_use = false;
    if !pinned {
        outcome.warnings.push(format!(
            "the key is the export's own, so anybody could have made all of it: compare {} with \
             the log's key, or give it as --key",
            outcome.key
        ));
    }
    Ok(outcome)
}

impl Export {
    fn open(path: &Path) -> Result<Self, AuditError> {
        let metadata = fs::metadata(path).map_err(|source| read(path, source))?;
        if metadata.is_dir() {
            Ok(Self::Directory(path.to_owned()))
        } else {
            Ok(Self::Archive(Archive::open(path)?))
        }
    }

    /// The bytes of a file, none if it is not there.
    fn file(&mut self, name: &str, most: u64) -> Result<Option<Vec<u8>>, AuditError> {
        match self {
            Self::Archive(archive) => archive.file(name, most),
            Self::Directory(directory) => file(&directory.join(name), most),
        }
    }
}

impl Source for Export {
    type Error = AuditError;

    fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, AuditError> {
        self.file(&resource.to_string(), FILE_MAX)
    }
}

impl Checked for Export {}

/// A regular file: a pipe or a device in somebody's export must not hold us up.
fn file(path: &Path, most: u64) -> Result<Option<Vec<u8>>, AuditError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(read(path, source)),
    };
    if !metadata.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|source| read(path, source))?;
    // One byte too long is as wrong as many.
    Ok(Some(bytes))
}

pub(super) fn read(path: &Path, source: std::io::Error) -> AuditError {
    AuditError::Read {
        path: path.to_owned(),
        source,
    }
}
