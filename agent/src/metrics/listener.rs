//! Serves the numbers to this host: plain HTTP, without a login, on a loopback
//! address.
//!
//! Must never be what the daemon waits for. Whoever connects may be an agent: a
//! few connections at a time, a few seconds for each, one answer, and that a page
//! which is there already. If the port is somebody else's, the daemon goes on
//! without.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time,
};
use tracing::{debug, error, info};

use super::Metrics;

/// Most connections at a time; more wait in the socket's queue.
const CONNECTIONS_MAX: usize = 8;
/// Longest time a connection may take from its beginning to its end.
const CONNECTION_WITHIN: Duration = Duration::from_secs(5);
/// Most headers of a call, and most bytes of them.
const HEADERS_MAX: usize = 32;
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// How often measurements are put into buckets.
const TIDY_EVERY: Duration = Duration::from_secs(5);
/// How long to wait for a port that somebody else has.
const RETRY: Duration = Duration::from_secs(10);
/// Pause after a failure, so that a lasting one is not met in a tight loop.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `metrics` on `address` for as long as it is polled.
pub(crate) async fn run(address: SocketAddr, metrics: Metrics) {
    let mut ticks = time::interval(TIDY_EVERY);
    let serving = async {
        let listener = listen(address, RETRY).await;
        info!(%address, "serving metrics");
        serve(listener, &metrics, CONNECTION_WITHIN).await;
    };
    tokio::pin!(serving);
    loop {
        tokio::select! {
            () = &mut serving => return,
            _ = ticks.tick() => metrics.tidy(),
        }
    }
}

/// The listener, as soon as there is one. Any local process may have the port: no
/// reason to leave a machine without its daemon.
async fn listen(address: SocketAddr, retry: Duration) -> TcpListener {
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if told => debug!(%address, %error, "still cannot serve metrics"),
            Err(error) => {
                error!(%address, %error, "cannot serve metrics yet; trying again");
                told = true;
            }
        }
        time::sleep(retry).await;
    }
}

async fn serve(listener: TcpListener, metrics: &Metrics, within: Duration) {
    let turns = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // Those that are through give their memory back.
        while connections.try_join_next().is_some() {}
        let Ok(turn) = Arc::clone(&turns).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let metrics = metrics.clone();
                connections.spawn(async move {
                    match time::timeout(within, attend(stream, metrics)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => debug!(%error, "a call for metrics failed"),
                        Err(_) => debug!("a call for metrics took too long"),
                    }
                    drop(turn);
                });
            }
            Err(error) => {
                debug!(%error, "cannot accept a call for metrics");
                time::sleep(PAUSE).await;
            }
        }
    }
}

/// Answers one call.
async fn attend(stream: TcpStream, metrics: Metrics) -> io::Result<()> {
    http1::Builder::new()
        .keep_alive(false)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |call| {
                let response = answer(&call, &metrics);
                async move { Ok::<_, Infallible>(response) }
            }),
        )
        .await
        .map_err(io::Error::other)
}

fn answer(call: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, body) = match (call.method(), call.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, metrics.page()),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".into()),
        _ => (StatusCode::NOT_FOUND, "only /metrics\n".into()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const GET: &str = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";

    async fn served(within: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Metrics::on().unwrap();
        tokio::spawn(async move { serve(listener, &metrics, within).await });
        address
    }

    async fn call(address: SocketAddr, head: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // One that is cut off may be so before all is written and read.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        // Ends because the connection does, after one answer.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn the_page_is_served_and_nothing_else() {
        let address = served(CONNECTION_WITHIN).await;
        let page = call(address, GET).await;
        assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
        assert!(page.contains("text/plain; version=0.0.4"), "{page}");
        assert!(page.contains("\nholdpointd_enforcing 0\n"), "{page}");
        for (head, status) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
            ("GET /metrics/../x HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
            ("DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
            ("nonsense\r\n\r\n", "400"),
        ] {
            let answer = call(address, head).await;
            let expected = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(&expected), "{head:?}: {answer}");
        }
        let long = format!(
            "GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n",
            "x".repeat(4 * HEAD_BYTES_MAX)
        );
        assert!(!call(address, &long).await.contains("holdpointd_"));
    }

    #[tokio::test]
    async fn those_who_say_nothing_are_shown_out_and_others_served() {
        let within = Duration::from_millis(200);
        let address = served(within).await;
        let mut silent = Vec::new();
        for _ in 0..2 * CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let begun = time::Instant::now();
        let page = time::timeout(Duration::from_secs(30), call(address, GET)).await;
        assert!(page.unwrap().contains("holdpointd_enforcing"));
        // All those before it had their time, so no more than the most were served
        // at once.
        assert!(begun.elapsed() >= 2 * within, "{:?}", begun.elapsed());
        for stream in &mut silent {
            let mut rest = Vec::new();
            let ended = time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest));
            // In whichever way.
            let _ = ended.await.expect("it was shown out");
        }
    }

    #[tokio::test]
    async fn a_port_that_somebody_has_is_waited_for() {
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = other.local_addr().unwrap();
        let waiting = tokio::spawn(listen(address, Duration::from_millis(20)));
        time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        drop(other);
        let listener = time::timeout(Duration::from_secs(30), waiting).await;
        assert_eq!(listener.unwrap().unwrap().local_addr().unwrap(), address);
    }
}
