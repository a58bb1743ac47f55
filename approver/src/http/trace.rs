//! One line in the log for each call, and its numbers. Every call has an id: in
//! the log, on every line it caused, and in the answer.
//!
//! Never logs what could be a secret: no query, no header, no body, and of the
//! path only its pattern.

use std::time::Instant;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method},
    middleware::Next,
    response::Response,
};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{Web, listener::Peer};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives a call its id.
pub(super) async fn identify(request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().simple().to_string();
    let peer = request.extensions().get::<Peer>();
    let address = peer.map(|Peer(peer)| tracing::field::display(peer.ip()));
    let span = tracing::info_span!("call", call.id = id, client.address = address);
    let mut response = next.run(request).instrument(span).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Notes how a call of `route` went.
pub(super) async fn note(
    State((web, route)): State<(Web, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let method = name(request.method());
    let begin = Instant::now();
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), begin.elapsed());
    web.approver.metrics.http(route, method, status, took);
    tracing::info!(
        http.route = route,
        http.method = method,
        http.status = status,
        duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "call answered"
    );
    response
}

/// The name of a method from a fixed list: callers can make up others.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
