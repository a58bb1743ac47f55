//! Answers to local callers: who may begin a session, and how the host is doing.

use holdpoint_proto::control::{Answer, ApproverStatus, Call, EventsStatus, SessionInfo, Status};
use tracing::info;

use super::Enforcement;
use crate::{
    config::Profiles,
    control::Caller,
    events::journal,
    kernel::{Gate, Session},
    link::LinkState,
};

/// What answering takes.
pub struct Callers<'a, G: ?Sized> {
    pub(super) gate: &'a G,
    pub(super) profiles: &'a Profiles,
    pub(super) enforcement: &'a Enforcement,
    pub(super) held: usize,
    pub(super) link: &'a LinkState,
    pub(super) kernel_release: &'a str,
    pub(super) journal: &'a journal::State,
}

impl<G: Gate + ?Sized> Callers<'_, G> {
    /// Answers one call.
    pub(super) fn answer(&self, caller: Caller, call: Call) -> Answer {
        match call {
            Call::Status => Answer::Status(Box::new(self.status())),
            Call::BeginSession { profile } => match self.begin(caller, profile.as_deref()) {
                Ok(session) => {
                    info!(
                        session = %session.id, profile = session.profile, owner = session.owner,
                        pid = caller.pid, uid = caller.uid, "session begun"
                    );
                    Answer::SessionBegun(info_of(&session))
                }
                Err(reason) => {
                    info!(
                        pid = caller.pid,
                        uid = caller.uid,
                        reason,
                        "session refused"
                    );
                    Answer::Refused { reason }
                }
            },
        }
    }

    fn begin(&self, caller: Caller, profile: Option<&str>) -> Result<Session, String> {
        if let Err(reason) = self.enforcement {
            return Err(format!("this host does not enforce: {reason}"));
        }
        if let Some(session) = self.gate.session_of(caller.pid).map_err(text)? {
            return Err(format!(
                "the caller already runs in session {session}; sessions do not nest, run the command as it is"
            ));
        }
        let name = self.choose(caller, profile)?;
        let (owner, permits) = self
            .profiles
            .get(name)
            .map(|profile| (profile.owner.as_str(), profile.permits))
            .unwrap_or_default();
        self.gate
            .begin_session(caller.pid, name, owner, caller.uid, permits)
            .map_err(text)
    }

    /// The profile the caller may use: the one asked for, or the only one.
    fn choose<'a>(&'a self, caller: Caller, wanted: Option<&'a str>) -> Result<&'a str, String> {
        let user = nix::unistd::User::from_uid(caller.uid.into())
            .ok()
            .flatten()
            .map_or_else(|| caller.uid.to_string(), |user| user.name);
        let mut allowed = self
            .profiles
            .iter()
            .filter(|(_, profile)| profile.users.contains(&user))
            .map(|(name, _)| name.as_str());
        match wanted {
            Some(wanted) => allowed.find(|name| *name == wanted).ok_or_else(|| {
                format!(
                    "user {user} may not use profile {wanted:?}; an administrator can add the user \
                     to `users` of [profiles.{wanted}] in the configuration of holdpointd"
                )
            }),
            None => match (allowed.next(), allowed.next()) {
                (Some(only), None) => Ok(only),
                (Some(_), Some(_)) => Err(format!(
                    "user {user} may use several profiles; choose one with --profile"
                )),
                (None, _) => Err(format!(
                    "user {user} may use no profile; an administrator can add the user to `users` \
                     of a profile in the configuration of holdpointd"
                )),
            },
        }
    }

    fn status(&self) -> Status {
        let sessions = self.gate.sessions().unwrap_or_default();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel_release: self.kernel_release.to_owned(),
            enforcing: self.enforcement.is_ok(),
            not_enforcing_because: self.enforcement.as_ref().err().cloned(),
            approver: ApproverStatus {
                address: self.link.address.clone(),
                connected: self.link.connected,
                error: self.link.error.clone(),
            },
            sessions: sessions.iter().map(info_of).collect(),
            held: self.held as u64,
            events: Some(EventsStatus {
                spool_bytes: self.journal.fill.bytes,
                spool_max_bytes: self.journal.fill.max_bytes,
                last: self.journal.fill.last,
                acknowledged: self.journal.fill.acknowledged,
                gaps: self.journal.fill.gaps,
                undeclared: self.journal.fill.undeclared,
                error: self.journal.error.clone(),
            }),
        }
    }
}

fn info_of(session: &Session) -> SessionInfo {
    SessionInfo {
        id: session.id.to_string(),
        profile: session.profile.clone(),
        owner: session.owner.clone(),
        root_pid: session.root.tgid,
        uid: session.uid,
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
