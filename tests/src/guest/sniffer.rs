//! Counts the packets to one TCP port on all interfaces, so that not even a SYN
//! goes unseen.

use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket,
        sockopt::ReceiveTimeout,
    },
    time::{TimeVal, TimeValLike as _},
};

const TCP: u8 = 6;

/// Watches until it is dropped.
pub(super) struct Sniffer {
    packets: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Sniffer {
    pub(super) fn of(port: u16) -> Self {
        let socket = socket(
            AddressFamily::Packet,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthAll,
        )
        .unwrap();
        setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(50)).unwrap();
        let (packets, stop) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let sniffer = Self {
            packets: Arc::clone(&packets),
            stop: Arc::clone(&stop),
        };
        thread::spawn(move || watch(&socket, port, &packets, &stop));
        sniffer
    }

    pub(super) fn packets(&self) -> usize {
        self.packets.load(Ordering::Relaxed)
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn watch(socket: &OwnedFd, port: u16, packets: &AtomicUsize, stop: &AtomicBool) {
    let mut buffer = [0; 128];
    while !stop.load(Ordering::Relaxed) {
        // Fails when nothing comes for a while.
        if let Ok(length) = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())
            && tcp_destination(&buffer[..length]) == Some(port)
        {
            packets.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The destination port of a TCP packet, from its IP header on.
fn tcp_destination(packet: &[u8]) -> Option<u16> {
    let tcp = match packet.first()? >> 4 {
        4 if *packet.get(9)? == TCP => packet.get(usize::from(packet[0] & 15) * 4..)?,
        6 if *packet.get(6)? == TCP => packet.get(40..)?,
        _ => return None,
    };
    Some(u16::from_be_bytes([*tcp.get(2)?, *tcp.get(3)?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_both_kinds_of_packets() {
        let mut v4 = vec![0x46, 0, 0, 0, 0, 0, 0, 0, 64, TCP];
        v4.resize(24, 0);
        v4.extend([0, 1, 0x23, 0x28]);
        assert_eq!(tcp_destination(&v4), Some(9000));
        let mut v6 = vec![0x60, 0, 0, 0, 0, 0, TCP, 64];
        v6.resize(40, 0);
        v6.extend([0, 1, 0x23, 0x28]);
        assert_eq!(tcp_destination(&v6), Some(9000));
        v6[6] = 17;
        assert_eq!(tcp_destination(&v6), None);
        assert_eq!(tcp_destination(&[]), None);
    }
}
