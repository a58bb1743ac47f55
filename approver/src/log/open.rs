//! Starting: whether key, files, database and records belong together.
//!
//! A log that goes on from the wrong place signs a second truth, so every doubt
//! ends the start, with what to do about it.

use std::{
    path::PathBuf,
    sync::{Arc, RwLock},
};

use holdpoint_evidence::{
    Checkpoint, Hash, Resource,
    checkpoint::CheckpointError,
    entry::leaf_of,
    path::{LEVEL_MAX, Width},
    tiles::{self, Edge, TILE_WIDTH},
};
use tokio::sync::Mutex;

use super::{
    BUNDLE, FilesError, Log, Published,
    files::Files,
    integrate::{IntegrateError, compare, records},
    key,
};
use crate::{
    domain::time::Millis,
    service::now,
    state_dir::{StateDir, StateDirError},
    store::{Store, StoreError},
};

/// Why the log can't go on.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The key's file can't be read or written.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The database can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log's files can't be read or written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Making the key failed.
    #[error("cannot make the log's key: {0}")]
    Generate(rcgen::Error),
    /// There is a log, but not the key it was signed with.
    #[error(
        "{} is missing and the log was begun with it; restore it from a backup, or move log/ away \
         and clear the table log_state to begin another log, which the old one's checkpoints will \
         not vouch for", path.display()
    )]
    KeyMissing {
        /// The key's file.
        path: PathBuf,
    },
    /// The key's file has other content than we wrote.
    #[error("{} is damaged ({reason}); restore it from a backup", path.display())]
    KeyDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint is not one that this key signed.
    #[error(
        "the last checkpoint in {place} can't be trusted: {source}; restore the state directory from a backup"
    )]
    Checkpoint {
        /// Where it is kept.
        place: &'static str,
        /// What is wrong with it.
        source: CheckpointError,
    },
    /// The checkpoint's file is older than the database.
    #[error(
        "the log's files end at {files} records and the database knows a checkpoint over {database}: \
         log/ was restored from an older backup or is damaged; restore it together with approver.db"
    )]
    FilesBehind {
        /// Records of the checkpoint in the file; 0 also if there is none.
        files: u64,
        /// Records of the one in the database.
        database: u64,
    },
    /// The database has fewer records than the log.
    #[error(
        "the log was signed over {signed} records and the database holds {records}: approver.db \
         was restored from an older backup; restore it together with log/"
    )]
    DatabaseBehind {
        /// Records of the checkpoint.
        signed: u64,
        /// Records of the database.
        records: u64,
    },
    /// Two checkpoints of one size.
    #[error(
        "log/checkpoint and the database hold two different checkpoints over {size} records; \
         restore the state directory from a backup"
    )]
    Forked {
        /// Their size.
        size: u64,
    },
    /// A tile is not there or not whole.
    #[error("{} is missing or damaged; restore log/ from a backup", .0.display())]
    Tile(PathBuf),
    /// The tiles and records lead to another root than was signed.
    #[error(
        "the log's tiles and records do not lead to the root that was signed over {size} records: \
         they were changed; restore the state directory from a backup"
    )]
    Root {
        /// Records of the checkpoint.
        size: u64,
    },
    /// The records in the database are not those of the log.
    #[error("the database and the log do not go together")]
    Records(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<IntegrateError> for LogError {
    fn from(error: IntegrateError) -> Self {
        match error {
            IntegrateError::Store(error) => Self::Store(error),
            IntegrateError::Files(error) => Self::Files(error),
            other => Self::Records(Box::new(other)),
        }
    }
}

/// The last checkpoint, and from where on the records have to be compared with
/// the tiles.
struct Last {
    checkpoint: Checkpoint,
    note: String,
    signed_at: Millis,
    doubt_from: u64,
}

impl Log {
    /// The log of `directory`, ready to go on; begun if there is none.
    pub(crate) async fn open(directory: &StateDir, store: &Store) -> Result<Arc<Self>, LogError> {
        let files = Files::open(directory)?;
        let (note, state) = (files.checkpoint()?, store.log_state().await?);
        let begun = note.is_some() || state.is_some();
        let log = |files, key, published| Self {
            store: store.clone(),
            files,
            key,
            published: RwLock::new(Arc::new(published)),
            growing: Mutex::new(()),
        };
        let key = key::load_or_create(directory, begun)?;
        let open = |place, note: &[u8]| {
            Checkpoint::open(note, key.verifier())
                .map_err(|source| LogError::Checkpoint { place, source })
        };
        let remembered = match &state {
            Some(state) => Some(open("the database", state.checkpoint.as_bytes())?),
            None => None,
        };
        let Some(note) = note else {
            if let Some(database) = remembered {
                return Err(LogError::FilesBehind {
                    files: 0,
                    database: database.size,
                });
            }
            let empty = Published {
                checkpoint: String::new(),
                root: Hash::empty(),
                signed_at: now(),
                edge: Edge::new(),
            };
            let log = log(files, key, empty);
            log.sign(Edge::new()).await?;
            tracing::info!(origin = log.verifier().name(), "began a new log");
            return Ok(Arc::new(log));
        };
        let checkpoint = open("log/checkpoint", &note)?;
        if let Some(database) = &remembered {
            if checkpoint.size < database.size {
                return Err(LogError::FilesBehind {
                    files: checkpoint.size,
                    database: database.size,
                });
            }
            if checkpoint.size == database.size && checkpoint.root != database.root {
                return Err(LogError::Forked {
                    size: checkpoint.size,
                });
            }
        }
        let last = Last {
            // It was opened, so it is text.
            note: String::from_utf8_lossy(&note).into_owned(),
            signed_at: state.as_ref().map_or_else(now, |state| state.signed_at),
            doubt_from: remembered.map_or(0, |database| database.size),
            checkpoint,
        };
        let edge = edge(&files, store, &last).await?;
        let log = log(
            files,
            key,
            Published {
                checkpoint: last.note,
                root: last.checkpoint.root,
                signed_at: last.signed_at,
                edge,
            },
        );
        // A crash may have come between the file and the database.
        log.remember(&log.published()).await?;
        Ok(Arc::new(log))
    }
}

/// The edge at the last checkpoint, from tiles and records, if they lead to it.
async fn edge(files: &Files, store: &Store, last: &Last) -> Result<Edge, LogError> {
    let (size, next) = (last.checkpoint.size, store.event_marks().await?.next_index);
    if next < size {
        return Err(LogError::DatabaseBehind {
            signed: size,
            records: next,
        });
    }
    let bundled = size / BUNDLE * BUNDLE;
    let tail = records(store, bundled, size - bundled).await?;
    if tail.len() as u64 != size - bundled {
        return Err(IntegrateError::Hole(bundled + tail.len() as u64).into());
    }
    let mut levels = vec![
        tail.iter()
            .map(|one| leaf_of(&one.json))
            .collect::<Vec<_>>(),
    ];
    for level in 1..=LEVEL_MAX {
        let count = size >> (8 * u32::from(level));
        if count == 0 {
            break;
        }
        let first = count / BUNDLE * BUNDLE;
        let mut hashes = Vec::with_capacity(TILE_WIDTH);
        for index in first..count {
            hashes.push(tiles::root(&tile(files, level - 1, index)?));
        }
        levels.push(hashes);
    }
    let disagree = LogError::Root { size };
    let edge = match Edge::from_levels(size, levels) {
        Some(edge) if edge.root() == last.checkpoint.root => edge,
        _ => return Err(disagree),
    };
    // What the database has not heard of must still be what was signed: it may
    // have been restored, and gone another way since.
    for index in last.doubt_from / BUNDLE..bundled / BUNDLE {
        let start = last.doubt_from.max(index * BUNDLE);
        let end = (index + 1) * BUNDLE;
        let leaves = tile(files, 0, index)?;
        let skip = usize::try_from(start - index * BUNDLE).unwrap_or(0);
        let found = records(store, start, end - start).await?;
        compare(&found, start, &leaves[skip..])?;
    }
    Ok(edge)
}

/// A whole tile.
fn tile(files: &Files, level: u8, index: u64) -> Result<Vec<Hash>, LogError> {
    let resource = Resource::Tile {
        level,
        index,
        width: Width::FULL,
    };
    let bytes = files.read(resource)?;
    bytes
        .and_then(|bytes| tiles::decode(&bytes, Width::FULL).ok())
        .ok_or_else(|| LogError::Tile(files.path(resource)))
}
