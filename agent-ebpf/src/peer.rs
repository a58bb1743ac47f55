//! Destinations in canonical form, from the kernel's own copy of an address.
//!
//! Must never take one address for another: whatever is not understood is an
//! error, which the entry points turn into a refusal.

use holdpoint_agent_common::{Cause, Peer};

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

/// The canonical form of `address`, whose family is `family`, as a destination of
/// the socket `sk`.
#[inline(always)]
pub(crate) fn canonical(
    sk: *const u8,
    family: u16,
    address: *const u8,
    len: i32,
) -> Result<Peer, Cause> {
    let unreadable = |_: i32| Cause::Unreadable;
    // SMC and others take internet addresses too, and are not what they seem.
    let sk_family: u16 = read(sk, offset!(sock_family)).map_err(unreadable)?;
    if sk_family != AF_INET && sk_family != AF_INET6 {
        return Err(Cause::Address);
    }
    let mut peer = Peer::default();
    match family {
        AF_INET if len >= INET_LEN => {
            let to = read(address, 4).map_err(unreadable)?;
            set_ipv4(&mut peer, sk, to).map_err(unreadable)?;
        }
        AF_INET6 if len >= INET6_LEN => {
            let words: [u32; 4] = read(address, 8).map_err(unreadable)?;
            if is_mapped(&words) {
                set_ipv4(&mut peer, sk, words[3]).map_err(unreadable)?;
            } else {
                set_ipv6(&mut peer, sk, words).map_err(unreadable)?;
                if len >= INET6_FULL_LEN && peer.family == AF_INET6 {
                    peer.scope_id = read(address, 24).map_err(unreadable)?;
                }
            }
        }
        _ => return Err(Cause::Address),
    }
    peer.port = u16::from_be(read(address, 2).map_err(unreadable)?);
    peer.protocol = read(sk, offset!(sock_protocol)).map_err(unreadable)?;
    peer.socket_type = read(sk, offset!(sock_type)).map_err(unreadable)?;
    let net: *const u8 = read(sk, offset!(sock_net)).map_err(unreadable)?;
    peer.netns = read(net, offset!(net_inum)).map_err(unreadable)?;
    Ok(peer)
}

/// Whether it stands for an IPv4 address.
#[inline(always)]
pub(crate) fn is_mapped(words: &[u32; 4]) -> bool {
    words[0] == 0 && words[1] == 0 && words[2] == u32::to_be(0xffff)
}

/// Stores an IPv4 address given in network order. 0.0.0.0 reaches this host: at
/// the address that the socket `sk` is bound to, or else at 127.0.0.1.
#[inline(always)]
fn set_ipv4(peer: &mut Peer, sk: *const u8, mut address: u32) -> Result<(), i32> {
    if address == 0 {
        address = read(sk, offset!(inet_saddr))?;
    }
    if address == 0 {
        address = LOOPBACK;
    }
    let bytes = address.to_ne_bytes();
    peer.family = AF_INET;
    peer.address[0] = bytes[0];
    peer.address[1] = bytes[1];
    peer.address[2] = bytes[2];
    peer.address[3] = bytes[3];
    Ok(())
}

/// Stores an IPv6 address given in network order. `::` reaches this host: at `::1`,
/// or at 127.0.0.1 if the socket `sk` is bound to an IPv4 address.
#[inline(always)]
fn set_ipv6(peer: &mut Peer, sk: *const u8, mut words: [u32; 4]) -> Result<(), i32> {
    if words[0] == 0 && words[1] == 0 && words[2] == 0 && words[3] == 0 {
        if is_mapped(&read(sk, offset!(sock_v6_rcv_saddr))?) {
            return set_ipv4(peer, sk, LOOPBACK);
        }
        words[3] = u32::to_be(1);
    }
    peer.family = AF_INET6;
    for (index, word) in words.into_iter().enumerate() {
        let bytes = word.to_ne_bytes();
        peer.address[index * 4] = bytes[0];
        peer.address[index * 4 + 1] = bytes[1];
        peer.address[index * 4 + 2] = bytes[2];
        peer.address[index * 4 + 3] = bytes[3];
    }
    Ok(())
}
