//! That a call with a cookie comes from the dashboard and from nowhere else.
//!
//! The token is a MAC of nothing under the cookie's secret: whoever can't read
//! the cookie can't make it, and it gives the cookie away to nobody. Nothing of
//! it is stored.

use aws_lc_rs::{constant_time, hmac};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use data_encoding::BASE64URL_NOPAD;

use crate::http::problem::{Code, Problem};

/// The header that carries the token.
const HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Domain separation.
const LABEL: &[u8] = b"holdpoint/csrf/v1";

/// The token that belongs to `cookie`.
pub(crate) fn token(cookie: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, cookie.as_bytes());
    BASE64URL_NOPAD.encode(hmac::sign(&key, LABEL).as_ref())
}

/// Whether a call carries the token that belongs to its cookie.
pub(super) fn check(headers: &HeaderMap, cookie: &str) -> Result<(), Problem> {
    let presented = headers
        .get(&HEADER)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    constant_time::verify_slices_are_equal(presented, token(cookie).as_bytes())
        .map_err(|_| Problem::new(Code::Csrf, "the header X-CSRF-Token is missing or wrong"))
}

/// Whether a browser says that a call comes from one of our own pages. One that
/// says nothing is no browser of this decade, or none at all; the token still
/// stands against it.
pub(crate) fn check_origin(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text(&SEC_FETCH_SITE)
        && site != "same-origin"
    {
        let detail = format!("the call comes from another site (Sec-Fetch-Site: {site:?})");
        return Err(Problem::new(Code::Csrf, detail));
    }
    let Some(origin) = text(&header::ORIGIN) else {
        return Ok(());
    };
    // HTTP/2 has the host in the URI.
    let host = uri.authority().map(axum::http::uri::Authority::as_str);
    let host = host.or_else(|| text(&header::HOST)).unwrap_or_default();
    let from = origin.split_once("://").map(|(_, from)| from);
    if host.is_empty() || from.is_none_or(|from| !from.eq_ignore_ascii_case(host)) {
        let detail = format!("the call comes from {origin:?}, which is not {host:?}");
        return Err(Problem::new(Code::Csrf, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn a_token_belongs_to_one_cookie_and_is_not_it() {
        let mut with = HeaderMap::new();
        with.insert(HEADER, token("a").parse().unwrap());
        assert!(check(&with, "a").is_ok());
        assert!(check(&with, "b").is_err());
        assert!(check(&HeaderMap::new(), "a").is_err());
        let empty = headers(&[("x-csrf-token", "")]);
        assert!(check(&empty, "").is_err());
    }

    #[test]
    fn only_our_own_origin() {
        let ok =
            |pairs: &[_], uri: &str| check_origin(&headers(pairs), &uri.parse().unwrap()).is_ok();
        let host = ("host", "a.example:7444");
        assert!(ok(&[host], "/x"));
        assert!(ok(&[host, ("origin", "https://a.example:7444")], "/x"));
        assert!(ok(
            &[("origin", "https://A.example:7444")],
            "https://a.example:7444/x"
        ));
        assert!(ok(&[host, ("sec-fetch-site", "same-origin")], "/x"));
        for bad in [
            ("origin", "https://a.example"),
            ("origin", "https://b.example:7444"),
            ("origin", "https://a.example:7444.b.example"),
            ("origin", "null"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "none"),
        ] {
            assert!(!ok(&[host, bad], "/x"), "{bad:?}");
        }
        assert!(!ok(&[("origin", "https://")], "/x"), "no host");
    }
}
