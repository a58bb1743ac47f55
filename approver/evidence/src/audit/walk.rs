//! The walk itself: down from the root to the records, and their hashes up
//! again.

use std::collections::HashMap;

use super::{Finding, Flaw, Report, Source};
use crate::{
    checkpoint::Checkpoint,
    entry::{self, Stub},
    hash::Hash,
    path::{Resource, Width},
    tiles::{self, TILE_WIDTH, partial_tiles, root_of_levels},
};

/// Findings, before neighbours are joined, after which the walk ends.
const FINDINGS_MAX: usize = 65_536;
/// Findings of a report, neighbours joined.
const REPORT_MAX: usize = 1_000;

const WIDTH: u64 = TILE_WIDTH as u64;

pub(super) struct Walk<'a, S, V> {
    source: S,
    checkpoint: &'a Checkpoint,
    from: u64,
    visit: V,
    report: Report,
    found: usize,
    /// How many findings are about records and not only about hashes.
    about_records: usize,
    suspicions: Vec<Suspicion>,
}

/// A tile and what is under it differ, and which of them is wrong can't be told
/// yet.
struct Suspicion {
    tile: Finding,
    record: Option<Finding>,
}

/// The hashes a tile holds, and whether they are known to be the signed ones.
struct Hashes {
    hashes: Option<Vec<Hash>>,
    authentic: bool,
}

impl Hashes {
    fn at(&self, index: usize) -> Option<Hash> {
        self.hashes.as_ref()?.get(index).copied()
    }
}

impl<'a, S, V> Walk<'a, S, V>
where
    S: Source,
    V: FnMut(u64, &[u8]) -> Result<(), S::Error>,
{
    pub(super) fn new(source: S, checkpoint: &'a Checkpoint, from: u64, visit: V) -> Self {
        Self {
            source,
            checkpoint,
            from,
            visit,
            report: Report::default(),
            found: 0,
            about_records: 0,
            suspicions: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Result<Report, S::Error> {
        let size = self.checkpoint.size;
        let partial: Vec<_> = partial_tiles(size).collect();
        let mut edge: Vec<Option<Vec<Hash>>> = Vec::new();
        for &(level, index, width) in &partial {
            edge.push(self.tile(level, index, width)?);
        }
        let whole: Option<Vec<_>> = edge.iter().cloned().collect();
        let authentic = whole.is_some_and(|levels| root_of_levels(&levels) == self.checkpoint.root);

        // The largest parts come first in the log.
        let mut computed: Vec<Vec<Hash>> = vec![Vec::new(); partial.len()];
        for (at, &(level, index, width)) in partial.iter().enumerate().rev() {
            let hashes = Hashes {
                hashes: edge[at].take(),
                authentic,
            };
            computed[at] = self.children(level, index, width, &hashes)?;
        }
        let right = root_of_levels(&computed) == self.checkpoint.root;
        let all = Finding::new(Flaw::RootMismatch, 0, size.saturating_sub(1));
        self.judge(0, 0, right, all);
        Ok(self.done())
    }

    /// Now it is known whether the records of a part are the signed ones:
    /// settles what was suspected since `mark`.
    fn judge(&mut self, mark: usize, about_records: usize, right: bool, otherwise: Finding) {
        let suspicions = self.suspicions.split_off(mark.min(self.suspicions.len()));
        if self.report.cut {
            return;
        }
        if right {
            for suspicion in suspicions {
                self.find(suspicion.tile);
            }
            return;
        }
        for record in suspicions.into_iter().filter_map(|one| one.record) {
            self.find(record);
        }
        if self.about_records == about_records {
            self.find(otherwise);
        }
    }

    fn suspect(&mut self, suspicion: Suspicion) {
        if self.suspicions.len() < REPORT_MAX {
            self.suspicions.push(suspicion);
        }
    }

    fn done(mut self) -> Report {
        self.report.cut |= self.report.findings.len() >= REPORT_MAX;
        self.report
    }

    /// Checks what is under a tile. Answers its hashes as the records make them.
    fn children(
        &mut self,
        level: u8,
        index: u64,
        width: Width,
        known: &Hashes,
    ) -> Result<Vec<Hash>, S::Error> {
        if level == 0 {
            return self.bundle(index, width, known);
        }
        let mut computed = Vec::new();
        for at in 0..width.get() {
            let child = index * WIDTH + at as u64;
            let (_, last) = span(level - 1, child, Width::FULL);
            let stated = known.at(at);
            computed.push(match stated {
                // Seen before: its hash stands for it.
                Some(hash) if last < self.from => hash,
                _ if self.report.cut => Hash::empty(),
                _ => self.subtree(level - 1, child, stated, known.authentic)?,
            });
        }
        let differs = known
            .hashes
            .as_ref()
            .is_some_and(|known| *known != computed);
        if differs && !known.authentic {
            let tile = changed_tile(level, index, width);
            self.suspect(Suspicion { tile, record: None });
        }
        Ok(computed)
    }

    /// Checks a whole tile and what is under it. Answers the hash that the
    /// records make.
    fn subtree(
        &mut self,
        level: u8,
        index: u64,
        stated: Option<Hash>,
        authentic: bool,
    ) -> Result<Hash, S::Error> {
        let (mark, about_records) = (self.suspicions.len(), self.about_records);
        let mut hashes = self.tile(level, index, Width::FULL)?;
        let leads = |hashes: &Vec<Hash>| Some(tiles::root(hashes)) == stated;
        if authentic && hashes.as_ref().is_some_and(|hashes| !leads(hashes)) {
            self.find(changed_tile(level, index, Width::FULL));
            hashes = None;
        }
        let known = Hashes {
            authentic: authentic && hashes.is_some(),
            hashes,
        };
        let computed = tiles::root(&self.children(level, index, Width::FULL, &known)?);
        if authentic && let Some(stated) = stated {
            let (first, last) = span(level, index, Width::FULL);
            let part = Finding::new(Flaw::RecordsChanged, first, last);
            self.judge(mark, about_records, stated == computed, part);
        }
        Ok(computed)
    }

    /// Checks the records of a bundle. Answers their leaves.
    fn bundle(&mut self, index: u64, width: Width, known: &Hashes) -> Result<Vec<Hash>, S::Error> {
        let resource = Resource::Entries { index, width };
        let (first, last) = span(0, index, width);
        // Where nothing is known of the records, the signed hashes stand in.
        let stand_in = || known.hashes.clone().unwrap_or_default();
        let Some(bytes) = self.source.read(resource)? else {
            self.find(Finding::new(Flaw::RecordsMissing, first, last));
            return Ok(stand_in());
        };
        let entries = match entry::entries(&bytes, width.get()) {
            Ok(entries) => entries,
            Err(error) => {
                self.find(Finding::new(
                    Flaw::RecordsUnreadable(resource, error),
                    first,
                    last,
                ));
                return Ok(stand_in());
            }
        };
        let leaves: Vec<Hash> = entries.iter().map(|entry| Hash::leaf(entry)).collect();
        for (at, entry) in entries.iter().enumerate() {
            let record = first + at as u64;
            let stated = known.at(at);
            let differs = stated.is_some_and(|stated| stated != leaves[at]);
            let finding = || Finding::new(moved(known, leaves[at], at), record, record);
            if differs && known.authentic {
                self.find(finding());
                continue;
            }
            if differs {
                let record = Some(finding());
                let tile = changed_tile(0, index, width);
                self.suspect(Suspicion { tile, record });
            }
            if record >= self.from {
                self.record(record, entry)?;
            }
        }
        Ok(leaves)
    }

    /// Checks that a record is whole, and hands it on.
    fn record(&mut self, index: u64, entry: &[u8]) -> Result<(), S::Error> {
        let Some(stub) = Stub::parse(entry) else {
            self.report.verified += 1;
            return (self.visit)(index, entry);
        };
        match self.source.read(Resource::Record { index })? {
            None => self.find(Finding::new(Flaw::LongRecordMissing, index, index)),
            Some(record) if stub.is_of(&record) => {
                self.report.verified += 1;
                return (self.visit)(index, &record);
            }
            Some(_) => self.find(Finding::new(Flaw::LongRecordChanged, index, index)),
        }
        Ok(())
    }

    fn tile(&mut self, level: u8, index: u64, width: Width) -> Result<Option<Vec<Hash>>, S::Error> {
        let resource = tile(level, index, width);
        let (first, last) = span(level, index, width);
        let Some(bytes) = self.source.read(resource)? else {
            self.find(Finding::new(Flaw::HashesMissing(resource), first, last));
            return Ok(None);
        };
        match tiles::decode(&bytes, width) {
            Ok(hashes) => Ok(Some(hashes)),
            Err(error) => {
                self.find(Finding::new(
                    Flaw::HashesUnreadable(resource, error),
                    first,
                    last,
                ));
                Ok(None)
            }
        }
    }

    fn find(&mut self, finding: Finding) {
        self.found += 1;
        self.report.cut |= self.found >= FINDINGS_MAX;
        if !finding.flaw.spares_records() {
            self.about_records += 1;
        }
        let findings = &mut self.report.findings;
        // Hashes may be found wrong in between: the neighbour is among the last
        // few.
        let same = |one: &mut Finding| *one == finding || one.join(&finding);
        let joined = findings.iter_mut().rev().take(4).any(same);
        if !joined && findings.len() < REPORT_MAX {
            findings.push(finding);
        }
    }
}

/// What is wrong with a leaf that is not the signed one: it may stand elsewhere.
fn moved(known: &Hashes, leaf: Hash, at: usize) -> Flaw {
    // Only rarely asked, and then 256 are soon looked through.
    let places: HashMap<Hash, usize> = known
        .hashes
        .iter()
        .flatten()
        .enumerate()
        .map(|(place, hash)| (*hash, place))
        .collect();
    let by = places.get(&leaf).and_then(|place| {
        i64::try_from(*place)
            .ok()?
            .checked_sub(i64::try_from(at).ok()?)
    });
    by.map_or(Flaw::RecordsChanged, Flaw::RecordsMoved)
}

fn tile(level: u8, index: u64, width: Width) -> Resource {
    Resource::Tile {
        level,
        index,
        width,
    }
}

fn changed_tile(level: u8, index: u64, width: Width) -> Finding {
    let (first, last) = span(level, index, width);
    Finding::new(Flaw::HashesChanged(tile(level, index, width)), first, last)
}

/// The first and the last record under a tile.
fn span(level: u8, index: u64, width: Width) -> (u64, u64) {
    let each = 1_u64 << (8 * u32::from(level));
    let first = index.saturating_mul(WIDTH).saturating_mul(each);
    let length = (width.get() as u64).saturating_mul(each);
    (first, first.saturating_add(length - 1))
}
