//! `audit`: whether the log of everything that happened is what was signed, and
//! whether anything is missing from it.
//!
//! The judging is `holdpoint_evidence`'s. Here is where the log comes from (an
//! approver, a directory, an archive), what is remembered from one time to the
//! next, and how it is told. Believes nothing the approver says of itself.

mod check;
mod export;
mod history;
mod live;
mod memory;
mod offline;
mod prove;
mod report;
mod sighting;
mod tar;

use std::{io, path::PathBuf};

use holdpoint_evidence::{
    VerifierKey,
    audit::{self, Absent, HistoryError},
    checkpoint::CheckpointError,
    tiles::TreeError,
    tlog_proof::TlogProofError,
};

use self::{
    check::{Outcome, Reading, Trusted},
    live::Live,
    memory::Memories,
};
use crate::{
    args::{Audit, Proof, Trust, Verify},
    contexts::{Context, store::Store},
    failure::Failure,
    output::Output,
    reviews::ReviewsError,
};

/// Exit status where integrity is broken, or a proof does not hold.
const UNSOUND: u8 = 3;
/// Exit status where events are missing that nobody declared.
const INCOMPLETE: u8 = 4;

/// Why the log could not be checked, or what the check found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    /// It was said; the exit status repeats it.
    #[error("integrity is broken")]
    Unsound,
    /// It was said; the exit status repeats it.
    #[error("events are missing")]
    Incomplete,
    #[error("the proof does not hold: {0}")]
    Proof(#[from] TlogProofError),
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    #[error("the log does not go on from what was seen before: {0}; run `holdpoint audit verify`")]
    Continues(String),
    #[error(transparent)]
    Reviews(#[from] ReviewsError),
    #[error("can't read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("can't write {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "{path} is damaged: {message}; what this machine remembers of the log is lost: move the \
         file away to begin anew, and compare with a checkpoint that was kept elsewhere",
        path = path.display()
    )]
    MemoryDamaged { path: PathBuf, message: String },
    #[error(
        "don't know where to remember what was verified: set HOME, XDG_STATE_HOME or \
         HOLDPOINT_STATE_DIR to an absolute path"
    )]
    NoStateDirectory,
    #[error("{path} is no export: {message}", path = path.display())]
    NoExport { path: PathBuf, message: String },
    #[error("{path} exists already; name another place", path = path.display())]
    Exists { path: PathBuf },
    #[error("the approver's verifier key is malformed: {0}")]
    ServedKey(String),
    #[error(
        "don't know the log's key: give --key VERIFIER_KEY; `holdpoint audit key` prints it at \
         the approver's"
    )]
    NoKey,
    #[error(
        "{what:?} is neither an index in the log nor the id of a request; give digits, or the id \
         or its beginning"
    )]
    Unclear { what: String },
    #[error("the log has no records about request {id} yet; they come within a second or two")]
    NoRecords { id: String },
    #[error("{0}")]
    Tree(String),
    #[error("record {0} is missing from the log")]
    RecordMissing(u64),
}

impl AuditError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Unsound | Self::Proof(_) | Self::Checkpoint(_) | Self::Continues(_) => UNSOUND,
            Self::Incomplete => INCOMPLETE,
            _ => 1,
        }
    }
}

impl From<TreeError<Absent<AuditError>>> for AuditError {
    fn from(error: TreeError<Absent<Self>>) -> Self {
        match error {
            TreeError::Tile(Absent::Source(error)) => error,
            other => Self::Tree(other.to_string()),
        }
    }
}

impl From<HistoryError<AuditError>> for AuditError {
    fn from(error: HistoryError<Self>) -> Self {
        match error {
            HistoryError::Source(error) => error,
            other => Self::Continues(other.to_string()),
        }
    }
}

/// Does what `command` says, as the context `name`.
pub(crate) fn run(name: &str, command: &Audit, output: &mut Output) -> Result<(), Failure> {
    match command {
        Audit::Verify(verify) => self::verify(name, verify, output),
        Audit::Export(export) => {
            let mut live = connect(name)?;
            let memory = Memories::open(name)?.turn()?;
            let trusted = trusted(&export.trust, memory.known().map(|known| &known.key));
            let outcome = export::export(&mut live, trusted?, &memory, &export.path)?;
            finish(&outcome, output)
        }
        Audit::Prove(prove) => prove::prove(name, prove, output),
        Audit::Proof(Proof::Verify { file, key }) => {
            prove::verify(name, file, key.as_ref(), output)
        }
        Audit::Checkpoint => show(name, output, |note, _| note.to_owned()),
        Audit::Key => show(name, output, |_, key| format!("{key}\n")),
    }
}

fn verify(name: &str, verify: &Verify, output: &mut Output) -> Result<(), Failure> {
    let outcome = if let Some(path) = &verify.offline {
        let memory = Memories::open(name)
            .ok()
            .and_then(|memories| memories.load().ok()?);
        let trusted = trusted(&verify.trust, None)?;
        offline::verify(path, trusted, memory.as_ref())?
    } else {
        let mut live = connect(name)?;
        let memory = Memories::open(name)?.turn()?;
        let trusted = trusted(&verify.trust, memory.known().map(|known| &known.key))?;
        let reading = if verify.new {
            Reading::New
        } else {
            Reading::All
        };
        check::live(&mut live, trusted, &memory, reading)?
    };
    finish(&outcome, output)
}

/// Says what was found, in words and by the exit status.
fn finish(outcome: &Outcome, output: &mut Output) -> Result<(), Failure> {
    if output.json {
        output.json(&report::json(outcome))?;
    } else {
        output.text(&report::text(outcome))?;
    }
    if !outcome.is_sound() {
        Err(AuditError::Unsound.into())
    } else if outcome.is_incomplete() {
        Err(AuditError::Incomplete.into())
    } else {
        Ok(())
    }
}

/// Prints something of the newest checkpoint, whose signature is right.
fn show(
    name: &str,
    output: &mut Output,
    shown: impl FnOnce(&str, &VerifierKey) -> String,
) -> Result<(), Failure> {
    let mut live = connect(name)?;
    let known = Memories::open(name)?.load()?;
    let (note, served) = live.checkpoint()?;
    let key = known.as_ref().map_or(served, |known| known.key.clone());
    let checkpoint = check::open(&note, &key).map_err(AuditError::from)?;
    // What is kept elsewhere must be worth keeping.
    if let Some(known) = known {
        let seen = audit::continues(&mut live, &known.checkpoint, &checkpoint);
        seen.map_err(AuditError::from)?;
    }
    if output.json {
        output.json(&serde_json::json!({
            "checkpoint": note,
            "verifier_key": key.to_string(),
            "size": checkpoint.size.to_string(),
            "root": checkpoint.root.to_string(),
        }))
    } else {
        output.text(&shown(&note, &key))
    }
}

fn connect(name: &str) -> Result<Live, Failure> {
    let context: Context = Store::from_environment()?.load()?.get(name)?.clone();
    Live::connect(name, &context)
}

/// What was given on the command line, or else is remembered.
fn trusted(trust: &Trust, known: Option<&VerifierKey>) -> Result<Trusted, AuditError> {
    let kept = match &trust.checkpoint {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|source| AuditError::Read {
            path: path.clone(),
            source,
        })?),
    };
    Ok(Trusted {
        key: trust.key.as_ref().or(known).cloned(),
        kept,
    })
}
