//! Which sockets a tracked task may make, hear on and get from others.
//!
//! Everything a session sends goes through sockets that it made itself, of kinds
//! that are judged where they send ([`crate::connect`], [`crate::send`]): what
//! comes from elsewhere was connected by somebody else, and is refused.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_sock_from_file, macros::lsm, programs::LsmContext};
use holdpoint_agent_common::{Route, SocketTag};

use crate::{
    judge::{Caller, tracked},
    kernel::{offset, read},
    maps::SOCKETS,
    peer::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, AF_VSOCK},
};

/// `ENOMEM`.
const NO_MEMORY: i32 = -12;

/// `SOCK_TYPE_MASK`: the rest of the word are flags.
const SOCKET_TYPE: i32 = 0xf;
const SOCK_STREAM: i32 = 1;
const SOCK_DGRAM: i32 = 2;
const SOCK_RAW: i32 = 3;
const AF_PACKET: u16 = 17;

/// `IPPROTO_*`.
const ICMP: i32 = 1;
const TCP: i32 = 6;
const UDP: i32 = 17;
const ICMPV6: i32 = 58;

/// `NETLINK_*` that ordinary programs ask: addresses and routes, sockets, the
/// audit trail of logins, devices that come and go.
pub(crate) const NETLINK_ROUTE: i32 = 0;
pub(crate) const NETLINK_SOCK_DIAG: i32 = 4;
pub(crate) const NETLINK_AUDIT: i32 = 9;
const NETLINK_KOBJECT_UEVENT: i32 = 15;

/// The `struct sock` of a `struct socket`, both known to the verifier.
#[inline(always)]
pub(crate) fn sk_of(socket: *mut u8) -> *mut c_void {
    #[expect(clippy::cast_ptr_alignment, reason = "the kernel aligns its fields")]
    let field = socket
        .wrapping_add(offset!(socket_sk))
        .cast::<*mut c_void>();
    // SAFETY: a pointer field of a structure the verifier knows, read directly so
    // that it knows the result too.
    unsafe { *field }
}

/// What is kept with the socket, if a task of the caller's session made it. Another
/// session's was let through where that one's policy lets it.
#[inline(always)]
pub(crate) fn own_tag(caller: &Caller<'_>, sk: *mut c_void) -> Option<&'static mut SocketTag> {
    // SAFETY: the verifier knows it as a socket; callers give none that is null.
    let tag = unsafe { SOCKETS.get(sk) };
    // SAFETY: a map value lives as long as the program runs.
    let tag = unsafe { tag.as_mut() }?;
    (tag.session == caller.label.session).then_some(tag)
}

/// Judges what kind of socket a task makes. Sockets that the kernel makes for
/// itself are its own business.
///
/// Hook since 5.7.
#[lsm(hook = "socket_create")]
pub(crate) fn gate_socket(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let family: i32 = ctx.arg(0);
    let kind: i32 = ctx.arg::<i32>(1) & SOCKET_TYPE;
    let protocol: i32 = ctx.arg(2);
    let by_kernel: i32 = ctx.arg(3);
    if by_kernel != 0 {
        return 0;
    }
    let Some(route) = route_of(family.cast_unsigned() as u16, kind, protocol) else {
        return 0;
    };
    let about = [family, kind, protocol].map(|number| u64::from(number.cast_unsigned()));
    caller.bar(route, about)
}

/// The route that such a socket is, none if it is judged where it sends.
#[inline(always)]
fn route_of(family: u16, kind: i32, protocol: i32) -> Option<Route> {
    match family {
        AF_UNIX => None,
        AF_INET | AF_INET6 => match (kind, protocol) {
            (SOCK_STREAM, 0 | TCP) | (SOCK_DGRAM, 0 | UDP) => None,
            (SOCK_DGRAM, ICMP | ICMPV6) => Some(Route::Ping),
            (SOCK_RAW, _) => Some(Route::RawSocket),
            _ => Some(Route::SocketKind),
        },
        AF_NETLINK => match protocol {
            NETLINK_ROUTE | NETLINK_SOCK_DIAG | NETLINK_AUDIT | NETLINK_KOBJECT_UEVENT => None,
            _ => Some(Route::Netlink),
        },
        AF_PACKET => Some(Route::RawSocket),
        AF_VSOCK => Some(Route::Vsock),
        _ => Some(Route::SocketKind),
    }
}

/// Notes whose a new socket is. One that cannot be noted is not made.
///
/// Hook since 5.7.
#[lsm(hook = "socket_post_create")]
pub(crate) fn tag_socket(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let socket: *mut u8 = ctx.arg(0);
    let sk = sk_of(socket);
    if sk.is_null() {
        return 0;
    }
    // SAFETY: the verifier knows it as a socket; not null.
    let tag = unsafe { SOCKETS.get_or_create(sk) };
    if tag.is_null() {
        return NO_MEMORY;
    }
    // SAFETY: not null; nobody else has the socket yet.
    unsafe { (*tag).session = caller.label.session };
    0
}

/// Judges hearing on an address that others than this host reach.
///
/// Hook since 5.7.
#[lsm(hook = "socket_listen")]
pub(crate) fn gate_listen(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let socket: *const u8 = ctx.arg(0);
    let reaches = reach(socket).unwrap_or(u64::from(u16::MAX));
    if reaches == 0 {
        return 0;
    }
    caller.bar(Route::Listen, [reaches, 0, 0])
}

/// 0 if only this host reaches the socket, otherwise its family.
#[inline(always)]
fn reach(socket: *const u8) -> Result<u64, i32> {
    let sk: *const u8 = read(socket, offset!(socket_sk))?;
    let family: u16 = read(sk, offset!(sock_family))?;
    let local = match family {
        AF_UNIX => true,
        AF_INET => {
            let address: [u8; 4] = read(sk, offset!(sock_rcv_saddr))?;
            address[0] == 127
        }
        AF_INET6 => {
            let words: [u32; 4] = read(sk, offset!(sock_v6_rcv_saddr))?;
            let mapped = words[2] == u32::to_be(0xffff) && words[3].to_ne_bytes()[0] == 127;
            words[0] == 0
                && words[1] == 0
                && (mapped || (words[2] == 0 && words[3] == u32::to_be(1)))
        }
        _ => false,
    };
    Ok(if local { 0 } else { family.into() })
}

/// Judges a file that another process hands over (`SCM_RIGHTS`, `pidfd_getfd`): a
/// socket must be the session's own, or a local one.
///
/// Hook since 5.7.
#[lsm(hook = "file_receive")]
pub(crate) fn gate_received(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let file: *mut c_void = ctx.arg(0);
    // SAFETY: the hook's own argument, a file.
    let socket = unsafe { bpf_sock_from_file(file.cast()) };
    if socket.is_null() {
        return 0;
    }
    let sk = sk_of(socket.cast());
    if sk.is_null() {
        return 0;
    }
    let Ok(family) = read::<u16>(sk.cast(), offset!(sock_family)) else {
        return caller.bar(Route::ForeignSocket, [u64::MAX, 0, 0]);
    };
    if family == AF_UNIX || own_tag(&caller, sk).is_some() {
        return 0;
    }
    caller.bar(Route::ForeignSocket, [family.into(), 0, 0])
}
