//! What holds for every connection, of hosts, tools and browsers alike: nobody
//! has said yet who they are, and a stranger must not be able to hold anything
//! here for long.
//!
//! Knows nothing of what is served.

mod calls;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::net::sockopt;
use tokio::net::TcpStream;

pub(crate) use calls::{Call, Calls};

/// Longest time until the first call begins.
pub(crate) const FIRST_CALL_WITHIN: Duration = Duration::from_secs(15);

/// How long a peer may be silent, and how long what we send may stay
/// unacknowledged, until the kernel asks whether it still lives or gives it up.
const SILENT: Duration = Duration::from_secs(30);

/// Has the kernel send at once, and notice when the other machine is gone.
pub(crate) fn tune(stream: &TcpStream) {
    let tuned = || {
        sockopt::set_tcp_nodelay(stream, true)?;
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, SILENT)?;
        sockopt::set_tcp_keepintvl(stream, SILENT / 3)?;
        sockopt::set_tcp_keepcnt(stream, 3)?;
        let unacknowledged = u32::try_from(SILENT.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(stream, unacknowledged)
    };
    if let Err(error) = tuned() {
        let error = std::io::Error::from(error);
        tracing::debug!(%error, "cannot set the options of a connection");
    }
}

/// The connections of one listener, for those who see a call but not what it came
/// on. Two that are open at a time never have the same peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open(Arc<Mutex<HashMap<SocketAddr, Calls>>>);

/// One open connection; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    open: Open,
    peer: SocketAddr,
    pub(crate) calls: Calls,
}

impl Open {
    /// A connection with `peer` that begins now.
    pub(crate) fn add(&self, peer: SocketAddr) -> Listed {
        let calls = Calls::default();
        self.all().insert(peer, calls.clone());
        Listed {
            open: self.clone(),
            peer,
            calls,
        }
    }

    /// A call on the connection with `peer`, if it is open.
    pub(crate) fn call(&self, peer: SocketAddr) -> Option<Call> {
        self.all().get(&peer).map(Calls::begin)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SocketAddr, Calls>> {
        // Never left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut all = self.open.all();
        // To us this one may have ended later than to its peer, who has begun
        // another.
        if all.get(&self.peer).is_some_and(|now| now.is(&self.calls)) {
            all.remove(&self.peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_for_the_connection_it_came_on() {
        let open = Open::default();
        let peer: SocketAddr = "192.0.2.1:5000".parse().unwrap();
        assert!(open.call(peer).is_none());
        let first = open.add(peer);
        drop(open.call(peer));
        assert!(first.calls.any());
        // The same port again, before the end of the first was seen.
        let second = open.add(peer);
        drop(first);
        assert!(!second.calls.any());
        drop(open.call(peer));
        assert!(second.calls.any());
        drop(second);
        assert!(open.all().is_empty());
    }

    #[tokio::test]
    async fn dead_peers_are_noticed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let stream = stream.unwrap();
        tune(&stream);
        assert!(sockopt::tcp_nodelay(&stream).unwrap());
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), SILENT);
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 30_000);
    }
}
