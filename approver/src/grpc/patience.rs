//! Sends to whoever reads a stream, and gives up on one who reads nothing.
//!
//! A reader that stops reading would otherwise keep its task, its place and
//! whatever waits for it for as long as its connection lives.

use std::time::Duration;

use tokio::{sync::mpsc, time};
use tonic::Status;

/// Longest time in which a reader takes nothing of what we have for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the messages of a stream go.
pub(super) type Stream<T> = mpsc::Sender<Result<T, Status>>;

/// Sends `message`, or says why the stream is over.
pub(super) async fn send<T>(stream: &Stream<T>, message: T) -> Result<(), Status> {
    send_within(PATIENCE, stream, Ok(message)).await
}

/// Ends the stream with `status`. If the reader is gone or takes nothing, nobody
/// needs to know.
pub(super) async fn end<T>(stream: &Stream<T>, status: Status) {
    let _ = send_within(PATIENCE, stream, Err(status)).await;
}

async fn send_within<T>(
    patience: Duration,
    stream: &Stream<T>,
    message: Result<T, Status>,
) -> Result<(), Status> {
    match time::timeout(patience, stream.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Status::cancelled("the reader hung up")),
        Err(_) => {
            tracing::info!("a stream was ended: it is read too slowly");
            Err(Status::unavailable(
                "the stream is read too slowly; connect again",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn who_reads_nothing_is_given_up() {
        let (stream, mut reader) = mpsc::channel(1);
        let brief = Duration::from_millis(20);
        let send = async |message| send_within(brief, &stream, Ok(message)).await;
        send(1).await.unwrap();
        let late = time::timeout(Duration::from_secs(10), send(2)).await;
        assert_eq!(late.unwrap().unwrap_err().code(), Code::Unavailable);
        assert_eq!(reader.recv().await.unwrap().unwrap(), 1);
        send(3).await.unwrap();
        drop(reader);
        assert_eq!(send(4).await.unwrap_err().code(), Code::Cancelled);
    }
}
