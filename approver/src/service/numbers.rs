//! What is so now, as numbers for the operator's monitoring.

use super::Approver;
use crate::{metrics::Gauge, store::StoreError};

impl Approver {
    /// Everything that is so rather than happens.
    pub(crate) async fn gauges(&self) -> Result<Vec<Gauge>, StoreError> {
        let connected = self.live.connected();
        let enforcing = self.store.enforcing(&connected).await?;
        let records = self.store.count().await?;
        Ok(vec![
            Gauge {
                name: "holdpoint_requests_pending",
                help: "Requests that wait for a person.",
                value: self.store.pending().await?,
            },
            Gauge {
                name: "holdpoint_hosts_connected",
                help: "Hosts whose session stream is open.",
                value: connected.len() as u64,
            },
            Gauge {
                name: "holdpoint_hosts_enforcing",
                help: "Connected hosts whose kernel enforces.",
                value: enforcing,
            },
            Gauge {
                name: "holdpoint_log_records",
                help: "Records in the log: events of hosts, and what the approver did.",
                value: records,
            },
            Gauge {
                name: "holdpoint_log_unsigned_records",
                help: "Records that no signed checkpoint covers yet; more than some hundred \
                       for minutes: the log can't be written.",
                value: records.saturating_sub(self.log.published().size()),
            },
            Gauge {
                name: "holdpoint_history_waiting_records",
                help: "Records that are in the database and not in the history's files yet; \
                       usually up to ten thousand.",
                value: records.saturating_sub(self.events.history.kept_below()),
            },
        ])
    }
}
