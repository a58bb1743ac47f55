//! Whose turn it is: of the streams of one kind, each host has one, and a newer
//! one ends the older.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;
use uuid::Uuid;

/// The streams that run.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<Running>);

#[derive(Debug, Default)]
struct Running {
    /// Number of the newest stream, and what ends when it is over.
    streams: HashMap<Uuid, (u64, oneshot::Sender<()>)>,
    last: u64,
}

/// The right of one stream to speak for its host.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    host: Uuid,
    number: u64,
    over: oneshot::Receiver<()>,
}

impl Turns {
    /// Gives the turn to a new stream of `host`.
    pub(crate) fn take(self: &Arc<Self>, host: Uuid) -> Turn {
        let (sender, over) = oneshot::channel();
        let mut running = self.running();
        running.last += 1;
        let number = running.last;
        running.streams.insert(host, (number, sender));
        Turn {
            turns: Arc::clone(self),
            host,
            number,
            over,
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // Nothing in here can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits until another stream has the turn.
    pub(crate) async fn over(&mut self) {
        // The other end is only ever dropped.
        let _ = (&mut self.over).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut running = self.turns.running();
        if running
            .streams
            .get(&self.host)
            .is_some_and(|(number, _)| *number == self.number)
        {
            running.streams.remove(&self.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_newer_stream_ends_the_older_of_the_same_host_only() {
        let (turns, host) = (Arc::new(Turns::default()), Uuid::now_v7());
        let mut old = turns.take(host);
        let mut other = turns.take(Uuid::now_v7());
        let mut new = turns.take(host);
        timeout(Duration::from_secs(5), old.over()).await.unwrap();
        drop(old);
        for turn in [&mut other, &mut new] {
            let over = timeout(Duration::from_millis(1), turn.over()).await;
            assert!(over.is_err(), "it still has the turn");
        }
        drop((other, new));
        assert!(turns.running().streams.is_empty());
    }
}
