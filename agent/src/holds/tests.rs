//! Properties and stories of the hold state machine.

use holdpoint_proto::v1::{RejectionCause, host_message::Message};
use proptest::prelude::*;

use super::*;
use crate::kernel::{Attempted, Destination, ExecMemory, FileId, Interpreted, SessionId, TaskKey};

pub(super) const SECOND: u64 = 1_000_000_000;

pub(super) fn held(tid: u32, held_ns: u64) -> Held {
    Held {
        id: HoldId::new(
            TaskKey {
                tid,
                tgid: tid,
                start_ns: 1,
            },
            held_ns,
        ),
        session: SessionId(7),
        attempted: Attempted::Connect(Destination {
            address: [192, 0, 2, 1].into(),
            port: 443,
            protocol: 6,
            netns: 1,
            scope_id: 0,
        }),
        operation: holdpoint_agent_common::OperationKey::default(),
        uid: 0,
        gid: 0,
        evaluations: 1,
    }
}

pub(super) fn ask(tid: u32, deadline_ns: u64) -> Ask {
    Ask {
        request_id: format!("request-{tid}"),
        digest: [tid as u8; 32],
        context: v1::RequestContext::default(),
        held_at: prost_types::Timestamp::default(),
        deadline_ns,
        on_deny: OnDeny::Errno,
        arguments: ArgumentsMac {
            present: 1,
            rest: tid.into(),
            ..ArgumentsMac::default()
        },
        process_start_ns: 1,
    }
}

pub(super) fn decided(tid: u32, approved: bool) -> Decided {
    Decided {
        request_id: format!("request-{tid}"),
        digest: vec![tid as u8; 32],
        verdict: if approved {
            Verdict::Approved(Look::Digest([tid as u8; 32]))
        } else {
            Verdict::Denied
        },
        reviewer: "ada".into(),
    }
}

pub(super) fn answers(effects: &[Effect]) -> Vec<Answer> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Answer(_, answer) => Some(*answer),
            _ => None,
        })
        .collect()
}

pub(super) fn told(effects: &[Effect]) -> Vec<Message> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Tell(message) => message.message.clone(),
            _ => None,
        })
        .collect()
}

/// One hold that a person is asked about, until 60 s.
pub(super) fn asking() -> (Holds, Held) {
    let mut holds = Holds::default();
    let waiting = held(1, 1);
    assert!(matches!(
        holds.discovered(waiting.clone(), 1)[..],
        [Effect::Describe(_)]
    ));
    let effects = holds.ruled(waiting.id, Ruling::Ask(Box::new(ask(1, 60 * SECOND))), 2);
    assert!(matches!(told(&effects)[..], [Message::Open(_)]));
    assert!(answers(&effects).is_empty());
    (holds, waiting)
}

#[test]
fn approved_released_reported_until_acknowledged() {
    let (mut holds, waiting) = asking();
    let effects = holds.decided(&decided(1, true), 3).unwrap();
    assert_eq!(answers(&effects), [Answer::Release(ask(1, 0).arguments)]);
    assert!(
        told(&effects).is_empty(),
        "not reported before the kernel did it"
    );
    let effects = holds.released(waiting.id);
    let [Message::Outcome(outcome)] = &told(&effects)[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(outcome.outcome(), v1::Outcome::Released);
    assert!(!outcome.expired);
    assert_eq!(holds.unsettled(4).len(), 1);
    holds.acknowledged("request-1");
    assert!(holds.unsettled(5).is_empty() && holds.is_empty());
}

#[test]
fn a_decision_about_something_else_changes_nothing() {
    let (mut holds, _) = asking();
    let other = Decided {
        digest: vec![9; 32],
        ..decided(1, true)
    };
    assert_eq!(holds.decided(&other, 3), Err(Ignored::Digest));
    assert_eq!(holds.decided(&decided(2, true), 3), Err(Ignored::Unknown));
    assert!(holds.decided(&decided(1, false), 3).is_ok());
    assert_eq!(holds.decided(&decided(1, true), 3), Err(Ignored::Late));
}

#[test]
fn an_approval_after_the_deadline_is_an_expiry() {
    let (mut holds, waiting) = asking();
    let effects = holds.decided(&decided(1, true), 60 * SECOND).unwrap();
    assert_eq!(answers(&effects), [Answer::Refuse]);
    let effects = holds.refused(waiting.id);
    let [Message::Outcome(outcome)] = &told(&effects)[..] else {
        panic!("{effects:?}");
    };
    assert!(outcome.expired);
}

#[test]
fn nobody_answers() {
    let (mut holds, waiting) = asking();
    let stopped = |_| TaskState::Stopped;
    let early = holds.reconcile(vec![waiting.clone()], stopped, 59 * SECOND);
    assert!(early.is_empty(), "{early:?}");
    let late = holds.reconcile(vec![waiting], stopped, 60 * SECOND);
    assert_eq!(answers(&late), [Answer::Refuse]);
}

#[test]
fn a_new_daemon_asks_again_under_the_same_id() {
    let (holds, waiting) = asking();
    drop(holds);
    let mut fresh = Holds::default();
    let effects = fresh.reconcile(vec![waiting.clone()], |_| TaskState::Stopped, 5 * SECOND);
    assert!(matches!(effects[..], [Effect::Describe(_)]));
    fresh.ruled(
        waiting.id,
        Ruling::Ask(Box::new(ask(1, 60 * SECOND))),
        6 * SECOND,
    );
    let [message] = &fresh.unsettled(10 * SECOND)[..] else {
        panic!("nothing to say");
    };
    let Some(Message::Open(open)) = &message.message else {
        panic!("{message:?}");
    };
    assert_eq!(open.request_id, "request-1");
    assert_eq!(open.time_left.unwrap().seconds, 50);
}

#[test]
fn a_hold_that_outlived_its_deadline_without_a_daemon_is_refused() {
    let mut holds = Holds::default();
    let waiting = held(1, 1);
    holds.discovered(waiting.clone(), 70 * SECOND);
    let effects = holds.ruled(
        waiting.id,
        Ruling::Ask(Box::new(ask(1, 60 * SECOND))),
        70 * SECOND,
    );
    assert_eq!(answers(&effects), [Answer::Refuse]);
}

#[test]
fn the_process_dies() {
    let (mut holds, waiting) = asking();
    let effects = holds.reconcile(vec![waiting.clone()], |_| TaskState::Gone, 3);
    assert!(matches!(told(&effects)[..], [Message::Withdraw(_)]));
    assert!(effects.contains(&Effect::Forget(waiting.id)));
    assert!(answers(&effects).is_empty());
}

#[test]
fn a_task_that_goes_on_gave_up_unless_it_keeps_trying() {
    let (mut holds, waiting) = asking();
    let running = |_| TaskState::Running;
    for round in 2..20 {
        let trying = Held {
            evaluations: round,
            ..waiting.clone()
        };
        assert!(holds.reconcile(vec![trying], running, 3).is_empty());
    }
    let gone = Held {
        evaluations: 19,
        ..waiting
    };
    for _ in 1..GIVEN_UP {
        assert!(holds.reconcile(vec![gone.clone()], running, 3).is_empty());
    }
    let effects = holds.reconcile(vec![gone], running, 3);
    assert!(matches!(told(&effects)[..], [Message::Withdraw(_)]));
}

#[test]
fn an_unused_ticket_is_given_again() {
    let (mut holds, waiting) = asking();
    holds.decided(&decided(1, true), 3).unwrap();
    let stopped = |_| TaskState::Stopped;
    assert!(
        holds
            .reconcile(vec![waiting.clone()], stopped, 4)
            .is_empty()
    );
    let effects = holds.reconcile(vec![waiting], stopped, 3 * SECOND);
    assert_eq!(answers(&effects), [Answer::Release(ask(1, 0).arguments)]);
}

#[test]
fn an_approval_that_was_jumped_away_from_gets_no_more_tickets() {
    let (mut holds, waiting) = asking();
    holds.decided(&decided(1, true), 3).unwrap();
    let mut effects = Vec::new();
    for round in 1..=u64::from(GIVEN_UP) {
        effects.extend(holds.reconcile(
            vec![waiting.clone()],
            |_| TaskState::Running,
            round * SECOND,
        ));
    }
    assert!(answers(&effects).is_empty(), "{effects:?}");
    assert!(effects.contains(&Effect::Forget(waiting.id)));
    assert!(holds.is_empty());
}

#[test]
fn a_lost_event_is_said_honestly() {
    let (mut holds, _) = asking();
    holds.decided(&decided(1, true), 3).unwrap();
    let mut effects = Vec::new();
    for _ in 0..GIVEN_UP {
        effects.extend(holds.reconcile(Vec::new(), |_| TaskState::Running, 4));
    }
    let [Message::Outcome(outcome)] = &told(&effects)[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(outcome.outcome(), v1::Outcome::Unspecified);
    assert!(outcome.detail.contains("lost"));
}

#[test]
fn a_killing_denial_is_not_left_to_the_kernel_alone() {
    let mut holds = Holds::default();
    let waiting = held(1, 1);
    holds.discovered(waiting.clone(), 1);
    let effects = holds.ruled(
        waiting.id,
        Ruling::Deny {
            on_deny: OnDeny::Kill,
            settled: true,
        },
        2,
    );
    assert_eq!(answers(&effects), [Answer::Kill]);
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Remember(..)))
    );
}

#[test]
fn a_refused_attempt_is_not_asked_about_again_at_once() {
    let (mut holds, waiting) = asking();
    holds.decided(&decided(1, false), SECOND).unwrap();
    holds.refused(waiting.id);
    let again = |held_ns| held(1, held_ns);
    let question = |now| Ruling::Ask(Box::new(ask(1, now + 60 * SECOND)));

    let second = again(2 * SECOND);
    holds.discovered(second.clone(), 2 * SECOND);
    let effects = holds.ruled(second.id, question(2 * SECOND), 2 * SECOND);
    assert_eq!(answers(&effects), [Answer::Refuse]);
    assert!(told(&effects).is_empty());
    assert!(holds.refused(second.id).is_empty());

    // With other arguments, or later, it is another question.
    for (now, rest) in [(3 * SECOND, 99), (10 * SECOND, 1)] {
        let third = again(now);
        holds.discovered(third.clone(), now);
        let mut other = ask(1, now + 60 * SECOND);
        other.arguments.rest = rest;
        let effects = holds.ruled(third.id, Ruling::Ask(Box::new(other)), now);
        assert!(answers(&effects).is_empty(), "{effects:?}");
        holds.abandoned(third.id, "");
    }
}

#[test]
fn a_script_that_was_let_go_on_outlasts_the_hold_of_its_interpreter() {
    let (mut holds, script) = asking();
    holds.decided(&decided(1, true), 3).unwrap();
    let interpreter = Held {
        attempted: Attempted::Exec {
            file: FileId::default(),
            path: Vec::new(),
            memory: ExecMemory::default(),
            interprets: Some(Interpreted::Other),
        },
        ..held(1, 100)
    };
    let effects = holds.discovered(interpreter.clone(), 100);
    assert!(matches!(effects[..], [Effect::Describe(_)]), "{effects:?}");
    for _ in 0..2 * GIVEN_UP {
        let effects = holds.reconcile(vec![interpreter.clone()], |_| TaskState::Stopped, 101);
        assert!(effects.is_empty(), "{effects:?}");
    }
    let effects = holds.released(script.id);
    assert!(matches!(told(&effects)[..], [Message::Outcome(_)]));
}

#[test]
fn an_approval_that_was_left_for_another_operation_is_gone() {
    let (mut holds, waiting) = asking();
    holds.decided(&decided(1, true), 3).unwrap();
    let effects = holds.discovered(held(1, 100), 100);
    let [Message::Outcome(outcome)] = &told(&effects)[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(outcome.outcome(), v1::Outcome::Gone);
    assert!(effects.contains(&Effect::Forget(waiting.id)));
}

#[test]
fn a_kill_for_other_arguments_is_no_release() {
    let (mut holds, waiting) = asking();
    holds.decided(&decided(1, true), 3).unwrap();
    let effects = holds.changed(waiting.id);
    let [Message::Outcome(outcome)] = &told(&effects)[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(outcome.outcome(), v1::Outcome::Refused);
    assert!(outcome.detail.contains("arguments changed"));
}

/// Everything that can happen to two tasks.
#[derive(Clone, Debug)]
enum Step {
    Discover(u32),
    Allow(u32),
    Deny(u32),
    Ask(u32),
    Unreadable(u32),
    Decide {
        tid: u32,
        approved: bool,
        forged: bool,
    },
    Reject(u32),
    Released(u32),
    Refused(u32),
    Abandoned(u32),
    Reconcile {
        stopped: bool,
    },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let tid = 1..3_u32;
    prop_oneof![
        tid.clone().prop_map(Step::Discover),
        tid.clone().prop_map(Step::Allow),
        tid.clone().prop_map(Step::Deny),
        tid.clone().prop_map(Step::Ask),
        tid.clone().prop_map(Step::Unreadable),
        (tid.clone(), any::<bool>(), any::<bool>()).prop_map(|(tid, approved, forged)| {
            Step::Decide {
                tid,
                approved,
                forged,
            }
        }),
        tid.clone().prop_map(Step::Reject),
        tid.clone().prop_map(Step::Released),
        tid.clone().prop_map(Step::Refused),
        tid.prop_map(Step::Abandoned),
        any::<bool>().prop_map(|stopped| Step::Reconcile { stopped }),
        (0..40 * SECOND).prop_map(Step::Wait),
    ]
}

proptest! {
    /// The promise of the module, against a model that only knows permissions.
    #[test]
    fn nothing_is_released_that_was_not_allowed_or_approved_in_time(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut holds = Holds::default();
        let mut now = 1;
        // The model: what may be released, and until when a question stands.
        let mut may: HashMap<u32, ArgumentsMac> = HashMap::new();
        let mut open: HashMap<u32, u64> = HashMap::new();
        let mut reading: HashSet<u32> = HashSet::new();
        let mut present: HashSet<u32> = HashSet::new();
        for step in steps {
            let id = |tid| held(tid, 1).id;
            let effects = match step {
                Step::Discover(tid) => {
                    if present.insert(tid) {
                        reading.insert(tid);
                        may.remove(&tid);
                        open.remove(&tid);
                    }
                    holds.discovered(held(tid, 1), now)
                }
                Step::Allow(tid) => {
                    let arguments = ask(tid, 0).arguments;
                    if reading.remove(&tid) {
                        may.insert(tid, arguments);
                    }
                    holds.ruled(id(tid), Ruling::Allow { arguments, settled: false }, now)
                }
                Step::Deny(tid) => {
                    reading.remove(&tid);
                    holds.ruled(id(tid), Ruling::Deny { on_deny: OnDeny::Errno, settled: false }, now)
                }
                Step::Ask(tid) => {
                    if reading.remove(&tid) {
                        open.insert(tid, now + 60 * SECOND);
                    }
                    holds.ruled(id(tid), Ruling::Ask(Box::new(ask(tid, now + 60 * SECOND))), now)
                }
                Step::Unreadable(tid) => {
                    reading.remove(&tid);
                    holds.ruled(id(tid), Ruling::Refused { reason: String::new() }, now)
                }
                Step::Decide { tid, approved, forged } => {
                    let mut decision = decided(tid, approved);
                    if forged {
                        decision.digest[0] ^= 1;
                    } else if let Some(deadline) = open.remove(&tid)
                        && approved
                        && now < deadline
                    {
                        may.insert(tid, ask(tid, 0).arguments);
                    }
                    holds.decided(&decision, now).unwrap_or_default()
                }
                Step::Reject(tid) => {
                    open.remove(&tid);
                    holds.rejected(&format!("request-{tid}"), "no", RejectionCause::Unspecified, now)
                }
                Step::Released(tid) => {
                    present.remove(&tid);
                    reading.remove(&tid);
                    holds.released(id(tid))
                }
                Step::Refused(tid) => {
                    present.remove(&tid);
                    reading.remove(&tid);
                    holds.refused(id(tid))
                }
                Step::Abandoned(tid) => {
                    present.remove(&tid);
                    reading.remove(&tid);
                    holds.abandoned(id(tid), "")
                }
                Step::Reconcile { stopped } => {
                    let waiting = present.iter().map(|tid| held(*tid, 1)).collect();
                    let state = if stopped { TaskState::Stopped } else { TaskState::Running };
                    let effects = holds.reconcile(waiting, |_| state, now);
                    open.retain(|_, deadline| now < *deadline);
                    for effect in &effects {
                        if let Effect::Forget(id) = effect {
                            present.remove(&id.tid);
                            reading.remove(&id.tid);
                        }
                        if let Effect::Answer(held, Answer::Refuse) = effect {
                            reading.remove(&held.id.tid);
                        }
                    }
                    effects
                }
                Step::Wait(ns) => {
                    now += ns;
                    Vec::new()
                }
            };
            for effect in &effects {
                if let Effect::Answer(held, Answer::Release(arguments)) = effect {
                    prop_assert_eq!(may.get(&held.id.tid), Some(arguments), "{:?}", effects);
                }
            }
        }
        // Whatever the kernel still has, the machine still has.
        for tid in present {
            prop_assert!(holds.waiting.contains_key(&held(tid, 1).id));
        }
    }
}
