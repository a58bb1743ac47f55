//! The local control protocol between `holdpoint` and `holdpointd`: one JSON
//! object a line over a unix socket, one answer for each call. The daemon knows
//! the caller from the socket (`SO_PEERCRED`), never from the message.

use serde::{Deserialize, Serialize};

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/holdpoint/control.sock";

/// Longest line either side accepts, in bytes.
pub const MAX_LINE: usize = 64 * 1024;

/// What a caller asks for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// Make the calling process the root of a new session.
    BeginSession {
        /// Profile to run under; none if the caller may use exactly one.
        profile: Option<String>,
    },
    /// How the daemon and its gate are doing.
    Status,
}

/// What the daemon answers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The caller is now tracked; whatever it executes is judged.
    SessionBegun(SessionInfo),
    /// Answers [`Call::Status`].
    Status(Box<Status>),
    /// The call was refused. Says what, why and how to mend it.
    Refused {
        /// For a person to read.
        reason: String,
    },
}

/// A session, for display.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SessionInfo {
    /// 16 hexadecimal digits.
    pub id: String,
    /// Profile it runs under.
    pub profile: String,
    /// Accountable person.
    pub owner: String,
    /// Process id of its root.
    pub root_pid: u32,
    /// Local user that started it.
    pub uid: u32,
}

/// State of a host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Release of the running kernel.
    pub kernel_release: String,
    /// True if the last canary was denied by the kernel.
    pub enforcing: bool,
    /// Why not, if not.
    pub not_enforcing_because: Option<String>,
    /// The link to the approver.
    pub approver: ApproverStatus,
    /// Running sessions.
    pub sessions: Vec<SessionInfo>,
    /// Operations that wait for an answer now.
    pub held: u64,
    /// Events on their way to the approver; none from an older daemon.
    #[serde(default)]
    pub events: Option<EventsStatus>,
}

/// The events that a host keeps until the approver has them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EventsStatus {
    /// Bytes on disk.
    pub spool_bytes: u64,
    /// Most there may be.
    pub spool_max_bytes: u64,
    /// Number of the newest event.
    pub last: u64,
    /// Number up to which the approver has them.
    pub acknowledged: u64,
    /// Gaps that were written since the daemon started.
    pub gaps: u64,
    /// Events that were lost and are not declared by a gap yet.
    pub undeclared: u64,
    /// What is in the way of keeping or sending them, if anything is.
    pub error: Option<String>,
}

/// The link to the approver.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ApproverStatus {
    /// Its address, none if the host is not enrolled.
    pub address: Option<String>,
    /// Whether the session stream is up.
    pub connected: bool,
    /// Last error, if it is not.
    pub error: Option<String>,
}
