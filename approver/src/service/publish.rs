//! Events of hosts: taken in order, once each, acknowledged when they are on
//! disk.
//!
//! Never drops and never reorders: what a host numbered is stored, declared
//! missing, or refused with the reason.

use holdpoint_history::audit::HostRef;
use holdpoint_proto::v1::{Event, EventBatch, OpenSpool, event::Body};
use prost::Message as _;
use uuid::Uuid;

use super::{Approver, hosts::AdmitError, now};
use crate::{
    domain::spool::WrongNumbers,
    live::Reload,
    store::{StoreError, spools::SpoolId},
};

/// Most events of one batch.
pub(crate) const BATCH_EVENTS_MAX: usize = 1000;
/// Most bytes of one batch.
pub(crate) const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Events that are stored together. Whoever decides a request waits for the same
/// lock, and must not wait for a whole batch.
const TOGETHER: usize = 64;

/// Why events are not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("a spool's id has 16 bytes; this one has {0}")]
    Spool(usize),
    #[error(transparent)]
    Numbers(#[from] WrongNumbers),
    #[error("the batch holds {0} events; the most is {BATCH_EVENTS_MAX}")]
    TooMany(usize),
    #[error("the batch holds {0} bytes; the most is {BATCH_BYTES_MAX}")]
    TooLarge(usize),
    #[error(transparent)]
    Admit(#[from] AdmitError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A spool that is being taken in.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    host: HostRef,
    id: SpoolId,
}

impl Approver {
    /// Begins to take events of `host`. Gives the last number that is stored.
    pub(crate) async fn open_spool(
        &self,
        host: Uuid,
        open: &OpenSpool,
    ) -> Result<(Spool, u64), PublishError> {
        let bytes = open.spool_id.as_slice();
        let id = SpoolId::try_from(bytes).map_err(|_| PublishError::Spool(bytes.len()))?;
        let known = self.store.host(host).await?;
        let known = known.ok_or(AdmitError::Unknown(host))?;
        let host = HostRef {
            id: host.to_string(),
            hostname: known.hostname,
        };
        let first = open.first_sequence;
        let last = self.store.open_spool(&host, &id, first, now()).await??;
        Ok((Spool { host, id }, last))
    }

    /// Takes `batch`. What it gives back is on disk: the last number of the
    /// spool that is stored.
    pub(crate) async fn publish(
        &self,
        spool: &Spool,
        batch: &EventBatch,
    ) -> Result<u64, PublishError> {
        if batch.events.is_empty() {
            return Err(WrongNumbers::Empty.into());
        }
        if batch.events.len() > BATCH_EVENTS_MAX {
            return Err(PublishError::TooMany(batch.events.len()));
        }
        let size = batch.events.iter().map(Event::encoded_len).sum();
        if size > BATCH_BYTES_MAX {
            return Err(PublishError::TooLarge(size));
        }
        let mut last = 0;
        for some in batch.events.chunks(TOGETHER) {
            let stored = self
                .store
                .store_events(&spool.host, &spool.id, some, now())
                .await??;
            last = stored.last_sequence;
            self.announce(spool, some);
            tracing::debug!(
                host.id = spool.host.id,
                last,
                new = stored.new,
                "events stored"
            );
        }
        Ok(last)
    }

    /// Tells those who show sessions and grants that these have changed.
    fn announce(&self, spool: &Spool, events: &[Event]) {
        let Ok(host) = spool.host.id.parse() else {
            return;
        };
        for event in events {
            match &event.body {
                Some(Body::Grant(grant)) => {
                    self.live.reload(Reload::Grant(grant.grant_id.clone()));
                }
                Some(Body::Session(told)) => {
                    let id = told.session.as_ref().map(|session| session.id.clone());
                    let id = id.unwrap_or_default();
                    self.live.reload(Reload::Session { host, id });
                }
                _ => {}
            }
        }
    }
}
