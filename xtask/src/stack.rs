//! The programs of Holdpoint, set up as an administrator would: an approver with
//! its people, and `holdpointd`. In guests and on this machine alike; it must
//! never touch anything outside the folders it is given.

mod approver;
mod daemon;
mod service;

pub(crate) use approver::{ADMINISTRATOR, Approver, OWNER, Ports, REVIEWERS};
pub(crate) use daemon::Daemon;
pub(crate) use service::{Echo, Service};

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    thread,
};

use anyhow::{Context as _, Result, anyhow};

/// Makes a folder for one's own eyes, if it is not there.
pub(crate) fn private_folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))
}

fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// Does it for all names at the same time.
fn at_once(names: &[&str], work: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(move || work(name)))
            .collect();
        running.into_iter().try_for_each(joined)
    })
}

/// What the thread gave.
pub(crate) fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .map_err(|_| anyhow!("a thread of this program panicked"))?
}
