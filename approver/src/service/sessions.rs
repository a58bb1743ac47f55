//! Sessions as people look at them.

use super::Approver;
use crate::store::{
    StoreError,
    requests::Request,
    sessions::{KnownProcess, Page, Session, Wanted},
};

/// Most sessions of one page.
const PAGE_MAX: u32 = 500;

impl Approver {
    /// Sessions, newest first. `wanted.limit` 0 means 50.
    pub(crate) async fn sessions(&self, wanted: &Wanted) -> Result<Page, StoreError> {
        let limit = match wanted.limit {
            0 => 50,
            limit => limit.min(PAGE_MAX),
        };
        self.browse
            .sessions(&Wanted {
                limit,
                ..wanted.clone()
            })
            .await
    }

    /// One session with the processes that are known of it.
    pub(crate) async fn session(
        &self,
        host_id: &str,
        id: &str,
    ) -> Result<Option<(Session, Vec<KnownProcess>)>, StoreError> {
        self.browse.session(host_id, id).await
    }

    /// The newest requests of a session, as many as fit a page.
    pub(crate) async fn requests_of_session(
        &self,
        host_id: &str,
        id: &str,
        limit: usize,
    ) -> Result<Vec<Request>, StoreError> {
        self.browse.requests_of_session(host_id, id, limit).await
    }

    /// For the host's page: the last number that is stored of its newest spool,
    /// and how many gaps it has.
    pub(crate) async fn spool_state(&self, host_id: &str) -> Result<(u64, u64), StoreError> {
        self.browse.spool_state(host_id).await
    }
}
