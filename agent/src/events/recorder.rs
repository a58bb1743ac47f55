//! From what the daemon does to the events that tell of it.
//!
//! Pure: observations go in, events without number or time come out. Changes
//! nothing and decides nothing; whatever it does not know stays blank.

mod bounds;
mod observed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use holdpoint_proto::v1::{self, event::Body};

use self::bounds::{bounded, detail};
use crate::kernel::{HoldId, Losses, Observed, SessionId};

/// What an answer to a hold rests on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grounds {
    /// What it rests on.
    pub basis: v1::Basis,
    /// In words, for people.
    pub detail: String,
    /// The grant, if it is one.
    pub grant_id: String,
}

impl Grounds {
    /// `basis` alone.
    pub fn on(basis: v1::Basis) -> Self {
        Self {
            basis,
            ..Self::default()
        }
    }

    /// The gate could not hold or judge it, for this reason.
    pub fn gate(detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..Self::on(v1::Basis::Gate)
        }
    }
}

/// How a hold ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// The operation went on.
    Released,
    /// It was refused.
    Refused,
    /// The process was killed for arguments that were not the approved ones.
    Changed,
    /// It ended without an answer.
    Abandoned,
    /// The gate's word of it was lost.
    Untold,
}

/// A session as it is told of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownSession {
    /// The session.
    pub session: v1::Session,
    /// Its first process.
    pub root: v1::Process,
}

#[derive(Debug, Default)]
struct Known {
    event: v1::OperationEvent,
    asked: bool,
    grounds: Option<Grounds>,
    /// Its answer is in the kernel.
    answered: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Recorder {
    holds: BTreeMap<HoldId, Known>,
    sessions: HashMap<SessionId, KnownSession>,
}

impl Recorder {
    /// A hold was found. `name` joins its events; `event` says what is known of it
    /// already. The detail of a known one is what had to be left out of it.
    pub fn found(&mut self, id: HoldId, name: &str, event: v1::OperationEvent) {
        self.holds.entry(id).or_insert_with(|| Known {
            event: v1::OperationEvent {
                hold_id: name.to_owned(),
                ..bounded(event)
            },
            ..Known::default()
        });
    }

    /// It was read: this is the whole of it.
    pub fn read(&mut self, id: HoldId, context: v1::RequestContext) {
        if let Some(known) = self.holds.get_mut(&id) {
            known.event = bounded(v1::OperationEvent {
                hold_id: std::mem::take(&mut known.event.hold_id),
                operation: context.operation,
                process: context.process,
                ancestry: context.ancestry,
                session: context.session,
                rule: context.rule,
                ..v1::OperationEvent::default()
            });
        }
    }

    /// People are asked about it; `again` if an earlier daemon asked them too.
    pub fn asked(&mut self, id: HoldId, request_id: &str, again: bool) -> Option<Body> {
        let known = self.holds.get_mut(&id)?;
        if known.asked {
            return None;
        }
        known.asked = true;
        request_id.clone_into(&mut known.event.request_id);
        let event = v1::OperationEvent {
            action: v1::Action::Held.into(),
            basis: v1::Basis::Policy.into(),
            detail: detail(
                if again {
                    "held since before holdpointd started".to_owned()
                } else {
                    String::new()
                },
                &known.event.detail,
            ),
            ..known.event.clone()
        };
        // The first event of a hold tells its ancestry; the others join.
        known.event.ancestry = Vec::new();
        Some(Body::Operation(event))
    }

    /// Its answer will rest on `grounds`, unless it has some already.
    pub fn answering(&mut self, id: HoldId, grounds: Grounds) {
        if let Some(known) = self.holds.get_mut(&id) {
            known.grounds.get_or_insert(grounds);
        }
    }

    /// Its answer is under way. One that nobody gave rests on the deadline.
    pub fn answered(&mut self, id: HoldId) {
        let Some(known) = self.holds.get_mut(&id) else {
            return;
        };
        let asked = known.asked;
        known.grounds.get_or_insert_with(|| {
            if asked {
                Grounds::on(v1::Basis::Expiry)
            } else {
                Grounds::gate("it could not be read in time")
            }
        });
    }

    /// Its answer is in the kernel. Gives what that rests on, the first time.
    pub fn arrived(&mut self, id: HoldId) -> Option<v1::Basis> {
        let known = self.holds.get_mut(&id)?;
        let again = std::mem::replace(&mut known.answered, true);
        let basis = known.grounds.as_ref().map(|grounds| grounds.basis);
        (!again).then(|| basis.unwrap_or_default())
    }

    /// Whether its answer is in the kernel.
    pub fn has_arrived(&self, id: HoldId) -> bool {
        self.holds.get(&id).is_some_and(|known| known.answered)
    }

    /// The hold that people are asked about under `request_id`.
    pub fn by_request(&self, request_id: &str) -> Option<HoldId> {
        self.holds
            .iter()
            .find(|(_, known)| known.event.request_id == request_id)
            .map(|(id, _)| *id)
    }

    /// It ended. `name` is for a hold that only an earlier daemon knew; of such a
    /// one only a certain end is told.
    pub fn ended(&mut self, id: HoldId, name: &str, end: &End) -> Option<Body> {
        let known = match (self.holds.remove(&id), end) {
            (Some(known), _) => known,
            (None, End::Abandoned | End::Untold) => return None,
            (None, End::Released | End::Refused | End::Changed) => Known {
                event: v1::OperationEvent {
                    hold_id: name.to_owned(),
                    process: Some(process_of(id)),
                    ..v1::OperationEvent::default()
                },
                ..Known::default()
            },
        };
        let grounds = known.grounds.unwrap_or_default();
        let mut event = v1::OperationEvent {
            basis: grounds.basis.into(),
            detail: detail(grounds.detail, &known.event.detail),
            grant_id: grounds.grant_id,
            ..known.event
        };
        let action = match end {
            End::Released if known.asked || event.operation.is_none() => v1::Action::Released,
            End::Released => v1::Action::Allowed,
            End::Refused => v1::Action::Denied,
            End::Changed => {
                event.basis = v1::Basis::Gate.into();
                "its arguments were not those that were judged, and the process was killed"
                    .clone_into(&mut event.detail);
                v1::Action::Denied
            }
            End::Abandoned => v1::Action::Abandoned,
            End::Untold => {
                return Some(Body::Gap(v1::Gap {
                    cause: v1::GapCause::RingBuffer.into(),
                    lost: 1,
                    since: None,
                    detail: format!(
                        "how the hold {} ended; it had been answered: {}",
                        event.hold_id,
                        v1::Basis::try_from(event.basis)
                            .unwrap_or_default()
                            .as_str_name()
                    ),
                }));
            }
        };
        event.action = action.into();
        Some(Body::Operation(event))
    }

    /// The kernel settled an operation alone.
    pub fn observed(&self, observed: &Observed) -> Body {
        let session = self.sessions.get(&observed.session);
        Body::Operation(bounded(observed::event(
            observed,
            session.map(|known| known.session.clone()),
        )))
    }

    /// The sessions that are known.
    pub fn known_sessions(&self) -> impl Iterator<Item = &v1::Session> {
        self.sessions.values().map(|known| &known.session)
    }

    /// Whether `session` is known.
    pub fn knows(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// These are all sessions. Tells of those that are new and those that ended;
    /// those that were there when the daemon started, `adopting`, were told of.
    pub fn sessions(&mut self, now: HashMap<SessionId, KnownSession>, adopting: bool) -> Vec<Body> {
        let mut told = Vec::new();
        let mut told_of = |known: &KnownSession, ended| {
            told.push(Body::Session(v1::SessionEvent {
                session: Some(known.session.clone()),
                root: Some(known.root.clone()),
                ended,
            }));
        };
        for (id, known) in &now {
            if !adopting && !self.sessions.contains_key(id) {
                told_of(known, false);
            }
        }
        for (id, known) in &self.sessions {
            if !now.contains_key(id) {
                told_of(known, true);
            }
        }
        self.sessions = now;
        told
    }

    /// The gate could not tell everything.
    pub fn lost(losses: Losses, since: prost_types::Timestamp) -> Vec<Body> {
        let parts = [
            (
                losses.holds,
                "events of holds, for want of room; the holds themselves were found by looking",
            ),
            (
                losses.room,
                "operations that were settled without a hold, for want of room",
            ),
            (
                losses.rate,
                "operations that were settled without a hold, beyond what one session may have \
                 told in a second (`session_events_per_second`)",
            ),
        ];
        parts
            .into_iter()
            .filter(|(lost, _)| *lost > 0)
            .map(|(lost, detail)| {
                Body::Gap(v1::Gap {
                    cause: v1::GapCause::RingBuffer.into(),
                    lost,
                    since: Some(since),
                    detail: detail.to_owned(),
                })
            })
            .collect()
    }
}

fn process_of(id: HoldId) -> v1::Process {
    v1::Process {
        pid: id.tgid,
        tid: id.tid,
        start_time_ns: id.start_ns,
        ..v1::Process::default()
    }
}
