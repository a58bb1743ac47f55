//! Reads requests: one, a page, those that changed.
//!
//! A context can be megabytes, so every list is bounded by bytes as well as by
//! rows; a short page is not the last one unless it says so.

use prost::Message as _;
use sqlx::{QueryBuilder, Sqlite};
use tokio_stream::StreamExt as _;

use super::{Request, Store, StoreError};
use crate::{
    domain::{request::State, time::Millis},
    store::decisions::decision_columns,
};

/// Bytes after which a list ends, so that it fits a client's default limits.
const PAGE_BYTES: usize = 3 * 1024 * 1024;

/// Every column of a request, its host and its decision.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT requests.seq, requests.revision, requests.id, requests.host_id,
                 hosts.hostname, requests.digest, requests.context, requests.owner,
                 requests.created_at, requests.deadline, requests.state, requests.outcome,
                 requests.outcome_detail, ",
            decision_columns!(),
            " FROM requests JOIN hosts ON hosts.id = requests.host_id
              LEFT JOIN decisions ON decisions.request_id = requests.id ",
            $rest
        )
    };
}

/// Some requests, and whether there are more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) requests: Vec<Request>,
    pub(crate) more: bool,
}

impl Store {
    /// The request `id`.
    pub(crate) async fn request(&self, id: &str) -> Result<Option<Request>, StoreError> {
        let request = sqlx::query_as(select!("WHERE requests.id = ?"))
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        Ok(request)
    }

    /// Ids that begin with `prefix`, two at most: enough to tell one from many.
    pub(crate) async fn request_ids(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        // Ids are of [0-9a-f-], all of which sort before 'g'.
        let ids =
            sqlx::query_scalar("SELECT id FROM requests WHERE id >= ? AND id < ? || 'g' LIMIT 2")
                .bind(prefix)
                .bind(prefix)
                .fetch_all(&self.read)
                .await?;
        Ok(ids)
    }

    /// Requests in one of `states` (none: in any) that arrived before `before`,
    /// newest first.
    pub(crate) async fn requests(
        &self,
        states: &[State],
        before: i64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(select!("WHERE requests.seq < "));
        query.push_bind(before);
        if !states.is_empty() {
            query.push(" AND requests.state IN (");
            let mut list = query.separated(", ");
            for state in states {
                list.push_bind(state.as_str());
            }
            query.push(")");
        }
        query.push(" ORDER BY requests.seq DESC LIMIT ");
        query.push_bind(limit_plus_one(limit));
        self.page(query, limit).await
    }

    /// Pending requests that arrived after `after`, oldest first.
    pub(crate) async fn pending_requests(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(select!(
            "WHERE requests.state = 'pending' AND requests.seq > "
        ));
        query.push_bind(after);
        query.push(" ORDER BY requests.seq LIMIT ");
        query.push_bind(limit_plus_one(limit));
        self.page(query, limit).await
    }

    /// Requests that changed after `revision`, in the order of their last change.
    pub(crate) async fn changed_requests(
        &self,
        revision: i64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(select!("WHERE requests.revision > "));
        query.push_bind(revision);
        query.push(" ORDER BY requests.revision LIMIT ");
        query.push_bind(limit_plus_one(limit));
        self.page(query, limit).await
    }

    /// The last change of any request.
    pub(crate) async fn revision(&self) -> Result<i64, StoreError> {
        let sql = "SELECT COALESCE(MAX(revision), 0) FROM requests";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.read).await?)
    }

    /// When the next pending request expires.
    pub(crate) async fn next_deadline(&self) -> Result<Option<Millis>, StoreError> {
        let sql = "SELECT MIN(deadline) FROM requests WHERE state = 'pending'";
        let next: Option<i64> = sqlx::query_scalar(sql).fetch_one(&self.read).await?;
        Ok(next.map(Millis::new))
    }

    async fn page(
        &self,
        mut query: QueryBuilder<Sqlite>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut page = Page::default();
        let mut bytes = 0;
        let mut rows = query.build_query_as::<Request>().fetch(&self.read);
        while let Some(request) = rows.next().await {
            let request = request?;
            bytes += request.context.encoded_len();
            let full = page.requests.len() == limit || bytes > PAGE_BYTES;
            if full && !page.requests.is_empty() {
                page.more = true;
                break;
            }
            page.requests.push(request);
        }
        Ok(page)
    }
}

/// One more row than asked for tells whether there are more.
fn limit_plus_one(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}
