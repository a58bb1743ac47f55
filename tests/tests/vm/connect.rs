//! connect: held means that not one packet left.

use std::{
    net::{TcpListener, TcpStream},
    time::Duration,
};

use holdpoint_proto::v1::{Outcome, Request, RequestState, operation::Kind};
use holdpoint_tests::{
    guest::{Place, Stack, guest, listener::Listener, reviews::kind},
    patience::wait_until,
};
use nix::sys::socket::{Backlog, listen};

fn destination(request: &Request) -> (Vec<u8>, u32) {
    match kind(request) {
        Kind::Connect(connect) => (connect.address.clone(), connect.port),
        Kind::Exec(exec) => panic!("{exec:?}"),
    }
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_approved_connection_is_made_only_then_root() {
    const TO: &str = "127.0.0.1:9000";
    let mut guest = guest();
    let place = Place::new("connect-approved");
    let attack = place.copy("attack-connect", "attack-connect");
    {
        let listener = Listener::on(TO);
        let done = guest.free(&[&attack, "once", TO]).wait();
        assert_eq!(done.stdout, format!("{TO} errno 0\ndone\n"), "{done:?}");
        listener.wait_for_connections(1);
        assert!(
            listener.packets() > 0,
            "packets are seen where there are any"
        );
    }
    let listener = Listener::on(TO);
    let mut session = guest.session(&[&attack, "once", TO]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    assert_eq!(destination(&request), (vec![127, 0, 0, 1], 9000));
    session.continue_500_times();
    listener.assert_silence();
    assert_eq!(
        guest.bob.pending(&id),
        std::slice::from_ref(&request),
        "one question, not 500"
    );

    guest.bob.approve(&request);
    session.wait_for("done");
    listener.wait_for_connections(1);
    listener.wait_for_bytes(5);
    let done = session.wait();
    assert_eq!(
        done.stdout,
        format!("{TO} errno 0\ndone\n"),
        "one call, one answer"
    );
    guest.bob.wait_for_outcome(&request.id, Outcome::Released);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_denied_connection_is_eperm_and_silent_root() {
    const TO: &str = "127.0.0.1:9001";
    let mut guest = guest();
    let place = Place::new("connect-denied");
    let attack = place.copy("attack-connect", "attack-connect");
    let listener = Listener::on(TO);
    let mut session = guest.session(&[&attack, "once", TO]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    guest.bob.deny(&request);
    let done = session.wait();
    let expected = format!("{TO} errno {}\ndone\n", libc::EPERM);
    assert_eq!(done.stdout, expected, "{done:?}");
    listener.assert_silence();
    guest.bob.wait_for_outcome(&request.id, Outcome::Refused);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_connection_nobody_answers_for_expires_root() {
    const TO: &str = "127.0.0.1:9100";
    let mut guest = guest();
    let place = Place::new("connect-expired");
    let attack = place.copy("attack-connect", "attack-connect");
    let listener = Listener::on(TO);
    let mut session = guest.session(&[&attack, "once", TO]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    let done = session.wait();
    let expected = format!("{TO} errno {}\ndone\n", libc::EPERM);
    assert_eq!(done.stdout, expected, "{done:?}");
    listener.assert_silence();
    guest.bob.wait_for_state(&request.id, RequestState::Expired);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn one_approval_is_one_connection_root() {
    const TO: &str = "127.0.0.1:9002";
    let mut guest = guest();
    let place = Place::new("connect-threads");
    let attack = place.copy("attack-connect", "attack-connect");
    {
        let listener = Listener::on(TO);
        guest.free(&[&attack, "threads", "3", TO]).wait().ok();
        listener.wait_for_connections(3);
    }
    let listener = Listener::on(TO);
    let mut session = guest.session(&[&attack, "threads", "3", TO]);
    let id = Stack::session_id(&mut session);
    // The first stop keeps all threads of a process; the others come when they
    // are let go on for a moment, at the latest when the first is answered.
    let mut approved = 0;
    while approved < 3 {
        let pending = wait_until("a pending request", || {
            session.continue_500_times();
            let pending = guest.bob.pending(&id);
            if pending.is_empty() {
                Err(())
            } else {
                Ok(pending)
            }
        });
        assert_eq!(listener.connections(), approved);
        let request = &pending[0];
        guest.bob.approve(request);
        guest.bob.wait_for_outcome(&request.id, Outcome::Released);
        approved += 1;
        listener.wait_for_connections(approved);
        session.continue_500_times();
        assert_eq!(
            listener.connections(),
            approved,
            "one approval, one connection"
        );
    }
    session.wait_for("done");
    assert_eq!(session.wait().stdout.matches("errno 0").count(), 3);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn threads_that_are_held_at_once_see_nothing_of_it_root() {
    const THREADS: usize = 12;
    const TO: &str = "127.0.0.1:9008";
    let mut guest = guest();
    let place = Place::new("connect-crowd");
    let attack = place.copy("attack-connect", "attack-connect");
    let listener = Listener::on(TO);
    let mut session = guest.session(&[&attack, "threads", &THREADS.to_string(), TO]);
    let id = Stack::session_id(&mut session);
    guest.bob.wait_for_some(&id);
    // The first stop keeps all threads, whether they have got as far as their
    // call or not. Each stray signal lets all of them go on side by side.
    let held = wait_until("a request for each thread", || {
        session.continue_500_times();
        let pending = guest.bob.pending(&id);
        if pending.len() == THREADS {
            Ok(pending)
        } else {
            Err(pending.len())
        }
    });
    session.continue_500_times();
    assert_eq!(session.peek().0, "", "a call returned");
    listener.assert_silence();
    for request in &held {
        guest.bob.deny(request);
    }
    session.wait_for("done");
    let refused = format!("{TO} errno {}\n", libc::EPERM);
    assert_eq!(session.wait().stdout, refused.repeat(THREADS) + "done\n");
    listener.assert_silence();
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn every_spelling_of_a_destination_is_one_to_the_policy_root() {
    let mut guest = guest();
    let place = Place::new("connect-spelling");
    let attack = place.copy("attack-connect", "attack-connect");
    let spellings = [
        "127.0.0.1:9200",
        "[::ffff:127.0.0.1]:9200",
        "0.0.0.0:9200",
        "[::ffff:0.0.0.0]:9200",
        "[::1]:9200",
        "[::]:9200",
    ];
    let once: Vec<&str> = [&*attack, "once"].into_iter().chain(spellings).collect();
    {
        let listener = Listener::on("[::]:9200");
        let done = guest.free(&once).wait();
        assert!(listener.packets() > 0);
        assert_eq!(
            done.stdout.matches("errno 0").count(),
            spellings.len(),
            "{done:?}"
        );
    }
    let listener = Listener::on("[::]:9200");
    let done = guest.session(&once).wait();
    let refused = format!("errno {}", libc::EPERM);
    assert_eq!(
        done.stdout.matches(&refused).count(),
        spellings.len(),
        "{done:?}"
    );
    listener.assert_silence();

    // And a reviewer sees where it really goes.
    for (spelling, address) in [
        ("[::ffff:127.0.0.1]:9003", vec![127, 0, 0, 1]),
        ("0.0.0.0:9003", vec![127, 0, 0, 1]),
        ("[::]:9003", std::net::Ipv6Addr::LOCALHOST.octets().to_vec()),
    ] {
        let mut session = guest.session(&[&attack, "once", spelling]);
        let id = Stack::session_id(&mut session);
        let request = guest.bob.wait_for_one(&id);
        assert_eq!(destination(&request), (address, 9003), "{spelling}");
    }
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_approval_cannot_be_carried_to_another_destination_root() {
    const FIRST: &str = "127.0.0.1:9004";
    const SECOND: &str = "127.0.0.1:9005";
    let mut guest = guest();
    let place = Place::new("connect-abandoned");
    let attack = place.copy("attack-abandon", "attack-abandon");
    {
        let (first, second) = (Listener::on(FIRST), Listener::on(SECOND));
        guest.free(&[&attack, FIRST, SECOND, "at once"]).wait().ok();
        first.wait_for_connections(1);
        second.wait_for_connections(1);
    }
    let (first, second) = (Listener::on(FIRST), Listener::on(SECOND));
    let mut session = guest.session(&[&attack, FIRST, SECOND]);
    let id = Stack::session_id(&mut session);
    let approved = guest.bob.wait_for_one(&id);
    assert_eq!(destination(&approved).1, 9004);
    guest.bob.approve(&approved);
    // The approval wakes the handler, which leaves what was approved.
    session.wait_for("abandoned");
    let other = guest.bob.wait_for_one(&id);
    assert_eq!(destination(&other).1, 9005, "the other is asked about");
    assert_ne!(other.id, approved.id);
    second.assert_silence();
    guest.bob.deny(&other);
    session.wait_for("second errno 1");
    // What was approved once is not approved for later.
    let again = guest.bob.wait_for_one(&id);
    assert_eq!(destination(&again).1, 9004);
    assert_ne!(again.id, approved.id);
    first.assert_silence();
    guest.bob.deny(&again);
    let done = session.wait();
    assert_eq!(
        done.stdout, "abandoned\nsecond errno 1\nfirst errno 1\n",
        "{done:?}"
    );
    first.assert_silence();
    second.assert_silence();
    let ended = guest.bob.wait_for_outcome(&approved.id, Outcome::Gone);
    assert_eq!(ended.state(), RequestState::Approved);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_stray_signal_lets_nothing_be_abandoned_into_passing_root() {
    const FIRST: &str = "127.0.0.1:9006";
    const SECOND: &str = "127.0.0.1:9007";
    let mut guest = guest();
    let place = Place::new("connect-strayed");
    let attack = place.copy("attack-abandon", "attack-abandon");
    let (first, second) = (Listener::on(FIRST), Listener::on(SECOND));
    let mut session = guest.session(&[&attack, FIRST, SECOND]);
    let id = Stack::session_id(&mut session);
    let left = guest.bob.wait_for_one(&id);
    session.signal_all(nix::sys::signal::Signal::SIGCONT);
    session.wait_for("abandoned");
    guest.bob.wait_for_state(&left.id, RequestState::Withdrawn);
    let other = guest.bob.wait_for_one(&id);
    assert_eq!(destination(&other).1, 9007);
    guest.bob.approve(&other);
    second.wait_for_connections(1);
    let again = guest.bob.wait_for_one(&id);
    assert_eq!(destination(&again).1, 9006);
    first.assert_silence();
    guest.bob.deny(&again);
    assert_eq!(
        session.wait().stdout,
        "abandoned\nsecond errno 0\nfirst errno 1\n"
    );
    first.assert_silence();
    assert_eq!(second.connections(), 1);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_interrupted_connection_lends_its_approval_to_no_other_socket_root() {
    is_asked_about_anew("interrupted");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn nor_to_one_that_takes_its_place_in_memory_root() {
    is_asked_about_anew("reopened");
}

fn is_asked_about_anew(mode: &str) {
    const TO: &str = "127.0.0.1:9015";
    let mut guest = guest();
    let place = Place::new(&format!("connect-{mode}"));
    let attack = place.copy("attack-connect", "attack-connect");
    // Whoever connects now waits, so that a signal finds him waiting.
    let listener = TcpListener::bind(TO).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let address = TO.parse().unwrap();
    let wait = Duration::from_millis(300);
    let waiting: Vec<_> =
        std::iter::from_fn(|| TcpStream::connect_timeout(&address, wait).ok()).collect();
    let interrupted = format!("{TO} errno {}\n", libc::EINTR);
    let done = guest.free(&[&attack, mode, TO]).wait();
    assert_eq!(done.stdout, interrupted.repeat(2) + "done\n", "{done:?}");

    let mut session = guest.session(&[&attack, mode, TO]);
    let id = Stack::session_id(&mut session);
    let first = guest.bob.wait_for_one(&id);
    assert_eq!(session.peek().0, "");
    guest.bob.approve(&first);
    session.wait_for(&interrupted);
    let second = guest.bob.wait_for_one(&id);
    assert_ne!(second.id, first.id, "it is asked about anew");
    assert_eq!(destination(&second), (vec![127, 0, 0, 1], 9015));
    session.continue_500_times();
    assert_eq!(session.peek().0, interrupted, "the second call waits");
    guest.bob.deny(&second);
    let done = session.wait();
    let refused = format!("{TO} errno {}\n", libc::EPERM);
    assert_eq!(done.stdout, interrupted + &refused + "done\n", "{done:?}");
    drop(waiting);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_rule_about_programs_holds_when_the_first_thread_is_gone_root() {
    const TO: &str = "127.0.0.1:9300";
    let mut guest = guest();
    let place = Place::new("connect-leaderless");
    let offline = place.copy("attack-connect", "offline/attack-connect");
    let online = place.copy("attack-connect", "attack-connect");
    let connected = format!("{TO} errno 0\n");
    {
        let listener = Listener::on(TO);
        let done = guest.free(&[&offline, "leaderless", TO]).wait();
        assert_eq!(done.stdout, connected, "{done:?}");
        let done = guest.session(&[&online, "leaderless", TO]).wait();
        assert_eq!(done.stdout, connected, "{done:?}");
        listener.wait_for_connections(2);
    }
    let listener = Listener::on(TO);
    let done = guest.session(&[&offline, "leaderless", TO]).wait();
    let refused = format!("{TO} errno {}\n", libc::EPERM);
    assert_eq!(done.stdout, refused, "{done:?}");
    listener.assert_silence();
}
