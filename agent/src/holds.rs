//! The holds of a host: what waits, what was answered, what still has to be said
//! to the approver.
//!
//! Pure: time, the kernel's state and messages come in, [`Effect`]s go out. The
//! one promise of this module: [`Answer::Release`] comes out only for a hold
//! whose ruling was *allow* or *granted*, or whose own request was approved before
//! its deadline under its own digest, which a last look found again. Everything else ends in a refusal, and nothing
//! that waits is forgotten while the kernel still has it.

mod asking;
mod question;
mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use holdpoint_agent_common::OperationKey;
use holdpoint_proto::v1;

pub use self::{
    question::{Ask, Decided, Ignored, Look, Verdict},
    report::Report,
};
use crate::{
    kernel::{Answer, ArgumentsMac, Held, HoldId, Settled, TaskKey, TaskState},
    policy::OnDeny,
};

/// How long reading a stopped process may take before it is refused unread: its
/// files may be on a filesystem that never answers.
const READ_NS: u64 = 30_000_000_000;

/// How long a ticket may go unused before the task is told again.
const RETRY_NS: u64 = 2_000_000_000;

/// How long a refusal by a person, or for want of one, answers the same attempt
/// of the same thread again. Shells try a refused program once more under every
/// directory of PATH that leads to it; nobody should be asked again for that.
const REFUSAL_NS: u64 = 5_000_000_000;

/// In how many looks in a row a task must have gone on without trying again
/// before its hold counts as given up, or in how many its end must go untold
/// before the event counts as lost. Some ten seconds: on a busy host a task may
/// wait that long for a processor, and an exec for its file.
const GIVEN_UP: u8 = 20;

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Read what a reviewer must see and report it with [`Holds::ruled`].
    Describe(Box<Held>),
    /// Answer the hold in the kernel.
    Answer(Box<Held>, Answer),
    /// Let the kernel answer the like alone.
    Remember(Box<Held>, Settled),
    /// Remove the hold from the kernel.
    Forget(HoldId),
    /// Tell the approver, if it can be reached now; otherwise
    /// [`Holds::unsettled`] repeats it.
    Tell(Box<v1::HostMessage>),
}

/// What is to become of a hold, once it was read and judged.
#[derive(Clone, Debug, PartialEq)]
pub enum Ruling {
    /// The policy lets it go on.
    Allow {
        /// What its arguments must be.
        arguments: ArgumentsMac,
        /// The kernel may answer the like alone.
        settled: bool,
    },
    /// The policy refuses it.
    Deny {
        /// How.
        on_deny: OnDeny,
        /// The kernel may answer the like alone.
        settled: bool,
    },
    /// A person decides.
    Ask(Box<Ask>),
    /// A person decided before, for more than one operation: a grant.
    Granted {
        /// What its arguments must be.
        arguments: ArgumentsMac,
        /// By which grant.
        grant_id: String,
    },
    /// It could not be read or judged, or nobody is asked about it.
    Refused {
        /// Why.
        reason: String,
    },
}

#[derive(Clone, Debug)]
struct Hold {
    held: Held,
    phase: Phase,
    /// See [`GIVEN_UP`].
    went_on: u8,
}

#[derive(Clone, Debug)]
enum Phase {
    Reading {
        since_ns: u64,
    },
    Asking(Box<Ask>),
    Answered {
        answer: Answer,
        at_ns: u64,
        report: Option<Report>,
    },
}

/// All holds of a host.
#[derive(Debug, Default)]
pub struct Holds {
    waiting: BTreeMap<HoldId, Hold>,
    requests: HashMap<String, HoldId>,
    /// What ended and the approver has not acknowledged.
    unacknowledged: BTreeMap<String, v1::HostMessage>,
    /// See [`REFUSAL_NS`].
    refusals: HashMap<Repeated, Refusal>,
}

/// An attempt that may come again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Repeated {
    task: TaskKey,
    operation: OperationKey,
    arguments: ArgumentsMac,
}

#[derive(Clone, Copy, Debug)]
struct Refusal {
    answer: Answer,
    until_ns: u64,
}

impl Holds {
    /// How many operations wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The kernel stopped an operation, or an earlier daemon left one.
    pub fn discovered(&mut self, held: Held, now_ns: u64) -> Vec<Effect> {
        if self.waiting.contains_key(&held.id) {
            return Vec::new();
        }
        let mut effects = Vec::new();
        // A thread waits with one operation at a time: an older one is over, but
        // for a script that was let go on and whose interpreter is held now.
        let interpreter = held.attempted.is_interpreter();
        let older: Vec<HoldId> = self
            .waiting
            .keys()
            .filter(|id| id.task() == held.id.task())
            .filter(|id| !interpreter || !self.waiting.get(id).is_some_and(Hold::is_released))
            .copied()
            .collect();
        for id in older {
            effects.extend(self.abandoned(id, "the process gave the operation up"));
        }
        effects.push(Effect::Describe(Box::new(held.clone())));
        self.waiting.insert(
            held.id,
            Hold {
                held,
                phase: Phase::Reading { since_ns: now_ns },
                went_on: 0,
            },
        );
        effects
    }

    /// The hold was read and judged.
    pub fn ruled(&mut self, id: HoldId, ruling: Ruling, now_ns: u64) -> Vec<Effect> {
        let Some(hold) = self.waiting.get_mut(&id) else {
            return Vec::new();
        };
        if !matches!(hold.phase, Phase::Reading { .. }) {
            return Vec::new();
        }
        let mut effects = Vec::new();
        let remember = |settled: bool, verdict: Settled| {
            settled.then(|| Effect::Remember(Box::new(hold.held.clone()), verdict))
        };
        match ruling {
            Ruling::Allow { arguments, settled } => {
                effects.extend(remember(settled, Settled::Allow));
                effects.push(hold.answer(Answer::Release(arguments), now_ns, None));
            }
            Ruling::Deny { on_deny, settled } => {
                // The kernel alone can refuse, but not kill.
                effects.extend(remember(settled && on_deny == OnDeny::Errno, Settled::Deny));
                effects.push(hold.answer(refusal(on_deny), now_ns, None));
            }
            Ruling::Granted { arguments, .. } => {
                effects.push(hold.answer(Answer::Release(arguments), now_ns, None));
            }
            Ruling::Refused { .. } => {
                effects.push(hold.answer(Answer::Refuse, now_ns, None));
            }
            Ruling::Ask(ask) => {
                let repeated = hold.repeated(&ask);
                if let Some(refusal) = self.refusals.get(&repeated)
                    && now_ns < refusal.until_ns
                {
                    return vec![hold.answer(refusal.answer, now_ns, None)];
                }
                effects.push(Effect::Tell(Box::new(report::open(&ask, now_ns))));
                self.requests.insert(ask.request_id.clone(), id);
                // It may have waited through a restart for longer than it may.
                let report = (now_ns >= ask.deadline_ns).then(|| Report::expired(&ask.request_id));
                hold.phase = Phase::Asking(ask);
                if let Some(report) = report {
                    effects.extend(self.refuse(id, report, now_ns));
                }
            }
        }
        effects
    }

    /// The kernel let the operation go on.
    pub fn released(&mut self, id: HoldId) -> Vec<Effect> {
        self.ended(id, v1::Outcome::Released, "")
    }

    /// The kernel refused the operation.
    pub fn refused(&mut self, id: HoldId) -> Vec<Effect> {
        self.ended(id, v1::Outcome::Refused, "")
    }

    /// The kernel killed the process for other arguments than the approved ones.
    pub fn changed(&mut self, id: HoldId) -> Vec<Effect> {
        self.ended(
            id,
            v1::Outcome::Refused,
            "its arguments changed while it was held, and the process was killed",
        )
    }

    /// The operation ended without using an answer.
    pub fn abandoned(&mut self, id: HoldId, reason: &str) -> Vec<Effect> {
        let mut effects = self.ended(id, v1::Outcome::Gone, reason);
        // Whatever of it is left in the kernel would serve nobody.
        effects.push(Effect::Forget(id));
        effects
    }

    /// Compares with what the kernel has: `waiting` is everything that waits now.
    pub fn reconcile(
        &mut self,
        waiting: Vec<Held>,
        state: impl Fn(HoldId) -> TaskState,
        now_ns: u64,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut present = HashSet::new();
        let with_interpreter: HashSet<TaskKey> = waiting
            .iter()
            .filter(|held| held.attempted.is_interpreter())
            .map(|held| held.id.task())
            .collect();
        for held in waiting {
            present.insert(held.id);
            let id = held.id;
            if let Some(hold) = self.waiting.get_mut(&id) {
                let tried = held.evaluations != hold.held.evaluations;
                hold.held.evaluations = held.evaluations;
                hold.went_on = match state(id) {
                    TaskState::Running if !tried => hold.went_on.saturating_add(1),
                    _ => 0,
                };
            } else if state(id) == TaskState::Gone {
                effects.push(Effect::Forget(id));
            } else {
                effects.extend(self.discovered(held, now_ns));
            }
        }
        for id in self.waiting.keys().copied().collect::<Vec<_>>() {
            // Its call goes on: the thread is held with the interpreter.
            let goes_on = with_interpreter.contains(&id.task())
                && self.waiting.get(&id).is_some_and(Hold::is_released);
            if present.contains(&id) || !goes_on {
                effects.extend(self.reconcile_one(id, present.contains(&id), &state, now_ns));
            }
        }
        effects
    }

    fn reconcile_one(
        &mut self,
        id: HoldId,
        present: bool,
        state: &impl Fn(HoldId) -> TaskState,
        now_ns: u64,
    ) -> Vec<Effect> {
        let Some(hold) = self.waiting.get_mut(&id) else {
            return Vec::new();
        };
        if !present {
            // Its end was told by an event that is lost or still on its way; what
            // is on its way comes before the next look.
            hold.went_on = hold.went_on.saturating_add(1);
            if hold.went_on < GIVEN_UP {
                return Vec::new();
            }
            let mut effects = self.ended(id, v1::Outcome::Unspecified, "the gate's event was lost");
            effects.push(Effect::Forget(id));
            return effects;
        }
        if state(id) == TaskState::Gone {
            return self.abandoned(id, "the process is gone");
        }
        if hold.went_on >= GIVEN_UP {
            return self.abandoned(id, "the process gave the operation up");
        }
        match &mut hold.phase {
            Phase::Reading { since_ns } if now_ns.saturating_sub(*since_ns) >= READ_NS => {
                vec![hold.answer(Answer::Refuse, now_ns, None)]
            }
            Phase::Asking(ask) if now_ns >= ask.deadline_ns => {
                let report = Report::expired(&ask.request_id);
                self.refuse(id, report, now_ns)
            }
            // Only while it is stopped: a ticket for a task that went on without
            // its operation would wait for a later one.
            Phase::Answered { answer, at_ns, .. }
                if state(id) == TaskState::Stopped && now_ns.saturating_sub(*at_ns) >= RETRY_NS =>
            {
                *at_ns = now_ns;
                vec![Effect::Answer(Box::new(hold.held.clone()), *answer)]
            }
            _ => Vec::new(),
        }
    }

    /// The approver has stored how a request ended.
    pub fn acknowledged(&mut self, request_id: &str) {
        self.unacknowledged.remove(request_id);
    }

    /// Everything the approver has to hear again after a reconnect.
    pub fn unsettled(&self, now_ns: u64) -> Vec<v1::HostMessage> {
        let asking = self.waiting.values().filter_map(|hold| match &hold.phase {
            Phase::Asking(ask) => Some(report::open(ask, now_ns)),
            _ => None,
        });
        asking
            .chain(self.unacknowledged.values().cloned())
            .collect()
    }

    fn by_request(&mut self, request_id: &str) -> Option<(HoldId, &mut Hold)> {
        let id = *self.requests.get(request_id)?;
        Some((id, self.waiting.get_mut(&id)?))
    }

    /// Refuses a hold that a person is asked about; nothing if none is.
    fn refuse(&mut self, id: HoldId, report: Report, now_ns: u64) -> Vec<Effect> {
        let Some(hold) = self.waiting.get_mut(&id) else {
            return Vec::new();
        };
        let Phase::Asking(ask) = &hold.phase else {
            return Vec::new();
        };
        let answer = refusal(ask.on_deny);
        self.refusals.retain(|_, refusal| now_ns < refusal.until_ns);
        self.refusals.insert(
            hold.repeated(ask),
            Refusal {
                answer,
                until_ns: now_ns.saturating_add(REFUSAL_NS),
            },
        );
        vec![hold.answer(answer, now_ns, Some(report))]
    }

    /// The hold is over: what is to be said is said until it is acknowledged.
    fn ended(&mut self, id: HoldId, outcome: v1::Outcome, detail: &str) -> Vec<Effect> {
        let Some(hold) = self.waiting.remove(&id) else {
            return Vec::new();
        };
        let (request_id, message) = match hold.phase {
            Phase::Reading { .. } | Phase::Answered { report: None, .. } => return Vec::new(),
            Phase::Asking(ask) => (ask.request_id.clone(), report::withdraw(&ask, detail)),
            Phase::Answered {
                report: Some(report),
                ..
            } => (report.request_id.clone(), report.message(outcome, detail)),
        };
        self.requests.remove(&request_id);
        self.unacknowledged.insert(request_id, message.clone());
        vec![Effect::Tell(Box::new(message))]
    }
}

impl Hold {
    fn is_released(&self) -> bool {
        matches!(
            self.phase,
            Phase::Answered {
                answer: Answer::Release(_),
                ..
            }
        )
    }

    fn repeated(&self, ask: &Ask) -> Repeated {
        Repeated {
            task: self.held.id.task(),
            operation: self.held.operation,
            arguments: ask.arguments,
        }
    }

    fn answer(&mut self, answer: Answer, now_ns: u64, report: Option<Report>) -> Effect {
        self.phase = Phase::Answered {
            answer,
            at_ns: now_ns,
            report,
        };
        Effect::Answer(Box::new(self.held.clone()), answer)
    }
}

const fn refusal(on_deny: OnDeny) -> Answer {
    match on_deny {
        OnDeny::Errno => Answer::Refuse,
        OnDeny::Kill => Answer::Kill,
    }
}
