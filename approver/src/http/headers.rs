//! What every answer says to browsers: run nothing that isn't ours, load nothing
//! from elsewhere, keep nothing, tell nobody.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Uri, header},
    middleware::Next,
    response::Response,
};

use super::Web;

/// What a page of ours may do. Svelte makes its templates through one trusted
/// type policy of this name.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types svelte-trusted-html";
/// A year.
const TRANSPORT: &str = "max-age=31536000";

const FIXED: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-embedder-policy"),
        "require-corp",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
         microphone=(), payment=(), usb=()",
    ),
];

/// Adds the headers to every answer.
pub(super) async fn add(State(web): State<Web>, request: Request, next: Next) -> Response {
    let lasting = web.config.is_encrypted() && has_name(request.headers(), request.uri());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if lasting {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static(TRANSPORT),
        );
    }
    // Whatever didn't say that it may be kept may not.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether the approver is called by a name of its own. A browser would keep the
/// promise for `localhost` against every other program of the machine.
fn has_name(headers: &HeaderMap, uri: &Uri) -> bool {
    let from_header = || {
        let host = headers.get(header::HOST)?.to_str().ok()?;
        host.parse::<axum::http::uri::Authority>().ok()
    };
    let Some(authority) = uri.authority().cloned().or_else(from_header) else {
        return false;
    };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host != "localhost" && address.parse::<std::net::IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_its_own_are_promised_for() {
        for (host, named) in [
            ("approver.example:7444", true),
            ("localhost:7444", false),
            ("127.0.0.1", false),
            ("[::1]:7444", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            assert_eq!(has_name(&headers, &Uri::from_static("/")), named, "{host}");
        }
    }
}
