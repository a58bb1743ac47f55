//! What the next daemon has to tell of: the names of the grants that are honoured
//! now, on disk.
//!
//! A daemon begins without grants, whatever ended the one before. It finds here
//! which ones ended with that, so that the approver hears of it. Nothing here
//! gives anything: names alone are written, and they are only ever read to be
//! told as ended.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use holdpoint_proto::v1::{self, GrantChange};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::warn;

use super::{Change, Grants};

const FILE: &str = "grants.json";

/// Largest file that is read: far more grants than people give.
const LARGEST: u64 = 16 * 1024 * 1024;

/// One grant, by name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Entry {
    grant_id: String,
    request_id: String,
    uses: u64,
    session: Option<Session>,
}

/// The session of its request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Session {
    id: String,
    profile: String,
    owner: String,
    uid: u32,
    user: String,
}

/// Writes the names down, behind the daemon's back. Without a place it writes
/// nothing.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Option<watch::Sender<Vec<Entry>>>,
}

impl Ledger {
    /// The ledger in `state_dir`, and the ends of what an earlier daemon left in
    /// it. Must run inside a tokio runtime.
    pub fn open(state_dir: &Path) -> (Self, Vec<Change>) {
        let path = state_dir.join(FILE);
        let left = read(&path).unwrap_or_else(|error| {
            warn!(path = %path.display(), %error, "cannot read which grants ended with the last daemon");
            Vec::new()
        });
        let (entries, changes) = watch::channel(left.clone());
        tokio::spawn(keep(path, changes));
        let ledger = Self {
            entries: Some(entries),
        };
        (ledger, left.into_iter().map(Entry::ended).collect())
    }

    /// These are the grants now.
    pub(crate) fn note(&self, grants: &Grants) {
        if let Some(entries) = &self.entries {
            let now = grants.entries();
            entries.send_if_modified(|before| {
                let changed = *before != now;
                *before = now;
                changed
            });
        }
    }
}

impl Grants {
    fn entries(&self) -> Vec<Entry> {
        self.active
            .iter()
            .map(|(id, grant)| Entry {
                grant_id: id.clone(),
                request_id: grant.request_id.clone(),
                uses: grant.uses,
                session: grant.session.as_ref().map(|session| Session {
                    id: session.id.clone(),
                    profile: session.profile.clone(),
                    owner: session.owner.clone(),
                    uid: session.uid,
                    user: session.user.clone(),
                }),
            })
            .collect()
    }
}

impl Entry {
    fn ended(self) -> Change {
        Change {
            grant_id: self.grant_id,
            request_id: self.request_id,
            change: GrantChange::Ended,
            session: self.session.map(|session| v1::Session {
                id: session.id,
                profile: session.profile,
                owner: session.owner,
                uid: session.uid,
                user: session.user,
            }),
            uses: self.uses,
            reason: "holdpointd was restarted".to_owned(),
        }
    }
}

/// Writes what is newest, until nobody changes it any more.
async fn keep(path: PathBuf, mut changes: watch::Receiver<Vec<Entry>>) {
    while changes.changed().await.is_ok() {
        let entries = changes.borrow_and_update().clone();
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || write(&target, &entries)).await;
        if let Ok(Err(error)) = written {
            warn!(path = %path.display(), %error, "cannot write down which grants there are");
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<Entry>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    match fs::File::open(path) {
        Ok(file) => file.take(LARGEST).read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    serde_json::from_slice(&text).map_err(io::Error::from)
}

/// Whole or not at all.
fn write(path: &Path, entries: &[Entry]) -> io::Result<()> {
    let fresh = path.with_extension("json.new");
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(&serde_json::to_vec(entries)?)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::tests::{SAME, at, bearer, context, decision},
        *,
    };

    async fn until_written(path: &Path, wanted: usize) {
        for _ in 0..1_000 {
            if read(path).is_ok_and(|entries| entries.len() == wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{wanted} grants were not written");
    }

    #[tokio::test]
    async fn the_next_daemon_tells_the_end_of_what_this_one_honoured() {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state");
        let path = state.join(FILE);
        let (ledger, left) = Ledger::open(&state);
        assert_eq!(left, []);
        let mut grants = Grants::default();
        let given = decision("g", v1::GrantScope::Session, 60, 0);
        grants
            .issue(&given, &context(&SAME), bearer(1, 1), at(0))
            .unwrap();
        ledger.note(&grants);
        until_written(&path, 1).await;
        // As if it were killed.
        drop(ledger);
        let (ledger, left) = Ledger::open(&state);
        let [ended] = left.as_slice() else {
            panic!("{left:?}");
        };
        assert_eq!((&*ended.grant_id, &*ended.request_id), ("g", "r"));
        assert_eq!(ended.change, GrantChange::Ended);
        assert!(ended.session.is_some());
        // The new one honours nothing, and has nothing to tell of a second time.
        ledger.note(&Grants::default());
        until_written(&path, 0).await;
        assert_eq!(Ledger::open(&state).1, []);
    }

    #[tokio::test]
    async fn a_damaged_ledger_is_no_reason_to_stop() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(FILE), "{").unwrap();
        assert_eq!(Ledger::open(place.path()).1, []);
    }
}
