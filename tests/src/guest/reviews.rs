//! What a reviewer does, for tests without async.

use holdpoint_proto::v1::{Outcome, Request, RequestState, operation::Kind};
use tokio::runtime::Runtime;

use crate::{patience::wait_until, reviewer::Reviewer};

/// A reviewer who is logged in.
pub struct Reviews(Option<(Runtime, Reviewer)>);

/// Who the request's operation is by.
fn session(request: &Request) -> Option<&str> {
    let session = request.context.as_ref()?.session.as_ref()?;
    Some(session.id.as_str())
}

/// What the request is about.
pub fn kind(request: &Request) -> &Kind {
    let context = request.context.as_ref().unwrap();
    let operation = context.operation.as_ref().unwrap();
    operation.kind.as_ref().unwrap()
}

/// The process that asks.
pub fn caller(request: &Request) -> u32 {
    let context = request.context.as_ref().unwrap();
    context.process.as_ref().unwrap().pid
}

impl Reviews {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn login(approver: &str, ca: &str, name: &str, password: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let reviewer = runtime.block_on(Reviewer::login(approver, ca, name, password));
        Self(Some((runtime, reviewer)))
    }

    fn with<T>(&mut self, work: impl AsyncFnOnce(&mut Reviewer) -> T) -> T {
        let (runtime, reviewer) = self.0.as_mut().unwrap();
        runtime.block_on(work(reviewer))
    }

    /// What is pending in session `id`.
    pub fn pending(&mut self, id: &str) -> Vec<Request> {
        let mut pending = self.with(async |reviewer| reviewer.pending().await);
        pending.retain(|request| session(request) == Some(id));
        pending
    }

    /// Waits until `count` requests of session `id` are pending.
    pub fn wait_for_pending(&mut self, id: &str, count: usize) -> Vec<Request> {
        wait_until("pending requests", || {
            let pending = self.pending(id);
            if pending.len() == count {
                Ok(pending)
            } else {
                let ids: Vec<_> = pending.iter().map(|request| request.id.clone()).collect();
                Err(format!("{count} expected, {ids:?}"))
            }
        })
    }

    /// Waits until at least one request of session `id` is pending.
    pub fn wait_for_some(&mut self, id: &str) -> Vec<Request> {
        wait_until("a pending request", || {
            let pending = self.pending(id);
            if pending.is_empty() {
                Err("none")
            } else {
                Ok(pending)
            }
        })
    }

    /// Waits until exactly one request of session `id` is pending.
    pub fn wait_for_one(&mut self, id: &str) -> Request {
        self.wait_for_pending(id, 1).remove(0)
    }

    /// The request as it stands now.
    pub fn get(&mut self, id: &str) -> Request {
        self.with(async |reviewer| reviewer.get(id).await)
    }

    /// Waits until the request is in `state`.
    pub fn wait_for_state(&mut self, id: &str, state: RequestState) -> Request {
        let wanted = |request: &Request| request.state() == state;
        self.with(async |reviewer| reviewer.wait_for(id, wanted).await)
    }

    /// Waits until the host has said that it ended so.
    pub fn wait_for_outcome(&mut self, id: &str, outcome: Outcome) -> Request {
        let wanted = |request: &Request| request.outcome() == outcome;
        self.with(async |reviewer| reviewer.wait_for(id, wanted).await)
    }

    /// Approves it.
    pub fn approve(&mut self, request: &Request) {
        self.with(async |reviewer| reviewer.approve(request).await);
    }

    /// Denies it.
    pub fn deny(&mut self, request: &Request) {
        self.with(async |reviewer| reviewer.deny(request).await);
    }
}
