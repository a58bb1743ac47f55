//! The check itself: signature, what was seen before, records, completeness, what
//! answers questions, in this order, and as far as each lets the next be judged.

use holdpoint_evidence::{
    Checkpoint, Hash, VerifierKey,
    audit::{self, HistoryError, Report, Source, SourceTiles, peaks},
    checkpoint::CheckpointError,
    completeness::Completeness,
    entry::leaf_of,
    tiles::Tree,
};
use jiff::Timestamp;

use super::{
    AuditError,
    history::compare,
    live::Live,
    memory::{Memory, Turn},
    sighting,
};

/// What is trusted before anything is looked at.
pub(super) struct Trusted {
    /// None: the key that comes with the log has to do.
    pub(super) key: Option<VerifierKey>,
    /// A checkpoint that was kept elsewhere.
    pub(super) kept: Option<Vec<u8>>,
}

/// A log that can be checked.
pub(super) trait Checked: Source<Error = AuditError> {
    /// From here on each file of the log is read once.
    fn walk_begins(&mut self) {}
}

/// Which records are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reading {
    /// All of them.
    All,
    /// Those that came since the last time.
    New,
}

/// What is known of a log before it is looked at, and what is to be.
pub(super) struct Task<'a> {
    pub(super) known: Option<&'a Memory>,
    pub(super) reading: Reading,
    /// It is a copy: a shorter one than was seen may be of an earlier time.
    pub(super) copy: bool,
}

/// Something that is wrong with the log as a whole, or with the history.
#[derive(Debug)]
pub(super) struct Problem {
    /// A word for programs.
    pub(super) code: &'static str,
    pub(super) text: String,
    /// First and last of the records it is about, if it is about some.
    pub(super) records: Option<(u64, u64)>,
}

/// The history, as far as it was compared with the log.
#[derive(Debug)]
pub(super) enum History {
    /// There is none here.
    Absent,
    /// The log can't say what should be in it.
    Undetermined,
    /// It was compared, and this is wrong.
    Compared(Vec<Problem>),
}

/// What a check found.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) key: VerifierKey,
    /// None if its signature is wrong.
    pub(super) checkpoint: Option<Checkpoint>,
    /// The first record that was read.
    pub(super) from: u64,
    /// Since when the records before that are known to be right.
    pub(super) since: Option<Timestamp>,
    pub(super) first_use: bool,
    pub(super) warnings: Vec<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) report: Report,
    pub(super) completeness: Completeness,
    pub(super) history: History,
    /// Of the records that were read.
    leaves: Vec<Hash>,
    /// Where an export was written to.
    pub(super) exported: Option<String>,
}

impl Outcome {
    /// Nothing was changed.
    pub(super) fn is_sound(&self) -> bool {
        let history = match &self.history {
            History::Compared(problems) => problems.is_empty(),
            History::Absent | History::Undetermined => true,
        };
        self.problems.is_empty() && self.report.is_sound() && history
    }

    /// Whether completeness can be judged: what is not the signed records says
    /// nothing.
    pub(super) fn tells_completeness(&self) -> bool {
        self.problems.is_empty() && self.report.spares_records()
    }

    /// Events are missing that nobody declared.
    pub(super) fn is_incomplete(&self) -> bool {
        self.tells_completeness() && !self.completeness.is_complete()
    }
}

/// The checkpoint that `note` is.
pub(super) fn open(note: &str, key: &VerifierKey) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::open(note.as_bytes(), key)
}

/// Checks a running approver's log and what it answers from and, if both are
/// sound, remembers the log.
pub(super) fn live(
    live: &mut Live,
    trusted: Trusted,
    turn: &Turn,
    reading: Reading,
) -> Result<Outcome, AuditError> {
    let (note, served) = live.checkpoint()?;
    let task = Task {
        known: turn.known(),
        reading,
        copy: false,
    };
    let mut outcome = check(live, &note, &served, trusted, &task)?;
    outcome.history = if outcome.tells_completeness() {
        let leaves = std::mem::take(&mut outcome.leaves);
        History::Compared(compare(live, outcome.from, &leaves)?)
    } else {
        History::Undetermined
    };
    remember(live, &mut outcome, note, turn)?;
    Ok(outcome)
}

/// Remembers what was found, if the log is sound.
pub(super) fn remember<S: Source<Error = AuditError>>(
    source: S,
    outcome: &mut Outcome,
    note: String,
    turn: &Turn,
) -> Result<(), AuditError> {
    let Some(checkpoint) = outcome.checkpoint.as_ref().filter(|_| outcome.is_sound()) else {
        return Ok(());
    };
    if let Some(other) = turn.known().filter(|known| known.key != outcome.key) {
        outcome.warnings.push(format!(
            "this context knew another log, of {} records with the key {}: it is forgotten, and \
             this one is remembered from now on",
            other.checkpoint.size, other.key
        ));
    }
    let mut tree = Tree::new(SourceTiles(source), checkpoint.size);
    turn.remember(&Memory {
        key: outcome.key.clone(),
        checkpoint: checkpoint.clone(),
        note,
        peaks: peaks(&mut tree, checkpoint.size)?,
        verified_at: Timestamp::now(),
        completeness: outcome.completeness.clone(),
    })
}

/// Checks the log in `source`, of which `note` is the checkpoint and `served`
/// the key that came with it.
pub(super) fn check<S: Checked>(
    source: &mut S,
    note: &str,
    served: &VerifierKey,
    trusted: Trusted,
    task: &Task<'_>,
) -> Result<Outcome, AuditError> {
    let mut outcome = Outcome {
        first_use: trusted.key.is_none(),
        key: trusted.key.unwrap_or_else(|| served.clone()),
        checkpoint: None,
        from: 0,
        since: None,
        warnings: Vec::new(),
        problems: Vec::new(),
        report: Report::default(),
        completeness: Completeness::default(),
        history: History::Absent,
        leaves: Vec::new(),
        exported: None,
    };
    if *served != outcome.key {
        outcome.problems.push(Problem {
            code: "other-key",
            text: format!("the log comes with another key than the trusted one: {served}"),
            records: None,
        });
    }
    let checkpoint = match open(note, &outcome.key) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            outcome.problems.push(Problem {
                code: "checkpoint",
                text: error.to_string(),
                records: None,
            });
            return Ok(outcome);
        }
    };
    if let Some(kept) = &trusted.kept {
        let kept = Checkpoint::open(kept, &outcome.key)?;
        let problem = goes_on(source, &kept, None, &checkpoint)?;
        outcome.problems.extend(problem);
    }
    let known = task.known.filter(|known| known.key == outcome.key);
    if let Some(known) = known {
        if task.copy && checkpoint.size < known.checkpoint.size {
            outcome.warnings.push(older(&checkpoint, known));
        } else {
            let problem = goes_on(source, &known.checkpoint, Some(known), &checkpoint)?;
            outcome.problems.extend(problem);
        }
    }
    if let Some(known) = known
        && task.reading == Reading::New
        && outcome.problems.is_empty()
    {
        outcome.from = known.checkpoint.size;
        outcome.since = Some(known.verified_at);
        outcome.completeness = known.completeness.clone();
    }
    source.walk_begins();
    let (completeness, leaves) = (&mut outcome.completeness, &mut outcome.leaves);
    outcome.report = audit::walk(&mut *source, &checkpoint, outcome.from, |index, record| {
        sighting::see(completeness, index, record);
        leaves.push(leaf_of(record));
        Ok(())
    })?;
    outcome.checkpoint = Some(checkpoint);
    Ok(outcome)
}

/// What is to be said of a copy that ends before what was seen.
fn older(copy: &Checkpoint, known: &Memory) -> String {
    format!(
        "it ends at {} records, and this machine verified {} at {}: it was made before that, or \
         its tail was cut",
        copy.size,
        known.checkpoint.size,
        known.verified_at.strftime("%Y-%m-%d %H:%M:%SZ")
    )
}

/// What is wrong if `new` does not continue `old`.
fn goes_on<S: Source<Error = AuditError>>(
    source: &mut S,
    old: &Checkpoint,
    known: Option<&Memory>,
    new: &Checkpoint,
) -> Result<Option<Problem>, AuditError> {
    let seen = match known {
        Some(known) => format!("at {}", known.verified_at.strftime("%Y-%m-%d %H:%M:%SZ")),
        None => "in the checkpoint that was kept".to_owned(),
    };
    Ok(match audit::continues(&mut *source, old, new) {
        Ok(()) => None,
        Err(HistoryError::Source(error)) => return Err(error),
        Err(HistoryError::RolledBack { old, new }) => Some(Problem {
            code: "rolled-back",
            text: format!(
                "the log was rolled back: it had {old} records {seen} and has {new} now; records \
                 {new} to {} are gone",
                old - 1
            ),
            records: Some((new, old - 1)),
        }),
        Err(error @ (HistoryError::Forked { .. } | HistoryError::Rewritten(_))) => {
            let code = match error {
                HistoryError::Forked { .. } => "forked",
                _ => "rewritten",
            };
            let place = match known {
                Some(known) => rewritten(source, known, new),
                None => String::new(),
            };
            Some(Problem {
                code,
                text: format!("{error} ({seen}){place}"),
                records: None,
            })
        }
        Err(error @ HistoryError::Unprovable(_)) => Some(Problem {
            code: "unprovable",
            text: error.to_string(),
            records: None,
        }),
    })
}

/// Which of the records that were verified are others now, as far as the
/// remembered hashes tell.
fn rewritten<S: Source<Error = AuditError>>(
    source: &mut S,
    known: &Memory,
    new: &Checkpoint,
) -> String {
    let old = known.checkpoint.size;
    let mut tree = Tree::new(SourceTiles(&mut *source), new.size);
    let Ok(now) = peaks(&mut tree, old) else {
        return String::new();
    };
    spans(old)
        .zip(known.peaks.iter().zip(&now))
        .find(|(_, (before, now)): &(_, (&Hash, &Hash))| before != now)
        .map_or_else(String::new, |((first, last), _)| {
            format!("; the first change is within records {first} to {last}")
        })
}

/// The parts that a tree of `size` leaves is made of: one for each bit.
fn spans(size: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut start = 0;
    (0..u64::BITS).rev().filter_map(move |bit| {
        let length = size & (1 << bit);
        let first = start;
        start += length;
        (length > 0).then(|| (first, start - 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_tree() {
        assert_eq!(spans(0).count(), 0);
        assert_eq!(spans(1).collect::<Vec<_>>(), [(0, 0)]);
        assert_eq!(spans(11).collect::<Vec<_>>(), [(0, 7), (8, 9), (10, 10)]);
        assert_eq!(spans(u64::MAX).count(), 64);
    }
}
