//! Who is connected now, and who wants to know what.
//!
//! Only wakes others up: what they then say to a host or a person they read
//! from the store, so a missed or doubled wake-up changes nothing. Never a place
//! to keep a fact.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, mpsc, watch};
use uuid::Uuid;

/// The connections of this process.
#[derive(Debug)]
pub(crate) struct Live {
    changes: watch::Sender<()>,
    closing: watch::Sender<bool>,
    deadlines: Notify,
    hosts: Mutex<Hosts>,
}

#[derive(Debug, Default)]
struct Hosts {
    streams: HashMap<Uuid, (u64, mpsc::UnboundedSender<String>)>,
    last_stream: u64,
}

/// Where the stream of one host hears about its requests.
#[derive(Debug)]
pub(crate) struct Mailbox {
    live: Arc<Live>,
    host: Uuid,
    stream: u64,
    // Unbounded, but a host has a bounded number of open requests and each is
    // closed once.
    news: mpsc::UnboundedReceiver<String>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            changes: watch::Sender::new(()),
            closing: watch::Sender::new(false),
            deadlines: Notify::new(),
            hosts: Mutex::default(),
        }
    }

    /// Some request has changed.
    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }

    /// Hears of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// There is a new deadline to watch.
    pub(crate) fn deadline_added(&self) {
        self.deadlines.notify_one();
    }

    /// Waits for a new deadline.
    pub(crate) async fn new_deadline(&self) {
        self.deadlines.notified().await;
    }

    /// Tells every stream to end.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until the process goes down.
    pub(crate) async fn closing(&self) {
        // The sender lives in `self`, so there is no error to wait for.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// Request `id` of `host` was decided or has expired.
    pub(crate) fn tell(&self, host: Uuid, id: &str) {
        if let Some((_, stream)) = self.hosts().streams.get(&host) {
            // Fails if the stream is ending; its host will ask again.
            let _ = stream.send(id.to_owned());
        }
    }

    /// Makes a new stream of `host` the one that hears. The one before hears
    /// that it is over.
    pub(crate) fn connect(self: &Arc<Self>, host: Uuid) -> Mailbox {
        let (sender, news) = mpsc::unbounded_channel();
        let mut hosts = self.hosts();
        hosts.last_stream += 1;
        let stream = hosts.last_stream;
        hosts.streams.insert(host, (stream, sender));
        Mailbox {
            live: Arc::clone(self),
            host,
            stream,
            news,
        }
    }

    fn hosts(&self) -> std::sync::MutexGuard<'_, Hosts> {
        // Nothing in here can be left half done.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    /// The next request that has news; none when another stream took over.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.news.recv().await
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let mut hosts = self.live.hosts();
        if hosts
            .streams
            .get(&self.host)
            .is_some_and(|(stream, _)| *stream == self.stream)
        {
            hosts.streams.remove(&self.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_stream_takes_over_and_the_old_one_hears_it() {
        let (live, host) = (Arc::new(Live::new()), Uuid::now_v7());
        let mut old = live.connect(host);
        live.tell(host, "1");
        let mut new = live.connect(host);
        live.tell(host, "2");
        assert_eq!(old.next().await.as_deref(), Some("1"));
        assert_eq!(old.next().await, None);
        drop(old);
        live.tell(host, "3");
        assert_eq!(new.next().await.as_deref(), Some("2"));
        assert_eq!(
            new.next().await.as_deref(),
            Some("3"),
            "the old one took nothing with it"
        );
        drop(new);
        assert!(live.hosts().streams.is_empty());
        live.tell(host, "nobody hears");
    }
}
