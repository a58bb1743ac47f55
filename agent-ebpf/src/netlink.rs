//! The configuration of the network, by netlink and by the older ioctls: what only
//! asks passes, and what concerns a network namespace that a user namespace made
//! for itself, from which nothing leads out.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_sock_from_file, macros::lsm, programs::LsmContext};
use holdpoint_agent_common::Route;

use crate::{
    judge::{Caller, tracked},
    kernel::{offset, read},
    sockets::{NETLINK_AUDIT, NETLINK_ROUTE, NETLINK_SOCK_DIAG, sk_of},
};

/// `RTM_BASE`; of each group of four messages the third asks, the others change.
const RTM_BASE: u16 = 16;
const RTM_GET: u16 = 2;
/// Types below are of the protocol itself, and do nothing.
const NLMSG_MIN_TYPE: u16 = 0x10;
/// `SOCK_DESTROY`: ends connections of others.
const SOCK_DESTROY: u16 = 21;
/// `AUDIT_GET`, and what logins tell.
const AUDIT_GET: u16 = 1000;
const AUDIT_USER: u16 = 1005;

/// `struct nlmsghdr`: length, type, flags, number, sender.
const HEAD: u32 = 16;
/// Messages of one send that are looked at; one with more is refused.
const MESSAGES: usize = 16;

/// Judges netlink messages.
///
/// Hook since 5.7.
#[lsm(hook = "netlink_send")]
pub(crate) fn gate_netlink(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let sk: *const u8 = ctx.arg(0);
    let buffer: *const u8 = ctx.arg(1);
    match changes(sk, buffer) {
        Ok(None) => 0,
        _ if is_made_up(sk).unwrap_or(false) => 0,
        Ok(Some((protocol, number))) => {
            let about = [u64::from(protocol.cast_unsigned()), number.into(), 0];
            caller.bar(Route::Netlink, about)
        }
        Err(_) => caller.bar(Route::Netlink, [u64::MAX, 0, 0]),
    }
}

/// The protocol and the type of the first message of a send that changes something.
#[inline(always)]
fn changes(sk: *const u8, buffer: *const u8) -> Result<Option<(i32, u16)>, i32> {
    let protocol: u16 = read(sk, offset!(sock_protocol))?;
    let protocol = i32::from(protocol);
    let mut left: u32 = read(buffer, offset!(skb_len))?;
    let mut at: *const u8 = read(buffer, offset!(skb_data))?;
    for _ in 0..MESSAGES {
        if left < HEAD {
            return Ok(None);
        }
        let len: u32 = read(at, 0)?;
        let number: u16 = read(at, 4)?;
        if !only_asks(protocol, number) {
            return Ok(Some((protocol, number)));
        }
        let step = len.wrapping_add(3) & !3;
        // There the kernel stops as well.
        if len < HEAD || len > left || step > left {
            return Ok(None);
        }
        left -= step;
        at = at.wrapping_add(step as usize);
    }
    Ok(Some((protocol, 0)))
}

#[inline(always)]
fn only_asks(protocol: i32, number: u16) -> bool {
    match protocol {
        NETLINK_ROUTE => number < RTM_BASE || (number - RTM_BASE) % 4 == RTM_GET,
        NETLINK_SOCK_DIAG => number != SOCK_DESTROY,
        NETLINK_AUDIT => {
            number < NLMSG_MIN_TYPE
                || matches!(number, AUDIT_GET | AUDIT_USER | 1100..=1199 | 2100..=2999)
        }
        // By `NETLINK_KOBJECT_UEVENT` only the kernel has something to say.
        _ => false,
    }
}

/// Whether the network of the `struct sock` is that of a user namespace of its own.
#[inline(always)]
pub(crate) fn is_made_up(sk: *const u8) -> Result<bool, i32> {
    let net: *const u8 = read(sk, offset!(sock_net))?;
    let owner: *const u8 = read(net, offset!(net_user_ns))?;
    let level: i32 = read(owner, offset!(userns_level))?;
    Ok(level > 0)
}

/// `SIOC*`, and those of wireless interfaces: the kind is in the second byte, the
/// number in the lowest.
const SIOC: u32 = 0x89;
const SIOC_WIRELESS: u32 = 0x8b;

/// Judges the ioctls by which sockets change addresses, routes and interfaces.
#[inline(always)]
pub(crate) fn by_ioctl(caller: &Caller<'_>, file: *mut c_void, command: u32) -> i32 {
    let number = command & 0xff;
    let changes = match (command >> 8) & 0xff {
        SIOC => !asks(number),
        SIOC_WIRELESS => number & 1 == 0,
        _ => false,
    };
    if !changes {
        return 0;
    }
    // SAFETY: the hook's own argument, a file.
    let socket = unsafe { bpf_sock_from_file(file.cast()) };
    if socket.is_null() {
        return 0;
    }
    let sk = sk_of(socket.cast());
    if !sk.is_null() && is_made_up(sk.cast()).unwrap_or(false) {
        return 0;
    }
    caller.bar(Route::Netlink, [u64::MAX, command.into(), 0])
}

/// Whether `SIOC*` of this number only asks, or concerns its own socket alone.
/// `SIOCETHTOOL` is taken for a question: it changes interfaces, not where
/// something goes.
#[inline(always)]
fn asks(number: u32) -> bool {
    matches!(
        number,
        // Owner, marks and times of the socket.
        0x01..=0x07
            // SIOCGIF*: name, list, flags, addresses, metric, memory, MTU.
            | 0x10 | 0x12 | 0x13 | 0x15 | 0x17 | 0x19 | 0x1b | 0x1d | 0x1f | 0x21
            // Hardware address, slave, multicast list, index, count.
            | 0x27 | 0x29 | 0x33 | 0x35 | 0x38
            // Queue length, ethtool, MII.
            | 0x42 | 0x46..=0x48
            // What is not sent yet; addresses of neighbours.
            | 0x4b | 0x54 | 0x61 | 0x70
    )
}
