//! Local (unix) sockets: whoever listens may act for the caller, outside of its
//! session. Judged is the socket that would answer, not the name that led to it.
//!
//! Sockets that the session made itself are its own business.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_get_socket_cookie, macros::lsm, programs::LsmContext};
use holdpoint_agent_common::{Cause, LocalPeer, OperationKey, Route};

use crate::{
    judge::{Attempt, Caller, REFUSED, tracked},
    kernel::{offset, read},
    maps::CONTROL,
    observe,
    send::judge_for,
    sockets::{own_tag, sk_of},
};

/// Judges a connection of a stream. The kernel holds a lock of the peer meanwhile,
/// and lets go of it before the call ends, as it must for a stop to take effect.
///
/// Hook since 5.7; works as described on 6.1 and later.
#[lsm(hook = "unix_stream_connect")]
pub(crate) fn gate_local_connect(ctx: LsmContext) -> i32 {
    let mut caller = tracked!();
    let from: *mut c_void = ctx.arg(0);
    let to: *mut c_void = ctx.arg(1);
    local(&mut caller, from, to)
}

/// Judges a datagram, and the connection of a socket for datagrams.
///
/// Hook since 5.7; works as described on 6.1 and later.
#[lsm(hook = "unix_may_send")]
pub(crate) fn gate_local_send(ctx: LsmContext) -> i32 {
    let mut caller = tracked!();
    let from = sk_of(ctx.arg(0));
    let to = sk_of(ctx.arg(1));
    if from.is_null() || to.is_null() {
        return REFUSED;
    }
    local(&mut caller, from, to)
}

#[inline(always)]
fn local(caller: &mut Caller<'_>, from: *mut c_void, to: *mut c_void) -> i32 {
    if own_tag(caller, to).is_some() {
        return 0;
    }
    let mut operation = OperationKey::local(LocalPeer::default());
    let judged = match peer(to) {
        Err(_) => Err(Cause::Unreadable),
        Ok((peer, name)) => {
            let daemon = CONTROL.get(0).map_or(0, |control| control.daemon_tgid);
            if peer.pid != 0 && peer.pid == daemon {
                return caller.bar(Route::Daemon, [peer.pid.into(), 0, 0]);
            }
            operation = OperationKey::local(peer);
            let attempt = Attempt {
                operation: &operation,
                path: core::ptr::null_mut(),
                name,
                socket: from as u64,
                interpreter: false,
            };
            let ours = own_tag(caller, from);
            judge_for(caller, ours, &attempt)
        }
    };
    match judged {
        Ok(verdict) => verdict,
        Err(cause) => {
            observe::operation(caller, Some(cause), &operation);
            REFUSED
        }
    }
}

/// What is known of the socket `sk`, and its `struct unix_address`, null if it has
/// none.
#[inline(always)]
fn peer(sk: *mut c_void) -> Result<(LocalPeer, *const u8), i32> {
    // SAFETY: the verifier knows it as a socket; not null.
    let cookie = unsafe { bpf_get_socket_cookie(sk) };
    let sk: *const u8 = sk.cast();
    let mut peer = LocalPeer {
        cookie,
        ..LocalPeer::default()
    };
    peer.socket_type = read::<u16>(sk, offset!(sock_type))?.into();
    peer.uid = read(sk, offset!(sock_uid))?;
    let net: *const u8 = read(sk, offset!(sock_net))?;
    peer.netns = read(net, offset!(net_inum))?;
    let socket: *const u8 = read(sk, offset!(sock_socket))?;
    if !socket.is_null() {
        let number: u64 = read(socket, offset!(socket_inode) + offset!(inode_number))?;
        peer.socket = number as u32;
    }
    let pid: *const u8 = read(sk, offset!(sock_peer_pid))?;
    if !pid.is_null() {
        peer.pid = read(pid, offset!(pid_numbers))?;
    }
    let dentry: *const u8 = read(sk, offset!(unix_path) + offset!(path_dentry))?;
    if !dentry.is_null() {
        let inode: *const u8 = read(dentry, offset!(dentry_inode))?;
        let sb: *const u8 = read(inode, offset!(inode_sb))?;
        peer.file_inode = read(inode, offset!(inode_number))?;
        peer.file_device = read(sb, offset!(sb_dev))?;
    }
    Ok((peer, read(sk, offset!(unix_addr))?))
}
