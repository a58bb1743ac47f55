//! Logs that were tampered with in every way we could think of.

use std::{collections::HashMap, convert::Infallible};

use proptest::prelude::*;

use super::*;
use crate::{
    entry::{self, ENTRY_MAX, entry_of, is_long, leaf_of},
    tiles::{Edge, encode, partial_tiles},
    tree::Frontier,
};

/// All files of a log.
#[derive(Clone, Debug)]
struct Log {
    files: HashMap<Resource, Vec<u8>>,
    checkpoint: Checkpoint,
}

impl Source for &Log {
    type Error = Infallible;

    fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.files.get(&resource).cloned())
    }
}

fn entries_path(index: u64, size: u64) -> Resource {
    Resource::Entries {
        index,
        width: Width::new((size - index * 256).min(256)).unwrap(),
    }
}

fn tile_path(level: u8, index: u64, width: u64) -> Resource {
    Resource::Tile {
        level,
        index,
        width: Width::new(width).unwrap(),
    }
}

impl Log {
    fn of(records: &[Vec<u8>]) -> Self {
        let mut files = HashMap::new();
        let mut edge = Edge::new();
        for record in records {
            for whole in edge.push(leaf_of(record)) {
                let path = tile_path(whole.level, whole.index, 256);
                files.insert(path, encode(&whole.hashes));
            }
        }
        let size = records.len() as u64;
        for (level, index, width) in partial_tiles(size) {
            let path = tile_path(level, index, width.get() as u64);
            files.insert(path, encode(edge.level(level)));
        }
        for (index, chunk) in records.chunks(256).enumerate() {
            let entries = chunk.iter().map(|record| entry_of(record));
            let bundle = entry::bundle(entries).unwrap();
            files.insert(entries_path(index as u64, size), bundle);
        }
        for (index, record) in records.iter().enumerate() {
            if is_long(record) {
                let index = index as u64;
                files.insert(Resource::Record { index }, record.clone());
            }
        }
        Self {
            files,
            checkpoint: Checkpoint {
                origin: "log".into(),
                size,
                root: edge.root(),
            },
        }
    }

    fn walk(&self, from: u64) -> (Report, Vec<u64>) {
        let mut seen = Vec::new();
        let visit = |index, _: &[u8]| {
            seen.push(index);
            Ok(())
        };
        let report = walk(self, &self.checkpoint, from, visit).unwrap();
        (report, seen)
    }

    fn findings(&self) -> Vec<String> {
        let (report, _) = self.walk(0);
        report.findings.iter().map(ToString::to_string).collect()
    }

    /// Replaces the records of a bundle.
    fn rebundle(&mut self, index: u64, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let path = entries_path(index, self.checkpoint.size);
        let wanted = (self.checkpoint.size - index * 256).min(256);
        let old = entry::entries(&self.files[&path], usize::try_from(wanted).unwrap());
        let mut records: Vec<Vec<u8>> = old.unwrap().iter().map(|one| one.to_vec()).collect();
        change(&mut records);
        self.files.insert(path, entry::bundle(records).unwrap());
    }
}

fn record(index: usize) -> Vec<u8> {
    format!("{{\"record\":{index}}}").into_bytes()
}

fn records(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(record).collect()
}

#[test]
fn a_whole_log_has_no_findings_wherever_the_walk_begins() {
    for count in [0, 1, 2, 255, 256, 257, 700, 1024] {
        let log = Log::of(&records(count));
        let count = count as u64;
        for from in [0, 1, 255, 256, 300, 512, count] {
            let (report, seen) = log.walk(from);
            assert_eq!(report.findings, [], "{count} {from}");
            assert_eq!(
                report.verified,
                count.saturating_sub(from),
                "{count} {from}"
            );
            assert_eq!(seen, (from..count).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_changed_record_is_named() {
    let mut log = Log::of(&records(700));
    log.rebundle(1, |records| records[44][5] ^= 1);
    assert_eq!(
        log.findings(),
        ["record 300 was changed after the log was signed"]
    );
    let mut log = Log::of(&records(700));
    log.rebundle(2, |records| records[187][5] ^= 1);
    assert_eq!(
        log.findings(),
        ["record 699 was changed after the log was signed"]
    );
}

#[test]
fn swapped_dropped_and_inserted_records_are_named() {
    let whole = Log::of(&records(700));
    let mut swapped = whole.clone();
    swapped.rebundle(0, |records| records.swap(7, 9));
    assert_eq!(
        swapped.findings(),
        [
            "record 7 was moved: signed at 9, found at 7",
            "record 9 was moved: signed at 7, found at 9"
        ]
    );
    let mut dropped = whole.clone();
    dropped.rebundle(1, |records| {
        records.drain(10..20);
        records.extend((0..10).map(|_| b"{}".to_vec()));
    });
    assert_eq!(
        dropped.findings(),
        [
            "records 266 to 501 were moved: signed at 276, found at 266",
            "records 502 to 511 were changed after the log was signed"
        ]
    );
    let mut short = whole.clone();
    short.rebundle(1, |records| {
        records.drain(10..20);
    });
    assert_eq!(
        short.findings(),
        [
            "records 256 to 511 can't be read: tile/entries/001 is damaged: it holds 246 entries \
             instead of 256"
        ]
    );
    let mut gone = whole.clone();
    gone.files.remove(&entries_path(0, 700));
    gone.files.remove(&entries_path(1, 700));
    assert_eq!(gone.findings(), ["records 0 to 511 are missing"]);
    let mut cut = whole;
    cut.files.remove(&entries_path(2, 700));
    assert_eq!(cut.findings(), ["records 512 to 699 are missing"]);
}

#[test]
fn damaged_hashes_do_not_put_records_in_doubt() {
    let whole = Log::of(&records(700));
    for (path, say) in [
        (
            tile_path(0, 1, 256),
            "the hashes tile/0/001 over records 256 to 511",
        ),
        (
            tile_path(0, 2, 188),
            "the hashes tile/0/002.p/188 over records 512 to 699",
        ),
        (
            tile_path(1, 0, 2),
            "the hashes tile/1/000.p/2 over records 0 to 511",
        ),
    ] {
        let mut log = whole.clone();
        log.files.get_mut(&path).unwrap()[40] ^= 1;
        let (report, seen) = log.walk(0);
        assert_eq!(log.findings(), [format!("{say} were changed")]);
        assert_eq!((report.verified, seen.len()), (700, 700));
        log.files.get_mut(&path).unwrap().pop();
        let findings = log.findings();
        assert!(
            findings[0].starts_with(&format!("{say} are damaged")),
            "{findings:?}"
        );
        assert_eq!(findings.len(), 1);
        log.files.remove(&path);
        assert_eq!(log.findings(), [format!("{say} are missing")]);
    }
}

#[test]
fn records_and_hashes_that_were_changed_together_are_still_found() {
    let whole = Log::of(&records(700));
    // As an attacker would who can write everywhere but not sign.
    let mut changed = records(700);
    changed[300] = b"{\"record\":\"another\"}".to_vec();
    let mut forged = Log::of(&changed);
    forged.checkpoint = whole.checkpoint.clone();
    assert_eq!(
        forged.findings(),
        [
            "records 0 to 699 do not have the root that was signed: something among them was \
             changed, and so were the hashes that would tell what"
        ]
    );
    // One tile short of the edge: the range is known.
    let mut near = whole.clone();
    for path in [entries_path(1, 700), tile_path(0, 1, 256)] {
        near.files.insert(path, forged.files[&path].clone());
    }
    assert_eq!(
        near.findings(),
        [
            "the hashes tile/0/001 over records 256 to 511 were changed",
            "records 256 to 511 were changed after the log was signed"
        ]
    );
    // The record and the edge, but not what lies between.
    let mut apart = whole;
    for path in [entries_path(1, 700), tile_path(1, 0, 2)] {
        apart.files.insert(path, forged.files[&path].clone());
    }
    assert_eq!(
        apart.findings(),
        ["record 300 was changed after the log was signed"]
    );
}

#[test]
fn a_log_of_three_levels() {
    let mut log = Log::of(&records(66_000));
    assert_eq!(log.findings(), [""; 0]);
    assert_eq!(log.walk(65_900).1.len(), 100);
    log.rebundle(200, |records| records[3][3] ^= 1);
    log.files.get_mut(&tile_path(1, 0, 256)).unwrap()[7] ^= 1;
    assert_eq!(
        log.findings(),
        [
            "the hashes tile/1/000 over records 0 to 65535 were changed",
            "record 51203 was changed after the log was signed"
        ]
    );
}

#[test]
fn a_walk_that_begins_later_trusts_what_was_signed_and_nothing_else() {
    let mut log = Log::of(&records(700));
    log.files.remove(&entries_path(0, 700));
    assert_eq!(log.walk(300).0.findings, []);
    log.files.get_mut(&tile_path(1, 0, 2)).unwrap()[3] ^= 1;
    assert!(!log.walk(300).0.findings.is_empty());
}

#[test]
fn long_records_are_checked_whole() {
    let mut all = records(300);
    all[299] = vec![b'{'; ENTRY_MAX + 1];
    all[17] = vec![b'x'; 3 * ENTRY_MAX];
    let log = Log::of(&all);
    let mut lengths = Vec::new();
    let report = walk(&log, &log.checkpoint, 0, |_, record: &[u8]| {
        lengths.push(record.len());
        Ok(())
    });
    assert_eq!(report.unwrap().findings, []);
    assert_eq!((lengths[17], lengths[299]), (3 * ENTRY_MAX, ENTRY_MAX + 1));
    let path = Resource::Record { index: 17 };
    let mut changed = log.clone();
    changed.files.get_mut(&path).unwrap()[70_000] ^= 1;
    assert_eq!(
        changed.findings(),
        ["record 17 was changed after the log was signed"]
    );
    let mut gone = log;
    gone.files.remove(&path);
    assert_eq!(
        gone.findings(),
        ["record 17 is missing: the log holds the digest alone"]
    );
}

#[test]
fn a_claim_of_many_records_ends_the_walk_early() {
    let mut log = Log::of(&records(3));
    log.checkpoint.size = u64::MAX;
    let (report, _) = log.walk(0);
    assert!(report.cut);
    assert!(report.findings.len() <= 1_000);
}

#[test]
fn checkpoints_go_together_or_not() {
    let (old, new) = (Log::of(&records(300)), Log::of(&records(700)));
    continues(&new, &old.checkpoint, &new.checkpoint).unwrap();
    continues(&new, &new.checkpoint, &new.checkpoint).unwrap();
    let empty = Log::of(&[]);
    continues(&new, &empty.checkpoint, &new.checkpoint).unwrap();
    let said = |error: HistoryError<_>| error.to_string();

    let back = continues(&old, &new.checkpoint, &old.checkpoint).unwrap_err();
    assert!(said(back).contains("rolled back: it had 700 records"));
    let mut other = records(700);
    other[299] = b"{}".to_vec();
    let other = Log::of(&other);
    let forked = continues(&other, &new.checkpoint, &other.checkpoint).unwrap_err();
    assert!(said(forked).contains("two different logs of 700 records"));
    let rewritten = continues(&other, &old.checkpoint, &other.checkpoint).unwrap_err();
    assert!(said(rewritten).contains("the first 300 of the 700 records are not those"));
    let mut gone = new.clone();
    gone.files.remove(&tile_path(0, 1, 256));
    let unknown = continues(&gone, &old.checkpoint, &gone.checkpoint).unwrap_err();
    assert!(said(unknown).contains("tile/0/001 is missing"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// No single change to any file goes unnoticed.
    #[test]
    fn one_changed_bit_anywhere_is_found(
        count in 1_usize..600, file: prop::sample::Index, at: prop::sample::Index, bit in 0..8
    ) {
        let mut log = Log::of(&records(count));
        let mut paths: Vec<Resource> = log.files.keys().copied().collect();
        paths.sort_unstable();
        let bytes = log.files.get_mut(file.get(&paths)).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let (report, _) = log.walk(0);
        prop_assert!(!report.findings.is_empty());
        prop_assert!(!report.cut);
    }

    /// Whatever is done to the files, nothing but the signed records is taken
    /// for them without a finding.
    #[test]
    fn rubbish_never_passes(
        count in 1_usize..600,
        changes in proptest::collection::vec(
            (any::<prop::sample::Index>(), proptest::collection::vec(any::<u8>(), 0..600)), 1..4
        ),
    ) {
        let mut log = Log::of(&records(count));
        let mut paths: Vec<Resource> = log.files.keys().copied().collect();
        paths.sort_unstable();
        for (file, bytes) in changes {
            log.files.insert(*file.get(&paths), bytes);
        }
        let (report, _) = log.walk(0);
        prop_assert!(!report.findings.is_empty());
    }
}

#[test]
fn the_tree_of_a_source_is_that_of_its_checkpoint() {
    let log = Log::of(&records(700));
    let mut tree = Tree::new(SourceTiles(&log), 700);
    assert_eq!(tree.root().unwrap(), log.checkpoint.root);
    assert_eq!(tree.leaf(5).unwrap(), Hash::leaf(&record(5)));
    let peaks = super::peaks(&mut tree, 300).unwrap();
    let leaves = records(300);
    let frontier: Frontier = leaves.iter().map(|one| Hash::leaf(one)).collect();
    assert_eq!(peaks, frontier.peaks());
}
