//! Who listens where a connection on this host goes: the process that will really
//! answer. For people and for rules; what the kernel judged is the socket itself.
//!
//! A look at tables that change at any moment. Nothing found means not known, never
//! that nobody is there.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use holdpoint_agent_common::{InodeKey, LocalPeer};

use super::{bytes_as_path, procfs};
use crate::kernel::{Destination, Listener};

/// `IPPROTO_*`.
const TCP: u16 = 6;
const UDP: u16 = 17;
const MPTCP: u16 = 262;

/// States in /proc/net: `TCP_LISTEN`, and `TCP_CLOSE`, in which a socket for datagrams
/// is that hears everybody.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";

/// Who listens at a local socket, and whether `name` leads to it on the host.
pub(super) fn of_local(peer: &LocalPeer, name: &[u8]) -> (Option<Listener>, bool) {
    let listener = match peer.pid {
        0 => None,
        pid => program(pid, peer.uid),
    };
    let listener = listener.or_else(|| program(holder(peer.socket.into())?, peer.uid));
    let bound = InodeKey {
        inode: peer.file_inode,
        device: peer.file_device,
        padding: 0,
    };
    let path = Path::new(bytes_as_path(name));
    let is_hosts = peer.file_inode != 0
        && path.is_absolute()
        && procfs::inode_of(path, true).is_ok_and(|found| found == bound);
    (listener, is_hosts)
}

/// Who listens at `to`, if that is on this host, as process `pid` sees its network.
pub(super) fn of_destination(pid: u32, to: &Destination) -> Option<Listener> {
    let (tables, state) = match to.protocol {
        TCP | MPTCP => (["tcp", "tcp6"], LISTENS),
        UDP => (["udp", "udp6"], UNCONNECTED),
        _ => return None,
    };
    let net = |name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}"));
    let entries: Vec<Entry> = tables
        .into_iter()
        .filter_map(|name| net(name).ok())
        .flat_map(|text| entries(&text, state))
        .filter(|entry| entry.port == to.port)
        .collect();
    let exact = entries.iter().find(|entry| entry.address == to.address);
    let found = exact.or_else(|| {
        let is_local = to.address.is_loopback()
            || match to.address {
                IpAddr::V4(address) => is_own(&net("fib_trie").ok()?, address),
                IpAddr::V6(address) => is_own6(&net("if_inet6").ok()?, address),
            };
        // `::` hears both kinds, unless it was told not to.
        entries.iter().find(|entry| {
            is_local
                && entry.address.is_unspecified()
                && (entry.address.is_ipv6() || to.address.is_ipv4())
        })
    })?;
    program(holder(found.socket)?, found.uid)
}

/// A socket in one of the tables of /proc/net.
#[derive(Debug, Eq, PartialEq)]
struct Entry {
    address: IpAddr,
    port: u16,
    uid: u32,
    socket: u64,
}

/// Those of the table `text` that are in `state`.
fn entries(text: &str, state: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (address, port) = fields.nth(1)?.split_once(':')?;
        if fields.nth(1)? != state {
            return None;
        }
        Some(Entry {
            address: address_of(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
            uid: fields.nth(3)?.parse().ok()?,
            socket: fields.nth(1)?.parse().ok()?,
        })
    };
    text.lines().filter_map(entry).collect()
}

/// Words of the processor's byte order, in hexadecimal.
fn address_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = text.get(at * 8..(at + 1) * 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, place) in bytes.chunks_exact_mut(4).enumerate() {
                place.copy_from_slice(&word(at)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

/// Whether the routing table `fib_trie` has `address` as one of the host's own.
fn is_own(fib_trie: &str, address: Ipv4Addr) -> bool {
    let leaf = format!("|-- {address}");
    let mut lines = fib_trie.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line == leaf
            && lines
                .next()
                .is_some_and(|line| line.ends_with("host LOCAL"))
        {
            return true;
        }
    }
    false
}

fn is_own6(if_inet6: &str, address: Ipv6Addr) -> bool {
    let wanted = format!("{:032x}", u128::from(address));
    if_inet6.lines().any(|line| line.starts_with(&wanted))
}

/// A process that has the socket of this number open: the one that was started
/// first. The manager that makes sockets for services answers at none of them, if
/// anybody else has it.
fn holder(socket: u64) -> Option<u32> {
    const MANAGER: u32 = 1;
    let wanted = format!("socket:[{socket}]");
    let has_it = |pid: &u32| {
        fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|entries| {
            entries.flatten().any(|entry| {
                fs::read_link(entry.path())
                    .is_ok_and(|target| target.as_os_str().as_encoded_bytes() == wanted.as_bytes())
            })
        })
    };
    procfs::all_pids()
        .into_iter()
        .filter(has_it)
        .min_by_key(|pid| (*pid == MANAGER, procfs::start_ns(*pid)))
}

fn program(pid: u32, uid: u32) -> Option<Listener> {
    let process = procfs::process(pid, pid)?;
    Some(Listener {
        pid,
        uid,
        executable: process.executable,
        executable_is_hosts: process.executable_is_hosts,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, UdpSocket},
        os::{
            linux::net::SocketAddrExt as _,
            unix::net::{SocketAddr, UnixListener},
        },
    };

    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 5123 1 0000 100 0 0 10 0\n   1: 0100007F:1F91 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 5124 1 0000 100 0 0 10 0\n";

    #[test]
    fn only_those_that_listen_are_read() {
        let expected = Entry {
            address: Ipv4Addr::LOCALHOST.into(),
            port: 8080,
            uid: 1000,
            socket: 5123,
        };
        assert_eq!(entries(TABLE, LISTENS), [expected]);
        assert_eq!(entries("", LISTENS), []);
        assert_eq!(entries("junk\n0: x y 0A\n", LISTENS), []);
    }

    #[test]
    fn addresses_are_read_in_one_form() {
        let read = |text| address_of(text).map(|address| address.to_string());
        assert_eq!(read("0100007F").as_deref(), Some("127.0.0.1"));
        let mapped = "0000000000000000FFFF00000100007F";
        assert_eq!(read(mapped).as_deref(), Some("127.0.0.1"));
        let six = "00000000000000000000000001000000";
        assert_eq!(read(six).as_deref(), Some("::1"));
        assert_eq!(read("xyz"), None);
    }

    #[test]
    fn own_addresses_are_told_from_others() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.2.15\n        /32 host LOCAL\n     |-- 10.0.2.255\n        /32 link BROADCAST\n";
        assert!(is_own(trie, Ipv4Addr::new(10, 0, 2, 15)));
        assert!(!is_own(trie, Ipv4Addr::new(10, 0, 2, 255)));
        assert!(!is_own(trie, Ipv4Addr::new(10, 0, 2, 1)));
        let six = "fd00000000000000000000000000002a 02 40 00 80 eth0\n";
        assert!(is_own6(six, "fd00::2a".parse().unwrap()));
        assert!(!is_own6(six, "fd00::2b".parse().unwrap()));
    }

    fn to(address: IpAddr, port: u16, protocol: u16) -> Destination {
        Destination {
            address,
            port,
            protocol,
            netns: 0,
            scope_id: 0,
        }
    }

    #[test]
    fn the_process_that_listens_is_found() {
        let me = std::process::id();
        let stream = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = stream.local_addr().unwrap().port();
        let found = of_destination(me, &to(Ipv4Addr::LOCALHOST.into(), port, TCP)).unwrap();
        assert_eq!(found.pid, me);
        assert!(!found.executable.is_empty());
        let datagrams = UdpSocket::bind("[::1]:0").unwrap();
        let port = datagrams.local_addr().unwrap().port();
        let found = of_destination(me, &to(Ipv6Addr::LOCALHOST.into(), port, UDP)).unwrap();
        assert_eq!(found.pid, me);
        let elsewhere = "192.0.2.7".parse().unwrap();
        assert_eq!(of_destination(me, &to(elsewhere, port, UDP)), None);
    }

    #[test]
    fn a_name_is_the_hosts_only_if_it_leads_to_the_socket() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket");
        let _heard = UnixListener::bind(&path).unwrap();
        let file = procfs::inode_of(&path, true).unwrap();
        let peer = LocalPeer {
            file_inode: file.inode,
            file_device: file.device,
            pid: std::process::id(),
            ..LocalPeer::default()
        };
        let name = path.as_os_str().as_encoded_bytes();
        let (listener, is_hosts) = of_local(&peer, name);
        assert_eq!(listener.unwrap().pid, std::process::id());
        assert!(is_hosts);
        let _other = UnixListener::bind(place.path().join("other")).unwrap();
        let other = place.path().join("other");
        assert!(!of_local(&peer, other.as_os_str().as_encoded_bytes()).1);
        let abstract_name = SocketAddr::from_abstract_name(b"holdpoint-test").unwrap();
        let _abstract = UnixListener::bind_addr(&abstract_name).unwrap();
        assert!(!of_local(&LocalPeer::default(), b"\0holdpoint-test").1);
    }
}
