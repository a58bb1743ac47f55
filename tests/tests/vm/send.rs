//! Data to an address without a connect is a connect: not one packet leaves
//! before a person has said so.

use std::{
    io::Read as _,
    net::{TcpListener, UdpSocket},
    thread,
    time::Duration,
};

use holdpoint_proto::v1::{Outcome, operation::Kind};
use holdpoint_tests::{
    guest::{Guest, Place, Stack, guest, reviews::kind},
    patience::wait_until,
};

/// Hears datagrams.
struct Ear(UdpSocket);

impl Ear {
    fn on(address: &str) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    fn heard(&self) -> usize {
        let mut buffer = [0; 64];
        let mut count = 0;
        while let Ok((length, _)) = self.0.recv_from(&mut buffer) {
            assert_eq!(&buffer[..length], b"hello");
            count += 1;
        }
        count
    }

    fn wait_for(&self, count: usize) {
        let mut heard = 0;
        wait_until("datagrams", || {
            heard += self.heard();
            if heard == count { Ok(()) } else { Err(heard) }
        });
    }
}

fn attack(name: &str) -> (Guest, Place, String) {
    let guest = guest();
    let place = Place::new(&format!("send-{name}"));
    let attack = place.copy("attack-route", "attack-route");
    (guest, place, attack)
}

/// Wins outside, is held inside, says nothing before the approval and all of it
/// after.
fn is_held(mode: &str, to: &str) {
    let (mut guest, _place, attack) = attack(mode);
    let ear = Ear::on(to);
    let done = guest.free(&[&attack, mode, to]).wait();
    assert_eq!(done.stdout, format!("{mode} errno 0\n"), "{done:?}");
    ear.wait_for(1);
    let mut session = guest.session(&[&attack, mode, to]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    let Kind::Connect(connect) = kind(&request) else {
        panic!("{request:?}");
    };
    assert_eq!((connect.port, connect.protocol), (port(to), 17));
    session.continue_500_times();
    assert_eq!(ear.heard(), 0);
    assert_eq!(session.peek().0, "");
    guest.bob.approve(&request);
    guest.bob.wait_for_outcome(&request.id, Outcome::Released);
    assert_eq!(session.wait().stdout, format!("{mode} errno 0\n"));
    ear.wait_for(1);

    let mut session = guest.session(&[&attack, mode, to]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    guest.bob.deny(&request);
    let refused = format!("{mode} errno {}\n", libc::EPERM);
    assert_eq!(session.wait().stdout, refused);
    assert_eq!(ear.heard(), 0);
}

fn port(address: &str) -> u32 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_datagram_by_sendto_is_held_root() {
    is_held("sendto", "127.0.0.1:9020");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_datagram_over_ipv6_is_held_root() {
    is_held("sendto", "[::1]:9021");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_datagram_by_sendmsg_is_held_root() {
    is_held("sendmsg", "127.0.0.1:9022");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_datagram_by_sendmmsg_is_held_root() {
    is_held("sendmmsg", "127.0.0.1:9023");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_address_without_a_family_is_held_root() {
    is_held("unspec", "127.0.0.1:9024");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn the_second_message_of_one_call_is_held_too_root() {
    const FREE: &str = "127.0.0.1:8025";
    const HELD: &str = "127.0.0.1:9025";
    let (mut guest, _place, attack) = attack("second");
    let (free, held) = (Ear::on(FREE), Ear::on(HELD));
    guest.free(&[&attack, "sendmmsg", FREE, HELD]).wait().ok();
    free.wait_for(1);
    held.wait_for(1);
    let mut session = guest.session(&[&attack, "sendmmsg", FREE, HELD]);
    let id = Stack::session_id(&mut session);
    free.wait_for(1);
    // The call came back with what it had sent, and the program tries the rest.
    let request = wait_until("the request that stays", || {
        session.continue_500_times();
        match guest.bob.pending(&id).as_slice() {
            [one] => Ok(one.clone()),
            other => Err(other.len()),
        }
    });
    assert_eq!(held.heard(), 0);
    guest.bob.approve(&request);
    assert_eq!(session.wait().stdout, "sendmmsg errno 0\n");
    held.wait_for(1);
    assert_eq!(free.heard(), 0, "nothing is sent twice");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn one_approval_is_for_all_datagrams_of_a_socket_root() {
    const TO: &str = "127.0.0.1:9026";
    let (mut guest, _place, attack) = attack("many");
    let ear = Ear::on(TO);
    let mut session = guest.session(&[&attack, "datagrams", "50", TO]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    assert_eq!(ear.heard(), 0);
    guest.bob.approve(&request);
    assert_eq!(session.wait().stdout, "datagrams errno 0\n");
    ear.wait_for(50);
    // Another socket is another question.
    let mut session = guest.session(&[&attack, "datagrams", "1", TO]);
    let id = Stack::session_id(&mut session);
    guest.bob.wait_for_one(&id);
    assert_eq!(ear.heard(), 0);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn data_that_opens_a_connection_is_held_root() {
    const TO: &str = "127.0.0.1:9027";
    let (mut guest, _place, attack) = attack("fastopen");
    std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", "3").unwrap();
    let listener = TcpListener::bind(TO).unwrap();
    let heard = |listener: &TcpListener| {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let done = guest.free(&[&attack, "fastopen", TO]).wait();
    assert_eq!(done.stdout, "fastopen errno 0\n", "{done:?}");
    assert_eq!(heard(&listener), "hello");
    listener.set_nonblocking(true).unwrap();
    let mut session = guest.session(&[&attack, "fastopen", TO]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    session.continue_500_times();
    thread::sleep(Duration::from_millis(50));
    assert!(listener.accept().is_err(), "a connection");
    guest.bob.approve(&request);
    assert_eq!(session.wait().stdout, "fastopen errno 0\n");
    listener.set_nonblocking(false).unwrap();
    assert_eq!(heard(&listener), "hello");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_path_of_the_senders_choice_is_barred_root() {
    const TO: &str = "127.0.0.1:8028";
    let (mut guest, _place, attack) = attack("options");
    let ear = Ear::on(TO);
    // Some kernels let only root choose.
    let done = guest.free_root(&[&attack, "options", TO]).wait();
    assert_eq!(done.stdout, "option errno 0\noptions errno 0\n", "{done:?}");
    let done = guest.root_session(&[&attack, "options", TO]).wait();
    let expected = "option errno 1\noptions errno 1\n";
    assert_eq!(done.stdout, expected, "{done:?}");
    thread::sleep(Duration::from_millis(50));
    let _ = ear.heard();
    let done = guest.session(&[&attack, "sendto", TO]).wait();
    assert_eq!(done.stdout, "sendto errno 0\n", "{done:?}");
}
