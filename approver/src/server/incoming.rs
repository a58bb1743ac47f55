//! Accepts the connections of hosts and tools, so many at a time, and goes on
//! doing so.
//!
//! Running out of file descriptors or a peer that is gone before it is accepted
//! must not end the service. A connection on which nothing goes on is ended: a
//! stranger with many of them must not shut the hosts out.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroU32,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{self, Instant, Sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::connection::{FIRST_CALL_WITHIN, Listed, Open, tune};

/// Pause after a failure, so that a lasting one is not met in a tight loop.
const PAUSE: Duration = Duration::from_millis(100);

const BOUNDS: Bounds = Bounds {
    first: FIRST_CALL_WITHIN,
    idle: Duration::from_mins(1),
};

/// How long a connection may be open for nothing.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Until its first call.
    first: Duration,
    /// Between calls.
    idle: Duration,
}

/// The connections of `listener`, without end, at most `most` at a time. They are
/// listed in `open`. Dropping the stream frees the port.
pub(super) fn accept(
    listener: TcpListener,
    most: NonZeroU32,
    open: Open,
) -> ReceiverStream<io::Result<Incoming>> {
    let (sender, connections) = mpsc::channel(1);
    let turns = Arc::new(Semaphore::new(most.get() as usize));
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = next(&listener, &turns) => accepted,
                () = sender.closed() => return,
            };
            match accepted {
                Ok((stream, peer, turn)) => {
                    tune(&stream);
                    let incoming = Incoming::new(stream, open.add(peer), turn, BOUNDS);
                    if sender.send(Ok(incoming)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; going on");
                    time::sleep(PAUSE).await;
                }
            }
        }
    });
    ReceiverStream::new(connections)
}

/// The next connection, when there is room for one.
async fn next(
    listener: &TcpListener,
    turns: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let turn = Arc::clone(turns).acquire_owned().await;
    let turn = turn.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, turn))
}

/// A connection that fails when nothing goes on there.
#[derive(Debug)]
pub(super) struct Incoming {
    stream: TcpStream,
    listed: Listed,
    bounds: Bounds,
    /// When to look whether anything goes on.
    look: Pin<Box<Sleep>>,
    /// Given back with the connection.
    _turn: OwnedSemaphorePermit,
}

impl Incoming {
    fn new(stream: TcpStream, listed: Listed, turn: OwnedSemaphorePermit, bounds: Bounds) -> Self {
        Self {
            stream,
            listed,
            bounds,
            look: Box::pin(time::sleep(bounds.first)),
            _turn: turn,
        }
    }

    /// Ready when nothing goes on.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        while self.look.as_mut().poll(context).is_ready() {
            if !self.listed.calls.go_on() {
                let idle = io::Error::new(io::ErrorKind::TimedOut, "nothing goes on here");
                return Poll::Ready(idle);
            }
            let next = Instant::now() + self.bounds.idle;
            self.look.as_mut().reset(next);
        }
        Poll::Pending
    }
}

impl Connected for Incoming {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Incoming {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            return read;
        }
        // Whoever serves a connection reads all the time, so this is seen in time.
        self.poll_idle(context).map(Err)
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_stream::StreamExt as _;

    use super::*;

    const SHORT: Bounds = Bounds {
        first: Duration::from_millis(100),
        idle: Duration::from_millis(50),
    };

    async fn pair(bounds: Bounds, open: &Open) -> (Incoming, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).await;
        let turns = Arc::new(Semaphore::new(1));
        let (stream, peer, turn) = next(&listener, &turns).await.unwrap();
        let ours = Incoming::new(stream, open.add(peer), turn, bounds);
        (ours, theirs.unwrap())
    }

    async fn read(incoming: &mut Incoming) -> io::Result<usize> {
        let mut bytes = [0; 64];
        let read = time::timeout(Duration::from_secs(10), incoming.read(&mut bytes)).await;
        read.expect("it is still open")
    }

    #[tokio::test]
    async fn whoever_calls_for_nothing_is_dropped() {
        let (mut ours, mut theirs) = pair(SHORT, &Open::default()).await;
        // Bytes are no call: PINGs are bytes.
        theirs.write_all(b"ping").await.unwrap();
        assert_eq!(read(&mut ours).await.unwrap(), 4);
        let error = read(&mut ours).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_connection_stays_as_long_as_a_call_lasts() {
        let open = Open::default();
        let (mut ours, theirs) = pair(SHORT, &open).await;
        let peer = theirs.local_addr().unwrap();
        let call = open.call(peer).expect("it is listed");
        let waited = time::timeout(SHORT.first * 5, ours.read(&mut [0; 64])).await;
        assert!(waited.is_err(), "{waited:?}");
        drop(call);
        let error = read(&mut ours).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(ours);
        assert!(open.call(peer).is_none());
    }

    #[tokio::test]
    async fn there_are_only_so_many_and_more_when_one_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let most = NonZeroU32::MIN.saturating_add(1);
        let mut incoming = accept(listener, most, Open::default());
        let mut theirs = Vec::new();
        for _ in 0..3 {
            theirs.push(TcpStream::connect(address).await.unwrap());
        }
        let first = incoming.next().await.unwrap().unwrap();
        let _second = incoming.next().await.unwrap().unwrap();
        let third = time::timeout(Duration::from_millis(100), incoming.next()).await;
        assert!(third.is_err(), "there is no room");
        drop(first);
        let third = time::timeout(Duration::from_secs(10), incoming.next()).await;
        third.expect("there is room").unwrap().unwrap();
    }
}
