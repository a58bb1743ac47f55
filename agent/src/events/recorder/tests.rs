//! What becomes an event, and which.

use std::collections::HashMap;

use super::{bounds::ARGUMENTS, *};
use crate::kernel::{Cause, FileId, ObservedEnd, ObservedOperation, TaskKey};

fn id(number: u32) -> HoldId {
    let task = TaskKey {
        tid: number,
        tgid: number,
        start_ns: 7,
    };
    HoldId::new(task, 9)
}

fn context(argv: &[&str]) -> v1::RequestContext {
    v1::RequestContext {
        operation: Some(v1::Operation {
            kind: Some(v1::operation::Kind::Exec(v1::Exec {
                path: b"/usr/bin/curl".to_vec(),
                argv: argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
                ..v1::Exec::default()
            })),
        }),
        ancestry: vec![v1::Process::default()],
        ..v1::RequestContext::default()
    }
}

fn operation(body: Option<Body>) -> v1::OperationEvent {
    match body {
        Some(Body::Operation(event)) => event,
        other => panic!("{other:?}"),
    }
}

fn read(recorder: &mut Recorder) {
    recorder.found(id(1), "h", v1::OperationEvent::default());
    recorder.read(id(1), context(&["curl", "-T"]));
}

#[test]
fn a_hold_that_a_person_decided_is_told_twice_under_one_name() {
    let mut recorder = Recorder::default();
    read(&mut recorder);
    let held = operation(recorder.asked(id(1), "r", false));
    assert_eq!(
        (held.action(), held.basis()),
        (v1::Action::Held, v1::Basis::Policy)
    );
    assert_eq!(
        (held.hold_id.as_str(), held.request_id.as_str()),
        ("h", "r")
    );
    assert_eq!(held.ancestry.len(), 1);
    assert_eq!(recorder.asked(id(1), "r", false), None, "once");
    assert_eq!(recorder.by_request("r"), Some(id(1)));
    recorder.answering(id(1), Grounds::on(v1::Basis::Decision));
    recorder.answered(id(1));
    let released = operation(recorder.ended(id(1), "h", &End::Released));
    assert_eq!(
        (released.action(), released.basis()),
        (v1::Action::Released, v1::Basis::Decision)
    );
    assert_eq!(
        (released.hold_id, released.request_id),
        (held.hold_id, held.request_id)
    );
    assert_eq!(released.operation, held.operation);
    assert!(released.ancestry.is_empty());
    assert_eq!(recorder.ended(id(1), "h", &End::Abandoned), None, "once");
}

#[test]
fn what_the_policy_let_go_on_was_allowed_and_not_released() {
    let mut recorder = Recorder::default();
    read(&mut recorder);
    recorder.answering(id(1), Grounds::on(v1::Basis::Policy));
    recorder.answered(id(1));
    let event = operation(recorder.ended(id(1), "h", &End::Released));
    assert_eq!(
        (event.action(), event.basis()),
        (v1::Action::Allowed, v1::Basis::Policy)
    );
}

#[test]
fn an_answer_that_nobody_gave_rests_on_the_deadline() {
    let mut recorder = Recorder::default();
    read(&mut recorder);
    recorder.asked(id(1), "r", false);
    recorder.answered(id(1));
    // Too late.
    recorder.answering(id(1), Grounds::on(v1::Basis::Decision));
    let event = operation(recorder.ended(id(1), "h", &End::Refused));
    assert_eq!(
        (event.action(), event.basis()),
        (v1::Action::Denied, v1::Basis::Expiry)
    );
}

#[test]
fn other_arguments_than_the_judged_ones_are_the_gates_denial() {
    let mut recorder = Recorder::default();
    read(&mut recorder);
    recorder.asked(id(1), "r", false);
    recorder.answering(id(1), Grounds::on(v1::Basis::Decision));
    let event = operation(recorder.ended(id(1), "h", &End::Changed));
    assert_eq!(
        (event.action(), event.basis()),
        (v1::Action::Denied, v1::Basis::Gate)
    );
    assert!(event.detail.contains("killed"), "{}", event.detail);
}

#[test]
fn an_end_that_was_not_told_is_a_gap() {
    let mut recorder = Recorder::default();
    read(&mut recorder);
    recorder.answering(id(1), Grounds::on(v1::Basis::Policy));
    let Some(Body::Gap(gap)) = recorder.ended(id(1), "h", &End::Untold) else {
        panic!("no gap");
    };
    assert_eq!((gap.cause(), gap.lost), (v1::GapCause::RingBuffer, 1));
    assert!(gap.detail.contains("hold h"), "{}", gap.detail);
}

#[test]
fn of_a_hold_of_an_earlier_daemon_its_end_is_told_once() {
    let mut recorder = Recorder::new(10);
    for (number, end, action) in [
        (1, End::Released, v1::Action::Released),
        (2, End::Refused, v1::Action::Denied),
        (3, End::Abandoned, v1::Action::Abandoned),
    ] {
        let event = operation(recorder.ended(id(number), "h", &end));
        assert_eq!((event.action(), &*event.hold_id), (action, "h"));
        assert_eq!(event.process.unwrap().pid, number);
        assert_eq!(recorder.ended(id(number), "h", &End::Abandoned), None);
    }
    // One that was found again, and whose end nobody knows.
    recorder.found(id(4), "h", v1::OperationEvent::default());
    let untold = recorder.ended(id(4), "h", &End::Untold);
    assert!(matches!(untold, Some(Body::Gap(_))), "{untold:?}");
    assert_eq!(recorder.ended(id(4), "h", &End::Abandoned), None);
    // What began after it started it would have told of.
    let mut recorder = Recorder::new(9);
    assert_eq!(recorder.ended(id(5), "h", &End::Abandoned), None);
}

#[test]
fn long_arguments_are_cut_and_marked() {
    let mut recorder = Recorder::default();
    recorder.found(id(1), "h", v1::OperationEvent::default());
    let long = "x".repeat(2 * ARGUMENTS);
    recorder.read(id(1), context(&["curl", &long, "behind"]));
    let event = operation(recorder.ended(id(1), "h", &End::Released));
    assert!(event.argv_cut);
    let Some(v1::operation::Kind::Exec(exec)) = event.operation.unwrap().kind else {
        panic!("no exec");
    };
    let bytes: usize = exec.argv.iter().map(|word| word.len() + 1).sum();
    assert_eq!((exec.argv.len(), bytes), (2, ARGUMENTS + 1));
    // A million empty ones are as bad.
    let many: Vec<&str> = std::iter::repeat_n("", 1_000_000).collect();
    recorder.found(id(2), "i", v1::OperationEvent::default());
    recorder.read(id(2), context(&many));
    let event = operation(recorder.ended(id(2), "i", &End::Released));
    assert!(event.argv_cut);
}

#[test]
fn what_was_left_out_is_said_at_the_beginning_and_at_the_end() {
    let variable = v1::EnvironmentVariable {
        name: b"LD_X".to_vec(),
        ..v1::EnvironmentVariable::default()
    };
    let mut context = context(&["curl"]);
    if let Some(v1::operation::Kind::Exec(exec)) = context.operation.as_mut().unwrap().kind.as_mut()
    {
        exec.environment = vec![variable; 1_000];
    }
    let note = "left out for their size: variables of the environment";
    let mut recorder = Recorder::default();
    recorder.found(id(1), "h", v1::OperationEvent::default());
    recorder.read(id(1), context);
    let held = operation(recorder.asked(id(1), "r", true));
    assert_eq!(
        held.detail,
        format!("held since before holdpointd started; {note}")
    );
    recorder.answering(
        id(1),
        Grounds {
            detail: "approved by bob".to_owned(),
            ..Grounds::on(v1::Basis::Decision)
        },
    );
    let released = operation(recorder.ended(id(1), "h", &End::Released));
    assert_eq!(released.detail, format!("approved by bob; {note}"));
}

#[test]
fn an_answer_is_in_the_kernel_once() {
    let mut recorder = Recorder::default();
    read(&mut recorder);
    recorder.answering(id(1), Grounds::on(v1::Basis::Grant));
    recorder.answered(id(1));
    assert!(!recorder.has_arrived(id(1)));
    assert_eq!(recorder.arrived(id(1)), Some(v1::Basis::Grant));
    assert_eq!(recorder.arrived(id(1)), None, "said again to the kernel");
    assert!(recorder.has_arrived(id(1)));
    assert_eq!(recorder.arrived(id(2)), None);
}

#[test]
fn what_the_kernel_settled_alone_says_whose_it_was() {
    let mut recorder = Recorder::default();
    let known = KnownSession {
        session: v1::Session {
            id: "5".to_owned(),
            owner: "ada".to_owned(),
            ..v1::Session::default()
        },
        root: v1::Process::default(),
    };
    recorder.sessions(HashMap::from([(SessionId(5), known)]));
    let observed = Observed {
        task: id(3).task(),
        parent: (2, 1),
        session: SessionId(5),
        at_ns: 0,
        uid: 1000,
        gid: 1000,
        executable: Vec::new(),
        operation: ObservedOperation::Exec {
            file: FileId::default(),
            path: b"/bin/ls".to_vec(),
            argv: vec![b"ls".to_vec()],
            argv_cut: false,
        },
        settled: ObservedEnd::Allowed,
    };
    let event = operation(Some(recorder.observed(&observed)));
    assert_eq!(
        (event.action(), event.basis()),
        (v1::Action::Allowed, v1::Basis::Policy)
    );
    assert_eq!(event.session.unwrap().owner, "ada");
    assert_eq!((event.ancestry[0].pid, event.hold_id.as_str()), (2, ""));
    for (cause, basis) in [
        (Cause::Cached, v1::Basis::Policy),
        (Cause::PendingFull, v1::Basis::Gate),
    ] {
        let refused = Observed {
            settled: ObservedEnd::Refused(cause),
            session: SessionId(6),
            ..observed.clone()
        };
        let event = operation(Some(recorder.observed(&refused)));
        assert_eq!((event.action(), event.basis()), (v1::Action::Denied, basis));
        assert_eq!(event.session.unwrap().id, SessionId(6).to_string());
    }
}

#[test]
fn sessions_are_told_of_when_they_begin_and_end() {
    let mut recorder = Recorder::default();
    let sessions = |ids: &[u64]| -> HashMap<SessionId, KnownSession> {
        ids.iter()
            .map(|id| (SessionId(*id), KnownSession::default()))
            .collect()
    };
    let mut told = |ids: &[u64]| -> Vec<bool> {
        recorder
            .sessions(sessions(ids))
            .into_iter()
            .map(|body| match body {
                Body::Session(event) => event.ended,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(told(&[1, 2]), [false, false], "an earlier daemon's, too");
    assert_eq!(told(&[2, 3]), [false, true]);
    assert!(told(&[2, 3]).is_empty());
}

#[test]
fn each_kind_of_loss_is_declared_apart() {
    let losses = Losses {
        holds: 1,
        room: 0,
        rate: 2,
        unread: 3,
    };
    let since = Some(prost_types::Timestamp {
        seconds: 5,
        nanos: 0,
    });
    let told: Vec<u64> = Recorder::lost(losses, since)
        .into_iter()
        .map(|body| match body {
            Body::Gap(gap) => {
                assert_eq!(gap.since, since);
                gap.lost
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [1, 2, 3]);
}
