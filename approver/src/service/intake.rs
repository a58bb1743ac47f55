//! Intake: what hosts send about their requests: open, withdraw, outcome.
//!
//! Everything here can come twice, in a new stream or after a restart on either
//! side, and means the same the second time. What a host says is checked before
//! a person sees it: above all that the digest is that of the context.

mod examine;

use holdpoint_proto::v1::{OpenRequest, ReportOutcome, Withdraw};
use uuid::Uuid;

use super::{Approver, now};
use crate::{
    domain::{
        request::{Outcome, State, closes_pending, contradicts},
        time::Millis,
    },
    store::{
        StoreError,
        decisions::Decision,
        requests::{NewRequest, Opened, Report, Request},
    },
};

/// Longest text of a host that is kept with a request, in characters.
const DETAIL_MAX: usize = 4096;

/// Answer to an opened request.
#[derive(Debug)]
pub(crate) enum Opening {
    /// It is stored, and decided if it was open before.
    Accepted(Option<Decision>),
    /// It can't be put to a person.
    Rejected(Rejection),
}

/// Why a request can't be put to a person.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("the request id {0:?} is no UUID in lower-case hyphenated form")]
    Id(String),
    #[error("the request id {0} is taken by another request; use a new UUID")]
    Taken(String),
    #[error("the request names no {0}; host and approver may be of different versions")]
    Missing(&'static str),
    #[error("the request's context has {size} bytes; the most that can be reviewed is {max}")]
    Large { size: usize, max: usize },
    #[error(
        "the request's digest is not that of its context; host and approver may be of different versions"
    )]
    Digest,
    #[error("the session has no owner; name one in the profile's `owner` on the host")]
    NoOwner,
    #[error(
        "the session's owner {0:?} has no account at the approver; add it with \
         `holdpoint-approver user add NAME --role viewer`, or name another owner in the profile"
    )]
    UnknownOwner(String),
    #[error("the request expired: no time was left when it reached the approver")]
    NoTime,
    #[error("the request expired: nobody answered before {0}")]
    Expired(Millis),
    #[error("the request was withdrawn: {0}")]
    Withdrawn(String),
    #[error("{0}")]
    Flagged(String),
    #[error("this host has {0} pending requests, which is the most it may have; decide some first")]
    TooMany(u32),
}

impl Approver {
    /// Puts a request of `host` to the reviewers, or says how it stands.
    pub(crate) async fn open(&self, host: Uuid, open: &OpenRequest) -> Result<Opening, StoreError> {
        match self.try_open(host, open).await? {
            Opening::Rejected(rejection) => {
                log_rejection(&open.request_id, host, &rejection);
                Ok(Opening::Rejected(rejection))
            }
            accepted @ Opening::Accepted(_) => Ok(accepted),
        }
    }

    async fn try_open(&self, host: Uuid, open: &OpenRequest) -> Result<Opening, StoreError> {
        let id = open.request_id.as_str();
        if let Err(rejection) = examine::id(id) {
            return Ok(Opening::Rejected(rejection));
        }
        if let Some(request) = self.store.request(id).await? {
            return self.resume(request, host, &open.digest).await;
        }
        let examined = match examine::new(open) {
            Ok(examined) => examined,
            Err(rejection) => return Ok(Opening::Rejected(rejection)),
        };
        if self.store.user(examined.owner).await?.is_none() {
            return Ok(Opening::Rejected(Rejection::UnknownOwner(
                examined.owner.to_owned(),
            )));
        }
        let (created_at, limit) = (now(), self.limits.pending_per_host.get());
        let request = NewRequest {
            id,
            host_id: host,
            digest: &open.digest,
            operation_digest: examined.operation_digest,
            context: examined.context,
            kind: examined.kind,
            held_at: open.held_at.map(Millis::from),
            created_at,
            deadline: created_at.plus(examined.time_left),
        };
        match self.store.open_request(&request, limit).await? {
            Opened::New => {
                tracing::info!(
                    request.id = id, request.kind = examined.kind, session.owner = examined.owner,
                    host.id = %host, deadline = %request.deadline, "request opened"
                );
                self.metrics.request_opened(examined.kind);
                self.live.changed();
                self.live.deadline_added();
                Ok(Opening::Accepted(None))
            }
            Opened::Flagged(detail) => {
                tracing::warn!(
                    request.id = id, session.owner = examined.owner, host.id = %host,
                    "request flagged: there is a flag on its operation"
                );
                self.live.changed();
                Ok(Opening::Rejected(Rejection::Flagged(detail)))
            }
            Opened::LimitReached => Ok(Opening::Rejected(Rejection::TooMany(limit))),
            // Opened on another stream of the host since we looked.
            Opened::Exists => match self.store.request(id).await? {
                Some(request) => self.resume(request, host, &open.digest).await,
                None => Ok(Opening::Rejected(Rejection::Taken(id.to_owned()))),
            },
        }
    }

    /// Takes a request back for `host`.
    pub(crate) async fn withdraw(&self, host: Uuid, withdraw: &Withdraw) -> Result<(), StoreError> {
        let (id, reason) = (withdraw.request_id.as_str(), shortened(&withdraw.reason));
        if self
            .store
            .withdraw_request(id, host, &reason, now())
            .await?
        {
            tracing::info!(request.id = id, host.id = %host, ?reason, "request withdrawn");
            self.live.changed();
        } else {
            tracing::warn!(request.id = ?id, host.id = %host, "withdrawal of an unknown request");
        }
        Ok(())
    }

    /// Notes what became of an operation on `host`.
    pub(crate) async fn report(
        &self,
        host: Uuid,
        report: &ReportOutcome,
    ) -> Result<(), StoreError> {
        let id = report.request_id.as_str();
        let Some(outcome) = examine::outcome(report.outcome()) else {
            tracing::warn!(request.id = ?id, host.id = %host, "report without an outcome");
            return Ok(());
        };
        let mut detail = shortened(&report.detail);
        if report.expired && detail.is_empty() {
            "the host's deadline passed before an answer reached it".clone_into(&mut detail);
        }
        let stored = Report {
            outcome,
            detail: &detail,
            closes: closes_pending(outcome, report.expired),
        };
        match self.store.report_outcome(id, host, &stored, now()).await? {
            None => {
                tracing::warn!(request.id = ?id, host.id = %host, "outcome of an unknown request");
            }
            Some(state) => {
                self.live.changed();
                log_outcome(id, host, state, outcome);
            }
        }
        Ok(())
    }

    /// How request `id` of `host` stands, for its stream; none while it is
    /// pending.
    pub(crate) async fn news(&self, host: Uuid, id: &str) -> Result<Option<Opening>, StoreError> {
        let Some(request) = self.store.request(id).await? else {
            return Ok(None);
        };
        if request.state == State::Pending || request.host_id != host {
            return Ok(None);
        }
        let digest = request.digest.clone();
        Ok(Some(self.resume(request, host, &digest).await?))
    }

    /// Answers a host that opens a stored request again, or that has to hear of it.
    ///
    /// An approval that was not carried out is void if its operation was flagged
    /// after it. The request stays approved, for that is what was decided; that the
    /// host refused it will be its outcome.
    async fn resume(
        &self,
        request: Request,
        host: Uuid,
        digest: &[u8],
    ) -> Result<Opening, StoreError> {
        if request.host_id != host || request.digest != digest {
            return Ok(Opening::Rejected(Rejection::Taken(request.id)));
        }
        if let (State::Approved, None, Some(decision)) =
            (request.state, request.outcome, &request.decision)
        {
            let (operation, at) = (&request.operation_digest, decision.decided_at);
            if let Some(said) = self.store.flagged_since(operation, at).await? {
                return Ok(Opening::Rejected(Rejection::Flagged(said)));
            }
        }
        Ok(stands(request))
    }
}

/// How a stored request stands, for its host.
fn stands(request: Request) -> Opening {
    match request.state {
        State::Pending | State::Approved | State::Denied => Opening::Accepted(request.decision),
        // By its own decision, or by the flag of another.
        State::Flagged => match request.decision {
            Some(decision) => Opening::Accepted(Some(decision)),
            None => Opening::Rejected(Rejection::Flagged(request.outcome_detail)),
        },
        State::Expired => Opening::Rejected(Rejection::Expired(request.deadline)),
        State::Withdrawn => Opening::Rejected(Rejection::Withdrawn(request.outcome_detail)),
    }
}

/// Some of a rejection is the host's own words.
fn log_rejection(request_id: &str, host: Uuid, rejection: &Rejection) {
    tracing::warn!(
        request.id = ?request_id, host.id = %host, reason = ?rejection.to_string(),
        "request rejected"
    );
}

fn log_outcome(id: &str, host: Uuid, state: State, outcome: Outcome) {
    let outcome_name = outcome.as_str();
    if contradicts(state, outcome) {
        tracing::error!(
            request.id = id, host.id = %host, request.state = %state, outcome = outcome_name,
            "the host released an operation that nobody approved"
        );
    } else {
        tracing::info!(
            request.id = id, host.id = %host, request.state = %state, outcome = outcome_name,
            "outcome reported"
        );
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(DETAIL_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// Keeps what is logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_host_says_begins_no_line_of_the_log() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let said = "gone\n2026-01-01 INFO host.id=1 request approved \u{1b}[2K";
        let rejection = Rejection::Withdrawn(said.into());
        tracing::subscriber::with_default(subscriber, || {
            log_rejection("1", Uuid::nil(), &rejection);
        });
        let bytes = lines.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("gone") && !text.contains('\u{1b}'),
            "{text:?}"
        );
    }
}
