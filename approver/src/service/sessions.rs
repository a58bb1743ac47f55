//! Sessions as people look at them.

use super::Approver;
use crate::store::{
    StoreError,
    sessions::{KnownProcess, Page, Session, Wanted},
};

/// Most sessions of one page.
const PAGE_MAX: u32 = 500;

impl Approver {
    #[allow(dead_code, reason = "asked by the web side")]
    /// Sessions, newest first. `wanted.limit` 0 means 50.
    pub(crate) async fn sessions(&self, wanted: &Wanted) -> Result<Page, StoreError> {
        let limit = match wanted.limit {
            0 => 50,
            limit => limit.min(PAGE_MAX),
        };
        self.store
            .sessions(&Wanted {
                limit,
                ..wanted.clone()
            })
            .await
    }

    #[allow(dead_code, reason = "asked by the web side")]
    /// One session with the processes that are known of it.
    pub(crate) async fn session(
        &self,
        host_id: &str,
        id: &str,
    ) -> Result<Option<(Session, Vec<KnownProcess>)>, StoreError> {
        self.store.session(host_id, id).await
    }

    #[allow(dead_code, reason = "asked by the web side")]
    /// For the host's page: the last number that is stored of its newest spool,
    /// and how many gaps it has.
    pub(crate) async fn spool_state(&self, host_id: &str) -> Result<(u64, u64), StoreError> {
        self.store.spool_state(host_id).await
    }
}
