//! What a call may be made to do between the question and the answer, and whether
//! what was approved is what then happens.

use std::{
    fs,
    net::{TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use holdpoint_proto::v1::{Connect, Outcome, Request, operation::Kind};
use holdpoint_tests::{
    guest::{Place, Stack, guest, listener::Listener, reviews::kind},
    patience::wait_until,
};
use nix::sys::socket::{Backlog, listen};

fn destination(request: &Request) -> &Connect {
    match kind(request) {
        Kind::Connect(connect) => connect,
        Kind::Exec(exec) => panic!("{exec:?}"),
    }
}

/// Whoever is connected says hello, and keeps quiet otherwise.
fn answered(to: &str, errno: i32) -> String {
    format!("{to} errno {errno}\n")
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_connect_that_leaves_with_its_first_data_is_held_root() {
    const TO: &str = "127.0.0.1:9040";
    /// Both sides, without a cookie and without an option of the listener.
    const FAST_OPEN: &str = "1543";
    let mut guest = guest();
    let place = Place::new("mechanism-deferred");
    let attack = place.copy("attack-connect", "attack-connect");
    let setting = "/proc/sys/net/ipv4/tcp_fastopen";
    let before = fs::read_to_string(setting).unwrap();
    fs::write(setting, FAST_OPEN).unwrap();
    let sent = answered(TO, 0) + "sent 5\ndone\n";
    {
        let listener = Listener::on(TO);
        let done = guest.free(&[&attack, "deferred", TO]).wait();
        assert_eq!(done.stdout, sent, "{done:?}");
        listener.wait_for_bytes(5);
    }
    {
        let listener = Listener::on(TO);
        let mut session = guest.session(&[&attack, "deferred", TO]);
        let id = Stack::session_id(&mut session);
        let request = guest.bob.wait_for_one(&id);
        session.continue_500_times();
        listener.assert_silence();
        guest.bob.approve(&request);
        listener.wait_for_bytes(5);
        assert_eq!(session.wait().stdout, sent);
    }

    let listener = Listener::on(TO);
    let mut session = guest.session(&[&attack, "deferred", TO]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    guest.bob.deny(&request);
    let refused = answered(TO, libc::EPERM) + "sent -1\ndone\n";
    assert_eq!(session.wait().stdout, refused);
    listener.assert_silence();
    fs::write(setting, before).unwrap();
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn the_first_data_does_not_choose_another_destination_root() {
    const TO: &str = "127.0.0.1:8041";
    const OTHER: &str = "127.0.0.1:9041";
    let mut guest = guest();
    let place = Place::new("mechanism-elsewhere");
    let attack = place.copy("attack-connect", "attack-connect");
    let setting = "/proc/sys/net/ipv4/tcp_fastopen";
    let before = fs::read_to_string(setting).unwrap();
    fs::write(setting, "1543").unwrap();
    let (listener, other) = (Listener::on(TO), Listener::on(OTHER));
    let mut session = guest.session(&[&attack, "deferred", TO, OTHER]);
    session.wait_for("sent");
    other.assert_silence();
    let done = session.wait();
    // Whether the kernel takes the name amiss or not, it goes where it was judged.
    if done.stdout.contains("sent 5") {
        listener.wait_for_bytes(5);
    }
    other.assert_silence();
    fs::write(setting, before).unwrap();
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_socket_that_is_connected_again_is_asked_about_again_root() {
    const FREE: &str = "127.0.0.1:8042";
    const HELD: &str = "127.0.0.1:9042";
    let mut guest = guest();
    let place = Place::new("mechanism-again");
    let attack = place.copy("attack-connect", "attack-connect");
    let all = [&*attack, "again", FREE, HELD, HELD];
    {
        let (free, held) = (Listener::on(FREE), Listener::on(HELD));
        let done = guest.free(&all).wait();
        let expected = answered(FREE, 0) + &answered(HELD, 0).repeat(2) + "done\n";
        assert_eq!(done.stdout, expected, "{done:?}");
        free.wait_for_connections(1);
        held.wait_for_connections(2);
    }
    let (free, held) = (Listener::on(FREE), Listener::on(HELD));
    let mut session = guest.session(&all);
    let id = Stack::session_id(&mut session);
    let first = guest.bob.wait_for_one(&id);
    free.wait_for_connections(1);
    assert_eq!(destination(&first).port, 9042);
    session.continue_500_times();
    held.assert_silence();
    guest.bob.approve(&first);
    held.wait_for_connections(1);
    // The same socket to the same place: undone is undone.
    let second = guest.bob.wait_for_one(&id);
    assert_ne!(second.id, first.id);
    session.continue_500_times();
    assert_eq!(held.connections(), 1);
    guest.bob.deny(&second);
    let expected = answered(FREE, 0) + &answered(HELD, 0) + &answered(HELD, libc::EPERM) + "done\n";
    assert_eq!(session.wait().stdout, expected);
    assert_eq!(held.connections(), 1);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_datagram_socket_that_is_connected_again_is_asked_about_again_root() {
    const FREE: &str = "127.0.0.1:8043";
    const HELD: &str = "127.0.0.1:9043";
    let mut guest = guest();
    let place = Place::new("mechanism-again-datagrams");
    let attack = place.copy("attack-connect", "attack-connect");
    let ear = |address: &str| {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    let (free, held) = (ear(FREE), ear(HELD));
    let hears = |socket: &UdpSocket| {
        let mut buffer = [0; 8];
        wait_until("a datagram", || socket.recv(&mut buffer));
    };
    let deaf = |socket: &UdpSocket| socket.recv(&mut [0; 8]).is_err();
    let all = [&*attack, "again-datagrams", FREE, HELD];
    guest.free(&all).wait().ok();
    hears(&free);
    hears(&held);
    let mut session = guest.session(&all);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    hears(&free);
    session.continue_500_times();
    assert!(deaf(&held));
    guest.bob.deny(&request);
    let done = session.wait();
    let expected = answered(FREE, 0) + &answered(HELD, libc::EPERM) + "done\n";
    assert_eq!(done.stdout, expected, "{done:?}");
    // It is still connected to where it was.
    hears(&free);
    assert!(deaf(&held));
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_approval_is_of_one_network_namespace_root() {
    const TO: &str = "127.0.0.1:9044";
    let mut guest = guest();
    let place = Place::new("mechanism-namespace");
    let attack = place.copy("attack-namespace", "attack-namespace");
    let won = "abandoned\nnew errno 0\nreached true\nold errno 0\n";
    {
        let listener = Listener::on(TO);
        let done = guest.free(&[&attack, TO, "at once"]).wait();
        assert_eq!(done.stdout, won, "{done:?}");
        listener.wait_for_connections(1);
    }
    let listener = Listener::on(TO);
    let mut session = guest.session(&[&attack, TO]);
    let id = Stack::session_id(&mut session);
    let old = guest.bob.wait_for_one(&id);
    let namespace = |request: &Request| destination(request).network_namespace;
    let ours = fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(
        format!("net:[{}]", namespace(&old)),
        ours.to_str().unwrap(),
        "the reviewer sees which"
    );
    guest.bob.approve(&old);
    session.wait_for("abandoned");
    let new = guest.bob.wait_for_one(&id);
    assert_ne!(new.id, old.id);
    assert_eq!(destination(&new).port, 9044);
    assert_ne!(namespace(&new), namespace(&old));
    session.continue_500_times();
    assert_eq!(session.peek().0, "abandoned\n");
    guest.bob.deny(&new);
    session.wait_for("new errno 1\nreached false\n");
    // What was left is not approved for later.
    let again = guest.bob.wait_for_one(&id);
    assert_eq!(namespace(&again), namespace(&old));
    listener.assert_silence();
    guest.bob.deny(&again);
    let lost = "abandoned\nnew errno 1\nreached false\nold errno 1\n";
    assert_eq!(session.wait().stdout, lost);
    listener.assert_silence();
    guest.bob.wait_for_outcome(&old.id, Outcome::Gone);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_address_rewritten_while_held_is_asked_about_again_root() {
    const SHOWN: &str = "127.0.0.1:9045";
    const REAL: &str = "127.0.0.1:9046";
    let mut guest = guest();
    let place = Place::new("mechanism-rewritten");
    let attack = place.copy("attack-connect", "attack-connect");
    let trigger = place.path("trigger");
    let (shown, real) = (Listener::on(SHOWN), Listener::on(REAL));
    let mut session = guest.session(&[&attack, "rewritten", SHOWN, REAL, &trigger]);
    let id = Stack::session_id(&mut session);
    let first = guest.bob.wait_for_one(&id);
    assert_eq!(destination(&first).port, 9045);
    fs::write(&trigger, "").unwrap();
    session.wait_for("rewritten");
    guest.bob.approve(&first);
    let second = wait_until("the other question", || {
        let pending = guest.bob.pending(&id);
        match pending.as_slice() {
            [one] if one.id != first.id => Ok(one.clone()),
            _ => Err(pending.len()),
        }
    });
    assert_eq!(
        destination(&second).port,
        9046,
        "it is asked about as it is"
    );
    session.continue_500_times();
    shown.assert_silence();
    real.assert_silence();
    // What is approved is where it goes.
    guest.bob.approve(&second);
    real.wait_for_connections(1);
    assert_eq!(session.wait().stdout, "rewritten\nerrno 0\ndone\n");
    shown.assert_silence();
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_address_that_changes_all_the_time_leads_nowhere_else_root() {
    const CALLS: &str = "400";
    const ALLOWED: &str = "127.0.0.1:8047";
    const DENIED: &str = "127.0.0.1:9247";
    let mut guest = guest();
    let place = Place::new("mechanism-flipping");
    let attack = place.copy("attack-connect", "attack-connect");
    let all = [&*attack, "flipping", CALLS, ALLOWED, DENIED];
    {
        let (allowed, denied) = (Listener::on(ALLOWED), Listener::on(DENIED));
        guest.free(&all).wait().ok();
        assert!(allowed.packets() > 0 && denied.packets() > 0, "it wins");
    }
    let (allowed, denied) = (Listener::on(ALLOWED), Listener::on(DENIED));
    let done = guest.session(&all).wait();
    assert!(done.stdout.starts_with("connected "), "{done:?}");
    assert!(allowed.packets() > 0, "the race is on: {done:?}");
    denied.assert_silence();
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_connect_that_a_timer_restarts_is_asked_about_once_root() {
    const TO: &str = "127.0.0.1:9048";
    let mut guest = guest();
    let place = Place::new("mechanism-restarted");
    let attack = place.copy("attack-connect", "attack-connect");
    // Whoever connects now waits, and is interrupted twenty times a second.
    let listener = TcpListener::bind(TO).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let address = TO.parse().unwrap();
    let patience = Duration::from_millis(300);
    let waiting: Vec<_> =
        std::iter::from_fn(|| TcpStream::connect_timeout(&address, patience).ok()).collect();
    let mut session = guest.session(&[&attack, "restarted", TO]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    guest.bob.approve(&request);
    guest.bob.wait_for_outcome(&request.id, Outcome::Released);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(session.peek().0, "", "it waits for the other side");
    assert!(guest.bob.pending(&id).is_empty(), "and for nobody else");
    for _ in &waiting {
        listener.accept().unwrap();
    }
    assert_eq!(session.wait().stdout, answered(TO, 0) + "done\n");
    assert!(guest.bob.pending(&id).is_empty());
}
