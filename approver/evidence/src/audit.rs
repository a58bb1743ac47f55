//! Goes over a log and says what is wrong with it, and where.
//!
//! Everything is judged from the signed root downwards: a tile counts once it
//! leads to the root, a record once its leaf is in such a tile. Where a tile is
//! damaged its hashes are made anew from the records, so that one bad file does
//! not put everything under it in doubt. The bounds come from the checkpoint,
//! whose signature the caller has checked; a log that is mostly missing ends the
//! walk early.

mod finding;
mod walk;

pub use finding::{Finding, Flaw};

use crate::{
    checkpoint::Checkpoint,
    hash::Hash,
    path::{Resource, Width},
    proof::{ProofError, consistency, verify_consistency},
    tiles::{Tiles, Tree, TreeError},
};

/// Where the files of a log come from.
pub trait Source {
    /// Why the source failed as a whole: an answer that the file is not there
    /// is not a failure.
    type Error;

    /// The bytes of `resource`; none if the log does not have it.
    fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, Self::Error>;
}

impl<S: Source> Source for &mut S {
    type Error = S::Error;

    fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, Self::Error> {
        (**self).read(resource)
    }
}

/// What a walk found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Everything that is wrong, neighbours together. Empty: nothing is.
    pub findings: Vec<Finding>,
    /// Records that were read, less those that are known to be wrong.
    pub verified: u64,
    /// There was so much wrong that the walk ended before the log.
    pub cut: bool,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && !self.cut
    }

    /// Whether the records at least are those that were signed, whatever became
    /// of the hashes over them.
    pub fn spares_records(&self) -> bool {
        !self.cut && self.findings.iter().all(|one| one.flaw.spares_records())
    }
}

/// Checks the log that `checkpoint` signs, from record `from` on; those before
/// it stand for themselves by their hashes. `visit` gets each record that is
/// not known to be wrong, in order; what it makes of them counts once the report
/// finds nothing.
pub fn walk<S: Source>(
    source: S,
    checkpoint: &Checkpoint,
    from: u64,
    visit: impl FnMut(u64, &[u8]) -> Result<(), S::Error>,
) -> Result<Report, S::Error> {
    walk::Walk::new(source, checkpoint, from, visit).run()
}

/// Why two checkpoints do not go together.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError<E> {
    /// The newer one has fewer records.
    #[error(
        "the log was rolled back: it had {old} records when it was last seen and has {new} now"
    )]
    RolledBack {
        /// Size of the older checkpoint.
        old: u64,
        /// Size of the newer.
        new: u64,
    },
    /// One size, two roots.
    #[error("the log is forked: two different logs of {size} records were signed")]
    Forked {
        /// The size.
        size: u64,
    },
    /// The newer one does not continue the older.
    #[error("the log was rewritten: {0}")]
    Rewritten(#[from] ProofError),
    /// The proof can't be made: a tile is missing or damaged.
    #[error("cannot tell whether the log continues what was signed before: {0}")]
    Unprovable(String),
    /// The source failed.
    #[error(transparent)]
    Source(E),
}

/// Whether the log that `new` signs continues the one that `old` signs.
pub fn continues<S: Source>(
    source: S,
    old: &Checkpoint,
    new: &Checkpoint,
) -> Result<(), HistoryError<S::Error>> {
    if new.size < old.size {
        return Err(HistoryError::RolledBack {
            old: old.size,
            new: new.size,
        });
    }
    if new.size == old.size {
        return if new.root == old.root {
            Ok(())
        } else {
            Err(HistoryError::Forked { size: new.size })
        };
    }
    let mut tree = Tree::new(SourceTiles(source), new.size);
    let proof = consistency(&mut tree, old.size).map_err(|error| match error {
        TreeError::Tile(Absent::Source(error)) => HistoryError::Source(error),
        TreeError::Tile(Absent::Missing(resource)) => {
            HistoryError::Unprovable(format!("{resource} is missing"))
        }
        TreeError::Damaged { .. } | TreeError::Beyond { .. } => {
            HistoryError::Unprovable("a hash tile is damaged".to_owned())
        }
    })?;
    // Bad tiles and a rewritten log look alike here; the walk tells them apart.
    verify_consistency(&proof, old.size, old.root, new.size, new.root)?;
    Ok(())
}

/// The perfect subtrees that the first `size` records of `tree` make, largest
/// first: they tell later which part was rewritten.
pub fn peaks<T: Tiles>(tree: &mut Tree<T>, size: u64) -> Result<Vec<Hash>, TreeError<T::Error>> {
    let mut peaks = Vec::new();
    let mut start = 0;
    for bit in (0..u64::BITS).rev().map(|bit| 1 << bit) {
        if size & bit != 0 {
            peaks.push(tree.range(start, start + bit)?);
            start += bit;
        }
    }
    Ok(peaks)
}

/// A source as tiles, for proofs.
#[derive(Debug)]
pub struct SourceTiles<S>(pub S);

/// Why a source has no tile.
#[derive(Debug, thiserror::Error)]
pub enum Absent<E> {
    /// The log does not have it.
    #[error("{0} is missing")]
    Missing(Resource),
    /// The source failed.
    #[error(transparent)]
    Source(E),
}

impl<S: Source> Tiles for SourceTiles<S> {
    type Error = Absent<S::Error>;

    fn tile(&mut self, level: u8, index: u64, width: Width) -> Result<Vec<u8>, Self::Error> {
        let resource = Resource::Tile {
            level,
            index,
            width,
        };
        let bytes = self.0.read(resource).map_err(Absent::Source)?;
        bytes.ok_or(Absent::Missing(resource))
    }
}

#[cfg(test)]
mod tests;
