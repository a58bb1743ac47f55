//! Destinations in canonical form, from the kernel's own copy of an address.
//!
//! Must never take one address for another: whatever is not understood is an
//! error, which the entry points turn into a refusal.

use aya_ebpf::helpers::bpf_probe_read_kernel_buf;
use holdpoint_agent_common::{Cause, OperationKey, OperationKind, Peer};

use crate::kernel::{offset, read};

pub(crate) const AF_UNSPEC: u16 = 0;
pub(crate) const AF_UNIX: u16 = 1;
pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;
pub(crate) const AF_NETLINK: u16 = 16;
pub(crate) const AF_VSOCK: u16 = 40;

/// Bytes of an address up to and with its port and IPv4 address.
const INET_LEN: i32 = 8;
/// `SIN6_LEN_RFC2133`: the shortest IPv6 address the kernel takes.
const INET6_LEN: i32 = 24;
/// With its scope.
const INET6_FULL_LEN: i32 = 28;

/// 127.0.0.1 in network order.
pub(crate) const LOOPBACK: u32 = u32::to_be(0x7f00_0001);

/// Makes `operation`, all zeros so far, a connect to the canonical form of `address`,
/// whose family is `family`, by the socket `sk`. In place, for want of stack.
#[inline(always)]
pub(crate) fn canonical(
    sk: *const u8,
    family: u16,
    address: *const u8,
    len: i32,
    operation: &mut OperationKey,
) -> Result<(), Cause> {
    let unreadable = |_: i32| Cause::Unreadable;
    // SMC and others take internet addresses too, and are not what they seem.
    let sk_family: u16 = read(sk, offset!(sock_family)).map_err(unreadable)?;
    if sk_family != AF_INET && sk_family != AF_INET6 {
        return Err(Cause::Address);
    }
    operation.kind = OperationKind::Connect as u32;
    let peer = (&raw mut operation.subject).cast::<Peer>();
    // SAFETY: `subject` has the size and the alignment of a peer, and any bits of its
    // are one.
    let peer = unsafe { &mut *peer };
    peer.family = family;
    match family {
        AF_INET if len >= INET_LEN => {
            // SAFETY: the helper checks the address; four bytes are copied.
            unsafe { bpf_probe_read_kernel_buf(address.wrapping_add(4), &mut peer.address[..4]) }
                .map_err(unreadable)?;
        }
        AF_INET6 if len >= INET6_LEN => {
            // SAFETY: the helper checks the address.
            unsafe { bpf_probe_read_kernel_buf(address.wrapping_add(8), &mut peer.address) }
                .map_err(unreadable)?;
            if len >= INET6_FULL_LEN {
                peer.scope_id = read(address, 24).map_err(unreadable)?;
            }
            unmap(peer);
        }
        _ => return Err(Cause::Address),
    }
    if is_unspecified(peer) {
        reach_host(peer, sk).map_err(unreadable)?;
    }
    peer.port = u16::from_be(read(address, 2).map_err(unreadable)?);
    peer.protocol = read(sk, offset!(sock_protocol)).map_err(unreadable)?;
    peer.socket_type = read(sk, offset!(sock_type)).map_err(unreadable)?;
    let net: *const u8 = read(sk, offset!(sock_net)).map_err(unreadable)?;
    peer.netns = read(net, offset!(net_inum)).map_err(unreadable)?;
    Ok(())
}

/// Whether it stands for an IPv4 address.
#[inline(always)]
pub(crate) fn is_mapped(words: &[u32; 4]) -> bool {
    words[0] == 0 && words[1] == 0 && words[2] == u32::to_be(0xffff)
}

/// The address of `peer` in words of network order.
#[inline(always)]
fn words(peer: &mut Peer) -> &mut [u32; 4] {
    // SAFETY: the address is the first field of an aligned type, and of the same size.
    unsafe { &mut *(&raw mut *peer).cast::<[u32; 4]>() }
}

/// An IPv6 address that stands for an IPv4 one becomes that.
#[inline(always)]
fn unmap(peer: &mut Peer) {
    let words = words(peer);
    if is_mapped(words) {
        words[0] = words[3];
        words[2] = 0;
        words[3] = 0;
        peer.family = AF_INET;
        peer.scope_id = 0;
    }
}

#[inline(always)]
fn is_unspecified(peer: &mut Peer) -> bool {
    let words = words(peer);
    words[0] == 0 && words[1] == 0 && words[2] == 0 && words[3] == 0
}

/// An unspecified address reaches this host. 0.0.0.0 does at the address that the
/// socket `sk` is bound to, or else at 127.0.0.1; `::` at `::1`, or at 127.0.0.1 if
/// the socket is bound to an IPv4 address.
#[inline(always)]
fn reach_host(peer: &mut Peer, sk: *const u8) -> Result<(), i32> {
    if peer.family == AF_INET {
        let own: u32 = read(sk, offset!(inet_saddr))?;
        words(peer)[0] = if own == 0 { LOOPBACK } else { own };
    } else if is_mapped(&read(sk, offset!(sock_v6_rcv_saddr))?) {
        peer.family = AF_INET;
        peer.scope_id = 0;
        words(peer)[0] = LOOPBACK;
    } else {
        words(peer)[3] = u32::to_be(1);
    }
    Ok(())
}
