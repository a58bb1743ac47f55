//! What dies while something is held: nothing passes because of it, and whoever
//! comes back finds everything as it was.

use std::{thread, time::Duration};

use holdpoint_proto::v1::{Outcome, RequestState};
use holdpoint_tests::guest::{Place, Stack, guest, listener::Listener};
use nix::sys::signal::Signal;

/// Long enough for anything that would pass to do so.
const A_WHILE: Duration = Duration::from_secs(3);

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn without_its_daemon_the_gate_holds_and_the_next_adopts_root() {
    const TO: &str = "127.0.0.1:9020";
    let mut guest = guest();
    let place = Place::new("death-daemon");
    let payload = place.payload("held");
    let connect = place.copy("attack-connect", "attack-connect");
    let mut exec = guest.session(&[&payload, &place.path("exec")]);
    let mut late = guest.session(&["/bin/sh"]);
    let exec_id = Stack::session_id(&mut exec);
    let late_id = Stack::session_id(&mut late);
    let mut before = guest.session(&[&payload, &place.path("before")]);
    let before_id = Stack::session_id(&mut before);
    let asked = guest.bob.wait_for_one(&exec_id);
    let asked_before = guest.bob.wait_for_one(&before_id);
    late.types("echo ready");
    late.wait_for("ready");

    guest.daemon.kill();
    // A new attempt, by a program nobody has judged yet, and a stray signal.
    let listener = Listener::on(TO);
    late.types(&format!("{connect} once {TO}"));
    exec.signal_all(Signal::SIGCONT);
    // One is decided while nobody on the host can hear it.
    guest.bob.approve(&asked_before);
    thread::sleep(A_WHILE);
    assert_eq!(place.witness("exec"), None);
    assert_eq!(place.witness("before"), None);
    listener.assert_silence();
    assert_eq!(late.peek().0, "ready\n");

    guest.daemon.start();
    guest.wait_until_up();
    assert_eq!(
        before.wait().code,
        Some(42),
        "the decision made meanwhile arrives"
    );
    assert_eq!(
        guest.bob.wait_for_one(&exec_id),
        asked,
        "adopted, not asked anew"
    );
    assert_eq!(place.witness("exec"), None);
    guest.bob.approve(&asked);
    assert_eq!(exec.wait().code, Some(42));
    guest.bob.wait_for_outcome(&asked.id, Outcome::Released);
    let request = guest.bob.wait_for_one(&late_id);
    listener.assert_silence();
    guest.bob.approve(&request);
    listener.wait_for_connections(1);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn without_the_approver_everything_waits_root() {
    const TO: &str = "127.0.0.1:9021";
    let mut guest = guest();
    let place = Place::new("death-approver");
    let payload = place.payload("held");
    let connect = place.copy("attack-connect", "attack-connect");
    let mut exec = guest.session(&[&payload, &place.path("exec")]);
    let exec_id = Stack::session_id(&mut exec);
    let asked = guest.bob.wait_for_one(&exec_id);
    guest.approver.kill();
    let listener = Listener::on(TO);
    let mut late = guest.session(&[&connect, "once", TO]);
    let late_id = Stack::session_id(&mut late);
    exec.continue_500_times();
    thread::sleep(A_WHILE);
    assert_eq!(place.witness("exec"), None);
    listener.assert_silence();
    // What the policy allows needs no approver.
    assert_eq!(
        guest.session(&["/bin/sh", "-c", "exit 5"]).wait().code,
        Some(5)
    );

    guest.approver.start();
    guest.wait_until_up();
    let again = guest.bob.wait_for_one(&exec_id);
    assert_eq!((&again.id, again.deadline), (&asked.id, asked.deadline));
    guest.bob.approve(&again);
    assert_eq!(exec.wait().code, Some(42));
    let request = guest.bob.wait_for_one(&late_id);
    guest.bob.deny(&request);
    late.wait_for("errno 1");
    listener.assert_silence();
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn the_deadline_passes_without_anybody_root() {
    let mut guest = guest();
    let place = Place::new("death-deadline");
    let payload = place.payload("brief");
    let attack = place.copy("attack-exec", "attack-exec");
    let mut session = guest.session(&[&attack, "plain", &payload, &place.path("witness")]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    guest.daemon.kill();
    // Longer than the rule's two seconds: without a daemon it goes on waiting.
    thread::sleep(A_WHILE);
    assert!(!session.ended());
    assert_eq!(place.witness("witness"), None);
    guest.daemon.start();
    guest.wait_until_up();
    assert_eq!(session.wait().stdout, format!("errno {}\n", libc::EPERM));
    assert_eq!(place.witness("witness"), None);
    guest.bob.wait_for_state(&request.id, RequestState::Expired);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn what_the_kernel_knows_needs_no_daemon_root() {
    let mut guest = guest();
    let place = Place::new("death-cache");
    let denied = place.payload("denied");
    let allowed = place.payload("allowed");
    let (yes, no) = (place.path("yes"), place.path("no"));
    let mut session = guest.session(&["/bin/sh"]);
    let attempt = |round: u8| {
        format!(
            "{allowed} {yes}-{round}; echo {round} allowed $?; {denied} {no}-{round}; echo {round} denied $?"
        )
    };
    session.types(&attempt(1));
    session.wait_for("1 denied 126");
    guest.daemon.signal(Signal::SIGSTOP);
    session.types(&attempt(2));
    session.wait_for("2 allowed 42");
    session.wait_for("2 denied 126");
    guest.daemon.signal(Signal::SIGCONT);
    assert!(place.witness("yes-2").is_some());
    assert_eq!(place.witness("no-1"), None);
    assert_eq!(place.witness("no-2"), None);
    guest.wait_until_up();
}
