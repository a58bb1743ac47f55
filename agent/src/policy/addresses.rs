//! Addresses that are another one to the network: what rules compare is where a
//! connection arrives, in one spelling.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

use super::Attempt;

/// The address a connect really goes to: one spelling for each destination.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        // A connect to "any" reaches this host.
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// `attempt` with the IPv4 address that a translator would make of its destination:
/// one of `translators`, or one at the usual addresses (RFC 6052, 8215, 3056). None
/// if it would leave it alone.
pub(super) fn translated<'a>(
    attempt: &Attempt<'a>,
    translators: &[Ipv6Net],
) -> Option<Attempt<'a>> {
    let Attempt::Connect {
        address: IpAddr::V6(outer),
        port,
        protocol,
        exe,
        exe_is_hosts,
        listener,
    } = *attempt
    else {
        return None;
    };
    let inner = embedded(outer, translators)?;
    Some(Attempt::Connect {
        address: inner.into(),
        port,
        protocol,
        exe,
        exe_is_hosts,
        listener,
    })
}

fn embedded(address: Ipv6Addr, translators: &[Ipv6Net]) -> Option<Ipv4Addr> {
    let [a, b, c, ..] = address.segments();
    let [_, _, six0, six1, six2, six3, .., last0, last1, last2, last3] = address.octets();
    let nat64 = (a, b) == (0x64, 0xff9b) && (c == 0 || c == 1);
    if nat64 || translators.iter().any(|network| network.contains(&address)) {
        Some(Ipv4Addr::new(last0, last1, last2, last3))
    } else if a == 0x2002 {
        Some(Ipv4Addr::new(six0, six1, six2, six3))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translators_are_seen_through() {
        let own: Ipv6Net = "2001:db8:64::/96".parse().unwrap();
        for (address, inner) in [
            ("64:ff9b::a9fe:a9fe", Some("169.254.169.254")),
            ("64:ff9b:1::a9fe:a9fe", Some("169.254.169.254")),
            ("2002:a9fe:a9fe::1", Some("169.254.169.254")),
            ("2001:db8:64::10.1.2.3", Some("10.1.2.3")),
            ("2001:db8:65::10.1.2.3", None),
            ("64:ff9c::a9fe:a9fe", None),
            ("::1", None),
        ] {
            let found = embedded(address.parse().unwrap(), &[own]);
            assert_eq!(
                found,
                inner.map(|inner| inner.parse().unwrap()),
                "{address}"
            );
        }
    }
}
