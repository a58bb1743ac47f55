//! HTTP/2 on one connection, for as long as something goes on there.
//!
//! A peer that answers PINGs looks alive for ever, so being alive is not enough:
//! without calls it is asked to go, and one that never made any is dropped.

use std::{convert::Infallible, future::Future, net::SocketAddr, time::Duration};

use axum::{Router, extract::Request, response::Response};
use hyper::{body::Incoming, server::conn::http2::Builder, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{self, Instant},
};

use super::{HEAD_BYTES_MAX, HEAD_WITHIN, call};
use crate::connection::Calls;

/// Most calls of one connection at a time, and bytes of their bodies that may
/// wait for us, or for the peer, each and together.
const CONCURRENT_MAX: u32 = 32;
const WINDOW: u32 = 64 * 1024;
/// Streams a peer may open and reset before it is cut off.
const RESETS_MAX: usize = 20;
const PING_EVERY: Duration = Duration::from_secs(20);

const BOUNDS: Bounds = Bounds {
    idle: HEAD_WITHIN,
    leave: Duration::from_secs(5),
};

/// How long a connection may be open for nothing.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Until its first call, and between calls.
    idle: Duration,
    /// After it was asked to go.
    leave: Duration,
}

/// Serves `app` on `stream`, until nothing goes on there or `closing` is done.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    app: Router,
    closing: impl Future<Output = ()>,
) {
    within(BOUNDS, stream, peer, app, closing).await;
}

async fn within(
    bounds: Bounds,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    app: Router,
    closing: impl Future<Output = ()>,
) {
    let calls = Calls::default();
    let counted = calls.clone();
    let connection = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(CONCURRENT_MAX)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(WINDOW as usize)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| answer(&counted, app.clone(), peer, request)),
        );
    let look = time::sleep(bounds.idle);
    tokio::pin!(connection, closing, look);
    let mut leaving = false;
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = &mut closing, if !leaving => {}
            () = &mut look => {
                if calls.go_on() {
                    look.as_mut().reset(Instant::now() + bounds.idle);
                    continue;
                }
                if leaving {
                    tracing::debug!(%peer, "dropped: it was asked to go and does not");
                    return;
                }
            }
        }
        // It may not even have begun to speak, and then hears nothing either.
        if !calls.any() {
            tracing::debug!(%peer, "dropped: it called for nothing");
            return;
        }
        leaving = true;
        connection.as_mut().graceful_shutdown();
        look.as_mut().reset(Instant::now() + bounds.leave);
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection failed");
    }
}

/// Answers a call that is counted among `calls` until its answer is through.
fn answer(
    calls: &Calls,
    app: Router,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let counted = calls.begin();
    async move { Ok(counted.answer(call(app, peer, request).await?)) }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Arc};

    use axum::{body::Body, routing::get};
    use http_body_util::{BodyExt as _, Empty};
    use hyper::{
        body::Bytes,
        client::conn::http2::{self as client, SendRequest},
    };
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        sync::Notify,
        task::JoinHandle,
    };
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    const SHORT: Bounds = Bounds {
        idle: Duration::from_millis(200),
        leave: Duration::from_millis(100),
    };
    const LONG: usize = 512 * 1024;

    /// The peer's end, and whether ours has ended.
    fn connection(closing: impl Future<Output = ()> + Send + 'static) -> (DuplexStream, Ended) {
        let (ours, theirs) = duplex(1024 * 1024);
        let app = Router::new()
            .route("/", get(async || "here"))
            .route("/long", get(async || vec![b'x'; LONG]))
            .route(
                "/events",
                get(async || {
                    let (sender, events) = tokio::sync::mpsc::channel(1);
                    tokio::spawn(async move {
                        drop(sender.send(Ok::<_, axum::Error>("hello")).await);
                        sender.closed().await;
                    });
                    Body::from_stream(ReceiverStream::new(events))
                }),
            );
        let peer = "192.0.2.1:5000".parse().unwrap();
        let serving = tokio::spawn(within(SHORT, ours, peer, app, closing));
        (theirs, Ended(serving))
    }

    struct Ended(JoinHandle<()>);

    impl Ended {
        async fn in_time(self) {
            let ended = time::timeout(Duration::from_secs(10), self.0).await;
            ended.expect("it is still open").unwrap();
        }
    }

    async fn speak(stream: DuplexStream, window: u32) -> SendRequest<Empty<Bytes>> {
        let (sender, connection) = client::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(window)
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn get_from(
        sender: &mut SendRequest<Empty<Bytes>>,
        path: &str,
    ) -> hyper::Response<Incoming> {
        let request = hyper::Request::get(format!("http://x{path}")).body(Empty::new());
        sender.send_request(request.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn whoever_never_speaks_is_dropped() {
        let (mut silent, ended) = connection(pending());
        ended.in_time().await;
        // Our settings, and the end.
        let mut heard = Vec::new();
        silent.read_to_end(&mut heard).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_speaks_and_never_calls_is_dropped() {
        let (stream, ended) = connection(pending());
        // Answers PINGs from here on.
        let _sender = speak(stream, WINDOW).await;
        ended.in_time().await;
    }

    #[tokio::test]
    async fn whoever_calls_no_more_is_asked_to_go() {
        let (stream, ended) = connection(pending());
        let mut sender = speak(stream, WINDOW).await;
        let answer = get_from(&mut sender, "/").await.collect().await.unwrap();
        assert_eq!(answer.to_bytes(), "here");
        ended.in_time().await;
    }

    #[tokio::test]
    async fn whoever_was_asked_to_go_and_stays_is_dropped() {
        let (mut stream, ended) = connection(pending());
        // The preface, no settings, and `GET / HTTP/2` for `x`.
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .unwrap();
        stream
            .write_all(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01x")
            .await
            .unwrap();
        ended.in_time().await;
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        assert!(heard.windows(4).any(|text| text == b"here"), "{heard:?}");
    }

    #[tokio::test]
    async fn whoever_takes_no_answer_keeps_nothing_open() {
        let (stream, ended) = connection(pending());
        let mut sender = speak(stream, 0).await;
        let _unread = get_from(&mut sender, "/long").await;
        ended.in_time().await;
    }

    #[tokio::test]
    async fn whoever_reads_slowly_gets_all() {
        let (stream, ended) = connection(pending());
        let mut sender = speak(stream, WINDOW).await;
        let mut body = get_from(&mut sender, "/long").await.into_body();
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            read += frame.unwrap().data_ref().map_or(0, Bytes::len);
            time::sleep(SHORT.idle / 10).await;
        }
        assert_eq!(read, LONG);
        ended.in_time().await;
    }

    #[tokio::test]
    async fn a_stream_of_events_stays_and_ends_with_the_approver() {
        let close = Arc::new(Notify::new());
        let closing = Arc::clone(&close);
        let (stream, ended) = connection(async move { closing.notified().await });
        let mut sender = speak(stream, WINDOW).await;
        let mut events = get_from(&mut sender, "/events").await.into_body();
        assert!(events.frame().await.unwrap().is_ok());
        time::sleep(SHORT.idle * 5).await;
        assert!(!ended.0.is_finished(), "it was ended");
        let again = get_from(&mut sender, "/").await;
        assert_eq!(again.status(), 200);
        close.notify_one();
        drop((again, events));
        ended.in_time().await;
    }
}
