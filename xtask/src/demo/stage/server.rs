//! A small HTTP server that counts: who connected, what was asked, how much came.
//! It takes whatever is uploaded and keeps nothing.

use std::{
    io::{self, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes before the body.
const MAX_HEAD: u64 = 64 * 1024;

#[derive(Debug, Default)]
struct Traffic {
    connections: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// Serves until this program ends.
#[derive(Debug)]
pub(super) struct Server {
    port: u16,
    traffic: Arc<Traffic>,
}

impl Server {
    /// Listens on this port of the loopback address, 0 for any that is free.
    pub(super) fn start(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).with_context(|| {
            format!("cannot listen on 127.0.0.1:{port}: if another program has the port, stop it")
        })?;
        let port = listener.local_addr()?.port();
        let traffic = Arc::new(Traffic::default());
        let counters = Arc::clone(&traffic);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counters.connections.fetch_add(1, Ordering::SeqCst);
                let counters = Arc::clone(&counters);
                // A client that misbehaves only harms itself.
                thread::spawn(move || serve(&stream, &counters));
            }
        });
        Ok(Self { port, traffic })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What came so far.
    pub(super) fn traffic(&self) -> Value {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        json!({
            "connections": count(&self.traffic.connections),
            "requests": count(&self.traffic.requests),
            "bytes": count(&self.traffic.bytes),
        })
    }
}

fn serve(stream: &TcpStream, traffic: &Traffic) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let head = Head::read(&mut (&mut reader).take(MAX_HEAD))?;
    traffic.requests.fetch_add(1, Ordering::SeqCst);
    let mut writer = stream;
    if head.asks_first {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let received = io::copy(&mut reader.take(head.length), &mut io::sink())?;
    traffic.bytes.fetch_add(received, Ordering::SeqCst);
    let body = format!("received {received} bytes\n");
    write!(
        writer,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What of a request's head matters here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Head {
    length: u64,
    /// The client waits before it sends the body.
    asks_first: bool,
}

impl Head {
    fn read(reader: &mut impl io::BufRead) -> io::Result<Self> {
        let mut head = Self::default();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.trim_end().is_empty() {
                return Ok(head);
            }
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    head.length = value
                        .trim()
                        .parse()
                        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                }
                "expect" => head.asks_first = true,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(server: &Server, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn what_comes_is_counted() {
        let server = Server::start(0).unwrap();
        assert_eq!(
            server.traffic(),
            json!({ "connections": 0, "requests": 0, "bytes": 0 })
        );
        let answer = exchange(
            &server,
            b"PUT /x HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello",
        );
        assert!(answer.ends_with("\r\n\r\nreceived 5 bytes\n"), "{answer}");
        let answer = exchange(&server, b"GET / HTTP/1.0\r\n\r\n");
        assert!(answer.ends_with("received 0 bytes\n"), "{answer}");
        assert_eq!(
            server.traffic(),
            json!({ "connections": 2, "requests": 2, "bytes": 5 })
        );
    }

    #[test]
    fn a_head_without_end_is_no_request() {
        assert!(Head::read(&mut &b"GET / HTTP/1.1\r\nHost: x\r\n"[..]).is_err());
        assert!(Head::read(&mut &b"PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"[..]).is_err());
        let head = Head::read(&mut &b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"[..]);
        assert!(head.unwrap().asks_first);
    }
}
