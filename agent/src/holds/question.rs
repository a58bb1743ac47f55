//! What people are asked, and what they answer.

use holdpoint_proto::v1;

use crate::{kernel::ArgumentsMac, policy::OnDeny};

/// A question to a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Names the request, the same after a restart.
    pub request_id: String,
    /// Digest of the context.
    pub digest: [u8; 32],
    /// What the person sees.
    pub context: v1::RequestContext,
    /// Wall-clock time of the stop.
    pub held_at: prost_types::Timestamp,
    /// Boot time, nanoseconds, at which nobody has answered.
    pub deadline_ns: u64,
    /// How a denial ends the operation.
    pub on_deny: OnDeny,
    /// What the arguments of an approved exec must be.
    pub arguments: ArgumentsMac,
    /// Start of the calling process, see [`crate::kernel::Facts`].
    pub process_start_ns: u64,
}

/// A decision whose signature was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decided {
    /// Which request.
    pub request_id: String,
    /// What was decided about.
    pub digest: Vec<u8>,
    /// What.
    pub verdict: Verdict,
    /// Who.
    pub reviewer: String,
}

/// What a person decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It may go on, if a last look found what was approved.
    Approved(Look),
    /// It may not.
    Denied,
    /// It may not, anywhere.
    Flagged,
}

/// What a last look at an operation found, before its approval is carried out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Look {
    /// This is the digest of its context now.
    Digest([u8; 32]),
    /// The path of its file leads elsewhere, or the file was written to.
    Elsewhere,
    /// It could not be looked at, and why.
    Failed(String),
}

/// Why a decision changes nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Ignored {
    /// No hold waits for it.
    #[error("no hold waits for this request")]
    Unknown,
    /// It is about something else than what is held.
    #[error("the decision is about another digest than the one that is held")]
    Digest,
    /// The hold was answered before.
    #[error("the hold was answered before")]
    Late,
}
