//! What lists show, as text and as JSON. Never a secret, not even its hash.

use serde::Serialize;

use crate::{
    domain::time::Millis,
    store::{enrolment_tokens::Token, hosts::Host, users::User},
};

/// An enrolment token, as lists show it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TokenView {
    /// Names it in lists; no part of the token itself.
    pub id: String,
    /// The operator's note.
    pub label: String,
    /// `unused`, `used` or `expired`.
    pub state: &'static str,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub expires_at: String,
    /// RFC 3339; none if unused.
    pub used_at: Option<String>,
    /// The host that used it.
    pub host_id: Option<String>,
}

/// An account, as lists show it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct UserView {
    /// The account's name.
    pub name: String,
    /// `viewer`, `reviewer` or `administrator`.
    pub role: &'static str,
    /// RFC 3339.
    pub created_at: String,
}

/// A host, as lists show it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct HostView {
    /// The host's id.
    pub id: String,
    /// What it calls itself.
    pub hostname: String,
    /// `enrolled` or `revoked`.
    pub state: &'static str,
    /// Whether its kernel enforced when it last connected.
    pub enforcing: bool,
    /// Version of its daemon; empty if it never connected.
    pub version: String,
    /// Release of its kernel; empty if it never connected.
    pub kernel_release: String,
    /// RFC 3339.
    pub enrolled_at: String,
    /// RFC 3339; none if it never connected.
    pub last_seen_at: Option<String>,
    /// RFC 3339.
    pub certificate_expires_at: String,
    /// RFC 3339; none if it isn't revoked.
    pub revoked_at: Option<String>,
}

impl TokenView {
    pub(super) fn new(token: Token, now: Millis) -> Self {
        let state = match token.used_at {
            Some(_) => "used",
            None if token.expires_at <= now => "expired",
            None => "unused",
        };
        Self {
            id: token.id,
            label: token.label,
            state,
            created_at: token.created_at.to_string(),
            expires_at: token.expires_at.to_string(),
            used_at: token.used_at.as_ref().map(ToString::to_string),
            host_id: token.host_id,
        }
    }
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            name: user.name.to_string(),
            role: user.role.as_str(),
            created_at: user.created_at.to_string(),
        }
    }
}

impl From<Host> for HostView {
    fn from(host: Host) -> Self {
        Self {
            id: host.id.to_string(),
            hostname: host.hostname,
            state: if host.revoked_at.is_some() {
                "revoked"
            } else {
                "enrolled"
            },
            enforcing: host.enforcing,
            version: host.version,
            kernel_release: host.kernel_release,
            enrolled_at: host.enrolled_at.to_string(),
            last_seen_at: host.last_seen_at.as_ref().map(ToString::to_string),
            certificate_expires_at: host.certificate_expires_at.to_string(),
            revoked_at: host.revoked_at.as_ref().map(ToString::to_string),
        }
    }
}
