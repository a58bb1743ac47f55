//! The log through crashes, restored backups and changed files.

use std::fs;

use holdpoint_evidence::{
    Checkpoint, Resource,
    audit::{Source, continues, walk},
    entry::ENTRY_MAX,
};

use super::{integrate::IntegrateError, *};
use crate::{domain::audit::AuditRecord, state_dir::StateDir};

struct Place {
    directory: tempfile::TempDir,
    store: Store,
}

impl Place {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let store = Store::open(&state).await.unwrap();
        Self { directory, store }
    }

    fn state_dir(&self) -> StateDir {
        StateDir::open(self.directory.path()).unwrap()
    }

    async fn open(&self) -> Result<Arc<Log>, LogError> {
        Log::open(&self.state_dir(), &self.store).await
    }

    async fn refused(&self) -> String {
        let error = self.open().await.expect_err("the log must not go on");
        error_chain(&error)
    }

    async fn append(&self, count: usize) {
        for _ in 0..count {
            let username = format!("user-{}", self.store.count().await.unwrap());
            let record = AuditRecord::LoggedOut { username };
            self.store.record(Millis::new(5), &record).await.unwrap();
        }
    }

    /// Replaces a record, as somebody with the database could.
    async fn change(&self, index: i64, record: &[u8]) {
        self.store.change_record(index, record).await;
    }

    fn file(&self, path: &str) -> std::path::PathBuf {
        self.directory.path().join("log").join(path)
    }
}

/// The log as those see it who ask for its parts.
struct Shown<'a>(&'a Log, &'a tokio::runtime::Handle);

impl Source for Shown<'_> {
    type Error = String;

    fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, String> {
        let read = tokio::task::block_in_place(|| self.1.block_on(self.0.resource(resource)));
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ServeResourceError::NotFound(..) | ServeResourceError::Missing(_)) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Checks all that `log` shows. Answers its checkpoint.
fn sound(log: &Log) -> Checkpoint {
    let published = log.published();
    let checkpoint = Checkpoint::open(published.checkpoint.as_bytes(), log.verifier()).unwrap();
    let handle = tokio::runtime::Handle::current();
    let report = walk(Shown(log, &handle), &checkpoint, 0, |_, _| Ok(())).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.verified, checkpoint.size);
    checkpoint
}

fn follows(log: &Log, old: &Checkpoint, new: &Checkpoint) {
    let handle = tokio::runtime::Handle::current();
    continues(Shown(log, &handle), old, new).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_checkpoint_continues_the_one_before() {
    let place = Place::new().await;
    let mut log = place.open().await.unwrap();
    let mut last = sound(&log);
    assert_eq!(last.size, 0);
    for count in [1, 254, 1, 1, 0, 300, 211] {
        place.append(count).await;
        log.integrate().await.unwrap();
        let now = sound(&log);
        assert_eq!(now.size, last.size + count as u64);
        follows(&log, &last, &now);
        last = now;
        // A start goes on where the last run ended.
        drop(log);
        log = place.open().await.unwrap();
        assert_eq!(sound(&log), last);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_beyond_the_checkpoint_is_shown() {
    let place = Place::new().await;
    let log = place.open().await.unwrap();
    place.append(300).await;
    log.integrate().await.unwrap();
    let narrow = log
        .resource("tile/0/001.p/7".parse().unwrap())
        .await
        .unwrap();
    let wide = log
        .resource("tile/0/001.p/44".parse().unwrap())
        .await
        .unwrap();
    assert_eq!((narrow.len(), wide.len()), (7 * 32, 44 * 32));
    assert!(wide.starts_with(&narrow));
    place.append(300).await;
    for path in [
        "tile/0/001.p/45",
        "tile/0/001",
        "tile/0/002",
        "tile/1/000.p/2",
        "tile/2/000.p/1",
        "tile/entries/001.p/45",
        "tile/entries/001",
        "tile/entries/002.p/1",
        "record/000",
        "record/299",
        "record/300",
    ] {
        let refused = log.resource(path.parse().unwrap()).await.unwrap_err();
        assert!(
            matches!(refused, ServeResourceError::NotFound(..)),
            "{path}: {refused}"
        );
    }
    log.integrate().await.unwrap();
    // What an older checkpoint needs is still there, cut from what is whole now.
    let again = log
        .resource("tile/0/001.p/44".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(again, wide);
    let bundle = log
        .resource("tile/entries/001.p/44".parse().unwrap())
        .await
        .unwrap();
    let entries = holdpoint_evidence::entry::entries(&bundle, 44).unwrap();
    assert!(String::from_utf8_lossy(entries[0]).contains("user-256"));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_records_are_kept_whole() {
    let place = Place::new().await;
    let log = place.open().await.unwrap();
    place.append(300).await;
    let long = vec![b'x'; ENTRY_MAX * 3];
    place.change(3, &long).await;
    place.change(299, &long).await;
    log.integrate().await.unwrap();
    sound(&log);
    for path in ["record/003", "record/299"] {
        assert_eq!(log.resource(path.parse().unwrap()).await.unwrap(), long);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_files_and_database_is_mended() {
    let place = Place::new().await;
    let log = place.open().await.unwrap();
    place.append(200).await;
    log.integrate().await.unwrap();
    let before = place.store.log_state().await.unwrap().unwrap();
    place.append(400).await;
    log.integrate().await.unwrap();
    let last = sound(&log);
    drop(log);
    // The database never heard of the second checkpoint.
    place.store.set_log_state(&before).await.unwrap();
    let log = place.open().await.unwrap();
    assert_eq!(sound(&log), last);
    assert_eq!(place.store.log_state().await.unwrap().unwrap().size, 600);

    // Tiles were written and no checkpoint: the next one comes to the same.
    drop(log);
    fs::write(place.file("checkpoint"), &before.checkpoint).unwrap();
    place.store.set_log_state(&before).await.unwrap();
    let log = place.open().await.unwrap();
    log.integrate().await.unwrap();
    assert_eq!(sound(&log), last);
    // A file that was being written is in nobody's way.
    fs::write(place.file(".new"), "half").unwrap();
    place.append(1).await;
    log.integrate().await.unwrap();
    sound(&log);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_go_together_ends_the_start() {
    let place = Place::new().await;
    let log = place.open().await.unwrap();
    place.append(300).await;
    log.integrate().await.unwrap();
    let earlier = place.store.log_state().await.unwrap().unwrap();
    place.append(300).await;
    log.integrate().await.unwrap();
    drop(log);

    let checkpoint = fs::read(place.file("checkpoint")).unwrap();
    fs::write(place.file("checkpoint"), &earlier.checkpoint).unwrap();
    let said = place.refused().await;
    assert!(
        said.contains("end at 300 records and the database knows a checkpoint over 600"),
        "{said}"
    );
    fs::remove_file(place.file("checkpoint")).unwrap();
    let said = place.refused().await;
    assert!(said.contains("end at 0 records"), "{said}");
    let mut forged = checkpoint.clone();
    forged[60] ^= 1;
    fs::write(place.file("checkpoint"), &forged).unwrap();
    let said = place.refused().await;
    assert!(said.contains("log/checkpoint can't be trusted"), "{said}");
    fs::write(place.file("checkpoint"), &checkpoint).unwrap();

    let tile = fs::read(place.file("tile/0/001")).unwrap();
    let mut changed = tile.clone();
    changed[5] ^= 1;
    fs::write(place.file("tile/0/001"), &changed).unwrap();
    let said = place.refused().await;
    assert!(
        said.contains("do not lead to the root that was signed over 600"),
        "{said}"
    );
    fs::remove_file(place.file("tile/0/001")).unwrap();
    let said = place.refused().await;
    assert!(said.contains("tile/0/001 is missing or damaged"), "{said}");
    fs::write(place.file("tile/0/001"), &tile).unwrap();

    place.change(599, b"{}").await;
    let said = place.refused().await;
    assert!(said.contains("do not lead to the root"), "{said}");

    let key = place.directory.path().join("log.key");
    fs::rename(&key, place.directory.path().join("away")).unwrap();
    let said = place.refused().await;
    assert!(said.contains("log.key is missing"), "{said}");
    fs::rename(place.directory.path().join("away"), &key).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_from_an_older_backup_cannot_go_another_way() {
    let place = Place::new().await;
    let log = place.open().await.unwrap();
    place.append(300).await;
    log.integrate().await.unwrap();
    let backup = place.store.log_state().await.unwrap().unwrap();
    // The log goes on to the end of a bundle, so that no record of it is needed.
    place.append(212).await;
    log.integrate().await.unwrap();
    drop(log);
    // Back to 300 records, and then another 212 and more.
    place.store.set_log_state(&backup).await.unwrap();
    place.store.cut_records(300).await;
    let said = place.refused().await;
    assert!(
        said.contains("signed over 512 records and the database holds 300"),
        "{said}"
    );
    place.append(400).await;
    place.change(300, b"{\"another\":1}").await;
    let said = place.refused().await;
    assert!(
        said.contains("record 300 in the database is not the one the log has"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_changes_before_its_bundle_is_whole_stops_the_log() {
    let place = Place::new().await;
    let log = place.open().await.unwrap();
    place.append(100).await;
    log.integrate().await.unwrap();
    let signed = sound(&log);
    place.change(50, b"{}").await;
    place.append(200).await;
    let error = log.integrate().await.unwrap_err();
    assert!(matches!(error, IntegrateError::Changed(50)), "{error}");
    let published = log.published();
    let now = Checkpoint::open(published.checkpoint.as_bytes(), log.verifier()).unwrap();
    assert_eq!(now, signed, "nothing was signed over it");
}

#[tokio::test(flavor = "multi_thread")]
async fn growth_ends_by_itself_and_leaves_nothing_half_done() {
    let place = Place::new().await;
    for _ in 0..5 {
        let log = place.open().await.unwrap();
        place.append(700).await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let growth = tokio::spawn(run(Arc::clone(&log), async { drop(stopped.await) }));
        // In the middle of its work, whatever that is by then.
        tokio::task::yield_now().await;
        drop(stop);
        let end = tokio::time::timeout(Duration::from_secs(10), growth);
        end.await.expect("it ends when it is told").unwrap();
        // What it had begun it has done, and nobody writes beside the next.
        let size = sound(&log).size;
        assert_eq!(size, place.store.count().await.unwrap());
        let note = fs::read_to_string(place.file("checkpoint")).unwrap();
        assert_eq!(note, log.published().checkpoint);
        log.integrate().await.unwrap();
        assert_eq!(place.store.log_state().await.unwrap().unwrap().size, size);
    }
}
