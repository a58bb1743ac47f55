//! What the log shows of itself: never more than its newest checkpoint covers.

use holdpoint_evidence::{
    Resource,
    entry::{self, BundleError, entry_of, is_long},
    path::Width,
    tiles::{encode, width},
};
use tokio::task::{JoinError, spawn_blocking};

use super::{BUNDLE, FilesError, Log, Published};
use crate::store::{StoreError, events::Record};

/// Why a resource can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeResourceError {
    #[error("the log has no {0} in its {1} records")]
    NotFound(Resource, u64),
    #[error("{0} is missing from the log's files; restore log/ from a backup")]
    Missing(Resource),
    #[error("{0} can't be made: {1}")]
    Bundle(Resource, BundleError),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a task of the log ended early: {0}")]
    Task(#[from] JoinError),
}

/// Bytes of a hash.
const HASH: usize = 32;

impl Log {
    /// The bytes of `resource`.
    pub(crate) async fn resource(&self, resource: Resource) -> Result<Vec<u8>, ServeResourceError> {
        let published = self.published();
        let absent = || ServeResourceError::NotFound(resource, published.size());
        match resource {
            Resource::Tile {
                level,
                index,
                width: wanted,
            } => {
                let there = width(level, index, published.size()).ok_or_else(absent)?;
                if wanted > there {
                    return Err(absent());
                }
                if there.is_partial() {
                    let hashes = published.edge.level(level).get(..wanted.get());
                    return hashes.map(encode).ok_or_else(absent);
                }
                let whole = Resource::Tile {
                    level,
                    index,
                    width: there,
                };
                let mut bytes = self.file(whole).await?;
                bytes.truncate(wanted.get() * HASH);
                Ok(bytes)
            }
            Resource::Entries {
                index,
                width: wanted,
            } => {
                let there = width(0, index, published.size()).ok_or_else(absent)?;
                if wanted > there {
                    return Err(absent());
                }
                let whole = Resource::Entries {
                    index,
                    width: Width::FULL,
                };
                if !there.is_partial() && !wanted.is_partial() {
                    return self.file(whole).await;
                }
                if let Some(records) = self.rows(index * BUNDLE, wanted.get() as u64).await? {
                    return bundle(resource, records.iter().map(|one| entry_of(&one.json)));
                }
                // The bundle became whole meanwhile, or was when we looked.
                let bytes = self.file(whole).await?;
                let entries = entry::entries(&bytes, Width::FULL.get())
                    .map_err(|error| ServeResourceError::Bundle(whole, error))?;
                bundle(resource, entries.iter().take(wanted.get()))
            }
            Resource::Record { index } => self.long_record(index, &published).await,
        }
    }

    async fn long_record(
        &self,
        index: u64,
        published: &Published,
    ) -> Result<Vec<u8>, ServeResourceError> {
        let resource = Resource::Record { index };
        let absent = || ServeResourceError::NotFound(resource, published.size());
        if index >= published.size() {
            return Err(absent());
        }
        if index >= published.bundled()
            && let Some(mut rows) = self.rows(index, 1).await?
        {
            let record = rows.pop().map(|row| row.json);
            return record.filter(|record| is_long(record)).ok_or_else(absent);
        }
        let files = self.files.clone();
        let found = spawn_blocking(move || files.read(resource)).await??;
        found.ok_or_else(absent)
    }

    /// So many records from the database; none if they are not all there.
    async fn rows(&self, from: u64, count: u64) -> Result<Option<Vec<Record>>, StoreError> {
        let limit = u32::try_from(count).unwrap_or(u32::MAX);
        let rows = self.store.records(from, limit).await?;
        let whole = rows.len() as u64 == count
            && (from..)
                .zip(&rows)
                .all(|(index, row)| row.log_index == index);
        Ok(whole.then_some(rows))
    }

    async fn file(&self, resource: Resource) -> Result<Vec<u8>, ServeResourceError> {
        let files = self.files.clone();
        let found = spawn_blocking(move || files.read(resource)).await??;
        found.ok_or(ServeResourceError::Missing(resource))
    }
}

fn bundle<T: AsRef<[u8]>>(
    resource: Resource,
    entries: impl IntoIterator<Item = T>,
) -> Result<Vec<u8>, ServeResourceError> {
    entry::bundle(entries).map_err(|error| ServeResourceError::Bundle(resource, error))
}
