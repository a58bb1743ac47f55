//! Options of sockets, and control messages of sends, by which the sender chooses
//! where its packets go beside what it says: a path, an interface, an own address;
//! or has the kernel tell the network something for it.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use holdpoint_agent_common::Route;

use crate::{
    judge::{REFUSED, tracked},
    kernel::{offset, read},
    netlink::is_made_up,
    peer::{AF_INET, AF_INET6, LOOPBACK, is_mapped},
    sockets::sk_of,
};

/// `SOL_*`: of which protocol an option or a control message is.
const SOL_IP: i32 = 0;
const SOL_SOCKET: i32 = 1;
const SOL_IPV6: i32 = 41;

/// Of `SOL_SOCKET`.
const SO_BINDTODEVICE: i32 = 25;
const SO_MARK: i32 = 36;
const SO_BINDTOIFINDEX: i32 = 62;

/// Of `SOL_IP`.
const IP_OPTIONS: i32 = 4;
const IP_RETOPTS: i32 = 7;
const IP_PKTINFO: i32 = 8;
const IP_MULTICAST_IF: i32 = 32;
const IP_UNICAST_IF: i32 = 50;
/// `IP_ADD_MEMBERSHIP` to `IP_MSFILTER`: groups and the sources in them.
const IP_GROUPS: core::ops::RangeInclusive<i32> = 35..=41;
/// `MCAST_JOIN_GROUP` to `MCAST_MSFILTER`; the same numbers in `SOL_IPV6`.
const GROUPS: core::ops::RangeInclusive<i32> = 42..=48;
/// `IPT_SO_SET_*`, `ARPT_SO_SET_*`, `EBT_SO_SET_*`.
const FILTERS: [i32; 6] = [64, 65, 96, 97, 128, 129];

/// Of `SOL_IPV6`.
const IPV6_2292PKTINFO: i32 = 2;
const IPV6_2292RTHDR: i32 = 5;
const IPV6_2292PKTOPTIONS: i32 = 6;
const IPV6_NEXTHOP: i32 = 9;
const IPV6_MULTICAST_IF: i32 = 17;
const IPV6_JOIN_GROUP: i32 = 20;
const IPV6_JOIN_ANYCAST: i32 = 27;
/// A flow label may carry a routing header.
const IPV6_FLOWLABEL_MGR: i32 = 32;
const IPV6_PKTINFO: i32 = 50;
const IPV6_RTHDR: i32 = 57;
/// `IP6T_SO_SET_*`.
const FILTERS6: core::ops::RangeInclusive<i32> = 64..=65;
const IPV6_UNICAST_IF: i32 = 76;

/// Control messages that are looked at; with more a send is refused.
const CONTROLS: usize = 16;
/// `struct cmsghdr`: length, level, type.
const CONTROL_HEAD: u64 = 16;
/// The loopback interface of every network namespace.
const LOOPBACK_INTERFACE: u32 = 1;

/// Judges options.
///
/// Hook since 5.7.
#[lsm(hook = "socket_setsockopt")]
pub(crate) fn gate_option(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let sk = sk_of(ctx.arg(0));
    let level: i32 = ctx.arg(1);
    let option: i32 = ctx.arg(2);
    match route_of(level, option) {
        None => 0,
        Some(Route::Netlink) if !sk.is_null() && is_made_up(sk.cast()).unwrap_or(false) => 0,
        Some(route) => {
            let about = [level, option].map(|number| u64::from(number.cast_unsigned()));
            caller.bar(route, [about[0], about[1], u64::MAX])
        }
    }
}

#[inline(always)]
fn route_of(level: i32, option: i32) -> Option<Route> {
    match level {
        SOL_SOCKET => match option {
            SO_BINDTODEVICE | SO_BINDTOIFINDEX | SO_MARK => Some(Route::Interface),
            _ => None,
        },
        SOL_IP => match option {
            IP_OPTIONS => Some(Route::SourceRoute),
            IP_MULTICAST_IF | IP_UNICAST_IF => Some(Route::Interface),
            _ if IP_GROUPS.contains(&option) || GROUPS.contains(&option) => Some(Route::Multicast),
            _ if FILTERS.contains(&option) => Some(Route::Netlink),
            _ => None,
        },
        SOL_IPV6 => match option {
            IPV6_RTHDR | IPV6_2292RTHDR | IPV6_2292PKTOPTIONS | IPV6_FLOWLABEL_MGR => {
                Some(Route::SourceRoute)
            }
            IPV6_PKTINFO | IPV6_2292PKTINFO | IPV6_NEXTHOP | IPV6_MULTICAST_IF
            | IPV6_UNICAST_IF => Some(Route::Interface),
            IPV6_JOIN_GROUP | IPV6_JOIN_ANYCAST => Some(Route::Multicast),
            _ if GROUPS.contains(&option) => Some(Route::Multicast),
            _ if FILTERS6.contains(&option) => Some(Route::Netlink),
            _ => None,
        },
        _ => None,
    }
}

/// Judges the control messages of a send. A program of its own: with the one that
/// judges destinations it would need more stack than 6.1 gives.
///
/// Hook since 5.7.
#[lsm(hook = "socket_sendmsg")]
pub(crate) fn gate_controls(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let sk = sk_of(ctx.arg(0));
    if sk.is_null() {
        return 0;
    }
    let Ok(family) = read::<u16>(sk.cast(), offset!(sock_family)) else {
        return REFUSED;
    };
    if family != AF_INET && family != AF_INET6 {
        return 0;
    }
    match route_of_controls(ctx.arg(1)) {
        Ok(None) => 0,
        Ok(Some(route)) => caller.bar(route, [0, 0, 0]),
        Err(_) => REFUSED,
    }
}

/// The route that a control message of the `struct msghdr` is, none if there is no
/// such. The kernel has copied them already.
#[inline(always)]
fn route_of_controls(message: *const u8) -> Result<Option<Route>, i32> {
    let mut left: u64 = read(message, offset!(msg_controllen))?;
    if left < CONTROL_HEAD {
        return Ok(None);
    }
    let mut at: *const u8 = read(message, offset!(msg_control))?;
    for _ in 0..CONTROLS {
        if left < CONTROL_HEAD {
            return Ok(None);
        }
        let len: u64 = read(at, 0)?;
        let level: i32 = read(at, 8)?;
        let kind: i32 = read(at, 12)?;
        match (level, kind) {
            (SOL_IP, IP_RETOPTS) | (SOL_IPV6, IPV6_RTHDR | IPV6_2292RTHDR) => {
                return Ok(Some(Route::SourceRoute));
            }
            (SOL_SOCKET, SO_MARK) | (SOL_IPV6, IPV6_NEXTHOP) => {
                return Ok(Some(Route::Interface));
            }
            (SOL_IP, IP_PKTINFO) => {
                // `struct in_pktinfo`: interface, own address.
                let [interface, own]: [u32; 2] = read(at, 16)?;
                if interface > LOOPBACK_INTERFACE || (own != 0 && own != LOOPBACK) {
                    return Ok(Some(Route::Interface));
                }
            }
            (SOL_IPV6, IPV6_PKTINFO | IPV6_2292PKTINFO) => {
                // `struct in6_pktinfo`: own address, interface.
                let own: [u32; 4] = read(at, 16)?;
                let interface: u32 = read(at, 32)?;
                let is_other = is_mapped(&own) && own[3] != 0 && own[3] != LOOPBACK;
                if interface > LOOPBACK_INTERFACE || is_other {
                    return Ok(Some(Route::Interface));
                }
            }
            _ => {}
        }
        let step = (len + 7) & !7;
        if step < CONTROL_HEAD || step > left {
            return Ok(None);
        }
        left -= step;
        at = at.wrapping_add(step as usize);
    }
    Ok(Some(Route::SourceRoute))
}
