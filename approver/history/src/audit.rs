//! What the approver itself records: requests, decisions, grants, flags, logins,
//! accounts, hosts coming and going.
//!
//! Types only. Whoever makes a change says here what it was, in the words of the
//! domain; how that looks as OCSF is [`crate::ocsf`]'s business. No secret
//! belongs in any field: records are never deleted.

use std::net::IpAddr;

use holdpoint_proto::v1::{Grant, Outcome, RequestContext, Verdict};

/// One thing that happened at the approver.
#[derive(Clone, Debug, PartialEq)]
pub enum AuditRecord {
    /// A host put a request to the reviewers.
    RequestOpened {
        /// The request.
        request: RequestRef,
        /// Milliseconds since the epoch.
        deadline: i64,
    },
    /// A person answered.
    Decided {
        /// The request.
        request: RequestRef,
        /// What they answered.
        verdict: Verdict,
        /// Who.
        reviewer: String,
        /// Id of their API token, if a tool answered with it.
        token: Option<String>,
        /// Why.
        reason: String,
        /// What an approval gives beyond this operation.
        grant: Option<Grant>,
    },
    /// Nobody answered in time.
    Expired {
        /// The request.
        request: RequestRef,
    },
    /// The host took the request back, or its host was revoked.
    Withdrawn {
        /// The request.
        request: RequestRef,
        /// In the host's words.
        reason: String,
    },
    /// The host told what became of the operation.
    OutcomeReported {
        /// The request.
        request: RequestRef,
        /// What became of it.
        outcome: Outcome,
        /// In the host's words.
        detail: String,
        /// True if the host refused because nobody had answered in time.
        expired: bool,
    },
    /// A decision gave a grant.
    GrantIssued {
        /// The request that was approved with it.
        request: RequestRef,
        /// The grant.
        grant: Grant,
        /// Who gave it.
        reviewer: String,
    },
    /// A person took a grant back.
    GrantRevoked {
        /// The request it came from.
        request: RequestRef,
        /// Its id.
        grant_id: String,
        /// Who took it back.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// A grant gives nothing any more.
    GrantEnded {
        /// The request it came from.
        request: RequestRef,
        /// Its id.
        grant_id: String,
        /// Operations it let go on.
        uses: u64,
        /// Why: out of time or uses, its session is over.
        detail: String,
    },
    /// A flag refuses an operation everywhere from now on.
    FlagSet {
        /// The request that was flagged.
        request: RequestRef,
        /// Who set it.
        reviewer: String,
        /// Why.
        reason: String,
    },
    /// An administrator lifted a flag.
    FlagLifted {
        /// The flagged operation, 32 bytes.
        operation_digest: Vec<u8>,
        /// Who lifted it.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// Somebody logged in.
    LoggedIn {
        /// The account.
        username: String,
        /// Where from, if known.
        from: Option<IpAddr>,
    },
    /// Somebody failed to log in.
    LoginRefused {
        /// The account they named; `(unknown)` if there is none, for people type
        /// their password here by mistake.
        username: String,
        /// Where from, if known.
        from: Option<IpAddr>,
        /// Why.
        why: String,
    },
    /// Somebody logged out.
    LoggedOut {
        /// The account.
        username: String,
    },
    /// An account was made.
    UserAdded {
        /// The account.
        username: String,
        /// Its role.
        role: String,
        /// Who made it.
        by: Actor,
    },
    /// An account's role or password was changed, the password also by its
    /// person.
    UserChanged {
        /// The account.
        username: String,
        /// What: `role: viewer -> reviewer`, `password`.
        change: String,
        /// Who changed it.
        by: Actor,
    },
    /// An account was removed.
    UserRemoved {
        /// The account.
        username: String,
        /// Who removed it.
        by: Actor,
    },
    /// A token was made that lets one host enrol.
    TokenMade {
        /// Its id.
        id: String,
        /// Its label.
        label: String,
        /// Milliseconds since the epoch.
        expires_at: i64,
        /// Who made it.
        by: Actor,
    },
    /// A token that let no host in yet was revoked.
    TokenRevoked {
        /// Its id.
        id: String,
        /// Its label.
        label: String,
        /// Who revoked it.
        by: Actor,
    },
    /// An API token was made.
    ApiTokenMade {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// The account it acts as.
        username: String,
        /// The most it may do.
        role: String,
        /// Milliseconds since the epoch.
        expires_at: i64,
    },
    /// An API token was revoked.
    ApiTokenRevoked {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// The account it acted as.
        username: String,
        /// Who revoked it.
        by: Actor,
    },
    /// A machine became a host.
    HostEnrolled {
        /// The host.
        host: HostRef,
        /// Label of the token it used.
        token_label: String,
    },
    /// A host opened its session.
    HostConnected {
        /// The host.
        host: HostRef,
        /// What runs there.
        version: String,
        /// Its kernel.
        kernel_release: String,
        /// Its boot.
        boot_id: String,
        /// Whether its kernel enforces.
        enforcing: bool,
        /// Why not.
        not_enforcing_because: String,
    },
    /// A host's session ended.
    HostDisconnected {
        /// The host.
        host: HostRef,
    },
    /// A host was shut out for good.
    HostRevoked {
        /// The host.
        host: HostRef,
        /// Who did it.
        by: Actor,
    },
    /// The approver serves.
    Started {
        /// Its version.
        version: String,
    },
    /// The approver ended in order.
    Stopped {
        /// Its version.
        version: String,
    },
}

/// A host as a record names it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HostRef {
    /// UUID.
    pub id: String,
    /// As the host calls itself.
    pub hostname: String,
}

/// A request as a record names it. Its context goes into every record about it,
/// so that each can be found and read alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestRef {
    /// UUID.
    pub id: String,
    /// Where the operation is held.
    pub host: HostRef,
    /// What a decision is bound to, 32 bytes.
    pub digest: Vec<u8>,
    /// The same for the same operation, 32 bytes; empty if not known.
    pub operation_digest: Vec<u8>,
    /// What a person decides about.
    pub context: RequestContext,
}

/// Who did something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Actor {
    /// An account, by a login.
    Person(String),
    /// A tool, with an API token of an account.
    Tool {
        /// The account.
        person: String,
        /// The token's id.
        token: String,
    },
    /// Whoever may use the approver's own command line on its machine.
    Local,
}

impl Actor {
    /// Whether it is the account `username`.
    pub fn is(&self, username: &str) -> bool {
        match self {
            Self::Person(person) | Self::Tool { person, .. } => person == username,
            Self::Local => false,
        }
    }
}

impl AuditRecord {
    /// The host it is about, if it is about one.
    pub fn host(&self) -> Option<&HostRef> {
        match self {
            Self::RequestOpened { request, .. }
            | Self::Decided { request, .. }
            | Self::Expired { request }
            | Self::Withdrawn { request, .. }
            | Self::OutcomeReported { request, .. }
            | Self::GrantIssued { request, .. }
            | Self::GrantRevoked { request, .. }
            | Self::GrantEnded { request, .. }
            | Self::FlagSet { request, .. } => Some(&request.host),
            Self::HostEnrolled { host, .. }
            | Self::HostConnected { host, .. }
            | Self::HostDisconnected { host }
            | Self::HostRevoked { host, .. } => Some(host),
            Self::FlagLifted { .. }
            | Self::LoggedIn { .. }
            | Self::LoginRefused { .. }
            | Self::LoggedOut { .. }
            | Self::UserAdded { .. }
            | Self::UserChanged { .. }
            | Self::UserRemoved { .. }
            | Self::TokenMade { .. }
            | Self::TokenRevoked { .. }
            | Self::ApiTokenMade { .. }
            | Self::ApiTokenRevoked { .. }
            | Self::Started { .. }
            | Self::Stopped { .. } => None,
        }
    }
}
