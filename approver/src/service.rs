//! What the approver does, whoever asks and however: the logic under every edge.
//!
//! Puts domain, store, CA and signer together. Each method is one thing a host
//! or a person can want; edges only translate. Errors carry the text for the
//! caller; what only the operator may see is a [`StoreError`] inside.

pub(crate) mod enrolment;
pub(crate) mod expiry;
pub(crate) mod hosts;
pub(crate) mod intake;
pub(crate) mod login;
pub(crate) mod review;
pub(crate) mod watch;

use std::{
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    ca::Authority,
    config::Limits,
    domain::{throttle::Throttle, time::Millis},
    live::Live,
    passwords::Passwords,
    signer::Signer,
    store::Store,
};

#[cfg(doc)]
use crate::store::StoreError;

/// The approver of one state directory.
#[derive(Debug)]
pub(crate) struct Approver {
    pub(crate) live: Arc<Live>,
    store: Store,
    authority: Authority,
    signer: Signer,
    passwords: Passwords,
    throttle: Mutex<Throttle>,
    limits: Limits,
}

impl Approver {
    pub(crate) fn new(store: Store, authority: Authority, signer: Signer, limits: Limits) -> Self {
        Self {
            live: Arc::new(Live::new()),
            store,
            authority,
            signer,
            passwords: Passwords::new(),
            throttle: Mutex::default(),
            limits,
        }
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
