//! The publisher before an approver that is played.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use holdpoint_proto::v1::{
    self,
    event::Body,
    host_events_server::{HostEvents, HostEventsServer},
};
use tokio::net::TcpListener;
use tokio_stream::{Stream as AnyStream, StreamExt as _};
use tonic::{Request, Response, transport::Endpoint};

use super::*;
use crate::events::spool::MIN_BYTES;

/// Bytes and events that the approver takes at once.
const MOST_BYTES: usize = 1024 * 1024;
const MOST_EVENTS: usize = 1_000;

/// An approver that keeps what it is sent, and misbehaves as told.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    spool: Vec<u8>,
    events: BTreeMap<u64, String>,
    /// Numbers that came although they were there.
    again: u64,
    /// Bytes of events in the largest batch, and events in the longest.
    most: (usize, usize),
    /// Breaks the stream after this many batches.
    break_after: Option<usize>,
    /// Says it has this many of that spool, whatever it has.
    claims: Option<(Vec<u8>, u64)>,
}

impl Store {
    fn has(&self) -> u64 {
        let kept = self.0.lock().unwrap();
        match &kept.claims {
            Some((spool, has)) if *spool == kept.spool => *has,
            _ => kept.events.keys().next_back().copied().unwrap_or(0),
        }
    }

    fn opened(&self, spool: Vec<u8>) {
        let mut kept = self.0.lock().unwrap();
        if kept.spool != spool {
            kept.spool = spool;
            kept.events.clear();
        }
    }

    fn claim(&self, journal: &Journal, has: u64) {
        let spool = journal.opening().0.spool_id;
        self.0.lock().unwrap().claims = Some((spool, has));
    }
}

fn name(event: &v1::Event) -> String {
    match &event.body {
        Some(Body::Policy(policy)) => policy.profile.clone(),
        Some(Body::Gap(gap)) => format!("gap of {}", gap.lost),
        other => panic!("{other:?}"),
    }
}

#[tonic::async_trait]
impl HostEvents for Store {
    type PublishStream =
        std::pin::Pin<Box<dyn AnyStream<Item = Result<PublishResponse, Status>> + Send>>;

    async fn publish(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        let mut incoming = request.into_inner();
        let store = self.clone();
        let (answers, stream) = mpsc::channel(64);
        tokio::spawn(async move {
            let mut batches = 0;
            while let Some(Ok(request)) = incoming.next().await {
                match request.message.unwrap() {
                    Message::Open(open) => {
                        store.opened(open.spool_id);
                        assert!(open.first_sequence <= store.has() + 1);
                    }
                    Message::Batch(batch) => {
                        let mut kept = store.0.lock().unwrap();
                        let bytes = batch.events.iter().map(prost::Message::encoded_len).sum();
                        let (most_bytes, most_events) = kept.most;
                        kept.most = (most_bytes.max(bytes), most_events.max(batch.events.len()));
                        for event in &batch.events {
                            if kept.events.insert(event.sequence, name(event)).is_some() {
                                kept.again += 1;
                            }
                        }
                        batches += 1;
                        if kept.break_after.is_some_and(|after| batches > after) {
                            // Kept, and never said so.
                            return;
                        }
                    }
                }
                let sequence = store.has();
                let answer = Ok(PublishResponse { sequence });
                if answers.send(answer).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

struct World {
    store: Store,
    journal: Journal,
    channel: Channel,
    _directory: tempfile::TempDir,
}

async fn world() -> World {
    with_spool(MIN_BYTES).await
}

async fn with_spool(max_bytes: u64) -> World {
    let store = Store::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // As the approver has it.
    let service =
        HostEventsServer::new(store.clone()).max_decoding_message_size(MOST_BYTES + 64 * 1024);
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)),
    );
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), max_bytes).unwrap();
    let keeper = journal.clone();
    tokio::spawn(async move { keeper.keep_synced().await });
    World {
        store,
        journal,
        channel: Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .connect_lazy(),
        _directory: directory,
    }
}

impl World {
    fn record(&self, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            self.journal.record(Body::Policy(v1::PolicyEvent {
                profile: number.to_string(),
                ..v1::PolicyEvent::default()
            }));
        }
    }

    async fn synced(&self, number: u64) {
        let mut synced = self.journal.synced();
        synced.wait_for(|synced| *synced >= number).await.unwrap();
    }

    /// Publishes until `number` is acknowledged, however many streams that takes.
    async fn publish_until(&self, number: u64) {
        let acknowledged = async {
            while self.journal.state().fill.acknowledged < number {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let streams = async {
            loop {
                let (reason, _) = publish(self.channel.clone(), &self.journal).await;
                self.journal.publishing(Some(reason));
                // A stream after a broken one is another attempt.
                self.store.0.lock().unwrap().break_after = None;
            }
        };
        let both = async {
            tokio::select! {
                () = acknowledged => {}
                () = streams => {}
            }
        };
        tokio::time::timeout(Duration::from_mins(1), both)
            .await
            .unwrap();
    }

    fn assert_kept(&self, count: u64) {
        let kept = self.store.0.lock().unwrap();
        let expected: BTreeMap<u64, String> = (1..=count)
            .map(|number| (number, number.to_string()))
            .collect();
        assert_eq!(kept.events, expected);
    }
}

#[tokio::test]
async fn everything_arrives_once_and_in_order() {
    let world = world().await;
    world.record(1..=2_500);
    world.publish_until(2_500).await;
    world.record(2_501..=2_503);
    world.publish_until(2_503).await;
    world.assert_kept(2_503);
    assert_eq!(world.store.0.lock().unwrap().again, 0);
    assert_eq!(world.store.0.lock().unwrap().most.1, MOST_EVENTS);
    assert_eq!(world.journal.state().fill.acknowledged, 2_503);
}

#[tokio::test]
async fn no_batch_is_larger_than_the_approver_takes() {
    let world = with_spool(32 * 1024 * 1024).await;
    // The largest there can be, and such that fill a batch to the brim.
    let sizes = [
        500_000, 524_200, 524_200, 300, 1_000, 349_500, 349_500, 349_500,
    ];
    for size in sizes {
        let profile = "x".repeat(size);
        world.journal.record(Body::Policy(v1::PolicyEvent {
            profile,
            ..v1::PolicyEvent::default()
        }));
    }
    let last = sizes.len() as u64;
    world.publish_until(last).await;
    let (bytes, _) = world.store.0.lock().unwrap().most;
    assert!((700_000..=MOST_BYTES).contains(&bytes), "{bytes}");
    let kept: Vec<usize> = world
        .store
        .0
        .lock()
        .unwrap()
        .events
        .values()
        .map(String::len)
        .collect();
    assert_eq!(kept, sizes);
}

#[tokio::test]
async fn an_event_that_is_too_large_stops_nothing_and_is_declared() {
    let world = world().await;
    world.record(1..=1);
    world.journal.record(Body::Policy(v1::PolicyEvent {
        profile: "x".repeat(2 * 1024 * 1024),
        ..v1::PolicyEvent::default()
    }));
    world.record(3..=3);
    world.publish_until(3).await;
    let kept = world.store.0.lock().unwrap();
    let kept: Vec<&str> = kept.events.values().map(String::as_str).collect();
    assert_eq!(kept, ["1", "gap of 1", "3"]);
}

#[tokio::test]
async fn what_a_broken_stream_did_not_acknowledge_is_asked_for_and_not_sent_twice() {
    let world = world().await;
    world.store.0.lock().unwrap().break_after = Some(1);
    world.record(1..=3_500);
    world.publish_until(3_500).await;
    world.assert_kept(3_500);
    // The approver says at the beginning what it has.
    assert_eq!(world.store.0.lock().unwrap().again, 0);
}

#[tokio::test]
async fn an_approver_that_was_set_back_gets_what_is_still_here() {
    let world = world().await;
    world.record(1..=10);
    world.publish_until(10).await;
    world.record(11..=12);
    world.synced(12).await;
    // Restored from an older copy: the rest is its gap to declare.
    world.store.claim(&world.journal, 10);
    world.store.0.lock().unwrap().events.clear();
    let store = world.store.clone();
    let restored = async {
        while store.0.lock().unwrap().events.len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = restored => {}
        ended = publish(world.channel.clone(), &world.journal) => panic!("{ended:?}"),
        () = tokio::time::sleep(Duration::from_secs(30)) => panic!("nothing came"),
    }
    let numbers: Vec<u64> = store.0.lock().unwrap().events.keys().copied().collect();
    assert_eq!(numbers, [11, 12]);
}

#[tokio::test]
async fn an_approver_that_has_more_than_was_ever_sent_gets_a_new_spool() {
    let world = world().await;
    world.record(1..=3);
    world.synced(3).await;
    // As many as there are, and yet others: none was ever sent.
    world.store.claim(&world.journal, 2);
    let (reason, was_up) = publish(world.channel.clone(), &world.journal).await;
    assert!(!was_up);
    assert!(reason.contains("older than what"), "{reason}");
    assert_eq!(world.journal.state().fill.acknowledged, 0);
    world.publish_until(4).await;
    let kept = world.store.0.lock().unwrap();
    let names: Vec<&str> = kept.events.values().map(String::as_str).collect();
    assert_eq!(names, ["gap of 0", "1", "2", "3"]);
    assert_eq!(world.journal.state().error, None);
}
