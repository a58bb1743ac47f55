//! What each call over gRPC is bound by, whoever makes it: it counts for the
//! connection it came on, and its answer begins in time.

use std::{net::SocketAddr, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::time;
use tonic::{
    Status,
    transport::server::{TcpConnectInfo, TlsConnectInfo},
};

use crate::connection::Open;

/// Longest time until an answer begins. A call that sends nothing would keep its
/// connection open for ever; a slow line needs a while for a batch of events.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);

/// Bounds one call.
pub(super) async fn bound(State(open): State<Open>, request: Request, next: Next) -> Response {
    let call = peer(&request).and_then(|peer| open.call(peer));
    let answered = time::timeout(ANSWER_WITHIN, next.run(request)).await;
    let response = answered.unwrap_or_else(|_| {
        Status::deadline_exceeded("the call took too long; send it whole, or ask for less")
            .into_http()
    });
    match call {
        Some(call) => call.answer(response),
        None => response,
    }
}

fn peer(request: &Request) -> Option<SocketAddr> {
    let connection = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
    connection?.get_ref().remote_addr()
}
