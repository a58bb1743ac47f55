//! Where a call comes from: the address that guesses at passwords are counted
//! for, and that records of logins name.
//!
//! What a header says counts only if the configuration says that a proxy writes
//! it; otherwise anybody could choose an address for each guess.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, request::Parts},
};

use super::{Web, listener::Peer};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of a caller, if it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source(pub(super) Option<IpAddr>);

impl FromRequestParts<Web> for Source {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Infallible> {
        let forwarded = if web.config.behind_proxy {
            forwarded(&parts.headers)
        } else {
            None
        };
        let peer = parts.extensions.get::<Peer>();
        Ok(Self(forwarded.or(peer.map(|Peer(peer)| peer.ip()))))
    }
}

/// Whom the proxy says it has the call from: the last address. Those before it
/// are what the caller said.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all(FORWARDED_FOR).iter().next_back()?;
    let last = last.to_str().ok()?.rsplit(',').next()?.trim();
    let with_port = || last.parse().map(|address: SocketAddr| address.ip());
    last.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_proxy_added_counts() {
        let read = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            forwarded(&headers).map(|address| address.to_string())
        };
        let of = |text: &str| Some(text.to_owned());
        assert_eq!(read(&["192.0.2.1"]), of("192.0.2.1"));
        assert_eq!(read(&["10.0.0.1, 192.0.2.1"]), of("192.0.2.1"));
        assert_eq!(read(&["10.0.0.1", "2001:db8::1"]), of("2001:db8::1"));
        assert_eq!(read(&["192.0.2.1:5555"]), of("192.0.2.1"));
        assert_eq!(read(&["[2001:db8::1]:5555"]), of("2001:db8::1"));
        for none in [&[][..], &["unknown"], &["192.0.2.1, x"], &[""]] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }
}
