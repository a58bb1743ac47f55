//! Where packets go is judged as what a program says of it: nothing beside that may
//! lead them elsewhere.

use std::{net::UdpSocket, process::Command};

use holdpoint_proto::v1::{Outcome, operation::Kind};
use holdpoint_tests::{
    guest::{Guest, Place, Stack, guest, listener::Listener, reviews::kind},
    programs::Done,
};

fn start(name: &str) -> (Guest, Place, String) {
    let guest = guest();
    let place = Place::new(&format!("network-{name}"));
    let attack = place.copy("attack-network", "attack-network");
    (guest, place, attack)
}

fn said(done: &Done, name: &str, errno: i32) -> bool {
    done.stdout.ends_with(&format!("{name} errno {errno}\n"))
}

fn take_away(address: &str) {
    let done = Command::new("ip")
        .args(["address", "delete", &format!("{address}/32"), "dev", "lo"])
        .status()
        .unwrap();
    assert!(done.success());
}

/// Root in a session gives this host no address, in this way.
fn gives_no_address(way: &str, address: &str) {
    let (mut guest, _place, attack) = start(way);
    let done = guest.free_root(&[&attack, way, address]).wait();
    assert!(done.stdout.contains("bound true"), "{done:?}");
    assert!(said(&done, way, 0), "{done:?}");
    let _ = Command::new("ip")
        .args(["address", "flush", "dev", "lo", "label", "lo:7"])
        .status();
    if way == "behind" {
        take_away(address);
    }
    let done = guest.root_session(&[&attack, way, address]).wait();
    assert!(done.stdout.contains("bound false"), "{done:?}");
    assert!(said(&done, way, libc::EPERM), "{done:?}");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn no_message_hides_behind_another_root() {
    gives_no_address("behind", "198.51.100.7");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn no_ioctl_changes_the_network_root() {
    gives_no_address("ioctl", "198.51.100.9");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_network_of_ones_own_may_be_set_up_root() {
    let (mut guest, _place, attack) = start("own");
    let done = guest
        .session(&[
            "/usr/bin/unshare",
            "-Urn",
            &attack,
            "behind",
            "198.51.100.7",
        ])
        .wait();
    assert!(said(&done, "behind", 0), "{done:?}");
    assert!(done.stdout.contains("bound true"), "{done:?}");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_flow_label_carries_no_path_root() {
    let (mut guest, _place, attack) = start("label");
    // A route to the host that it names, or the kernel would not take it.
    let done = guest.free_root(&[&attack, "label"]).wait();
    assert!(said(&done, "label", 0), "{done:?}");
    let done = guest.session(&[&attack, "label"]).wait();
    assert!(said(&done, "label", libc::EPERM), "{done:?}");
    let done = guest.root_session(&[&attack, "label"]).wait();
    assert!(said(&done, "label", libc::EPERM), "{done:?}");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_unspecified_address_is_the_one_it_reaches_root() {
    let (mut guest, _place, attack) = start("bound");
    // The policy denies 127.0.0.1 there and nothing else.
    let listener = Listener::on("127.0.0.2:9201");
    let done = guest.free(&[&attack, "bound", "127.0.0.2", "9201"]).wait();
    assert!(said(&done, "bound", 0), "{done:?}");
    listener.wait_for_connections(1);
    // And holds all of loopback here: what is asked is what is reached.
    let listener = Listener::on("127.0.0.2:9041");
    let mut session = guest.session(&[&attack, "bound", "127.0.0.2", "9041"]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    let Kind::Connect(connect) = kind(&request) else {
        panic!("{request:?}");
    };
    assert_eq!(connect.address, [127, 0, 0, 2]);
    assert_eq!(listener.connections(), 0);
    guest.bob.approve(&request);
    guest.bob.wait_for_outcome(&request.id, Outcome::Released);
    assert!(said(&session.wait(), "bound", 0));
    listener.wait_for_connections(1);

    let ear = UdpSocket::bind("127.0.0.3:9042").unwrap();
    let mut session = guest.session(&[&attack, "bound-datagram", "127.0.0.3", "9042"]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    let Kind::Connect(connect) = kind(&request) else {
        panic!("{request:?}");
    };
    assert_eq!(connect.address, [127, 0, 0, 3]);
    guest.bob.approve(&request);
    assert!(said(&session.wait(), "bound-datagram", 0));
    assert_eq!(ear.recv(&mut [0; 8]).unwrap(), 5);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn no_interface_is_chosen_root() {
    let (mut guest, _place, attack) = start("interface");
    for way in ["device", "index", "unicast", "unicast6"] {
        let command = [&*attack, way, "1"];
        assert!(said(&guest.free(&command).wait(), way, 0), "{way}");
        assert!(
            said(&guest.session(&command).wait(), way, libc::EPERM),
            "{way}"
        );
        assert!(said(&guest.open_session(&command).wait(), way, 0), "{way}");
    }
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn no_datagram_chooses_its_interface_root() {
    let (mut guest, _place, attack) = start("pktinfo");
    let interface = nix::net::if_::if_nametoindex("eth0").unwrap().to_string();
    let ear = UdpSocket::bind("127.0.0.1:9405").unwrap();
    ear.set_nonblocking(true).unwrap();
    let own = UdpSocket::bind("10.0.2.15:9405").unwrap();
    own.set_nonblocking(true).unwrap();
    // What only repeats what the kernel would choose passes.
    for allowed in [["0", "0.0.0.0"], ["1", "127.0.0.1"]] {
        let command = [
            &*attack,
            "pktinfo",
            allowed[0],
            allowed[1],
            "127.0.0.1:9405",
        ];
        assert!(said(&guest.session(&command).wait(), "pktinfo", 0));
        assert_eq!(ear.recv(&mut [0; 8]).unwrap(), 5);
    }
    // An own address makes another destination of 0.0.0.0.
    let aimed = [&*attack, "pktinfo", "0", "10.0.2.15", "0.0.0.0:9405"];
    assert!(said(&guest.free(&aimed).wait(), "pktinfo", 0));
    assert_eq!(own.recv(&mut [0; 8]).unwrap(), 5);
    assert!(said(&guest.session(&aimed).wait(), "pktinfo", libc::EPERM));
    let chosen = [&*attack, "pktinfo", &interface, "0.0.0.0", "10.0.2.2:9405"];
    assert!(said(&guest.free(&chosen).wait(), "pktinfo", 0));
    assert!(said(&guest.session(&chosen).wait(), "pktinfo", libc::EPERM));
    assert!(own.recv(&mut [0; 8]).is_err());
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn no_group_is_joined_root() {
    let (mut guest, _place, attack) = start("join");
    for way in ["join", "join6"] {
        let command = [&*attack, way];
        assert!(said(&guest.free(&command).wait(), way, 0), "{way}");
        assert!(
            said(&guest.session(&command).wait(), way, libc::EPERM),
            "{way}"
        );
    }
}
