//! What a host tells of what happened, read from its own spool: the events that
//! are written down, and the gaps where some are missing.

use holdpoint_agent::kernel::simulated::Fate;
use holdpoint_proto::v1::{
    Action, Basis, Event, Gap, GapCause, Lifecycle, OperationEvent, event::Body, operation::Kind,
};
use holdpoint_tests::{
    patience::until,
    world::{World, scenario},
};

/// Waits until the events of the host are what `wanted` finds something in.
async fn find<T>(world: &World, what: &str, wanted: impl Fn(&[Event]) -> Option<T>) -> T {
    until(what, async || {
        let events = world.host.events();
        wanted(&events).ok_or(events)
    })
    .await
}

fn operations(events: &[Event]) -> Vec<&OperationEvent> {
    events
        .iter()
        .filter_map(|event| match &event.body {
            Some(Body::Operation(operation)) => Some(operation),
            _ => None,
        })
        .collect()
}

fn gaps(events: &[Event]) -> Vec<&Gap> {
    events
        .iter()
        .filter_map(|event| match &event.body {
            Some(Body::Gap(gap)) => Some(gap),
            _ => None,
        })
        .collect()
}

fn argv(event: &OperationEvent) -> Vec<Vec<u8>> {
    match event
        .operation
        .as_ref()
        .and_then(|operation| operation.kind.as_ref())
    {
        Some(Kind::Exec(exec)) => exec.argv.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_decided_hold_is_told_from_its_stop_to_its_end() {
    scenario(async |world| {
        let attempted = world.host.exec(&["/usr/bin/curl", "-T", "notes"]);
        let request = world.bob.wait_for_one().await;
        let held = find(world, "the hold", |events| {
            operations(events)
                .into_iter()
                .find(|event| event.action() == Action::Held)
                .cloned()
        })
        .await;
        assert_eq!(held.request_id, request.id);
        assert_eq!(argv(&held), [&b"/usr/bin/curl"[..], b"-T", b"notes"]);
        assert_eq!(held.rule.unwrap().name, "downloads");
        world.bob.approve(&request).await;
        assert_eq!(attempted.fate().await, Fate::Passed);
        let released = find(world, "the release", |events| {
            operations(events)
                .into_iter()
                .find(|event| event.action() == Action::Released)
                .cloned()
        })
        .await;
        assert_eq!(released.basis(), Basis::Decision);
        assert_eq!(released.detail, "approved by bob");
        assert_eq!(
            (released.hold_id, released.request_id),
            (held.hold_id, request.id)
        );
    });
}

#[test]
fn what_nobody_decided_says_that_the_deadline_did() {
    scenario(async |world| {
        let attempted = world.host.exec(&["/usr/bin/impatient"]);
        assert_eq!(attempted.fate().await, Fate::Refused);
        find(world, "the denial", |events| {
            operations(events)
                .into_iter()
                .find(|event| event.action() == Action::Denied && event.basis() == Basis::Expiry)
                .cloned()
        })
        .await;
    });
}

#[test]
fn what_the_kernel_settles_alone_is_told_too() {
    scenario(async |world| {
        let session = world.host.session("demo");
        for (program, fate, action) in [
            ("/bin/ls", Fate::Passed, Action::Allowed),
            ("/usr/bin/never", Fate::Refused, Action::Denied),
        ] {
            // The first is asked about; of the others the kernel knows the answer.
            for argument in ["first", "second"] {
                let words = [program.as_bytes(), argument.as_bytes()];
                assert_eq!(world.host.exec_in(session, &words).fate().await, fate);
            }
            let (first, second) = find(world, program, |events| {
                // The two come on different ways, so either may be written first.
                let told = |alone: bool| {
                    let mut all = operations(events).into_iter();
                    let is = |event: &&OperationEvent| {
                        event.action() == action && event.hold_id.is_empty() == alone
                    };
                    all.find(is).cloned()
                };
                Some((told(false)?, told(true)?))
            })
            .await;
            assert_eq!(
                (first.basis(), second.basis()),
                (Basis::Policy, Basis::Policy)
            );
            assert_eq!(second.session.as_ref().unwrap().owner, "owner");
            if action == Action::Allowed {
                assert_eq!(argv(&second), [&b"/bin/ls"[..], b"second"]);
            } else {
                assert_eq!(first.rule.unwrap().name, "never");
                assert!(second.argv_cut, "nobody saw its arguments");
            }
        }
    });
}

#[test]
fn what_the_gate_could_not_tell_is_declared() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let words = [&b"/bin/ls"[..]];
        world.host.exec_in(session, &words).fate().await;
        world.host.gate.lose_events(true);
        for _ in 0..7 {
            world.host.exec_in(session, &words).fate().await;
        }
        world.host.gate.lose_events(false);
        let lost = find(world, "the gap", |events| {
            let lost: u64 = gaps(events)
                .iter()
                .filter(|gap| gap.cause() == GapCause::RingBuffer)
                .map(|gap| gap.lost)
                .sum();
            (lost >= 7).then_some(lost)
        })
        .await;
        assert_eq!(lost, 7);
    });
}

#[test]
fn a_daemon_that_was_killed_is_a_gap_and_its_numbers_go_on() {
    scenario(async |world| {
        find(world, "the start", |events| {
            events.iter().find_map(|event| match &event.body {
                Some(Body::Enforcement(told)) if told.lifecycle() == Lifecycle::Started => {
                    assert!(told.enforcing);
                    Some(())
                }
                _ => None,
            })
        })
        .await;
        let mut attempted = world.host.exec(&["/usr/bin/curl"]);
        world.bob.wait_for_one().await;
        world.host.kill().await;
        attempted.assert_held();
        world.host.start();
        let events = find(world, "the hold, found again", |events| {
            let found = operations(events)
                .iter()
                .filter(|event| event.action() == Action::Held)
                .count();
            (found == 2).then(|| events.to_vec())
        })
        .await;
        let numbers: Vec<u64> = events.iter().map(|event| event.sequence).collect();
        assert!(
            numbers.iter().copied().eq(1..=numbers.len() as u64),
            "{numbers:?}"
        );
        let causes: Vec<GapCause> = gaps(&events).iter().map(|gap| gap.cause()).collect();
        assert_eq!(causes, [GapCause::DaemonDown]);
        let held: Vec<&OperationEvent> = operations(&events)
            .into_iter()
            .filter(|event| event.action() == Action::Held)
            .collect();
        assert_eq!(held[0].hold_id, held[1].hold_id);
        assert!(
            held[1].detail.contains("since before"),
            "{}",
            held[1].detail
        );
    });
}

#[test]
fn the_status_says_how_full_the_spool_is() {
    scenario(async |world| {
        let status = world
            .wait_for_status(|status| status["events"]["last"].as_u64() > Some(0))
            .await;
        let events = &status["events"];
        assert!(events["spool_bytes"].as_u64() < events["spool_max_bytes"].as_u64());
        assert_eq!(events["undeclared"], 0, "{status}");
    });
}
