//! Reads grants: one, or a page of them.

use tokio_stream::StreamExt as _;

use prost::Message as _;

use super::{Issued, Store, StoreError};

/// Bytes after which a list ends: an operation can be megabytes.
const PAGE_BYTES: usize = 3 * 1024 * 1024;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT grants.*, requests.host_id, hosts.hostname, requests.context,
                 decisions.reviewer, decisions.decided_at
             FROM grants JOIN requests ON requests.id = grants.request_id
             JOIN hosts ON hosts.id = requests.host_id
             JOIN decisions ON decisions.request_id = grants.request_id ",
            $rest
        )
    };
}

/// Some grants, and whether there are more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) grants: Vec<Issued>,
    pub(crate) more: bool,
}

impl Store {
    /// The grant `id`.
    pub(crate) async fn grant(&self, id: &str) -> Result<Option<Issued>, StoreError> {
        let grant = sqlx::query_as(select!("WHERE grants.id = ?"))
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        Ok(grant)
    }

    /// Ids that begin with `prefix`, two at most: enough to tell one from many.
    pub(crate) async fn grant_ids(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        // Ids are of [0-9a-f-], all of which sort before 'g'.
        let ids =
            sqlx::query_scalar("SELECT id FROM grants WHERE id >= ? AND id < ? || 'g' LIMIT 2")
                .bind(prefix)
                .bind(prefix)
                .fetch_all(&self.read)
                .await?;
        Ok(ids)
    }

    /// Grants that were issued before `before`, newest first; with `active_only`
    /// those that may still give something.
    pub(crate) async fn grants(
        &self,
        active_only: bool,
        before: i64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut rows = sqlx::query_as::<_, Issued>(select!(
            "WHERE grants.seq < ? AND (NOT ? OR grants.state IN ('active', 'revoking'))
             ORDER BY grants.seq DESC LIMIT ?"
        ))
        .bind(before)
        .bind(active_only)
        // One more than asked for tells whether there are more.
        .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1))
        .fetch(&self.read);
        let mut page = Page::default();
        let mut bytes = 0;
        while let Some(grant) = rows.next().await {
            let grant = grant?;
            bytes += grant.operation.encoded_len();
            let full = page.grants.len() == limit || bytes > PAGE_BYTES;
            if full && !page.grants.is_empty() {
                page.more = true;
                break;
            }
            page.grants.push(grant);
        }
        Ok(page)
    }
}
