//! The grants this host honours: what earlier approvals let go on without asking
//! again.
//!
//! Pure: decisions, time and what lives come in, [`Change`]s go out. The promise
//! of this module: [`Grants::cover`] gives a grant only for the same operation in
//! the same surroundings, by a bearer it was given to, before its time is over by
//! either clock, while it has uses left, and never for more than the host's own
//! rule allowed when it was asked. A grant that ended never comes back.
//!
//! Grants live as long as the daemon: a new one knows none and asks again, and
//! tells the end of those that the one before honoured ([`ledger`]).

pub mod ledger;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use holdpoint_proto::{
    digest,
    v1::{self, GrantChange, GrantScope, operation::Kind},
};

use crate::kernel::SessionId;

/// Two clocks. A grant is over when either says so: one can be set, the other does
/// not know when the approver gave it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Now {
    /// Nanoseconds since boot, suspend included.
    pub boot_ns: u64,
    /// Wall-clock time since the epoch.
    pub wall: Duration,
}

/// Who attempts an operation, as far as a grant looks at it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bearer {
    /// Its session.
    pub session: SessionId,
    /// Its process.
    pub pid: u32,
    /// Start of that process, see [`crate::kernel::Facts`].
    pub process_start_ns: u64,
}

/// "The same operation": its digest, and what the digest leaves out and a grant
/// must not.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Same {
    operation: [u8; 32],
    /// The whole environment of an exec, the network namespace of a connect.
    surroundings: Vec<u8>,
}

impl Same {
    fn of(context: &v1::RequestContext) -> Option<Self> {
        let surroundings = match context.operation.as_ref()?.kind.as_ref()? {
            Kind::Exec(exec) => exec.environment_sha256.clone(),
            Kind::Connect(connect) => connect.network_namespace.to_be_bytes().to_vec(),
        };
        Some(Self {
            operation: digest::operation(context)?,
            surroundings,
        })
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scope {
    Process,
    Session,
}

#[derive(Clone, Debug)]
struct Grant {
    request_id: String,
    session: Option<v1::Session>,
    same: Same,
    scope: Scope,
    bearer: Bearer,
    policy_sha256: Vec<u8>,
    until_ns: u64,
    until_wall: Duration,
    /// 0: any number.
    max_uses: u32,
    uses: u64,
}

/// What happened to a grant. Everything that does is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which grant.
    pub grant_id: String,
    /// The request whose approval gave it.
    pub request_id: String,
    /// What.
    pub change: GrantChange,
    /// The session of that request.
    pub session: Option<v1::Session>,
    /// Operations it let go on so far.
    pub uses: u64,
    /// Why, for people; empty where the change says it all.
    pub reason: String,
}

/// Why a decision gives no grant on this host.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
enum NotGiven {
    #[error("it has no id or no scope that this host knows")]
    Unknown,
    #[error("the rule of this host does not give grants of this scope")]
    Scope,
    #[error("it has no lifetime, or an end that is over")]
    Over,
    #[error("there is no operation it could be good for")]
    Nothing,
}

/// All grants of a host.
#[derive(Debug, Default)]
pub struct Grants {
    active: BTreeMap<String, Grant>,
    /// Ids that were here before: an old decision that is delivered again gives
    /// nothing.
    known: BTreeSet<String>,
}

impl Grants {
    /// Ids of all that are honoured.
    pub fn ids(&self) -> Vec<String> {
        self.active.keys().cloned().collect()
    }

    /// What a decision gives whose signature was verified and whose operation was
    /// let go on: `context` is what it was about. Tells nothing if the decision
    /// grants nothing, or did so before.
    pub fn issue(
        &mut self,
        decision: &v1::Decision,
        context: &v1::RequestContext,
        bearer: Bearer,
        now: Now,
    ) -> Option<Change> {
        let given = decision.grant.as_ref()?;
        if given.scope() == GrantScope::Once || self.known.contains(&given.id) {
            return None;
        }
        self.known.insert(given.id.clone());
        match Grant::new(decision, given, context, bearer, now) {
            Ok(grant) => {
                let change = grant.change(&given.id, GrantChange::Active, "");
                self.active.insert(given.id.clone(), grant);
                Some(change)
            }
            Err(why) => Some(Self::unissued(decision, context, &why.to_string())?),
        }
    }

    /// The end of a grant that never began: its operation was not let go on, or
    /// it cannot be honoured.
    pub fn unissued(
        decision: &v1::Decision,
        context: &v1::RequestContext,
        why: &str,
    ) -> Option<Change> {
        let given = decision.grant.as_ref()?;
        (given.scope() != GrantScope::Once).then(|| Change {
            grant_id: given.id.clone(),
            request_id: decision.request_id.clone(),
            change: GrantChange::Ended,
            session: context.session.clone(),
            uses: 0,
            reason: format!("not honoured: {why}"),
        })
    }

    /// The grant that lets `bearer` do what `context` says, now used once more.
    pub fn cover(
        &mut self,
        context: &v1::RequestContext,
        bearer: Bearer,
        now: Now,
    ) -> Option<Change> {
        let same = Same::of(context)?;
        let (id, grant) = self
            .active
            .iter_mut()
            .find(|(_, grant)| grant.covers(&same, bearer, now))?;
        grant.uses += 1;
        Some(grant.change(id, GrantChange::Used, ""))
    }

    /// Whether a grant would let `bearer` do what `context` says, now.
    pub fn covers(&self, context: &v1::RequestContext, bearer: Bearer, now: Now) -> bool {
        Same::of(context).is_some_and(|same| {
            self.active
                .values()
                .any(|grant| grant.covers(&same, bearer, now))
        })
    }

    /// Ends what is over. `lives` says whether the session and, if the grant is
    /// bound to it, the process are there.
    pub fn sweep(&mut self, now: Now, lives: impl Fn(Bearer, ProcessBound) -> bool) -> Vec<Change> {
        self.end(|grant| {
            if grant.used_up() {
                return Some("it is used up");
            }
            if grant.out_of_time(now) {
                return Some("its time is over");
            }
            let bound = ProcessBound(grant.scope == Scope::Process);
            (!lives(grant.bearer, bound)).then_some("its session or process is over")
        })
    }

    /// Ends what was given under a policy that is not in force any more: `in_force`
    /// gives the digest of a profile's.
    pub fn policies_changed(&mut self, in_force: impl Fn(&str) -> Option<[u8; 32]>) -> Vec<Change> {
        self.end(|grant| {
            let profile = grant
                .session
                .as_ref()
                .map(|session| session.profile.as_str());
            let still = profile
                .and_then(&in_force)
                .is_some_and(|digest| grant.policy_sha256 == digest);
            (!still).then_some("the policy it was given under is not in force any more")
        })
    }

    /// Takes a grant back. Tells nothing if there is none (any more).
    pub fn revoke(&mut self, id: &str) -> Option<Change> {
        // One that has yet to be given never is.
        self.known.insert(id.to_owned());
        let grant = self.active.remove(id)?;
        Some(grant.change(id, GrantChange::Revoked, ""))
    }

    fn end(&mut self, why: impl Fn(&Grant) -> Option<&'static str>) -> Vec<Change> {
        let mut changes = Vec::new();
        self.active.retain(|id, grant| match why(grant) {
            None => true,
            Some(reason) => {
                changes.push(grant.change(id, GrantChange::Ended, reason));
                false
            }
        });
        changes
    }
}

/// Whether a grant is good for one process only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProcessBound(pub bool);

impl Grant {
    fn new(
        decision: &v1::Decision,
        given: &v1::Grant,
        context: &v1::RequestContext,
        bearer: Bearer,
        now: Now,
    ) -> Result<Self, NotGiven> {
        let scope = match given.scope() {
            GrantScope::Process => Scope::Process,
            GrantScope::Session => Scope::Session,
            GrantScope::Once | GrantScope::Unspecified => return Err(NotGiven::Unknown),
        };
        if given.id.is_empty() {
            return Err(NotGiven::Unknown);
        }
        // What the host itself put into the question, not what came back.
        let rule = context.rule.as_ref().ok_or(NotGiven::Scope)?;
        if !rule.grants.contains(&given.scope) {
            return Err(NotGiven::Scope);
        }
        let ttl = duration(given.ttl.as_ref())
            .ok_or(NotGiven::Over)?
            .min(duration(rule.max_ttl.as_ref()).ok_or(NotGiven::Scope)?);
        let until_wall = given
            .expires_at
            .as_ref()
            .and_then(|at| span(at.seconds, at.nanos))
            .ok_or(NotGiven::Over)?;
        let grant = Self {
            request_id: decision.request_id.clone(),
            session: context.session.clone(),
            same: Same::of(context).ok_or(NotGiven::Nothing)?,
            scope,
            bearer,
            policy_sha256: rule.policy_sha256.clone(),
            until_ns: now
                .boot_ns
                .saturating_add(u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX)),
            until_wall,
            max_uses: given.max_uses,
            uses: 0,
        };
        if grant.out_of_time(now) {
            return Err(NotGiven::Over);
        }
        Ok(grant)
    }

    fn covers(&self, same: &Same, bearer: Bearer, now: Now) -> bool {
        let by = self.bearer;
        let borne = by.session == bearer.session
            && match self.scope {
                Scope::Session => true,
                Scope::Process => {
                    (by.pid, by.process_start_ns) == (bearer.pid, bearer.process_start_ns)
                }
            };
        borne && self.same == *same && !self.used_up() && !self.out_of_time(now)
    }

    fn used_up(&self) -> bool {
        self.max_uses != 0 && self.uses >= u64::from(self.max_uses)
    }

    fn out_of_time(&self, now: Now) -> bool {
        now.boot_ns >= self.until_ns || now.wall >= self.until_wall
    }

    fn change(&self, id: &str, change: GrantChange, reason: &str) -> Change {
        Change {
            grant_id: id.to_owned(),
            request_id: self.request_id.clone(),
            change,
            session: self.session.clone(),
            uses: self.uses,
            reason: reason.to_owned(),
        }
    }
}

fn duration(duration: Option<&prost_types::Duration>) -> Option<Duration> {
    duration.and_then(|duration| span(duration.seconds, duration.nanos))
}

/// A length of time that is not negative.
fn span(seconds: i64, nanos: i32) -> Option<Duration> {
    let nanos = u32::try_from(nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(seconds).ok()?, nanos))
}
