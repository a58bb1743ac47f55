//! The spool through ends, full disks and damage: properties and stories.

use std::{collections::BTreeMap, collections::HashMap};

use proptest::prelude::*;

use super::*;

fn event(text: &str) -> v1::Event {
    v1::Event {
        sequence: 0,
        time: Some(prost_types::Timestamp {
            seconds: 1_000,
            nanos: 0,
        }),
        body: Some(v1::event::Body::Policy(v1::PolicyEvent {
            profile: text.to_owned(),
            ..v1::PolicyEvent::default()
        })),
    }
}

fn text(event: &v1::Event) -> String {
    match &event.body {
        Some(v1::event::Body::Policy(policy)) => policy.profile.clone(),
        Some(v1::event::Body::Gap(gap)) => format!("gap of {}", gap.lost),
        other => panic!("{other:?}"),
    }
}

fn open(directory: &Path) -> (Spool, Before) {
    Spool::open(directory, MIN_BYTES).unwrap()
}

fn gap(lost: u64, since: Option<i64>, detail: &str) -> v1::Event {
    v1::Event {
        body: Some(v1::event::Body::Gap(v1::Gap {
            cause: v1::GapCause::RingBuffer.into(),
            lost,
            since: since.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 }),
            detail: detail.to_owned(),
        })),
        ..event("")
    }
}

fn sync(spool: &mut Spool) {
    spool.sync().unwrap();
}

/// The approver is sent everything, and has it up to number `upto`.
fn acknowledge(spool: &mut Spool, upto: u64) {
    spool.giving().begin().unwrap();
    spool.given(spool.last_synced());
    spool.acknowledge(upto).unwrap();
}

/// The gap that the events which may be sent begin with.
fn first_gap(spool: &Spool) -> v1::Gap {
    match spool.batch(0).read().unwrap()[0].body.clone() {
        Some(v1::event::Body::Gap(gap)) => gap,
        other => panic!("{other:?}"),
    }
}

/// Everything that may be sent, as a publisher would take it.
fn all(spool: &Spool) -> Vec<(u64, String)> {
    let mut after = 0;
    let mut found = Vec::new();
    loop {
        let batch = spool.batch(after).read().unwrap();
        let Some(last) = batch.last() else {
            return found;
        };
        after = last.sequence;
        assert!(batch.len() <= BATCH_EVENTS);
        let bytes: usize = batch.iter().map(|event| event.encoded_len() + 6).sum();
        assert!(bytes <= BATCH_BYTES, "{bytes}");
        found.extend(batch.iter().map(|event| (event.sequence, text(event))));
    }
}

#[test]
fn only_synced_events_are_given_out() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, before) = open(directory.path());
    assert_eq!(before, Before::New { replaces: true });
    assert_eq!(spool.append(event("a")).unwrap(), 1);
    assert_eq!(all(&spool), []);
    sync(&mut spool);
    assert_eq!(all(&spool), [(1, "a".to_owned())]);
}

#[test]
fn the_end_in_order_is_told_from_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    spool.append(event("a")).unwrap();
    drop(spool);
    let (mut spool, before) = open(directory.path());
    let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
    assert_eq!(before, Before::Killed { last: Some(at) });
    spool.append(event("b")).unwrap();
    spool.end().unwrap();
    assert!(
        spool.append(event("c")).is_err(),
        "nothing comes after the end"
    );
    drop(spool);
    let (spool, before) = open(directory.path());
    assert_eq!(before, Before::Ended);
    assert_eq!(all(&spool).len(), 2, "what was not synced before is now");
    drop(spool);
    assert!(matches!(open(directory.path()).1, Before::Killed { .. }));
}

#[test]
fn only_the_first_spool_of_a_host_replaces_none() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("state/spool");
    prepare(&directory).unwrap();
    assert_eq!(open(&directory).1, Before::New { replaces: false });
    // It was there already, and stays what it is.
    prepare(&directory).unwrap();
    assert!(matches!(open(&directory).1, Before::Killed { .. }));
    for path in folder::segment_paths(&directory).unwrap() {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(open(&directory).1, Before::New { replaces: true });
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(open(&directory).1, Before::New { replaces: true });
}

#[test]
fn two_daemons_do_not_share_a_spool() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path());
    let error = Spool::open(directory.path(), MIN_BYTES).unwrap_err();
    assert!(matches!(error, SpoolError::InUse { .. }), "{error}");
}

#[test]
fn a_full_spool_drops_what_comes_and_says_how_much() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    let large = "x".repeat(100_000);
    let mut kept = 0;
    while spool.append(event(&large)).is_ok() {
        kept += 1;
    }
    assert!((15..=21).contains(&kept), "{kept}");
    for _ in 0..9 {
        // The small ones do not slip in either: first comes the gap.
        assert!(spool.append(event("small")).is_err());
    }
    assert_eq!(spool.fill().undeclared, 10);
    assert!(spool.fill().bytes <= MIN_BYTES);
    sync(&mut spool);
    acknowledge(&mut spool, kept);
    assert_eq!(spool.append(event("after")).unwrap(), kept + 2);
    sync(&mut spool);
    let expected = [
        (kept + 1, "gap of 10".to_owned()),
        (kept + 2, "after".to_owned()),
    ];
    assert_eq!(all(&spool), expected);
    let fill = spool.fill();
    assert_eq!((fill.gaps, fill.undeclared, fill.lost), (1, 0, 10));
}

#[test]
fn an_end_that_could_not_declare_its_losses_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    while spool.append(event(&"x".repeat(100_000))).is_ok() {}
    spool.end().unwrap();
    drop(spool);
    assert!(matches!(open(directory.path()).1, Before::Killed { .. }));
}

#[test]
fn an_event_that_is_too_large_is_declared_and_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    let huge = "x".repeat(frame::MAX_EVENT + 1);
    assert!(matches!(spool.append(event(&huge)), Err(NotKept::TooLarge)));
    spool.append(event("a")).unwrap();
    sync(&mut spool);
    assert_eq!(
        all(&spool),
        [(1, "gap of 1".to_owned()), (2, "a".to_owned())]
    );
}

#[test]
fn a_gap_that_is_too_large_is_declared_by_one_that_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    let huge = "x".repeat(frame::MAX_EVENT + 1);
    assert!(spool.append(gap(7, None, &huge)).is_err());
    spool.append(event("a")).unwrap();
    sync(&mut spool);
    let told = first_gap(&spool);
    assert_eq!((told.lost, &*told.detail), (7, "the event is too large"));
}

#[test]
fn a_gap_that_finds_no_room_stands_for_all_it_was_to_declare() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    let mut kept = 0;
    while spool.append(event(&"x".repeat(100_000))).is_ok() {
        kept += 1;
    }
    assert!(spool.append(gap(5_000, Some(900), "of the ring")).is_err());
    assert_eq!(spool.fill().undeclared, 5_001);
    assert_eq!(spool.fill().lost, 1, "the others are not the spool's loss");
    drop(spool);
    // The next daemon finds it full, and does not know how much is missing.
    let (mut spool, _) = open(directory.path());
    spool.max_bytes = spool.bytes();
    assert!(spool.append(gap(0, Some(800), "of a daemon")).is_err());
    assert!(spool.append(event("small")).is_err());
    assert!(spool.fill().undeclared > 0);
    spool.max_bytes = MIN_BYTES;
    acknowledge(&mut spool, kept);
    spool.append(event("after")).unwrap();
    sync(&mut spool);
    let told = first_gap(&spool);
    assert_eq!((told.lost, told.since.map(|at| at.seconds)), (0, Some(800)));
    assert_eq!(
        told.detail,
        "the spool is full; what is missing too: of a daemon; 1 events are known to be missing"
    );
}

#[test]
fn what_a_lost_gap_knew_is_told_with_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    let huge = "x".repeat(frame::MAX_EVENT + 1);
    for (lost, since, expected) in [(5_000, Some(900), Some(900)), (7, None, None)] {
        assert!(spool.append(event(&huge)).is_err());
        spool.max_bytes = 0;
        assert!(spool.append(gap(lost, since, "of the ring")).is_err());
        spool.max_bytes = MIN_BYTES;
        let number = spool.append(event("after")).unwrap();
        sync(&mut spool);
        acknowledge(&mut spool, number - 2);
        let told = first_gap(&spool);
        assert_eq!(told.lost, lost + 1);
        assert_eq!(told.since.map(|at| at.seconds), expected);
        acknowledge(&mut spool, number);
    }
}

#[test]
fn an_approver_that_has_more_than_was_given_out_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    for _ in 1..=3 {
        spool.append(event("before")).unwrap();
    }
    spool.giving().begin().unwrap();
    drop(spool);
    // This state is an old one, set back; up to number 5 the approver has others.
    let (mut spool, _) = open(directory.path());
    for number in 4..=13 {
        spool.append(event(&number.to_string())).unwrap();
    }
    sync(&mut spool);
    let error = spool.acknowledge(5).unwrap_err();
    assert!(
        matches!(
            error,
            SpoolError::Ahead {
                acknowledged: 5,
                given: 3
            }
        ),
        "{error}"
    );
    assert_eq!(spool.first(), 1, "nothing was removed");
    spool.acknowledge(3).unwrap();
    spool.given(5);
    spool.acknowledge(5).unwrap();
}

#[test]
fn what_was_given_out_is_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let append = |spool: &mut Spool, numbers: std::ops::RangeInclusive<u64>| {
        for number in numbers {
            assert_eq!(spool.append(event("x")).unwrap(), number);
        }
        sync(spool);
    };
    let (mut spool, _) = open(directory.path());
    append(&mut spool, 1..=3);
    // Killed while it gave events out: it may have given all of them.
    spool.giving().begin().unwrap();
    drop(spool);
    let (mut spool, _) = open(directory.path());
    append(&mut spool, 4..=13);
    drop(spool);
    // None of the new ones could be given out by the second one.
    let (mut spool, _) = open(directory.path());
    assert!(matches!(
        spool.acknowledge(5),
        Err(SpoolError::Ahead { given: 3, .. })
    ));
    spool.acknowledge(3).unwrap();
    spool.giving().begin().unwrap();
    spool.given(5);
    spool.giving().pause().unwrap();
    append(&mut spool, 14..=14);
    drop(spool);
    let (mut spool, _) = open(directory.path());
    assert!(spool.acknowledge(6).is_err());
    spool.acknowledge(5).unwrap();
}

#[test]
fn a_new_spool_begins_with_a_gap_and_has_what_was_not_given_out() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    let large = "x".repeat(50_000);
    for _ in 1..=9 {
        spool.append(event(&large)).unwrap();
    }
    spool.giving().begin().unwrap();
    drop(spool);
    let (mut spool, _) = open(directory.path());
    let old = spool.id();
    let expected: Vec<String> = (1..=5).map(|number| format!("{number}{large}")).collect();
    for text in &expected {
        spool.append(event(text)).unwrap();
    }
    assert!(lengths(directory.path()).len() > 2);
    let on_its_way = spool.unsynced().unwrap().unwrap();
    let Some(v1::event::Body::Gap(why)) = gap(0, None, "why").body else {
        panic!("no gap");
    };
    spool.begin_anew(why).unwrap();
    assert_ne!(spool.id(), old);
    // The old spool's are on disk; that says nothing of the new one.
    on_its_way.sync().unwrap();
    spool.synced(&on_its_way);
    assert_eq!((spool.last_synced(), spool.first()), (0, 1));
    assert!(spool.acknowledge(1).is_err());
    sync(&mut spool);
    let expected: Vec<(u64, String)> = ["gap of 0".to_owned()]
        .into_iter()
        .chain(expected)
        .zip(1..)
        .map(|(text, number)| (number, text))
        .collect();
    assert_eq!(all(&spool), expected);
    assert_eq!(first_gap(&spool).detail, "why");
    let id = spool.id();
    drop(spool);
    let (mut spool, _) = open(directory.path());
    assert_eq!((spool.id(), all(&spool)), (id, expected));
    assert_eq!(spool.append(event("on")).unwrap(), 7);
}

#[test]
fn a_new_spool_whose_first_gap_is_not_kept_begins_with_another() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    spool.append(event("a")).unwrap();
    let Some(v1::event::Body::Gap(why)) = gap(0, None, &"x".repeat(frame::MAX_EVENT)).body else {
        panic!("no gap");
    };
    spool.begin_anew(why).unwrap();
    sync(&mut spool);
    assert_eq!(
        all(&spool),
        [(1, "gap of 0".to_owned()), (2, "a".to_owned())]
    );
}

#[test]
fn an_end_in_order_is_none_if_what_was_written_last_is_gone() {
    for damaged in 1..=3_u64 {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(directory.path());
        for number in 1..=3 {
            spool.append(event(&format!("event-{number}"))).unwrap();
        }
        spool.end().unwrap();
        drop(spool);
        let path = Segment::path(directory.path(), 1);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes
            .windows(7)
            .position(|window| window == format!("event-{damaged}").as_bytes())
            .unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let (_, before) = open(directory.path());
        let Before::Cut { missing, last } = before else {
            panic!("{before:?}");
        };
        assert_eq!(missing, 4 - damaged);
        assert!(last.is_some());
    }
}

#[test]
fn a_mark_of_an_end_that_cannot_be_read_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    spool.append(event("a")).unwrap();
    spool.end().unwrap();
    drop(spool);
    fs::write(directory.path().join(folder::ENDED), "").unwrap();
    assert!(matches!(open(directory.path()).1, Before::Killed { .. }));
}

#[test]
fn what_a_failed_sync_lost_is_a_hole_and_its_numbers_are_not_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    spool.append(event("a")).unwrap();
    sync(&mut spool);
    let path = Segment::path(directory.path(), 1);
    let safe = fs::metadata(&path).unwrap().len();
    for text in ["b", "c"] {
        spool.append(event(text)).unwrap();
    }
    let mut unsynced = spool.unsynced().unwrap().unwrap();
    // What cannot be synced.
    unsynced.files = vec![Arc::new(fs::File::open("/dev/null").unwrap())];
    unsynced.sync().unwrap_err();
    spool.not_synced(&unsynced);
    assert_eq!(spool.last_synced(), 1);
    let again = spool.unsynced().unwrap().unwrap();
    assert_eq!(lengths(directory.path()).len(), 2);
    // The new file may fail, too, before it has an event.
    spool.not_synced(&again);
    sync(&mut spool);
    assert_eq!(lengths(directory.path()).len(), 2);
    assert_eq!(spool.append(event("d")).unwrap(), 4);
    sync(&mut spool);
    assert_eq!(spool.unsynced().unwrap().map(|left| left.upto), None);
    drop(spool);
    // The disk never had them.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(safe).unwrap();
    let (mut spool, _) = open(directory.path());
    assert_eq!(spool.append(event("e")).unwrap(), 5);
    sync(&mut spool);
    let found: Vec<String> = all(&spool).into_iter().map(|(_, text)| text).collect();
    assert_eq!(found, ["a", "gap of 1", "gap of 1", "d", "e"]);
}

#[test]
fn damage_in_the_middle_becomes_a_gap_under_the_same_number() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    for number in 1..=3 {
        spool.append(event(&format!("event-{number}"))).unwrap();
    }
    sync(&mut spool);
    let path = Segment::path(directory.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes
        .windows(7)
        .position(|window| window == b"event-2")
        .unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let found: Vec<String> = all(&spool).into_iter().map(|(_, text)| text).collect();
    assert_eq!(found, ["event-1", "gap of 1", "event-3"]);
    assert_eq!(look(directory.path()).unwrap().len(), 1, "up to the damage");
}

#[test]
fn what_is_missing_between_two_files_is_declared_and_not_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    let mut last = 0;
    while lengths(directory.path()).len() < 2 {
        last = spool.append(event(&"x".repeat(50_000))).unwrap();
    }
    drop(spool);
    // Of the first file the last event never reached the disk.
    let path = Segment::path(directory.path(), 1);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let (mut spool, _) = open(directory.path());
    acknowledge(&mut spool, last - 2);
    let found: Vec<(u64, String)> = all(&spool)
        .into_iter()
        .map(|(number, text)| (number, text.chars().take(8).collect()))
        .collect();
    assert_eq!(
        found,
        [(last - 1, "gap of 1".to_owned()), (last, "x".repeat(8))]
    );
    acknowledge(&mut spool, last - 1);
    assert_eq!(lengths(directory.path()).len(), 1, "it is of no use now");
}

#[test]
fn files_that_are_no_segments_are_in_nobodys_way() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path());
    spool.append(event("a")).unwrap();
    drop(spool);
    // The daemon was killed while it began a file.
    fs::write(Segment::path(directory.path(), 2), b"hpsp").unwrap();
    fs::write(directory.path().join("notes.txt"), b"mine").unwrap();
    let (mut spool, _) = open(directory.path());
    assert_eq!(spool.append(event("b")).unwrap(), 2);
    assert!(directory.path().join("notes.txt").exists());
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Sync,
    Acknowledge(prop::sample::Index),
    /// The approver has more than was given out.
    Anew,
    /// The daemon is killed: what it wrote is there.
    Kill,
    /// The machine loses power: of what was not synced any part is there, and
    /// behind it anything.
    Power(prop::sample::Index, Vec<u8>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop_oneof![1..200_usize, 30_000..90_000_usize].prop_map(Step::Append),
        3 => Just(Step::Sync),
        2 => any::<prop::sample::Index>().prop_map(Step::Acknowledge),
        1 => Just(Step::Anew),
        1 => Just(Step::Kill),
        1 => (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(index, litter)| Step::Power(index, litter)),
    ];
    prop::collection::vec(step, 1..60)
}

fn lengths(directory: &Path) -> HashMap<PathBuf, u64> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| Segment::is_named(entry.file_name().to_str().unwrap()))
        .map(|entry| (entry.path(), entry.metadata().unwrap().len()))
        .collect()
}

fn lose_power(
    directory: &Path,
    synced: &HashMap<PathBuf, u64>,
    index: prop::sample::Index,
    litter: &[u8],
) {
    for (path, length) in lengths(directory) {
        let safe = synced.get(&path).copied().unwrap_or(0);
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate((safe + index.index((length - safe + 1) as usize) as u64) as usize);
        if length > safe {
            bytes.extend_from_slice(litter);
        }
        fs::write(&path, bytes).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens: what was synced and not acknowledged is there once, in
    /// order and unchanged; what was acknowledged is not; nothing else appears.
    #[test]
    fn every_synced_event_is_there_once_and_in_order(steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(directory.path());
        let mut written: BTreeMap<u64, String> = BTreeMap::new();
        let mut safe = lengths(directory.path());
        let mut count = 0;
        let (mut given, mut giving) = (0, false);
        for step in steps {
            match step {
                Step::Append(size) => {
                    count += 1;
                    let content = format!("{count}:{}", "x".repeat(size));
                    let lost = spool.fill().undeclared;
                    if let Ok(number) = spool.append(event(&content)) {
                        if lost > 0 {
                            written.insert(number - 1, format!("gap of {lost}"));
                        }
                        written.insert(number, content);
                    }
                }
                Step::Sync => {
                    sync(&mut spool);
                    safe = lengths(directory.path());
                }
                Step::Acknowledge(index) => {
                    let upto = index.index(spool.last_synced() as usize + 1) as u64;
                    acknowledge(&mut spool, upto);
                    (given, giving) = (spool.last_synced(), true);
                }
                Step::Anew => {
                    let full = spool.fill().undeclared > 0;
                    spool.begin_anew(v1::Gap::default()).unwrap();
                    let left = written.split_off(&(given + 1));
                    written = ["gap of 0".to_owned()]
                        .into_iter()
                        .chain(left.into_values())
                        .zip(1..)
                        .map(|(content, number)| (number, content))
                        .collect();
                    // Its first gap may take the room of the last event.
                    let last = spool.fill().last;
                    prop_assert!(last == written.len() as u64 || spool.fill().undeclared > 0);
                    prop_assert!(last + 1 >= written.len() as u64 || full);
                    written.split_off(&(last + 1));
                    spool.giving().pause().unwrap();
                    (given, giving) = (0, false);
                    safe = HashMap::new();
                }
                Step::Kill | Step::Power(..) => {
                    let acknowledged = spool.fill().acknowledged;
                    let synced = spool.last_synced();
                    let before = written.clone();
                    drop(spool);
                    if let Step::Power(index, litter) = &step {
                        lose_power(directory.path(), &safe, *index, litter);
                    }
                    spool = open(directory.path()).0;
                    safe = lengths(directory.path());
                    if std::mem::take(&mut giving) {
                        given = spool.last_synced();
                    }
                    prop_assert_eq!(spool.fill().acknowledged, acknowledged);
                    if let Step::Power(..) = step {
                        // What was not synced is there, is missing, or is declared.
                        written.retain(|number, _| *number <= synced);
                        for (number, content) in all(&spool) {
                            if number > synced {
                                prop_assert!(
                                    content == "gap of 1" || before.get(&number) == Some(&content),
                                    "{number}: {content:.40}"
                                );
                                written.insert(number, content);
                            }
                        }
                    }
                }
            }
            prop_assert!(spool.fill().bytes <= MIN_BYTES);
        }
        sync(&mut spool);
        let acknowledged = spool.fill().acknowledged;
        let expected: Vec<(u64, String)> = written
            .into_iter()
            .filter(|(number, _)| *number > acknowledged)
            .collect();
        prop_assert_eq!(all(&spool), expected);
    }
}
