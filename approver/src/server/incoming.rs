//! Accepts connections, and goes on doing so.
//!
//! Running out of file descriptors or a peer that is gone before it is accepted
//! must not end the service.

use std::{io, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time,
};
use tokio_stream::wrappers::ReceiverStream;

/// Pause after a failure, so that a lasting one is not met in a tight loop.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections of `listener`, without end. Dropping them frees the port.
pub(super) fn accept(listener: TcpListener) -> ReceiverStream<io::Result<TcpStream>> {
    let (sender, connections) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = sender.closed() => return,
            };
            match accepted {
                Ok((connection, _)) => {
                    // Decisions are small, and somebody waits for each.
                    if let Err(error) = connection.set_nodelay(true) {
                        tracing::debug!(%error, "cannot set TCP_NODELAY");
                    }
                    if sender.send(Ok(connection)).await.is_err() {
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
