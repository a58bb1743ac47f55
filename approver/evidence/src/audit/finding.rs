//! What can be wrong with a log, in words that say where.

use std::fmt;

use crate::{entry::BundleError, path::Resource, tiles::TileError};

/// Something that is wrong, with the records it is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What is wrong.
    pub flaw: Flaw,
    /// The first record it is about.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// What is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Flaw {
    /// The bundle that holds the records is not there.
    RecordsMissing,
    /// The bundle that holds the records is malformed.
    RecordsUnreadable(Resource, BundleError),
    /// The records are not those that were signed.
    RecordsChanged,
    /// The records were signed, at other places: so many records further on.
    RecordsMoved(i64),
    /// The whole of a long record is not there.
    LongRecordMissing,
    /// The whole of a long record is not the one that was signed.
    LongRecordChanged,
    /// A tile of hashes over the records is not there.
    HashesMissing(Resource),
    /// A tile of hashes over the records is malformed.
    HashesUnreadable(Resource, TileError),
    /// A tile of hashes over the records does not lead to what was signed.
    HashesChanged(Resource),
    /// The records, taken together, are not those that were signed, and the
    /// hashes that would tell which are not either.
    RootMismatch,
}

impl Flaw {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RecordsMissing => "records-missing",
            Self::RecordsUnreadable(..) => "records-unreadable",
            Self::RecordsChanged => "records-changed",
            Self::RecordsMoved(_) => "records-moved",
            Self::LongRecordMissing => "long-record-missing",
            Self::LongRecordChanged => "long-record-changed",
            Self::HashesMissing(_) => "hashes-missing",
            Self::HashesUnreadable(..) => "hashes-unreadable",
            Self::HashesChanged(_) => "hashes-changed",
            Self::RootMismatch => "root-mismatch",
        }
    }

    /// Whether it is about hashes only: the records themselves are as signed.
    pub fn spares_records(&self) -> bool {
        matches!(
            self,
            Self::HashesMissing(_) | Self::HashesUnreadable(..) | Self::HashesChanged(_)
        )
    }
}

impl Finding {
    pub(crate) fn new(flaw: Flaw, first: u64, last: u64) -> Self {
        Self { flaw, first, last }
    }

    /// Takes `next` in if it is the same flaw of the neighbour.
    pub(crate) fn join(&mut self, next: &Self) -> bool {
        let alike = match (&self.flaw, &next.flaw) {
            (Flaw::RecordsMissing, Flaw::RecordsMissing)
            | (Flaw::RecordsChanged, Flaw::RecordsChanged)
            | (Flaw::LongRecordMissing, Flaw::LongRecordMissing) => true,
            (Flaw::RecordsMoved(a), Flaw::RecordsMoved(b)) => a == b,
            _ => false,
        };
        let joined = alike && self.last.checked_add(1) == Some(next.first);
        if joined {
            self.last = next.last;
        }
        joined
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (records, are, were) = if self.first == self.last {
            (format!("record {}", self.first), "is", "was")
        } else {
            (
                format!("records {} to {}", self.first, self.last),
                "are",
                "were",
            )
        };
        match &self.flaw {
            Flaw::RecordsMissing => write!(formatter, "{records} {are} missing"),
            Flaw::RecordsUnreadable(resource, error) => {
                write!(
                    formatter,
                    "{records} can't be read: {resource} is damaged: {error}"
                )
            }
            Flaw::RecordsChanged | Flaw::LongRecordChanged => {
                write!(
                    formatter,
                    "{records} {were} changed after the log was signed"
                )
            }
            Flaw::RecordsMoved(by) => {
                let place = i128::from(self.first) + i128::from(*by);
                write!(
                    formatter,
                    "{records} {were} moved: signed at {place}, found at {}",
                    self.first
                )
            }
            Flaw::LongRecordMissing => {
                write!(
                    formatter,
                    "{records} {are} missing: the log holds the digest alone"
                )
            }
            Flaw::HashesMissing(resource) => {
                write!(
                    formatter,
                    "the hashes {resource} over {records} are missing"
                )
            }
            Flaw::HashesUnreadable(resource, error) => {
                write!(
                    formatter,
                    "the hashes {resource} over {records} are damaged: {error}"
                )
            }
            Flaw::HashesChanged(resource) => {
                write!(
                    formatter,
                    "the hashes {resource} over {records} were changed"
                )
            }
            Flaw::RootMismatch => write!(
                formatter,
                "{records} do not have the root that was signed: something among them was \
                 changed, and so were the hashes that would tell what"
            ),
        }
    }
}
