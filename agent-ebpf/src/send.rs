//! Sends that name a destination are connects by another name: datagrams without
//! a connection, and the data that opens one (TCP fast open).
//!
//! One approval lets a socket send to one destination until the policy changes:
//! nobody is asked for each datagram.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use holdpoint_agent_common::{Cause, LABEL_CUT, OperationKey, Route, SocketTag};

use crate::{
    judge::{Attempt, Caller, REFUSED, judge, tracked},
    kernel::{offset, read},
    maps::CONTROL,
    observe,
    peer::{AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, canonical},
    sockets::{own_tag, sk_of},
};

/// `IPPROTO_TCP`, `IPPROTO_MPTCP`: their sockets take an address only to open a
/// connection with.
const TCP: u16 = 6;
const MPTCP: u16 = 262;
/// `MSG_FASTOPEN`.
const FAST_OPEN: u32 = 0x2000_0000;

/// Judges a send by a socket that is not local.
///
/// Hook since 5.7; works as described on 6.1 and later.
#[lsm(hook = "socket_sendmsg")]
pub(crate) fn gate_send(ctx: LsmContext) -> i32 {
    let mut caller = tracked!();
    let socket: *mut u8 = ctx.arg(0);
    let message: *const u8 = ctx.arg(1);
    let sk = sk_of(socket);
    if sk.is_null() {
        return 0;
    }
    let Ok(family) = read::<u16>(sk.cast(), offset!(sock_family)) else {
        return REFUSED;
    };
    if family == AF_UNIX {
        return 0;
    }
    let tag = own_tag(&caller, sk);
    if tag.is_none() && !caller.permits(Route::ForeignSocket) {
        return caller.bar(Route::ForeignSocket, [family.into(), 0, 0]);
    }
    if family != AF_INET && family != AF_INET6 {
        return 0;
    }
    let mut operation = OperationKey::default();
    let judged = match aim(sk.cast(), family, message, &mut operation) {
        Ok(Aim::Nowhere) if caller.label.flags & LABEL_CUT != 0 => Err(Cause::Cut),
        Ok(Aim::Nowhere) => return 0,
        Ok(Aim::Peer) => {
            let attempt = Attempt {
                operation: &operation,
                path: core::ptr::null_mut(),
                name: core::ptr::null(),
                socket: sk as u64,
                interpreter: false,
            };
            judge_for(&mut caller, tag, &attempt)
        }
        Err(cause) => Err(cause),
    };
    // No line of the log here: on 6.1 the stack has no room for one.
    match judged {
        Ok(verdict) => verdict,
        Err(cause) => {
            observe::operation(&caller, Some(cause), &operation);
            REFUSED
        }
    }
}

/// What a message says of where it goes.
enum Aim {
    /// Where its socket is connected to, which was judged.
    Nowhere,
    /// Where the operation says.
    Peer,
}

/// Reads where `message` goes into `operation`: in place, for want of stack.
#[inline(always)]
fn aim(
    sk: *const u8,
    family: u16,
    message: *const u8,
    operation: &mut OperationKey,
) -> Result<Aim, Cause> {
    let unreadable = |_: i32| Cause::Unreadable;
    let name: *const u8 = read(message, offset!(msg_name)).map_err(unreadable)?;
    let len: i32 = read(message, offset!(msg_namelen)).map_err(unreadable)?;
    if name.is_null() || len == 0 {
        return Ok(Aim::Nowhere);
    }
    let protocol: u16 = read(sk, offset!(sock_protocol)).map_err(unreadable)?;
    let flags: u32 = read(message, offset!(msg_flags)).map_err(unreadable)?;
    if (protocol == TCP || protocol == MPTCP) && flags & FAST_OPEN == 0 {
        return Ok(Aim::Nowhere);
    }
    if len < 2 {
        return Err(Cause::Address);
    }
    let mut named: u16 = read(name, 0).map_err(unreadable)?;
    if named == AF_UNSPEC {
        // Of a datagram an IPv4 socket takes it for its own family; an IPv6 one
        // sends where it is connected to.
        if family == AF_INET6 {
            return Ok(Aim::Nowhere);
        }
        named = AF_INET;
    }
    canonical(sk, named, name, len, operation)?;
    Ok(Aim::Peer)
}

/// Judges what a socket with this `tag` sends, unless it was let through to that very
/// peer before.
#[inline(always)]
pub(crate) fn judge_for(
    caller: &mut Caller<'_>,
    tag: Option<&mut SocketTag>,
    attempt: &Attempt<'_>,
) -> Result<i32, Cause> {
    let epoch = CONTROL.get(0).map_or(0, |control| control.epoch);
    let known = tag
        .as_ref()
        .is_some_and(|tag| may_send(tag, epoch, attempt.operation));
    if known && caller.label.flags & LABEL_CUT == 0 {
        return Ok(0);
    }
    let judged = judge(caller, attempt);
    if judged == Ok(0)
        && let Some(tag) = tag
    {
        tag.peer = attempt.operation.subject;
        tag.epoch = epoch;
    }
    judged
}

/// Whether the socket was let through to this destination before.
#[inline(always)]
fn may_send(tag: &SocketTag, epoch: u64, operation: &OperationKey) -> bool {
    let (known, wanted) = (&tag.peer, &operation.subject);
    tag.epoch == epoch
        && known[0] == wanted[0]
        && known[1] == wanted[1]
        && known[2] == wanted[2]
        && known[3] == wanted[3]
        && known[4] == wanted[4]
}
