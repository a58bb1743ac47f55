//! Takes records into the log and signs what it has become.
//!
//! The order is what makes a crash harmless: bundle and tiles first, then the
//! checkpoint's file, then the database, then whoever asks. The edge in memory
//! moves only after the files it stands for are on disk.

use holdpoint_evidence::{
    Checkpoint, Hash, Resource,
    entry::{self, BundleError, entry_of, is_long, leaf_of},
    path::Width,
    tiles::{Edge, WholeTile, encode},
};
use tokio::task::{JoinError, spawn_blocking};

use super::{BUNDLE, FilesError, Log, Published, files::Files};
use crate::{
    service::now,
    store::{Store, StoreError, events::Record, log_state::LogState},
};

/// Records after which a checkpoint is signed though more are waiting.
const SIGN_AFTER: u64 = 64 * BUNDLE;

/// Why records can't be taken into the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntegrateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("record {0} is missing from the database; restore the state directory from a backup")]
    Hole(u64),
    #[error(
        "record {0} in the database is not the one the log has; restore the state directory from a \
         backup"
    )]
    Changed(u64),
    #[error("a bundle of the log can't be made: {0}")]
    Bundle(#[from] BundleError),
    #[error("a task of the log ended early: {0}")]
    Task(#[from] JoinError),
}

impl Log {
    /// Takes in all records there are, and signs a checkpoint if there was one.
    pub(crate) async fn integrate(&self) -> Result<(), IntegrateError> {
        let _growing = self.growing.lock().await;
        let mut edge = self.published().edge.clone();
        loop {
            let signed = self.published().size();
            let mut more = true;
            while more && edge.size() - signed < SIGN_AFTER {
                (edge, more) = self.take(edge).await?;
            }
            if edge.size() > signed {
                self.sign(edge.clone()).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Takes in records up to the end of a bundle. Answers the new edge, and
    /// whether there may be more.
    async fn take(&self, mut edge: Edge) -> Result<(Edge, bool), IntegrateError> {
        let from = edge.size();
        let room = BUNDLE - from % BUNDLE;
        let records = records(&self.store, from, room).await?;
        let more = records.len() as u64 == room;
        let mut whole = Vec::new();
        for record in &records {
            whole = edge.push(leaf_of(&record.json));
        }
        if !whole.is_empty() {
            self.write(records, whole).await?;
        }
        Ok((edge, more))
    }

    /// Writes a bundle that is whole now, of which `last` are the last records,
    /// and the tiles that are whole by it.
    async fn write(&self, last: Vec<Record>, whole: Vec<WholeTile>) -> Result<(), IntegrateError> {
        let end = last.last().map_or(0, |record| record.log_index + 1);
        let mut records = Vec::new();
        if let Some(missing) = BUNDLE.checked_sub(last.len() as u64).filter(|one| *one > 0) {
            records = self::records(&self.store, end - BUNDLE, missing).await?;
        }
        records.extend(last);
        // Those read a second time must be those that were signed.
        let leaves = whole.first().map_or(&[][..], |tile| &tile.hashes);
        compare(&records, end - BUNDLE, leaves)?;
        let files = self.files.clone();
        spawn_blocking(move || write(&files, &records, &whole)).await?
    }

    /// Signs the log as far as `edge`, remembers it and shows it.
    pub(super) async fn sign(&self, edge: Edge) -> Result<(), IntegrateError> {
        let root = edge.root();
        let checkpoint = Checkpoint {
            origin: self.key.verifier().name().to_owned(),
            size: edge.size(),
            root,
        };
        let published = Published {
            checkpoint: checkpoint.sign(&self.key),
            root,
            signed_at: now(),
            edge,
        };
        let (files, note) = (self.files.clone(), published.checkpoint.clone());
        spawn_blocking(move || files.set_checkpoint(&note)).await??;
        self.remember(&published).await?;
        self.publish(published);
        Ok(())
    }

    pub(super) async fn remember(&self, published: &Published) -> Result<(), StoreError> {
        let state = LogState {
            bundled: published.bundled(),
            size: published.size(),
            checkpoint: published.checkpoint.clone(),
            signed_at: published.signed_at,
        };
        self.store.set_log_state(&state).await
    }
}

/// Up to `count` records from `from` on, without a hole.
pub(super) async fn records(
    store: &Store,
    from: u64,
    count: u64,
) -> Result<Vec<Record>, IntegrateError> {
    let limit = u32::try_from(count).unwrap_or(u32::MAX);
    let records = store.records(from, limit).await?;
    for (at, record) in (from..).zip(&records) {
        if record.log_index != at {
            return Err(IntegrateError::Hole(at));
        }
    }
    Ok(records)
}

/// Whether `records` are those whose leaves begin at `from`.
pub(super) fn compare(
    records: &[Record],
    from: u64,
    leaves: &[Hash],
) -> Result<(), IntegrateError> {
    for (index, leaf) in (from..).zip(leaves) {
        let at = usize::try_from(index - from).unwrap_or(usize::MAX);
        match records.get(at) {
            Some(record) if record.log_index != index => return Err(IntegrateError::Hole(index)),
            None => return Err(IntegrateError::Hole(index)),
            Some(record) if leaf_of(&record.json) != *leaf => {
                return Err(IntegrateError::Changed(index));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn write(files: &Files, records: &[Record], whole: &[WholeTile]) -> Result<(), IntegrateError> {
    for record in records.iter().filter(|one| is_long(&one.json)) {
        let index = record.log_index;
        files.write_once(Resource::Record { index }, &record.json)?;
    }
    let bundle = entry::bundle(records.iter().map(|one| entry_of(&one.json)))?;
    let width = Width::FULL;
    for tile in whole {
        let (level, index) = (tile.level, tile.index);
        if level == 0 {
            files.write_once(Resource::Entries { index, width }, &bundle)?;
        }
        let resource = Resource::Tile {
            level,
            index,
            width,
        };
        files.write_once(resource, &encode(&tile.hashes))?;
    }
    Ok(())
}
