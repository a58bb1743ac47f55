//! The Merkle log over all records, in C2SP tlog-tiles form.
//!
//! Takes committed records from the store in order, writes whole bundles and
//! tiles under `log/` in the state directory, and signs checkpoints. It must
//! never sign two different roots for one size, whatever dies when: a tile is
//! written once and never replaced, nothing is signed before all it covers is on
//! disk, and the last checkpoint is remembered twice, in `log/checkpoint` and in
//! the database. A start compares the two with the tiles and the records, and
//! stops where they do not go together.
//!
//! What is not a whole bundle yet stays in the store alone, so every file under
//! `log/` but the checkpoint is final.

mod files;
mod integrate;
mod key;
mod open;
mod serve;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use holdpoint_evidence::{
    SigningKey, VerifierKey,
    tiles::{Edge, TILE_WIDTH},
};
use tokio::{sync::Mutex, time};

use self::files::Files;
pub(crate) use self::serve::ServeResourceError;
pub use self::{files::FilesError, open::LogError};
use crate::{domain::time::Millis, error_chain::error_chain, store::Store};

/// Records in a bundle.
const BUNDLE: u64 = TILE_WIDTH as u64;

/// Shortest time between two checkpoints.
const EVERY: Duration = Duration::from_secs(1);

/// Longest time without a word about a log that can't be written.
const REMIND: Duration = Duration::from_mins(1);

/// The log of one state directory.
#[derive(Debug)]
pub(crate) struct Log {
    store: Store,
    files: Files,
    key: SigningKey,
    published: RwLock<Arc<Published>>,
    /// Held while the log grows.
    growing: Mutex<()>,
}

/// What the log shows: the newest checkpoint and the edge it was signed over.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) checkpoint: String,
    pub(crate) root: holdpoint_evidence::Hash,
    pub(crate) signed_at: Millis,
    edge: Edge,
}

impl Published {
    /// Records the checkpoint is over.
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Records of these that are in bundles on disk.
    fn bundled(&self) -> u64 {
        self.size() / BUNDLE * BUNDLE
    }
}

impl Log {
    /// The newest checkpoint.
    pub(crate) fn published(&self) -> Arc<Published> {
        // Replaced in one step, so a panic elsewhere leaves it whole.
        Arc::clone(
            &self
                .published
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// The key that checks the log's signatures.
    pub(crate) fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    fn publish(&self, published: Published) {
        let mut place = self
            .published
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *place = Arc::new(published);
    }
}

/// Takes new records into the log until `closing` is done. Must not be dropped
/// before: what it writes would be written on, beside whoever grows the log then.
pub(crate) async fn run(log: Arc<Log>, closing: impl Future<Output = ()>) {
    tokio::pin!(closing);
    let mut failing: Option<time::Instant> = None;
    loop {
        match log.integrate().await {
            Ok(()) if failing.take().is_some() => {
                tracing::info!("the log takes records again");
            }
            Ok(()) => {}
            Err(error) => {
                let silent = failing.is_some_and(|said| said.elapsed() < REMIND);
                if !silent {
                    failing = Some(time::Instant::now());
                    tracing::error!(
                        error = error_chain(&error),
                        "the log cannot take new records; they wait in the database"
                    );
                }
            }
        }
        tokio::select! {
            () = time::sleep(EVERY) => {}
            () = &mut closing => return,
        }
    }
}

#[cfg(test)]
mod tests;
