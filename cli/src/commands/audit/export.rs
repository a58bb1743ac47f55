//! Copies a log while it is checked: what is exported is what was read, and a
//! log that is broken is exported as it is, and said to be broken.
//!
//! Holds one file of the log at a time. The checkpoint comes last, so that half
//! an export is none.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufWriter, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use holdpoint_evidence::{Resource, audit::Source};
use jiff::Timestamp;

use super::{
    AuditError,
    check::{Checked, Outcome, Reading, Task, Trusted, check, remember},
    live::Live,
    memory::Turn,
    offline::{CHECKPOINT, KEY},
    tar,
};

const README: &str = "\
This is a copy of a Holdpoint log, complete and to be checked without its approver:

    holdpoint audit verify --offline PATH --key VERIFIER_KEY

Take VERIFIER_KEY from a place that whoever gave you this copy can't write to; the file
verifier-key says what the copy itself claims.

checkpoint           the signed tree head (C2SP tlog-checkpoint)
verifier-key         the key that checks its signature (C2SP signed-note)
tile/LEVEL/INDEX     hashes (C2SP tlog-tiles)
tile/entries/INDEX   the records, 256 in a file, each after its length in two bytes
record/INDEX         a record too long for its file: its entry there is its length and SHA-256
";

/// Where an export goes.
enum Sink {
    Directory(PathBuf),
    Archive {
        path: PathBuf,
        file: BufWriter<tempfile::NamedTempFile>,
        time: u64,
    },
}

/// Hands on what is read, and keeps a copy of what the walk reads: it reads each
/// file once.
struct Copying<'a> {
    live: &'a mut Live,
    sink: &'a mut Sink,
    walking: bool,
}

/// Exports the log to `path`, checking all of it.
pub(super) fn export(
    live: &mut Live,
    trusted: Trusted,
    turn: &Turn,
    path: &Path,
) -> Result<Outcome, AuditError> {
    let mut sink = Sink::make(path)?;
    let (note, served) = live.checkpoint()?;
    let key = served.to_string();
    let mut copying = Copying {
        live,
        sink: &mut sink,
        walking: false,
    };
    let task = Task {
        known: turn.known(),
        reading: Reading::All,
        copy: false,
    };
    let mut outcome = check(&mut copying, &note, &served, trusted, &task)?;
    sink.put(KEY, format!("{key}\n").as_bytes())?;
    sink.put("README", README.as_bytes())?;
    sink.put(CHECKPOINT, note.as_bytes())?;
    sink.finish()?;
    outcome.exported = Some(path.display().to_string());
    remember(live, &mut outcome, note, turn)?;
    Ok(outcome)
}

impl Source for Copying<'_> {
    type Error = AuditError;

    fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, AuditError> {
        let bytes = self.live.read(resource)?;
        if let Some(bytes) = bytes.as_ref().filter(|_| self.walking) {
            self.sink.put(&resource.to_string(), bytes)?;
        }
        Ok(bytes)
    }
}

impl Checked for Copying<'_> {
    fn walk_begins(&mut self) {
        self.walking = true;
    }
}

impl Sink {
    fn make(path: &Path) -> Result<Self, AuditError> {
        let written = |source| write(path, source);
        if path.symlink_metadata().is_ok() {
            return Err(AuditError::Exists {
                path: path.to_owned(),
            });
        }
        if path.extension().is_some_and(|extension| extension == "tar") {
            let directory = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            let file = tempfile::NamedTempFile::new_in(directory).map_err(written)?;
            return Ok(Self::Archive {
                path: path.to_owned(),
                file: BufWriter::new(file),
                time: u64::try_from(Timestamp::now().as_second()).unwrap_or(0),
            });
        }
        // Records tell what people ran.
        let made = DirBuilder::new().mode(0o700).create(path);
        made.map_err(written)?;
        Ok(Self::Directory(path.to_owned()))
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), AuditError> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(name);
                let put = || {
                    path.parent().map_or(Ok(()), fs::create_dir_all)?;
                    let mut file = File::create(&path)?;
                    file.write_all(bytes)?;
                    if name == CHECKPOINT {
                        file.sync_all()
                    } else {
                        Ok(())
                    }
                };
                put().map_err(|source| write(&path, source))
            }
            Self::Archive { path, file, time } => {
                tar::append(file, name, bytes, *time).map_err(|source| write(path, source))
            }
        }
    }

    fn finish(self) -> Result<(), AuditError> {
        let Self::Archive { path, mut file, .. } = self else {
            return Ok(());
        };
        let finish = || {
            tar::finish(&mut file)?;
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            file.persist_noclobber(&path).map_err(|error| error.error)?;
            Ok(())
        };
        finish().map_err(|source: io::Error| write(&path, source))
    }
}

fn write(path: &Path, source: io::Error) -> AuditError {
    AuditError::Write {
        path: path.to_owned(),
        source,
    }
}
