//! Looks at stopped processes and their files, away from the daemon's own task:
//! they may block for as long as a filesystem pleases.
//!
//! Must never keep a look waiting for another: a reader that hangs keeps its
//! place, so there are many, and those for file contents, which a process chooses
//! freely, have places of their own. What took too long counts as not read.

use std::{sync::Arc, time::Duration};

use holdpoint_proto::v1;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    holds::{Ask, Look},
    kernel::{Content, DescribeError, Facts, Gate, Held},
    ruling::context,
};

/// Stopped processes read at once.
const READERS: usize = 32;

/// Files read at once.
const FILE_READERS: usize = 4;

/// How long a request waits for the content of its file; then a person is asked
/// without it.
const CONTENT_PATIENCE: Duration = Duration::from_secs(3);

/// How long an approval waits for the content of its file to be compared with
/// what was approved; then the operation is refused.
const LOOK_PATIENCE: Duration = Duration::from_secs(10);

/// How much longer than its own patience a reader may take.
const GRACE: Duration = Duration::from_millis(500);

/// What was read.
pub(super) enum Reading {
    /// A stopped process.
    Described {
        held: Box<Held>,
        facts: Box<Result<Facts, DescribeError>>,
    },
    /// The file that a held exec would run, before anybody is asked.
    Content {
        held: Box<Held>,
        ask: Box<Ask>,
        content: Content,
    },
    /// An operation that is to go on, just before it does.
    Looked {
        held: Box<Held>,
        purpose: Purpose,
        look: Look,
    },
}

/// Why an operation is looked at once more.
pub(super) enum Purpose {
    /// It was approved, and when the host heard of that.
    Approval {
        decision: Box<v1::Decision>,
        heard_ns: u64,
    },
    /// A grant that came meanwhile may cover it.
    Grant,
}

/// The readers.
pub(super) struct Readers {
    places: Arc<Semaphore>,
    files: Arc<Semaphore>,
    found: mpsc::UnboundedSender<Reading>,
}

impl Readers {
    /// Readers and what they find.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Reading>) {
        let (found, readings) = mpsc::unbounded_channel();
        let readers = Self {
            places: Arc::new(Semaphore::new(READERS)),
            files: Arc::new(Semaphore::new(FILE_READERS)),
            found,
        };
        (readers, readings)
    }

    /// Reads what a reviewer must see of `held`.
    pub(super) fn describe<G: Gate + ?Sized>(&self, gate: &Arc<G>, held: Box<Held>) {
        let gate = Arc::clone(gate);
        let places = Arc::clone(&self.places);
        let found = self.found.clone();
        tokio::spawn(async move {
            let Ok(place) = places.acquire_owned().await else {
                return;
            };
            let read = tokio::task::spawn_blocking(move || {
                let facts = Box::new(gate.describe(&held));
                drop(place);
                Reading::Described { held, facts }
            });
            if let Ok(reading) = read.await {
                // The daemon stops; the next one reads it again.
                let _ = found.send(reading);
            }
        });
    }

    /// Reads what `held` would run.
    pub(super) fn content<G: Gate + ?Sized>(&self, gate: &Arc<G>, held: Box<Held>, ask: Box<Ask>) {
        let gate = Arc::clone(gate);
        let subject = held.clone();
        let read = self.in_time(CONTENT_PATIENCE, move || {
            gate.content(&subject, CONTENT_PATIENCE)
        });
        let found = self.found.clone();
        tokio::spawn(async move {
            let content = read.await.unwrap_or(Content::Unread);
            let _ = found.send(Reading::Content { held, ask, content });
        });
    }

    /// Compares `held` with what `ask` says of it.
    pub(super) fn look<G: Gate + ?Sized>(
        &self,
        gate: &Arc<G>,
        held: Box<Held>,
        ask: &Ask,
        purpose: Purpose,
    ) {
        let gate = Arc::clone(gate);
        let subject = held.clone();
        let asked = ask.context.clone();
        let look = self.in_time(LOOK_PATIENCE, move || compare(&*gate, &subject, &asked));
        let found = self.found.clone();
        tokio::spawn(async move {
            let look = look
                .await
                .unwrap_or_else(|| Look::Failed("its files could not be read in time".to_owned()));
            let _ = found.send(Reading::Looked {
                held,
                purpose,
                look,
            });
        });
    }

    /// Runs `work` among the file readers; none if it takes too long.
    fn in_time<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
        &self,
        patience: Duration,
        work: W,
    ) -> impl Future<Output = Option<T>> + Send + use<T, W> {
        let files = Arc::clone(&self.files);
        let run = async move {
            let place = files.acquire_owned().await.ok()?;
            tokio::task::spawn_blocking(move || {
                let done = work();
                drop(place);
                done
            })
            .await
            .ok()
        };
        async move {
            tokio::time::timeout(patience + GRACE, run)
                .await
                .ok()
                .flatten()
        }
    }
}

fn compare<G: Gate + ?Sized>(gate: &G, held: &Held, asked: &v1::RequestContext) -> Look {
    let caller = match gate.caller(held) {
        Ok(caller) => caller,
        Err(error) => return Look::Failed(error.to_string()),
    };
    let heard = gate.listener(held);
    let digest =
        |content| Look::Digest(context::digest_now(asked, &caller, content, heard.as_ref()));
    if !context::says_content(asked) {
        return digest(Content::Unread);
    }
    match gate.content(held, LOOK_PATIENCE) {
        Content::Elsewhere => Look::Elsewhere,
        Content::Unread => Look::Failed("the content of its file could not be read again".into()),
        content @ Content::Read(_) => digest(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_hangs_keeps_nobody_waiting() {
        let (readers, _readings) = Readers::new();
        let (release, hang) = std::sync::mpsc::channel::<()>();
        let hang = Arc::new(std::sync::Mutex::new(hang));
        let stuck: Vec<_> = (0..FILE_READERS)
            .map(|_| {
                let hang = Arc::clone(&hang);
                let read = readers.in_time(Duration::ZERO, move || {
                    // Until the test lets go of its end.
                    hang.lock().is_ok_and(|hang| hang.recv().is_ok())
                });
                tokio::spawn(read)
            })
            .collect();
        for reader in stuck {
            assert_eq!(reader.await.unwrap(), None);
        }
        // No place is left, and that is no reason to wait for ever either.
        assert_eq!(readers.in_time(Duration::ZERO, || 7).await, None);
        drop(release);
        assert_eq!(readers.in_time(CONTENT_PATIENCE, || 7).await, Some(7));
    }
}
