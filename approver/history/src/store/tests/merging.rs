//! Small units become large ones, whatever ends when.

use std::{collections::BTreeSet, fs, path::PathBuf};

use proptest::prelude::*;

use super::{damage::files, *};
use crate::files::Tiers;

const TIERS: Tiers = Tiers {
    small: 1,
    together: 3,
    most: 100,
};

/// Three units of two records, on two days and two hosts.
async fn small(directory: &Path) -> Arc<History> {
    let history = Arc::new(History::open(directory, 0, 6).unwrap());
    history.offer(&records()).unwrap();
    for below in [2, 4, 6] {
        assert_eq!(history.keep(below).await.unwrap(), below);
    }
    history
}

async fn is_whole(history: &History) {
    for text in ["", "-kind:nothing", "since:2026-01-31"] {
        let page = history.search(&query(text), None, 100).await.unwrap();
        assert_eq!(numbers(&page.records), [5, 4, 3, 2, 1, 0], "{text}");
    }
    let all = history.sql("SELECT count(*) FROM events", 1).await.unwrap();
    assert_eq!(all.rows[0][0], "6");
}

#[tokio::test]
async fn small_units_become_one_that_holds_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let history = small(directory.path()).await;
    let before = files(directory.path());
    assert!(
        !history.merge_as(5, TIERS).await.unwrap(),
        "not all dropped"
    );
    // Somebody reads all the time.
    let reading = history.snapshot();
    assert!(history.merge_as(6, TIERS).await.unwrap());
    is_whole(&history).await;
    assert!(before.iter().all(|file| file.exists()), "they are read");
    drop(reading);
    assert!(!history.merge_as(6, TIERS).await.unwrap());
    assert!(!before.iter().any(|file| file.exists()));
    let after = files(directory.path());
    assert_eq!(after.len(), 4, "one for each day and host: {after:?}");
    is_whole(&history).await;
    let page = history.search(&Query::default(), None, 100).await.unwrap();
    let mut found = page.records;
    found.reverse();
    assert_eq!(found, records(), "byte for byte");
    drop(history);
    is_whole(&History::open(directory.path(), 6, 6).unwrap()).await;
}

#[tokio::test]
async fn what_was_changed_is_not_merged() {
    let directory = tempfile::tempdir().unwrap();
    let history = small(directory.path()).await;
    let file = &files(directory.path())[0];
    let mut bytes = fs::read(file).unwrap();
    bytes[100] ^= 1;
    fs::write(file, bytes).unwrap();
    let error = history.merge_as(6, TIERS).await.unwrap_err();
    assert!(matches!(error, HistoryError::Changed { .. }), "{error:?}");
}

/// The files before and after a merge, with what they hold.
struct Merge {
    before: Vec<(PathBuf, Vec<u8>)>,
    after: Vec<(PathBuf, Vec<u8>)>,
}

async fn merge() -> Merge {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let read = |files: Vec<PathBuf>| {
        let read = |file: PathBuf| {
            let bytes = fs::read(&file).unwrap();
            (file.strip_prefix(place).unwrap().to_owned(), bytes)
        };
        files.into_iter().map(read).collect()
    };
    let history = small(place).await;
    let before = read(files(place));
    assert!(history.merge_as(6, TIERS).await.unwrap());
    Merge {
        before,
        after: read(files(place)),
    }
}

/// Where a merge was cut short.
#[derive(Clone, Debug)]
enum Cut {
    /// So many of the new files had their names; one more was being written.
    Writing(usize),
    /// These of the old files were removed already.
    Removing(BTreeSet<usize>),
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![
        (0_usize..4).prop_map(Cut::Writing),
        prop::collection::btree_set(0_usize..16, 0..16).prop_map(Cut::Removing),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_merge_that_is_cut_short_anywhere_loses_and_doubles_nothing(cut in cut()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let Merge { before, after } = merge().await;
            let directory = tempfile::tempdir().unwrap();
            let put = |(path, bytes): &(PathBuf, Vec<u8>)| {
                let path = directory.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            };
            match &cut {
                Cut::Writing(named) => {
                    before.iter().for_each(put);
                    after[..*named].iter().for_each(put);
                    let (path, bytes) = &after[*named];
                    put(&(path.with_extension("tmp"), bytes[..bytes.len() / 2].to_vec()));
                }
                Cut::Removing(removed) => {
                    after.iter().for_each(put);
                    let left = before.iter().enumerate();
                    left.filter(|(at, _)| !removed.contains(at)).for_each(|(_, file)| put(file));
                }
            }
            let history = Arc::new(History::open(directory.path(), 6, 6).unwrap());
            is_whole(&history).await;
            let left = files(directory.path()).len();
            assert!(left == before.len() || left == after.len(), "{left} files are left");
            // And it can be done, or is.
            history.merge_as(6, TIERS).await.unwrap();
            drop(history);
            is_whole(&History::open(directory.path(), 6, 6).unwrap()).await;
            assert_eq!(files(directory.path()).len(), after.len());
        });
    }
}
