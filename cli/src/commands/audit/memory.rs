//! What this account saw of the log of a context: the last checkpoint it
//! verified, and what was known of the hosts then.
//!
//! The whole point is that the approver can't take it back, so it is written
//! durably, and a file that can't be read is never taken for none.

use std::{
    env,
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use holdpoint_evidence::{Checkpoint, Hash, VerifierKey, completeness::Completeness};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AuditError;

/// What was verified last.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) key: VerifierKey,
    pub(super) checkpoint: Checkpoint,
    /// The signed note.
    pub(super) note: String,
    /// Perfect subtrees at that size: they tell which part was rewritten.
    pub(super) peaks: Vec<Hash>,
    pub(super) verified_at: Timestamp,
    pub(super) completeness: Completeness,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    verifier_key: String,
    checkpoint: String,
    peaks: Vec<String>,
    verified_at: Timestamp,
    completeness: Completeness,
}

/// Where what was verified of one context is kept.
pub(super) struct Memories {
    path: PathBuf,
}

/// The right to change it, for as long as a verification takes: two at once
/// would forget what the later one saw.
pub(super) struct Turn {
    memories: Memories,
    known: Option<Memory>,
    _lock: File,
}

impl Memories {
    /// Of the context `name`, in the directory that the environment says.
    pub(super) fn open(name: &str) -> Result<Self, AuditError> {
        let set = |name: &str| {
            let path = PathBuf::from(env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let directory = match env::var_os("HOLDPOINT_STATE_DIR") {
            // Named by the person: also a relative path is meant.
            Some(path) if !path.is_empty() => Some(PathBuf::from(path)),
            _ => set("XDG_STATE_HOME")
                .or_else(|| set("HOME").map(|home| home.join(".local/state")))
                .map(|state| state.join("holdpoint")),
        };
        let directory = directory.ok_or(AuditError::NoStateDirectory)?;
        // A context's name holds no slash; the suffix keeps ".." from being one.
        let path = directory.join("audit").join(format!("{name}.json"));
        Ok(Self { path })
    }

    /// What is remembered; none before the first time.
    pub(super) fn load(&self) -> Result<Option<Memory>, AuditError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(AuditError::Read {
                    path: self.path.clone(),
                    source,
                });
            }
        };
        let memory = parse(&text).map_err(|message| AuditError::MemoryDamaged {
            path: self.path.clone(),
            message,
        })?;
        Ok(Some(memory))
    }

    /// Waits until no other verification of this context runs.
    pub(super) fn turn(self) -> Result<Turn, AuditError> {
        let lock = self.path.with_extension("lock");
        let locked = self.make_directory().and_then(|()| {
            let file = File::options().create(true).append(true).open(&lock)?;
            file.lock().map(|()| file)
        });
        let write = |source| AuditError::Write { path: lock, source };
        let lock = locked.map_err(write)?;
        Ok(Turn {
            known: self.load()?,
            memories: self,
            _lock: lock,
        })
    }

    fn make_directory(&self) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
    }
}

impl Turn {
    /// What is remembered; none before the first time.
    pub(super) fn known(&self) -> Option<&Memory> {
        self.known.as_ref()
    }

    /// Remembers `memory` instead.
    pub(super) fn remember(&self, memory: &Memory) -> Result<(), AuditError> {
        let path = &self.memories.path;
        let replace = || {
            let stored = Stored {
                verifier_key: memory.key.to_string(),
                checkpoint: memory.note.clone(),
                peaks: memory.peaks.iter().map(|peak| peak.to_base64()).collect(),
                verified_at: memory.verified_at,
                completeness: memory.completeness.clone(),
            };
            let directory = path.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            serde_json::to_writer(&mut file, &stored)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)?;
            File::open(directory)?.sync_all()
        };
        replace().map_err(|source| AuditError::Write {
            path: path.clone(),
            source,
        })
    }
}

fn parse(text: &str) -> Result<Memory, String> {
    let stored: Stored = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let key: VerifierKey = stored.verifier_key.parse().map_err(|_| "no key")?;
    let checkpoint = Checkpoint::open(stored.checkpoint.as_bytes(), &key);
    let peaks: Option<Vec<Hash>> = stored
        .peaks
        .iter()
        .map(|peak| Hash::from_base64(peak))
        .collect();
    Ok(Memory {
        checkpoint: checkpoint.map_err(|error| error.to_string())?,
        peaks: peaks.ok_or("a hash is malformed")?,
        key,
        note: stored.checkpoint,
        verified_at: stored.verified_at,
        completeness: stored.completeness,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let memories = |name: &str| Memories {
            path: directory.path().join("audit").join(name),
        };
        assert!(memories("a.json").load().unwrap().is_none());
        let turn = memories("a.json").turn().unwrap();
        assert!(turn.known().is_none());
        fs::write(&turn.memories.path, "{}").unwrap();
        let error = turn.memories.load().unwrap_err().to_string();
        assert!(
            error.contains("is damaged") && error.contains("a.json"),
            "{error}"
        );
        drop(turn);
        assert!(memories("a.json").turn().is_err());
    }
}
