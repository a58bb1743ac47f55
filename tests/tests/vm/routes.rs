//! Ways into the kernel where a call cannot be stopped and started again, and
//! conditions under which its restart could show: nothing passes, and no program
//! ever sees an error that is not for it.

use holdpoint_tests::guest::{Place, Stack, guest, listener::Listener};

/// What only the kernel may see: `ERESTARTSYS` to `ERESTART_RESTARTBLOCK`.
const INTERNAL: std::ops::RangeInclusive<i32> = 512..=530;

fn errnos(output: &str) -> Vec<i32> {
    output
        .lines()
        .filter_map(|line| line.rsplit_once("errno "))
        .map(|(_, number)| number.parse().unwrap())
        .collect()
}

fn attempt_through_a_ring(mode: &str, port: u16) {
    let to = format!("127.0.0.1:{port}");
    let mut guest = guest();
    let place = Place::new(&format!("uring-{mode}"));
    let attack = place.copy("attack-uring", "attack-uring");
    {
        let listener = Listener::on(&to);
        let done = guest.free(&[&attack, mode, &to]).wait();
        assert_eq!(done.stdout, "result 0\n", "{done:?}");
        listener.wait_for_connections(1);
    }
    let listener = Listener::on(&to);
    // The ring itself is permitted: this is about what it does.
    let done = guest.open_session(&[&attack, mode, &to]).wait();
    let result = done
        .stdout
        .trim()
        .strip_prefix("result -")
        .map(str::parse::<i32>);
    let Some(Ok(errno)) = result else {
        panic!("{done:?}");
    };
    assert_eq!(errno, libc::EPERM, "{done:?}");
    listener.assert_silence();
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_ring_does_not_connect_root() {
    attempt_through_a_ring("inline", 9010);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_worker_of_a_ring_does_not_connect_root() {
    attempt_through_a_ring("async", 9011);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_polling_thread_of_a_ring_does_not_connect_root() {
    attempt_through_a_ring("polled", 9012);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn signals_never_show_a_program_that_its_call_was_restarted_root() {
    const TO: &str = "127.0.0.1:9013";
    let mut guest = guest();
    let place = Place::new("storm");
    let attack = place.copy("attack-connect", "attack-connect");
    {
        let listener = Listener::on(TO);
        guest.free(&[&attack, "storm", TO]).wait().ok();
        listener.wait_for_connections(1);
    }
    let listener = Listener::on(TO);
    let mut session = guest.session(&[&attack, "storm", TO]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    session.continue_500_times();
    listener.assert_silence();
    // A handler may end the first call; then the one that is held now counts.
    let request = guest
        .bob
        .wait_for_some(&id)
        .into_iter()
        .next()
        .unwrap_or(request);
    guest.bob.approve(&request);
    session.wait_for("done");
    listener.wait_for_connections(1);
    let done = session.wait();
    let errnos = errnos(&done.stdout);
    assert_eq!(errnos.last(), Some(&0), "{done:?}");
    assert!(
        !errnos.iter().any(|errno| INTERNAL.contains(errno)),
        "{done:?}"
    );
    assert_eq!(errnos, [0], "one call, one answer: {done:?}");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn the_32_bit_entry_is_held_too_root() {
    const TO: &str = "127.0.0.1:9014";
    let mut guest = guest();
    let place = Place::new("compat");
    let attack = place.copy("attack-connect", "attack-connect");
    {
        let listener = Listener::on(TO);
        let done = guest.free(&[&attack, "compat", TO]).wait();
        assert_eq!(done.stdout, format!("{TO} errno 0\ndone\n"), "{done:?}");
        listener.wait_for_connections(1);
    }
    let listener = Listener::on(TO);
    let mut session = guest.session(&[&attack, "compat", TO]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    session.continue_500_times();
    listener.assert_silence();
    guest.bob.approve(&request);
    session.wait_for("done");
    listener.wait_for_connections(1);
    assert_eq!(session.wait().stdout, format!("{TO} errno 0\ndone\n"));
}
