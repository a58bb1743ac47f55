//! The one spool of a running daemon: whoever has an event appends it here, and
//! a task of its own brings it to the disk.
//!
//! Appending writes and never waits for the disk: the daemon must go on
//! answering holds. Whoever reads waits for [`Journal::synced`].

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use holdpoint_proto::v1::{self, event::Body};
use tokio::sync::{Notify, watch};
use tracing::{debug, error, info, warn};

use super::spool::{self, Before, Fill, Spool, SpoolError};
use crate::identity::Identity;

/// Folder of the spool in the state directory.
const FOLDER: &str = "spool";

/// How long events are gathered before they are synced together.
const GATHER: Duration = Duration::from_millis(50);
/// How long to wait after the disk failed.
const RETRY: Duration = Duration::from_secs(1);

/// How the publishing of events is doing, for people.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// How full the spool is.
    pub fill: Fill,
    /// What is in the way of keeping or sending events, if anything is.
    pub error: Option<String>,
}

struct Inner {
    spool: Mutex<Spool>,
    appended: Notify,
    synced: watch::Sender<u64>,
    disk_error: Mutex<Option<String>>,
    publish_error: Mutex<Option<String>>,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic between two appends leaves the spool as a kill would: whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `time` as the contract has it.
pub fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    prost_types::Timestamp::from(time)
}

impl Journal {
    /// Says, at enrolment, that this host has had no events yet: its first spool
    /// then takes nothing's place.
    pub fn prepare(state_dir: &Path) -> Result<(), SpoolError> {
        spool::prepare(&state_dir.join(FOLDER))
    }

    /// Opens the spool below `state_dir`. If some events may be missing that the
    /// approver could expect, the first that is written says so.
    pub fn open(state_dir: &Path, max_bytes: u64) -> Result<Self, SpoolError> {
        let (spool, before) = Spool::open(&state_dir.join(FOLDER), max_bytes)?;
        let journal = Self(Arc::new(Inner {
            synced: watch::Sender::new(spool.last_synced()),
            spool: Mutex::new(spool),
            appended: Notify::new(),
            disk_error: Mutex::default(),
            publish_error: Mutex::default(),
        }));
        match before {
            Before::Killed { last } => {
                info!("the daemon before ended without saying so; a gap says it");
                journal.record(Body::Gap(v1::Gap {
                    cause: v1::GapCause::DaemonDown.into(),
                    lost: 0,
                    since: last.map(timestamp),
                    detail: "holdpointd ended without saying so; what it had seen and not \
                             written is missing"
                        .to_owned(),
                }));
            }
            // Nobody has heard of this host under another spool if nobody knows it. An
            // identity that cannot be read is one.
            Before::New { replaces: true } if !matches!(Identity::load(state_dir), Ok(None)) => {
                warn!("the spool that this host had is gone; a gap says it");
                journal.record(Body::Gap(v1::Gap {
                    cause: v1::GapCause::Spool.into(),
                    lost: 0,
                    since: None,
                    detail: "the spool before this one is gone; what was in it and had not \
                             been sent is missing"
                        .to_owned(),
                }));
            }
            Before::New { .. } | Before::Ended => {}
        }
        Ok(journal)
    }

    /// Appends an event of now.
    pub fn record(&self, body: Body) {
        self.record_at(SystemTime::now(), body);
    }

    /// Appends an event. One that cannot be kept is declared by a later gap.
    pub fn record_at(&self, time: SystemTime, body: Body) {
        let event = v1::Event {
            sequence: 0,
            time: Some(timestamp(time)),
            body: Some(body),
        };
        // The spool counts what it does not keep.
        if let Err(error) = lock(&self.0.spool).append(event) {
            debug!(%error, "an event was not kept");
        }
        self.0.appended.notify_one();
    }

    /// Brings what is appended to the disk for as long as it is polled.
    pub async fn keep_synced(&self) {
        loop {
            self.0.appended.notified().await;
            tokio::time::sleep(GATHER).await;
            while let Err(error) = self.sync().await {
                error!(%error, "cannot bring events to the disk; they are not sent meanwhile");
                *lock(&self.0.disk_error) = Some(error.to_string());
                tokio::time::sleep(RETRY).await;
            }
            lock(&self.0.disk_error).take();
        }
    }

    async fn sync(&self) -> std::io::Result<()> {
        let Some(unsynced) = lock(&self.0.spool).unsynced() else {
            return Ok(());
        };
        let unsynced = tokio::task::spawn_blocking(move || unsynced.sync().map(|()| unsynced))
            .await
            .map_err(std::io::Error::other)??;
        let mut spool = lock(&self.0.spool);
        spool.synced(&unsynced);
        self.0.synced.send_replace(spool.last_synced());
        Ok(())
    }

    /// Number of the last event that may be sent, as it grows.
    pub fn synced(&self) -> watch::Receiver<u64> {
        self.0.synced.subscribe()
    }

    /// What the publisher opens with: name of the spool, its oldest number, and
    /// the last that may be sent.
    pub(super) fn opening(&self) -> (v1::OpenSpool, u64) {
        let spool = lock(&self.0.spool);
        let open = v1::OpenSpool {
            spool_id: spool.id().to_vec(),
            first_sequence: spool.first(),
        };
        (open, spool.last_synced())
    }

    /// See [`Spool::batch`].
    pub(super) async fn batch(&self, after: u64) -> Result<Vec<v1::Event>, SpoolError> {
        let inner = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || lock(&inner.spool).batch(after));
        match read.await {
            Ok(result) => result,
            // The runtime ends; nobody sends any more.
            Err(_) => Ok(Vec::new()),
        }
    }

    /// See [`Spool::acknowledge`].
    pub(super) fn acknowledge(&self, sequence: u64) -> Result<(), SpoolError> {
        lock(&self.0.spool).acknowledge(sequence)
    }

    /// Says what is in the way of sending, or that nothing is.
    pub(super) fn publishing(&self, error: Option<String>) {
        *lock(&self.0.publish_error) = error;
    }

    /// How it is doing.
    pub fn state(&self) -> State {
        let disk = lock(&self.0.disk_error).clone();
        let publish = lock(&self.0.publish_error).clone();
        State {
            fill: lock(&self.0.spool).fill(),
            error: disk.or(publish),
        }
    }

    /// Ends it in order: nothing is missing, says the next start.
    pub async fn end(&self) -> Result<(), SpoolError> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || lock(&inner.spool).end())
            .await
            .unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::events::spool::MIN_BYTES;

    /// Opens the journal of `state_dir` as a daemon does, and gives its events, once
    /// it has written one of its own.
    fn begun(state_dir: &Path) -> Vec<Body> {
        let journal = Journal::open(state_dir, MIN_BYTES).unwrap();
        journal.record(Body::Policy(v1::PolicyEvent::default()));
        let events = spool::look(&state_dir.join(FOLDER)).unwrap();
        events.into_iter().filter_map(|event| event.body).collect()
    }

    fn enrol(state_dir: &Path) {
        let identity = Identity {
            host_id: "h".to_owned(),
            approver: "https://localhost:7443".to_owned(),
            ca: String::new(),
            certificate: String::new(),
            key: String::new(),
            decision_key: [0; 32],
        };
        identity.store(state_dir).unwrap();
    }

    #[test]
    fn a_host_that_was_just_enrolled_begins_without_a_gap() {
        let place = tempfile::tempdir().unwrap();
        let state_dir = place.path().join("state");
        Journal::prepare(&state_dir).unwrap();
        enrol(&state_dir);
        assert!(matches!(&begun(&state_dir)[..], [Body::Policy(_)]));
    }

    #[test]
    fn a_host_that_runs_before_it_is_enrolled_has_no_gap() {
        let place = tempfile::tempdir().unwrap();
        assert!(matches!(&begun(place.path())[..], [Body::Policy(_)]));
    }

    #[test]
    fn a_spool_that_takes_the_place_of_another_begins_with_a_gap() {
        let place = tempfile::tempdir().unwrap();
        let state_dir = place.path().join("state");
        Journal::prepare(&state_dir).unwrap();
        enrol(&state_dir);
        begun(&state_dir);
        // As `holdpoint status` has the operator do when the host was set back.
        fs::remove_dir_all(state_dir.join(FOLDER)).unwrap();
        let events = begun(&state_dir);
        let [Body::Gap(gap), Body::Policy(_)] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!((gap.cause(), gap.lost), (v1::GapCause::Spool, 0));
        assert!(gap.detail.contains("is gone"), "{}", gap.detail);
        // One whose files alone are removed is no other.
        for entry in fs::read_dir(state_dir.join(FOLDER)).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        assert!(matches!(begun(&state_dir)[0], Body::Gap(_)));
        // An identity that cannot be read is an identity.
        fs::write(state_dir.join("identity.json"), "{").unwrap();
        fs::remove_dir_all(state_dir.join(FOLDER)).unwrap();
        assert!(matches!(begun(&state_dir)[0], Body::Gap(_)));
    }

    #[test]
    fn a_spool_that_lost_its_daemon_at_birth_says_so() {
        let place = tempfile::tempdir().unwrap();
        enrol(place.path());
        // Killed after the file was there and before anything was written.
        drop(Spool::open(&place.path().join(FOLDER), MIN_BYTES).unwrap());
        let events = begun(place.path());
        let [Body::Gap(gap), Body::Policy(_)] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(gap.cause(), v1::GapCause::DaemonDown);
    }
}
