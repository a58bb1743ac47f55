//! The other side of a connection: counts who comes and what they say.

use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::sniffer::Sniffer;
use crate::patience::wait_until;

/// Listens until it is dropped.
pub struct Listener {
    connections: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
    sniffer: Sniffer,
}

impl Listener {
    /// Listens on `address`, and watches for packets to its port.
    pub fn on(address: &str) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let counters = [0; 2].map(|_| Arc::new(AtomicUsize::new(0)));
        let [connections, bytes] = counters.clone();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let accepting = thread::spawn(move || {
            let [connections, bytes] = counters;
            let mut open = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true).unwrap();
                    connections.fetch_add(1, Ordering::Relaxed);
                    open.push(stream);
                }
                for stream in &mut open {
                    let mut buffer = [0; 512];
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        bytes.fetch_add(length, Ordering::Relaxed);
                    }
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        Self {
            connections,
            bytes,
            stop,
            accepting: Some(accepting),
            sniffer: Sniffer::of(address.port()),
        }
    }

    /// How many came so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Waits until `count` have come.
    pub fn wait_for_connections(&self, count: usize) {
        wait_until("connections", || {
            let seen = self.connections();
            if seen == count { Ok(()) } else { Err(seen) }
        });
    }

    /// Waits until `count` bytes have come.
    pub fn wait_for_bytes(&self, count: usize) {
        wait_until("bytes", || {
            let seen = self.bytes.load(Ordering::Relaxed);
            if seen == count { Ok(()) } else { Err(seen) }
        });
    }

    /// Nobody came, and not one packet was sent.
    #[track_caller]
    pub fn assert_silence(&self) {
        assert_eq!(self.connections(), 0);
        assert_eq!(self.sniffer.packets(), 0, "packets to the listener's port");
    }

    /// The packets seen so far: after a connection there must be some, or seeing
    /// none would prove nothing.
    pub fn packets(&self) -> usize {
        self.sniffer.packets()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(accepting) = self.accepting.take() {
            // A panic in there was counted as silence by nobody.
            let _ = accepting.join();
        }
    }
}
