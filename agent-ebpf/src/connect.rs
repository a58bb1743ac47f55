//! connect: the address is the kernel's own copy, so what is judged is what is
//! used.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use aya_log_ebpf::debug;
use holdpoint_agent_common::{Cause, OperationKey, Route};

use crate::{
    judge::{Attempt, Caller, REFUSED, clear, judge, tracked},
    kernel::{offset, read},
    observe,
    peer::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, AF_UNSPEC, canonical},
    sockets::{own_tag, sk_of},
};

/// `SS_CONNECTING`: a connect of this socket is under way.
const CONNECTING: u32 = 2;

/// Judges a connection to an internet address. Local sockets pass; a family the
/// gate does not understand is refused unless the session may use it.
///
/// Hook since 5.7; works as described on 6.1 and later.
#[lsm(hook = "socket_connect")]
pub(crate) fn gate_connect(ctx: LsmContext) -> i32 {
    let mut caller = tracked!();
    let socket: *mut u8 = ctx.arg(0);
    let address: *const u8 = ctx.arg(1);
    let len: i32 = ctx.arg(2);
    let mut operation = OperationKey::default();
    let verdict = match destination(&caller, socket, address, len, &mut operation) {
        Ok(Destination::Peer(sk)) => {
            if read(socket, offset!(socket_state)) != Ok(CONNECTING) {
                // Not the one that was interrupted: the kernel may have given its
                // memory to another socket, and no answer serves a later call.
                clear(caller.label);
            }
            let attempt = Attempt {
                operation: &operation,
                path: core::ptr::null_mut(),
                name: core::ptr::null(),
                socket: sk,
                interpreter: false,
            };
            judge(&mut caller, &attempt)
        }
        Ok(Destination::Foreign(family)) => {
            return caller.bar(Route::ForeignSocket, [family.into(), 0, 0]);
        }
        Ok(Destination::Unjudged) => return 0,
        Err(cause) => Err(cause),
    };
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(cause) => {
            observe::operation(&caller, Some(cause), &operation);
            REFUSED
        }
    };
    if verdict != 0 {
        debug!(&ctx, "connect by thread {}: {}", caller.key.tid, verdict);
    }
    verdict
}

/// Where a connect goes.
enum Destination {
    /// Where the operation says, by the `struct sock` at this address.
    Peer(u64),
    /// By a socket of this family that is not the session's.
    Foreign(u16),
    /// Nowhere that is judged.
    Unjudged,
}

#[inline(always)]
fn destination(
    caller: &Caller<'_>,
    socket: *mut u8,
    address: *const u8,
    len: i32,
    operation: &mut OperationKey,
) -> Result<Destination, Cause> {
    if len < 2 {
        return Err(Cause::Address);
    }
    let family: u16 = read(address, 0).map_err(|_| Cause::Unreadable)?;
    if family == AF_UNIX || family == AF_NETLINK {
        return Ok(Destination::Unjudged);
    }
    let sk = sk_of(socket);
    if sk.is_null() {
        return Err(Cause::Unreadable);
    }
    let tag = own_tag(caller, sk);
    if tag.is_none() && !caller.permits(Route::ForeignSocket) {
        return Ok(Destination::Foreign(family));
    }
    if family == AF_UNSPEC {
        // The end of a connection: where the socket could send is void with it.
        if let Some(tag) = tag {
            tag.epoch = 0;
        }
        return Ok(Destination::Unjudged);
    }
    if family != AF_INET && family != AF_INET6 {
        // Making such a socket was judged.
        return if caller.permits(Route::SocketKind) || caller.permits(Route::Vsock) {
            Ok(Destination::Unjudged)
        } else {
            Err(Cause::Address)
        };
    }
    canonical(sk.cast(), family, address, len, operation)?;
    Ok(Destination::Peer(sk as u64))
}
