//! Takes the connections of browsers and tools, with bounds on how many there
//! are, how long each may take to say what it wants and how slowly it may read.
//!
//! Knows nothing of what is served. Nobody is logged in yet when this code runs:
//! a stranger must not be able to hold anything here for long.

mod http2;
mod patient;
mod tls;

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tower::ServiceExt as _;

use crate::connection::{FIRST_CALL_WITHIN, tune};
use patient::Patient;

pub use tls::TlsError;
pub(crate) use tls::configure;

/// Longest time for the TLS handshake, and for the head of a request.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
const HEAD_WITHIN: Duration = FIRST_CALL_WITHIN;
/// Longest time in which a peer takes nothing of what we have for it.
const WRITE_WITHIN: Duration = Duration::from_secs(30);
/// Most headers of a request, and most bytes of them.
const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Pause after a failure, so that a lasting one is not met in a tight loop.
const PAUSE: Duration = Duration::from_millis(100);

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Serves `app` on `listener` until `closing`; then ends each connection after
/// the request it is at. At most `most` connections at a time.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    app: Router,
    most: u32,
    closing: impl Future<Output = ()>,
) {
    let tls = tls.map(TlsAcceptor::from);
    let turns = Arc::new(Semaphore::new(most as usize));
    let (close, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(closing);
    loop {
        // Those that are through give their memory back.
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = &mut closing => break,
            accepted = accept(&listener, &turns) => accepted,
        };
        let Some((stream, peer, turn)) = accepted else {
            time::sleep(PAUSE).await;
            continue;
        };
        let (tls, app, closed) = (tls.clone(), app.clone(), closed.clone());
        connections.spawn(async move {
            connection(stream, peer, tls, app, closed).await;
            drop(turn);
        });
    }
    drop(listener);
    close.send_replace(true);
    while connections.join_next().await.is_some() {}
}

type Turn = tokio::sync::OwnedSemaphorePermit;

/// The next connection, when there is room for one.
async fn accept(
    listener: &TcpListener,
    turns: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, Turn)> {
    let turn = Arc::clone(turns).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, turn)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection; going on");
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    app: Router,
    closed: watch::Receiver<bool>,
) {
    tune(&stream);
    let stream = Patient::new(stream, WRITE_WITHIN);
    let Some(acceptor) = tls else {
        return one(stream, peer, app, closed).await;
    };
    match time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
            http2::serve(stream, peer, app, over(closed)).await;
        }
        Ok(Ok(stream)) => one(stream, peer, app, closed).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS failed"),
        Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
    }
}

/// Speaks HTTP/1.1.
async fn one(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    app: Router,
    closed: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| call(app.clone(), peer, request)),
        );
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = over(closed) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection failed");
    }
}

/// Waits until no more calls are taken.
async fn over(mut closed: watch::Receiver<bool>) {
    // An error: nobody is left to say so, which means the same.
    drop(closed.wait_for(|closed| *closed).await);
}

async fn call(
    app: Router,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Peer(peer));
    app.oneshot(request).await
}
