//! What is so now, as numbers for the operator's monitoring.

use super::Approver;
use crate::{metrics::Gauge, store::StoreError};

impl Approver {
    /// Everything that is so rather than happens.
    pub(crate) async fn gauges(&self) -> Result<Vec<Gauge>, StoreError> {
        let connected = self.live.connected();
        let enforcing = self.store.enforcing(&connected).await?;
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
                value: self.store.count().await?,
            },
        ])
    }
}
