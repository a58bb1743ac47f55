//! Sends the spool to the approver: one acknowledged stream, made again whenever
//! it breaks.
//!
//! Remembers nothing: every stream begins with what the approver says it has,
//! and whatever lies behind that is sent, in order. Only an acknowledgement has
//! events removed.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use holdpoint_proto::v1::{
    EventBatch, PublishRequest, PublishResponse, host_events_client::HostEventsClient,
    publish_request::Message,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};
use tracing::{debug, info, warn};

use super::{journal::Journal, spool::SpoolError};
use crate::{
    identity::Identity,
    link::{self, Retry},
};

/// Batches on their way at once.
const WINDOW: usize = 8;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a host that is not enrolled looks whether it is by now.
const ENROLMENT_POLL: Duration = Duration::from_secs(2);

/// Sends events for as long as it is polled.
pub async fn run(state_dir: PathBuf, journal: Journal) {
    let mut retry = Retry::default();
    loop {
        // That it is not enrolled, or cannot be read, is the link's to say.
        let Ok(Some(identity)) = Identity::load(&state_dir) else {
            tokio::time::sleep(ENROLMENT_POLL).await;
            continue;
        };
        let (reason, was_up) = match link::connect(&identity).await {
            Ok(channel) => publish(channel, &journal).await,
            Err(error) => (link::causes(&error), false),
        };
        if was_up {
            retry = Retry::default();
        }
        debug!(reason, "events are not sent");
        journal.publishing(Some(reason));
        tokio::time::sleep(retry.next()).await;
    }
}

/// One stream from beginning to end: why it ended, and whether it had begun.
async fn publish(channel: Channel, journal: &Journal) -> (String, bool) {
    let ended = stream(channel, journal).await;
    if let Err(error) = journal.giving(false).await {
        // The next daemon takes everything for sent.
        warn!(%error, "a state directory that is set back may go unnoticed");
    }
    ended
}

/// What there is of it but its last words.
async fn stream(channel: Channel, journal: &Journal) -> (String, bool) {
    let (sender, receiver) = mpsc::channel(WINDOW + 1);
    let mut synced = journal.synced();
    let (open, _) = journal.opening();
    let oldest = open.first_sequence;
    if send(&sender, Message::Open(open)).await.is_none() {
        return ("the stream closed before it began".to_owned(), false);
    }
    let mut client = HostEventsClient::new(channel);
    let stream = client.publish(ReceiverStream::new(receiver));
    let mut incoming = match tokio::time::timeout(PATIENCE, stream).await {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return (words(&status), false),
        Err(_) => return ("the approver does not answer".to_owned(), false),
    };
    let has = match greeting(&mut incoming).await {
        Ok(has) => has,
        Err(reason) => return (reason, false),
    };
    if let Err(error) = journal.acknowledge(has) {
        warn!(%error, "events are not sent under the name of this spool");
        let mended = match error {
            SpoolError::Ahead { .. } => {
                let why =
                    format!("{error}; what had happened in between and was not sent is missing");
                journal.begin_anew(why).await
            }
            _ => Ok(()),
        };
        let reason = mended.err().unwrap_or(error);
        return (reason.to_string(), false);
    }
    if has + 1 < oldest {
        // The approver declares the numbers in between.
        warn!(
            has,
            oldest, "the approver lacks events that it once had, and that are gone here"
        );
    }
    if let Err(error) = journal.giving(true).await {
        return (error.to_string(), false);
    }
    info!(has, "events are sent to the approver");
    journal.publishing(None);
    let mut stream = Stream {
        journal,
        sender,
        sent: has.max(oldest - 1),
        on_their_way: VecDeque::new(),
        due: Instant::now(),
    };
    loop {
        let upto = *synced.borrow_and_update();
        if let Err(reason) = stream.fill(upto).await {
            return (reason, true);
        }
        let waits = !stream.on_their_way.is_empty();
        tokio::select! {
            changed = synced.changed() => if changed.is_err() {
                return ("the daemon stops".to_owned(), true);
            },
            message = incoming.message() => {
                if let Err(reason) = said(message).and_then(|upto| stream.acknowledged(upto)) {
                    return (reason, true);
                }
            }
            () = tokio::time::sleep_until(stream.due), if waits => {
                return ("the approver does not acknowledge".to_owned(), true);
            }
        }
    }
}

/// A stream that has begun.
struct Stream<'a> {
    journal: &'a Journal,
    sender: mpsc::Sender<PublishRequest>,
    /// Number of the last event that was sent, or need not be.
    sent: u64,
    /// The last number of each batch that is not acknowledged.
    on_their_way: VecDeque<u64>,
    /// When the oldest of them has to be acknowledged.
    due: Instant,
}

impl Stream<'_> {
    /// Sends what may be sent, up to number `synced`, and there is room for.
    async fn fill(&mut self, synced: u64) -> Result<(), String> {
        while self.on_their_way.len() < WINDOW && self.sent < synced {
            let events = self
                .journal
                .batch(self.sent)
                .await
                .map_err(|error| error.to_string())?;
            let Some(last) = events.last().map(|event| event.sequence) else {
                return Ok(());
            };
            send(&self.sender, Message::Batch(EventBatch { events }))
                .await
                .ok_or("the stream closed")?;
            self.sent = last;
            if self.on_their_way.is_empty() {
                self.due = Instant::now() + PATIENCE;
            }
            self.on_their_way.push_back(last);
        }
        Ok(())
    }

    fn acknowledged(&mut self, upto: u64) -> Result<(), String> {
        if upto > self.sent {
            return Err(format!(
                "the approver acknowledged event {upto} and was sent {} only",
                self.sent
            ));
        }
        self.journal
            .acknowledge(upto)
            .map_err(|error| error.to_string())?;
        while self.on_their_way.front().is_some_and(|last| *last <= upto) {
            self.on_their_way.pop_front();
            self.due = Instant::now() + PATIENCE;
        }
        Ok(())
    }
}

async fn send(sender: &mpsc::Sender<PublishRequest>, message: Message) -> Option<()> {
    let message = Some(message);
    sender.send(PublishRequest { message }).await.ok()
}

/// The approver's first words, which are due.
async fn greeting(incoming: &mut Streaming<PublishResponse>) -> Result<u64, String> {
    match tokio::time::timeout(PATIENCE, incoming.message()).await {
        Ok(message) => said(message),
        Err(_) => Err("the approver does not answer".to_owned()),
    }
}

fn said(message: Result<Option<PublishResponse>, Status>) -> Result<u64, String> {
    match message {
        Ok(Some(response)) => Ok(response.sequence),
        Ok(None) => Err("the approver closed the stream".to_owned()),
        Err(status) => Err(words(&status)),
    }
}

/// What a refusal says. An approver that knows no events says nothing but its kind.
fn words(status: &Status) -> String {
    match status.message() {
        "" => format!("the approver says: {}", status.code()),
        message => message.to_owned(),
    }
}
