//! What a host says to the approver about a request.

use holdpoint_proto::v1::{self, host_message::Message};

use super::Ask;

/// How a request was answered on this host; becomes a message once the kernel
/// has carried the answer out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    pub(super) request_id: String,
    detail: String,
    expired: bool,
}

impl Report {
    /// A person decided; `more` is what else there is to say.
    pub(super) fn decided(request_id: &str, reviewer: &str, more: &str) -> Self {
        let detail = if more.is_empty() {
            format!("decided by {reviewer}")
        } else {
            format!("decided by {reviewer}; {more}")
        };
        Self {
            request_id: request_id.to_owned(),
            detail,
            expired: false,
        }
    }

    /// An earlier decision keeps the operation from everybody.
    pub(super) fn flagged(request_id: &str, reason: &str) -> Self {
        Self {
            request_id: request_id.to_owned(),
            detail: format!("the operation is flagged: {reason}"),
            expired: false,
        }
    }

    /// Nobody did in time.
    pub(super) fn expired(request_id: &str) -> Self {
        Self {
            request_id: request_id.to_owned(),
            detail: "nobody decided before the deadline".to_owned(),
            expired: true,
        }
    }

    /// The approver would not ask.
    pub(super) fn rejected(request_id: &str, reason: &str) -> Self {
        Self {
            request_id: request_id.to_owned(),
            detail: format!("rejected by the approver: {reason}"),
            expired: false,
        }
    }

    /// The message, once it is known what became of the operation.
    pub(super) fn message(&self, outcome: v1::Outcome, detail: &str) -> v1::HostMessage {
        let detail = if detail.is_empty() {
            self.detail.clone()
        } else {
            format!("{}; {detail}", self.detail)
        };
        wrap(Message::Outcome(v1::ReportOutcome {
            request_id: self.request_id.clone(),
            outcome: outcome.into(),
            detail,
            expired: self.expired,
        }))
    }
}

/// Opens, or opens again, the request of `ask`.
pub(super) fn open(ask: &Ask, now_ns: u64) -> v1::HostMessage {
    let left = ask.deadline_ns.saturating_sub(now_ns);
    wrap(Message::Open(v1::OpenRequest {
        request_id: ask.request_id.clone(),
        digest: ask.digest.to_vec(),
        context: Some(ask.context.clone()),
        held_at: Some(ask.held_at),
        time_left: Some(prost_types::Duration {
            seconds: i64::try_from(left / 1_000_000_000).unwrap_or(i64::MAX),
            // Below a second, so it fits.
            nanos: (left % 1_000_000_000) as i32,
        }),
    }))
}

/// Takes back the request of `ask`.
pub(super) fn withdraw(ask: &Ask, reason: &str) -> v1::HostMessage {
    wrap(Message::Withdraw(v1::Withdraw {
        request_id: ask.request_id.clone(),
        reason: reason.to_owned(),
    }))
}

fn wrap(message: Message) -> v1::HostMessage {
    v1::HostMessage {
        message: Some(message),
    }
}
