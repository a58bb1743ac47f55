//! exec: held means that not one instruction of the program ran.

use std::{fs, time::Duration};

use holdpoint_proto::v1::{Outcome, RequestState, operation::Kind};
use holdpoint_tests::{
    guest::{
        Place, Stack, guest,
        reviews::{caller, kind},
    },
    patience::wait_until,
};

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_approved_program_runs_only_then_root() {
    let mut guest = guest();
    let place = Place::new("exec-approved");
    let payload = place.payload("held");
    let command = [&*payload, &place.path("free"), "x"];
    assert_eq!(guest.free(&command).wait().code, Some(42));
    assert!(
        place.witness("free").is_some(),
        "it works where nothing gates it"
    );

    let mut session = guest.session(&[&payload, &place.path("witness"), "a b", "c"]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    let Kind::Exec(exec) = kind(&request) else {
        panic!("{request:?}");
    };
    assert_eq!(exec.path, payload.as_bytes());
    assert_eq!(exec.argv[2..], [b"a b".to_vec(), b"c".to_vec()]);
    assert!(exec.path_is_hosts);
    assert_eq!(caller(&request), session.pid());
    session.continue_500_times();
    assert_eq!(place.witness("witness"), None, "it ran while it was held");
    let running = fs::read_link(format!("/proc/{}/exe", session.pid())).unwrap();
    assert!(running.ends_with("holdpoint"), "{running:?}");
    assert_eq!(
        guest.bob.pending(&id),
        std::slice::from_ref(&request),
        "one question, not 500"
    );

    guest.bob.approve(&request);
    let done = session.wait();
    assert_eq!(
        (done.code, &*done.stdout),
        (Some(42), "payload ran\n"),
        "{done:?}"
    );
    assert_eq!(place.witness("witness").unwrap(), b"a b\nc\n");
    let ended = guest.bob.wait_for_outcome(&request.id, Outcome::Released);
    assert_eq!(ended.state(), RequestState::Approved);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_denied_program_never_runs_and_its_caller_sees_eperm_root() {
    let mut guest = guest();
    let place = Place::new("exec-denied");
    let payload = place.payload("held");
    let attack = place.copy("attack-exec", "attack-exec");
    let mut session = guest.session(&[&attack, "plain", &payload, &place.path("witness")]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    guest.bob.deny(&request);
    let done = session.wait();
    assert_eq!(done.stdout, format!("errno {}\n", libc::EPERM), "{done:?}");
    assert_eq!(place.witness("witness"), None);
    let ended = guest.bob.wait_for_outcome(&request.id, Outcome::Refused);
    assert_eq!(ended.state(), RequestState::Denied);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_denial_kills_where_the_rule_says_so_root() {
    let mut guest = guest();
    let place = Place::new("exec-killed");
    let payload = place.payload("killed");
    let mut session = guest.session(&[&payload, &place.path("witness")]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    guest.bob.deny(&request);
    let done = session.wait();
    assert_eq!(done.signal, Some(libc::SIGKILL), "{done:?}");
    assert_eq!(place.witness("witness"), None);
    guest.bob.wait_for_outcome(&request.id, Outcome::Refused);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn what_nobody_answers_is_refused_as_expired_root() {
    let mut guest = guest();
    let place = Place::new("exec-expired");
    let payload = place.payload("brief");
    let attack = place.copy("attack-exec", "attack-exec");
    let mut session = guest.session(&[&attack, "plain", &payload, &place.path("witness")]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    let done = session.wait();
    assert_eq!(done.stdout, format!("errno {}\n", libc::EPERM), "{done:?}");
    assert_eq!(place.witness("witness"), None);
    let ended = guest.bob.wait_for_state(&request.id, RequestState::Expired);
    assert_eq!(ended.decision, None);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_script_is_asked_about_once_root() {
    let mut guest = guest();
    let place = Place::new("exec-script");
    let script = place.script("held/script", "#!/bin/sh\necho ran with \"$@\"\nexit 9\n");
    let mut session = guest.session(&[&script, "one", "two"]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    assert_eq!(session.peek().0, "");
    guest.bob.approve(&request);
    let done = session.wait();
    assert_eq!(
        (done.code, &*done.stdout),
        (Some(9), "ran with one two\n"),
        "{done:?}"
    );
    assert!(guest.bob.pending(&id).is_empty());
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_file_of_an_overlay_is_held_as_any_other_root() {
    let mut guest = guest();
    let place = Place::new("exec-overlay");
    let payload = holdpoint_tests::programs::program("attack-payload");
    let mut session = guest.session(&[payload.to_str().unwrap(), &place.path("witness")]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    assert_eq!(place.witness("witness"), None);
    guest.bob.approve(&request);
    assert_eq!(session.wait().code, Some(42));
    assert!(place.witness("witness").is_some());
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_process_killed_while_held_takes_its_request_with_it_root() {
    let mut guest = guest();
    let place = Place::new("exec-gone");
    let payload = place.payload("held");
    let mut session = guest.session(&[&payload, &place.path("witness")]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    session.signal_all(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(session.wait().signal, Some(libc::SIGKILL));
    guest
        .bob
        .wait_for_state(&request.id, RequestState::Withdrawn);
    wait_until("no hold left", || match Stack::status().held {
        0 => Ok(()),
        held => Err(held),
    });
    assert_eq!(place.witness("witness"), None);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn many_holds_of_one_session_are_answered_apart_root() {
    const ATTEMPTS: usize = 8;
    let mut guest = guest();
    let place = Place::new("exec-many");
    let payload = place.payload("held");
    let shell = format!(
        "for n in $(seq {ATTEMPTS}); do {payload} {} $n & done; wait; echo all over",
        place.path("witness-$n")
    );
    let mut session = guest.session(&["/bin/sh", "-c", &shell]);
    let id = Stack::session_id(&mut session);
    let requests = guest.bob.wait_for_pending(&id, ATTEMPTS);
    for request in &requests {
        let Kind::Exec(exec) = kind(request) else {
            panic!("{request:?}");
        };
        let number: usize = String::from_utf8_lossy(&exec.argv[2]).parse().unwrap();
        if number.is_multiple_of(2) {
            guest.bob.approve(request);
        } else {
            guest.bob.deny(request);
        }
    }
    session.wait_for("all over");
    for number in 1..=ATTEMPTS {
        let ran = place.witness(&format!("witness-{number}")).is_some();
        assert_eq!(ran, number.is_multiple_of(2), "attempt {number}");
    }
    // Nothing that was refused comes back as a question.
    std::thread::sleep(Duration::from_millis(600));
    assert!(guest.bob.pending(&id).is_empty());
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn under_a_tracer_an_exec_stays_held_until_it_is_approved_root() {
    let mut guest = guest();
    let place = Place::new("exec-traced");
    let payload = place.payload("held");
    let tracer = place.copy("attack-trace", "attack-trace");
    let done = guest
        .free(&[&tracer, &payload, &place.path("free"), "complete"])
        .wait();
    assert_eq!(done.code, Some(42), "{done:?}");

    let mut session = guest.session(&[&tracer, &payload, &place.path("witness"), "complete"]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    // Longer than one that goes on without its answer is waited for.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(
        guest.bob.pending(&id),
        std::slice::from_ref(&request),
        "it waits on"
    );
    assert_eq!(place.witness("witness"), None);
    guest.bob.approve(&request);
    let done = session.wait();
    assert_eq!(done.code, Some(42), "{done:?}");
    assert_eq!(place.witness("witness").unwrap(), b"complete\n");
    guest.bob.wait_for_outcome(&request.id, Outcome::Released);
}
