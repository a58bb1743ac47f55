//! connect: the address is the kernel's own copy, so what is judged is what is
//! used.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use aya_log_ebpf::debug;
use holdpoint_agent_common::{Cause, OperationKey, Peer};

use crate::{
    judge::{Attempt, Caller, REFUSED, judge},
    kernel::{offset, read},
    observe,
};

const AF_UNSPEC: u16 = 0;
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;

/// Bytes of an address up to and with its port and IPv4 address.
const INET_LEN: i32 = 8;
/// `SIN6_LEN_RFC2133`: the shortest IPv6 address the kernel takes.
const INET6_LEN: i32 = 24;
/// With its scope.
const INET6_FULL_LEN: i32 = 28;

/// Judges a connection to an internet address. Local sockets and the disconnect
/// of `AF_UNSPEC` pass; a family the gate does not understand is refused.
///
/// Hook since 5.7; works as described on 6.1 and later.
#[lsm(hook = "socket_connect")]
pub(crate) fn gate_connect(ctx: LsmContext) -> i32 {
    let mut caller = match Caller::current() {
        Ok(Some(caller)) => caller,
        Ok(None) => return 0,
        Err(refused) => return refused,
    };
    let socket: *const u8 = ctx.arg(0);
    let address: *const u8 = ctx.arg(1);
    let len: i32 = ctx.arg(2);
    let mut attempt = Attempt {
        operation: OperationKey::connect(Peer::default()),
        path: core::ptr::null_mut(),
        socket: 0,
        interpreter: false,
    };
    let judged = match peer(socket, address, len) {
        Ok(Some((peer, sk))) => {
            attempt.operation = OperationKey::connect(peer);
            attempt.socket = sk;
            judge(&mut caller, &attempt)
        }
        Ok(None) => Ok(0),
        Err(cause) => Err(cause),
    };
    let verdict = match judged {
        Ok(verdict) => verdict,
        Err(cause) => {
            observe::connect(&caller, Some(cause), &attempt.operation);
            REFUSED
        }
    };
    if verdict != 0 {
        debug!(&ctx, "connect by thread {}: {}", caller.key.tid, verdict);
    }
    verdict
}

/// The canonical destination and the address of the `struct sock`, none for what
/// is not judged.
#[inline(always)]
fn peer(socket: *const u8, address: *const u8, len: i32) -> Result<Option<(Peer, u64)>, Cause> {
    let unreadable = |_: i32| Cause::Unreadable;
    if len < 2 {
        return Err(Cause::Address);
    }
    let family: u16 = read(address, 0).map_err(unreadable)?;
    let mut peer = Peer::default();
    match family {
        AF_UNSPEC | AF_UNIX | AF_NETLINK => return Ok(None),
        AF_INET if len >= INET_LEN => {
            peer.family = AF_INET;
            set_ipv4(&mut peer, read(address, 4).map_err(unreadable)?);
        }
        AF_INET6 if len >= INET6_LEN => {
            let words: [u32; 4] = read(address, 8).map_err(unreadable)?;
            if words[0] == 0 && words[1] == 0 && words[2] == u32::to_be(0xffff) {
                peer.family = AF_INET;
                set_ipv4(&mut peer, words[3]);
            } else {
                peer.family = AF_INET6;
                set_ipv6(&mut peer, words);
                if len >= INET6_FULL_LEN {
                    peer.scope_id = read(address, 24).map_err(unreadable)?;
                }
            }
        }
        _ => return Err(Cause::Address),
    }
    peer.port = u16::from_be(read(address, 2).map_err(unreadable)?);
    let sk: *const u8 = read(socket, offset!(socket_sk)).map_err(unreadable)?;
    // SMC and others take internet addresses too, and are not what they seem.
    let sk_family: u16 = read(sk, offset!(sock_family)).map_err(unreadable)?;
    if sk_family != AF_INET && sk_family != AF_INET6 {
        return Err(Cause::Address);
    }
    peer.protocol = read(sk, offset!(sock_protocol)).map_err(unreadable)?;
    peer.socket_type = read(sk, offset!(sock_type)).map_err(unreadable)?;
    let net: *const u8 = read(sk, offset!(sock_net)).map_err(unreadable)?;
    peer.netns = read(net, offset!(net_inum)).map_err(unreadable)?;
    Ok(Some((peer, sk as u64)))
}

/// Stores an IPv4 address given in network order; 0.0.0.0 reaches this host.
#[inline(always)]
fn set_ipv4(peer: &mut Peer, address: u32) {
    let address = if address == 0 {
        u32::to_be(0x7f00_0001)
    } else {
        address
    };
    let bytes = address.to_ne_bytes();
    peer.address[0] = bytes[0];
    peer.address[1] = bytes[1];
    peer.address[2] = bytes[2];
    peer.address[3] = bytes[3];
}

/// Stores an IPv6 address given in network order; `::` reaches this host.
#[inline(always)]
fn set_ipv6(peer: &mut Peer, mut words: [u32; 4]) {
    if words[0] == 0 && words[1] == 0 && words[2] == 0 && words[3] == 0 {
        words[3] = u32::to_be(1);
    }
    for (index, word) in words.into_iter().enumerate() {
        let bytes = word.to_ne_bytes();
        peer.address[index * 4] = bytes[0];
        peer.address[index * 4 + 1] = bytes[1];
        peer.address[index * 4 + 2] = bytes[2];
        peer.address[index * 4 + 3] = bytes[3];
    }
}
