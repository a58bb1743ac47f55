//! Who is connected now, and who wants to know what.
//!
//! Only wakes others up: what they then say to a host or a person they read
//! from the store, so a missed or doubled wake-up changes nothing. Never a place
//! to keep a fact.

mod seats;
mod turns;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, broadcast, mpsc, watch};
use uuid::Uuid;

pub(crate) use seats::{Full, Seats};
pub(crate) use turns::Turn;
use turns::Turns;

/// Reloads that may wait for somebody who hears slowly.
const RELOADS: usize = 256;

/// What a host has to hear about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum News {
    /// One of its requests was decided, flagged or has expired.
    Request(String),
    /// One of its grants was revoked.
    Revoked(String),
}

/// Something other than a request has changed: whoever shows it loads it anew.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reload {
    /// A host: connected, disconnected, revoked, said something else of itself.
    Host(Uuid),
    /// A session: begun, ended.
    Session {
        /// Where.
        host: Uuid,
        /// Which.
        id: String,
    },
    /// A grant: issued, used, revoked, ended.
    Grant(String),
    /// The flag on the operation of this digest, in hexadecimal: set, lifted.
    Flag(String),
}

/// The connections of this process.
#[derive(Debug)]
pub(crate) struct Live {
    changes: watch::Sender<()>,
    reloads: broadcast::Sender<Reload>,
    closing: watch::Sender<bool>,
    deadlines: Notify,
    hosts: Mutex<Hosts>,
    events: Arc<Turns>,
}

#[derive(Debug, Default)]
struct Hosts {
    streams: HashMap<Uuid, (u64, mpsc::UnboundedSender<News>)>,
    last_stream: u64,
}

/// Where the stream of one host hears about its requests and grants.
#[derive(Debug)]
pub(crate) struct Mailbox {
    live: Arc<Live>,
    host: Uuid,
    stream: u64,
    // Unbounded, but a host has a bounded number of open requests, each is closed
    // once, and what it was granted is revoked once.
    news: mpsc::UnboundedReceiver<News>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            changes: watch::Sender::new(()),
            reloads: broadcast::Sender::new(RELOADS),
            closing: watch::Sender::new(false),
            deadlines: Notify::new(),
            hosts: Mutex::default(),
            events: Arc::default(),
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

    /// Something other than a request has changed.
    pub(crate) fn reload(&self, what: Reload) {
        // Fails if nobody listens.
        let _ = self.reloads.send(what);
    }

    /// Hears of everything but requests from now on. Whoever hears too slowly is
    /// told that they missed some, and loads all anew.
    pub(crate) fn reloads(&self) -> broadcast::Receiver<Reload> {
        self.reloads.subscribe()
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

    /// There are news for `host`.
    pub(crate) fn tell(&self, host: Uuid, news: News) {
        if let Some((_, stream)) = self.hosts().streams.get(&host) {
            // Fails if the stream is ending; its host will ask again.
            let _ = stream.send(news);
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

    /// Makes a new stream the one that tells the events of `host`.
    pub(crate) fn tells_events(&self, host: Uuid) -> Turn {
        self.events.take(host)
    }

    /// The hosts whose streams are open.
    pub(crate) fn connected(&self) -> Vec<Uuid> {
        self.hosts().streams.keys().copied().collect()
    }

    fn hosts(&self) -> std::sync::MutexGuard<'_, Hosts> {
        // Nothing in here can be left half done.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    /// The next news; none when another stream took over.
    pub(crate) async fn next(&mut self) -> Option<News> {
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
        let news = |id: &str| News::Request(id.to_owned());
        live.tell(host, news("1"));
        let mut new = live.connect(host);
        live.tell(host, news("2"));
        assert_eq!(old.next().await, Some(news("1")));
        assert_eq!(old.next().await, None);
        drop(old);
        live.tell(host, news("3"));
        assert_eq!(new.next().await, Some(news("2")));
        assert_eq!(
            new.next().await,
            Some(news("3")),
            "the old one took nothing with it"
        );
        drop(new);
        assert!(live.hosts().streams.is_empty());
        live.tell(host, news("nobody hears"));
    }
}
