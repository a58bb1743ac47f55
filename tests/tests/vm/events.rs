//! What is told of operations that never waited: each is an event, or is declared
//! as missing.

use std::net::{IpAddr, Ipv4Addr};

use holdpoint_proto::v1::{
    Action, Basis, Event, Gap, GapCause, OperationEvent, event::Body, operation::Kind,
};
use holdpoint_tests::{
    guest::{Place, Stack, guest, listener::Listener},
    patience::wait_until,
};

/// Where the policy lets nobody connect.
const NEVER: &str = "127.0.0.1:9210";

/// The events that are there now: whatever comes behind them is this test's.
fn before() -> usize {
    Stack::events().len()
}

fn since(before: usize) -> Vec<Event> {
    Stack::events().split_off(before)
}

fn operations(events: &[Event], session: &str) -> Vec<OperationEvent> {
    events
        .iter()
        .filter_map(|event| match &event.body {
            Some(Body::Operation(operation)) => Some(operation.clone()),
            _ => None,
        })
        .filter(|event| event.session.as_ref().is_some_and(|one| one.id == session))
        .collect()
}

fn gaps(events: &[Event]) -> Vec<Gap> {
    events
        .iter()
        .filter_map(|event| match &event.body {
            Some(Body::Gap(gap)) => Some(gap.clone()),
            _ => None,
        })
        .collect()
}

/// How often `session` was told to run `path`.
fn runs(events: &[Event], session: &str, path: &str) -> u64 {
    let of =
        |event: &OperationEvent| match event.operation.as_ref().and_then(|one| one.kind.as_ref()) {
            Some(Kind::Exec(exec)) => exec.path == path.as_bytes(),
            _ => false,
        };
    let operations = operations(events, session);
    operations.iter().filter(|event| of(event)).count() as u64
}

/// How many connects of `session` were told to be refused.
fn refused_connects(events: &[Event], session: &str) -> u64 {
    let of = |event: &OperationEvent| {
        let kind = event.operation.as_ref().and_then(|one| one.kind.as_ref());
        event.action() == Action::Denied && matches!(kind, Some(Kind::Connect(_)))
    };
    let operations = operations(events, session);
    operations.iter().filter(|event| of(event)).count() as u64
}

fn lost(events: &[Event]) -> u64 {
    gaps(events)
        .iter()
        .filter(|gap| gap.cause() == GapCause::RingBuffer)
        .map(|gap| gap.lost)
        .sum()
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn execs_that_the_kernel_settles_alone_are_told_with_their_arguments_root() {
    let mut guest = guest();
    let place = Place::new("events-exec");
    let free = place.payload("free");
    let denied = place.payload("denied");
    let before = before();
    let script = format!(
        "read go; for word in one two; do {free} {} \"a b\" $word; {denied} x; done; exit 0",
        place.path("witness")
    );
    let mut session = guest.session(&["/bin/sh", "-c", &script]);
    let id = Stack::session_id(&mut session);
    session.types("go");
    assert_eq!(session.wait().code, Some(0));
    let wanted = [
        free.as_bytes().to_vec(),
        place.path("witness").into_bytes(),
        b"a b".to_vec(),
        b"two".to_vec(),
    ];
    let (allowed, refused) = wait_until("the events", || {
        let told = operations(&since(before), &id);
        let find = |path: &str, action| {
            told.iter()
                .find(|event| {
                    event.action() == action
                        && event.hold_id.is_empty()
                        && matches!(
                            event.operation.as_ref().and_then(|one| one.kind.as_ref()),
                            Some(Kind::Exec(exec)) if exec.path == path.as_bytes()
                        )
                })
                .cloned()
        };
        match (find(&free, Action::Allowed), find(&denied, Action::Denied)) {
            (Some(allowed), Some(refused)) => Ok((allowed, refused)),
            _ => Err(told),
        }
    });
    let Some(Kind::Exec(exec)) = allowed.operation.unwrap().kind else {
        panic!("no exec");
    };
    assert_eq!(exec.argv, wanted);
    assert!(!allowed.argv_cut);
    assert_eq!(
        exec.file.unwrap().size,
        std::fs::metadata(&free).unwrap().len()
    );
    let process = allowed.process.unwrap();
    assert_eq!(process.uid, Stack::agent().uid.as_raw());
    // Told by the kernel: the shell that made the process.
    assert_eq!(allowed.ancestry[0].pid, session.pid());
    assert_eq!(allowed.basis, i32::from(Basis::Policy));
    assert!(
        refused.argv_cut,
        "nobody saw the arguments of what never ran"
    );
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn long_arguments_are_told_as_far_as_they_go_root() {
    let mut guest = guest();
    let before = before();
    let script = "read go; long=$(/usr/bin/printf %5000s x); for i in 1 2; do /usr/bin/env \
                  /usr/bin/true \"$long\" end; done; exit 0";
    let mut session = guest.session(&["/bin/sh", "-c", script]);
    let id = Stack::session_id(&mut session);
    session.types("go");
    assert_eq!(session.wait().code, Some(0));
    let exec = wait_until("the second run", || {
        let told = operations(&since(before), &id);
        let found = told.iter().find_map(|event| {
            match event.operation.as_ref().and_then(|one| one.kind.as_ref()) {
                Some(Kind::Exec(exec))
                    if exec.path == b"/usr/bin/env" && event.hold_id.is_empty() =>
                {
                    Some((exec.clone(), event.argv_cut))
                }
                _ => None,
            }
        });
        found.ok_or(told)
    });
    let (exec, cut) = exec;
    assert!(cut, "{exec:?}");
    assert_eq!(
        exec.argv[..2],
        [b"/usr/bin/env".to_vec(), b"/usr/bin/true".to_vec()]
    );
    assert_eq!(exec.argv.len(), 3, "and the beginning of the long one");
    assert!(exec.argv[2].len() > 1_000 && exec.argv[2].iter().all(|byte| *byte == b' '));
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn connects_that_the_kernel_settles_alone_are_told_with_their_address_root() {
    const TO: &str = "127.0.0.1:8210";
    let mut guest = guest();
    let place = Place::new("events-connect");
    let connect = place.copy("attack-connect", "attack-connect");
    let listener = Listener::on(TO);
    let before = before();
    let script =
        format!("read go; {connect} once {TO} {TO}; {connect} once {NEVER} {NEVER}; exit 0");
    let mut session = guest.session(&["/bin/sh", "-c", &script]);
    let id = Stack::session_id(&mut session);
    session.types("go");
    session.wait();
    listener.wait_for_connections(2);
    for (action, port) in [(Action::Allowed, 8210), (Action::Denied, 9210)] {
        let event = wait_until("the event", || {
            let told = operations(&since(before), &id);
            let found = told.iter().find(|event| {
                event.action() == action
                    && event.hold_id.is_empty()
                    && matches!(
                        event.operation.as_ref().and_then(|one| one.kind.as_ref()),
                        Some(Kind::Connect(_))
                    )
            });
            found.cloned().ok_or(told)
        });
        let Some(Kind::Connect(to)) = event.operation.unwrap().kind else {
            panic!("no connect");
        };
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(
            IpAddr::from(<[u8; 4]>::try_from(&*to.address).unwrap()),
            localhost
        );
        assert_eq!((to.port, to.protocol), (port, 6));
        assert_eq!(event.process.unwrap().uid, Stack::agent().uid.as_raw());
    }
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_flood_loses_nothing_silently_root() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 500;
    let mut guest = guest();
    let place = Place::new("events-flood");
    let connect = place.copy("attack-connect", "attack-connect");
    let before = before();
    // Several at a time, so that processors race each other.
    let script = format!("read go; {connect} flood {THREADS} {CALLS} {NEVER} </dev/null; exit 0");
    let mut session = guest.session(&["/bin/sh", "-c", &script]);
    let id = Stack::session_id(&mut session);
    session.types("go");
    let done = session.wait();
    assert_eq!(done.code, Some(0));
    let all = format!("{NEVER} refused {}", THREADS * CALLS);
    assert!(done.stdout.contains(&all), "{done:?}");
    // The first call was asked about.
    let calls = THREADS * CALLS + 1;
    let (told, lost) = wait_until("every call, told or declared", || {
        let events = since(before);
        let (told, lost) = (refused_connects(&events, &id), lost(&events));
        if told + lost >= calls {
            Ok((told, lost))
        } else {
            Err((told, lost))
        }
    });
    assert!(lost > 0, "it was no flood: {told} of {calls} were told");
    // Nothing else of the session falls into those seconds.
    assert!(told + lost <= calls + 10, "{told} told, {lost} declared");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_flood_costs_no_hold_root() {
    let mut guest = guest();
    let place = Place::new("events-hold");
    let payload = place.payload("held");
    let connect = place.copy("attack-connect", "attack-connect");
    let script = format!(
        "read go; {connect} flood 2 2000 {NEVER} </dev/null >/dev/null & {payload} {}; wait; exit 0",
        place.path("witness")
    );
    let mut session = guest.session(&["/bin/sh", "-c", &script]);
    let id = Stack::session_id(&mut session);
    session.types("go");
    let request = guest.bob.wait_for_one(&id);
    guest.bob.approve(&request);
    assert_eq!(session.wait().code, Some(0));
    assert!(place.witness("witness").is_some());
    wait_until("both ends of the hold", || {
        let events = operations(&Stack::events(), &id);
        let of: Vec<Action> = events
            .iter()
            .filter(|event| event.request_id == request.id)
            .map(OperationEvent::action)
            .collect();
        if of == [Action::Held, Action::Released] {
            Ok(())
        } else {
            Err(of)
        }
    });
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_daemon_killed_in_the_middle_declares_it_and_the_kernel_kept_the_rest_root() {
    const RUNS: u64 = 60;
    let mut guest = guest();
    let before = before();
    // The kernel has to know the answer before the daemon dies.
    let script = format!(
        "/usr/bin/true; echo ready; read go; i=0; while [ $i -lt {RUNS} ]; do /usr/bin/true; \
         i=$((i+1)); done; echo over; read end; exit 0"
    );
    let mut session = guest.session(&["/bin/sh", "-c", &script]);
    let id = Stack::session_id(&mut session);
    session.wait_for("ready");
    guest.daemon.kill();
    session.types("go");
    session.wait_for("over");
    guest.daemon.start();
    guest.wait_until_up();
    let events = wait_until("every run, told or declared", || {
        let events = since(before);
        let (told, lost) = (runs(&events, &id, "/usr/bin/true"), lost(&events));
        // The first one was asked about.
        if told + lost > RUNS {
            Ok(events)
        } else {
            Err((told, lost))
        }
    });
    let down = gaps(&events)
        .into_iter()
        .filter(|gap| gap.cause() == GapCause::DaemonDown)
        .count();
    assert_eq!(down, 1);
    let numbers: Vec<u64> = events.iter().map(|event| event.sequence).collect();
    let first = numbers[0];
    assert!(
        numbers
            .iter()
            .copied()
            .eq(first..first + numbers.len() as u64)
    );
    session.types("end");
    assert_eq!(session.wait().code, Some(0));
}
