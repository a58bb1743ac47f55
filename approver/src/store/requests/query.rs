//! Reads requests: one, a page, those that changed.
//!
//! A context can be megabytes, so every list is bounded by bytes as well as by
//! rows; a short page is not the last one unless it says so.

use prost::Message as _;
use sqlx::{QueryBuilder, Sqlite};
use tokio_stream::StreamExt as _;

use super::{Request, Store, StoreError};
use crate::{
    domain::{
        request::{State, Verdict},
        time::Millis,
    },
    store::{
        decisions::{decision_columns, decision_joins},
        parse,
    },
};

/// Bytes after which a list ends, so that it fits a client's default limits.
const PAGE_BYTES: usize = 3 * 1024 * 1024;

/// Every column of a request, its host and its decision.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT requests.seq, requests.revision, requests.id, requests.host_id,
                 hosts.hostname, requests.digest,
                 COALESCE(requests.operation_digest, x'') AS operation_digest, requests.context, requests.owner,
                 requests.created_at, requests.deadline, requests.state, requests.outcome,
                 requests.outcome_detail, ",
            decision_columns!(),
            " FROM requests JOIN hosts ON hosts.id = requests.host_id ",
            decision_joins!(),
            $rest
        )
    };
}

/// Which requests; what is empty or none excludes nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) states: Vec<State>,
    /// `exec` or `connect`.
    pub(crate) kind: Option<String>,
    /// The host's id or name.
    pub(crate) host: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) operation_digest: Option<Vec<u8>>,
    /// Somewhere in the operation, the rule or the host's name, in any case.
    pub(crate) text: Option<String>,
}

/// A decision about the same operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Earlier {
    pub(crate) request_id: String,
    pub(crate) verdict: Verdict,
    pub(crate) reviewer: String,
    pub(crate) reason: String,
    pub(crate) decided_at: Millis,
    pub(crate) hostname: String,
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

    /// Requests that `filter` lets through and that arrived before `before`,
    /// newest first.
    pub(crate) async fn requests(
        &self,
        filter: &Filter,
        before: i64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(select!("WHERE requests.seq < "));
        query.push_bind(before);
        narrow(&mut query, filter);
        query.push(" ORDER BY requests.seq DESC LIMIT ");
        query.push_bind(limit_plus_one(limit));
        self.page(query, limit).await
    }

    /// What was decided about the same operation in other requests, newest
    /// first.
    pub(crate) async fn earlier_decisions(
        &self,
        request: &Request,
        limit: u32,
    ) -> Result<Vec<Earlier>, StoreError> {
        if request.operation_digest.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<(String, String, String, String, i64, String)> = sqlx::query_as(
            "SELECT requests.id, decisions.verdict, decisions.reviewer, decisions.reason,
                 decisions.decided_at, hosts.hostname
             FROM requests JOIN decisions ON decisions.request_id = requests.id
             JOIN hosts ON hosts.id = requests.host_id
             WHERE requests.operation_digest = ? AND requests.id <> ?
             ORDER BY requests.seq DESC LIMIT ?",
        )
        .bind(&request.operation_digest)
        .bind(&request.id)
        .bind(limit)
        .fetch_all(&self.read)
        .await?;
        let earlier =
            |(request_id, verdict, reviewer, reason, at, hostname): (_, String, _, _, _, _)| {
                Ok(Earlier {
                    request_id,
                    verdict: parse("verdict", &verdict)?,
                    reviewer,
                    reason,
                    decided_at: Millis::new(at),
                    hostname,
                })
            };
        rows.into_iter().map(earlier).collect()
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

    /// The newest requests of a session.
    pub(crate) async fn requests_of_session(
        &self,
        host_id: &str,
        session_id: &str,
        limit: usize,
    ) -> Result<Vec<Request>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(select!("WHERE requests.host_id = "));
        query.push_bind(host_id.to_owned());
        query.push(" AND requests.session_id = ");
        query.push_bind(session_id.to_owned());
        query.push(" ORDER BY requests.seq DESC LIMIT ");
        query.push_bind(limit_plus_one(limit));
        Ok(self.page(query, limit).await?.requests)
    }

    /// How many requests are pending.
    pub(crate) async fn pending(&self) -> Result<u64, StoreError> {
        let sql = "SELECT COUNT(*) FROM requests WHERE state = 'pending'";
        let pending: i64 = sqlx::query_scalar(sql).fetch_one(&self.read).await?;
        Ok(pending.unsigned_abs())
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

/// Adds the conditions of `filter`.
fn narrow(query: &mut QueryBuilder<Sqlite>, filter: &Filter) {
    if !filter.states.is_empty() {
        query.push(" AND requests.state IN (");
        let mut list = query.separated(", ");
        for state in &filter.states {
            list.push_bind(state.as_str());
        }
        query.push(")");
    }
    for (condition, value) in [
        (" AND requests.kind = ", &filter.kind),
        (" AND requests.session_id = ", &filter.session),
        (" AND requests.owner = ", &filter.owner),
        (" AND requests.profile = ", &filter.profile),
    ] {
        if let Some(value) = value {
            query.push(condition).push_bind(value.clone());
        }
    }
    if let Some(host) = &filter.host {
        query
            .push(" AND (requests.host_id = ")
            .push_bind(host.clone());
        query.push(" OR hosts.hostname = ").push_bind(host.clone());
        query.push(")");
    }
    if let Some(digest) = &filter.operation_digest {
        query.push(" AND requests.operation_digest = ");
        query.push_bind(digest.clone());
    }
    if let Some(text) = &filter.text {
        let text = text.to_lowercase();
        query
            .push(" AND (instr(requests.search, ")
            .push_bind(text.clone());
        query
            .push(") > 0 OR instr(lower(hosts.hostname), ")
            .push_bind(text);
        query.push(") > 0)");
    }
}

/// One more row than asked for tells whether there are more.
fn limit_plus_one(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}
