//! What the approver does, whoever asks and however: the logic under every edge.
//!
//! Puts domain, store, CA and signer together. Each method is one thing a host
//! or a person can want; edges only translate. Errors carry the text for the
//! caller; what only the operator may see is a [`StoreError`] inside.

pub(crate) mod api_tokens;
pub(crate) mod decide;
pub(crate) mod enrolment;
pub(crate) mod events;
pub(crate) mod evidence;
pub(crate) mod expiry;
pub(crate) mod flags;
pub(crate) mod grants;
pub(crate) mod hosts;
pub(crate) mod intake;
pub(crate) mod keeping;
pub(crate) mod login;
pub(crate) mod numbers;
pub(crate) mod publish;
pub(crate) mod review;
pub(crate) mod sessions;
pub(crate) mod users;
pub(crate) mod watch;

#[cfg(test)]
pub(crate) mod kit;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use holdpoint_history::History;

use crate::{
    ca::Authority,
    config::{Address, Config, Limits},
    domain::{throttle::Throttle, time::Millis},
    live::Live,
    log::Log,
    metrics::Metrics,
    passwords::Passwords,
    signer::Signer,
    store::{Store, StoreError},
};

/// The approver of one state directory.
#[derive(Debug)]
pub(crate) struct Approver {
    pub(crate) live: Arc<Live>,
    pub(crate) metrics: Metrics,
    store: Store,
    /// For what people look at.
    browse: Store,
    authority: Authority,
    signer: Signer,
    passwords: Passwords,
    throttle: Mutex<Throttle>,
    pub(crate) limits: Limits,
    events: events::Events,
    log: Arc<Log>,
    /// How hosts reach us.
    address: Address,
}

impl Approver {
    pub(crate) fn new(
        store: Store,
        authority: Authority,
        signer: Signer,
        config: &Config,
        metrics: Metrics,
        history: History,
        log: Arc<Log>,
    ) -> Self {
        Self {
            live: Arc::new(Live::new()),
            metrics,
            browse: store.browsing(),
            store,
            authority,
            signer,
            passwords: Passwords::new(),
            throttle: Mutex::default(),
            limits: config.limits,
            address: config.address.clone(),
            events: events::Events::new(history),
            log,
        }
    }

    /// Whether it still works.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    /// Ends all use of the database.
    pub(crate) async fn close(&self) {
        self.store.close().await;
    }
}

/// The time now.
pub(crate) fn now() -> Millis {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis::new(0).plus(since_epoch)
}
