//! Events: taken from hosts once each, and found by people.

use holdpoint_proto::v1::{
    Action, Basis, Event, EventBatch, Exec, FollowEventsRequest, Gap, GapCause, OpenSpool,
    Operation, OperationEvent, Process, PublishRequest, PublishResponse, SearchEventsRequest,
    Session, SqlRequest, audit_client::AuditClient, event::Body,
    host_events_client::HostEventsClient, operation::Kind, publish_request::Message as Up,
};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Status, Streaming, service::interceptor::InterceptedService, transport::Channel,
};

use crate::kit::{Approver, Bearer, Host, assert_status, within};

/// A host's event stream.
pub(crate) struct Spool {
    up: mpsc::Sender<PublishRequest>,
    down: Streaming<PublishResponse>,
}

impl Spool {
    /// Opens a spool whose oldest event is `first`, and gives what is stored.
    pub(crate) async fn open(host: &Host, id: u8, first: u64) -> Result<(Self, u64), Status> {
        let mut spool = Self::raw(host).await?;
        spool
            .say(Up::Open(OpenSpool {
                spool_id: vec![id; 16],
                first_sequence: first,
            }))
            .await;
        let stored = spool.stored().await?;
        Ok((spool, stored))
    }

    async fn raw(host: &Host) -> Result<Self, Status> {
        let (up, messages) = mpsc::channel(8);
        let down = HostEventsClient::new(host.channel().await)
            .publish(ReceiverStream::new(messages))
            .await?
            .into_inner();
        Ok(Self { up, down })
    }

    async fn say(&mut self, message: Up) {
        let message = PublishRequest {
            message: Some(message),
        };
        // Fails if the approver has ended the stream: its answer says why.
        drop(self.up.send(message).await);
    }

    async fn stored(&mut self) -> Result<u64, Status> {
        match within(self.down.message()).await? {
            Some(response) => Ok(response.sequence),
            None => Err(Status::cancelled("ended")),
        }
    }

    pub(crate) async fn send(&mut self, events: Vec<Event>) -> Result<u64, Status> {
        self.offer(events).await;
        self.stored().await
    }

    /// Sends `events` and waits for no answer.
    pub(crate) async fn offer(&mut self, events: Vec<Event>) {
        self.say(Up::Batch(EventBatch { events })).await;
    }
}

fn exec(sequence: u64, path: &str, action: Action) -> Event {
    Event {
        sequence,
        time: Some(std::time::SystemTime::now().into()),
        body: Some(Body::Operation(OperationEvent {
            action: action.into(),
            basis: Basis::Policy.into(),
            operation: Some(Operation {
                kind: Some(Kind::Exec(Exec {
                    path: path.into(),
                    argv: vec![path.into(), vec![0xff]],
                    ..Exec::default()
                })),
            }),
            process: Some(Process {
                pid: 9,
                tid: 9,
                start_time_ns: 5,
                executable: b"/bin/sh".to_vec(),
                ..Process::default()
            }),
            session: Some(Session {
                id: "00ab".into(),
                profile: "demo".into(),
                owner: "ada".into(),
                ..Session::default()
            }),
            ..OperationEvent::default()
        })),
    }
}

pub(crate) fn execs(numbers: std::ops::RangeInclusive<u64>) -> Vec<Event> {
    numbers
        .map(|number| exec(number, "/usr/bin/curl", Action::Denied))
        .collect()
}

pub(crate) type Auditor = AuditClient<InterceptedService<Channel, Bearer>>;

pub(crate) async fn auditor(approver: &Approver, name: &str) -> Auditor {
    let bearer = approver.bearer(name).await;
    AuditClient::with_interceptor(approver.channel().await, bearer)
        .max_decoding_message_size(64 * 1024 * 1024)
}

async fn found(auditor: &mut Auditor, query: &str) -> Vec<Value> {
    let request = SearchEventsRequest {
        query: query.into(),
        page_size: 1000,
        page_token: String::new(),
    };
    let page = within(auditor.search_events(request)).await.unwrap();
    let records = page.into_inner().records.into_iter();
    records
        .map(|record| serde_json::from_slice(&record.json).unwrap())
        .collect()
}

/// The numbers of a host's events, oldest first.
async fn numbers(auditor: &mut Auditor, host: &Host) -> Vec<u64> {
    let records = found(auditor, &format!("host:{} kind:exec,gap", host.id)).await;
    let number = |record: &Value| record.pointer("/metadata/sequence")?.as_u64();
    records.iter().rev().filter_map(number).collect()
}

#[tokio::test]
async fn events_are_stored_once_and_found_at_once() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut ada = auditor(&approver, "ada").await;
    let (mut spool, stored) = Spool::open(&host, 1, 1).await.unwrap();
    assert_eq!(stored, 0);
    assert_eq!(spool.send(execs(1..=3)).await.unwrap(), 3);
    // Again, and with more: the acknowledgement may have been lost.
    assert_eq!(spool.send(execs(2..=5)).await.unwrap(), 5);
    assert_eq!(spool.send(execs(1..=2)).await.unwrap(), 5);
    assert_eq!(numbers(&mut ada, &host).await, [1, 2, 3, 4, 5]);
    let record = &found(&mut ada, "outcome:denied exe:*/curl since:1h").await[0];
    assert_eq!(record["unmapped"]["argv"][1]["base64"], "/w==");
    assert_eq!(record["device"]["uid"], host.id.as_str());
    assert!(
        found(&mut ada, "outcome:allowed exe:*/curl")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_batch_of_a_thousand_is_taken_and_a_larger_one_refused() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut spool, _) = Spool::open(&host, 1, 1).await.unwrap();
    assert_eq!(spool.send(execs(1..=1000)).await.unwrap(), 1000);
    let refused = spool.send(execs(1001..=2001)).await;
    assert_status(
        refused,
        Code::InvalidArgument,
        "1001 events; the most is 1000",
    );
    let (mut spool, stored) = Spool::open(&host, 1, 1001).await.unwrap();
    assert_eq!(stored, 1000);
    // The path is there twice.
    let long = exec(1001, &"x".repeat(526 * 1024), Action::Denied);
    let refused = spool.send(vec![long]).await;
    assert_status(refused, Code::InvalidArgument, "the most is 1048576");
}

#[tokio::test]
async fn wrong_numbers_are_refused_and_lost_ones_declared() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut ada = auditor(&approver, "ada").await;
    let (mut spool, _) = Spool::open(&host, 1, 1).await.unwrap();
    spool.send(execs(1..=2)).await.unwrap();
    let refused = spool.send(execs(4..=4)).await;
    assert_status(
        refused,
        Code::FailedPrecondition,
        "event 4 came where 3 was expected",
    );
    let (mut spool, stored) = Spool::open(&host, 1, 6).await.unwrap();
    assert_eq!(stored, 5, "up to here nothing will come any more");
    spool.send(execs(6..=6)).await.unwrap();
    assert_eq!(numbers(&mut ada, &host).await, [1, 2, 5, 6]);
    let gap = &found(&mut ada, "kind:gap").await[0];
    assert_eq!(gap["unmapped"]["cause"], "sequence");
    assert_eq!(gap["unmapped"]["lost"], 3);
    // The same opening again declares nothing twice.
    Spool::open(&host, 1, 6).await.unwrap();
    assert_eq!(found(&mut ada, "kind:gap").await.len(), 1);
    // A new spool begins at 1, and its events are others.
    let (mut spool, stored) = Spool::open(&host, 2, 1).await.unwrap();
    assert_eq!(stored, 0);
    let gap = Event {
        sequence: 1,
        time: None,
        body: Some(Body::Gap(Gap {
            cause: GapCause::DaemonDown.into(),
            ..Gap::default()
        })),
    };
    assert_eq!(spool.send(vec![gap]).await.unwrap(), 1);
    assert_eq!(found(&mut ada, "kind:gap").await.len(), 2);
}

#[tokio::test]
async fn one_stream_a_host_and_none_without_an_opening() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut old, _) = Spool::open(&host, 1, 1).await.unwrap();
    let (mut new, _) = Spool::open(&host, 1, 1).await.unwrap();
    assert_status(old.stored().await, Code::Aborted, "took over");
    assert_eq!(new.send(execs(1..=1)).await.unwrap(), 1);
    let mut unopened = Spool::raw(&host).await.unwrap();
    let refused = unopened.send(execs(1..=1)).await;
    assert_status(refused, Code::FailedPrecondition, "must open a spool");
    let refused = async {
        let mut spool = Spool::raw(&host).await?;
        spool
            .say(Up::Open(OpenSpool {
                spool_id: vec![1; 15],
                first_sequence: 1,
            }))
            .await;
        spool.stored().await
    };
    assert_status(refused.await, Code::InvalidArgument, "this one has 15");
    let refused = Spool::open(&host, 1, 0).await.map(|(_, stored)| stored);
    assert_status(refused, Code::InvalidArgument, "numbered from 1");
}

#[tokio::test]
async fn a_stranger_publishes_nothing() {
    let approver = Approver::start().await;
    let mut client = HostEventsClient::new(approver.channel().await);
    let (_up, messages) = mpsc::channel(1);
    let refused = client.publish(ReceiverStream::new(messages)).await;
    assert_status(
        refused.map(drop),
        Code::Unauthenticated,
        "client certificate",
    );
}

#[tokio::test]
async fn acknowledged_events_outlive_the_approver() {
    let mut approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut spool, _) = Spool::open(&host, 1, 1).await.unwrap();
    spool.send(execs(1..=70)).await.unwrap();
    approver.stop().await;
    approver.start_again().await;
    let (mut spool, stored) = Spool::open(&host, 1, 1).await.unwrap();
    assert_eq!(stored, 70);
    spool.send(execs(60..=80)).await.unwrap();
    let mut ada = auditor(&approver, "ada").await;
    let wanted: Vec<u64> = (1..=80).collect();
    assert_eq!(numbers(&mut ada, &host).await, wanted);
    assert_eq!(
        found(&mut ada, "kind:approver outcome:started").await.len(),
        2
    );
    assert_eq!(
        found(&mut ada, "kind:approver outcome:stopped").await.len(),
        1
    );
}

#[tokio::test]
async fn people_follow_and_page_and_ask_sql() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut ada = auditor(&approver, "ada").await;
    let follow = FollowEventsRequest {
        query: "kind:exec outcome:denied".into(),
        after_log_index: None,
    };
    let mut followed = ada.follow_events(follow).await.unwrap().into_inner();
    let (mut spool, _) = Spool::open(&host, 1, 1).await.unwrap();
    let mut events = execs(1..=3);
    events[1] = exec(2, "/usr/bin/ls", Action::Allowed);
    spool.send(events).await.unwrap();
    let mut heard = Vec::new();
    for _ in 0..2 {
        let response = within(followed.message()).await.unwrap().unwrap();
        let record: Value = serde_json::from_slice(&response.record.unwrap().json).unwrap();
        heard.push(record["metadata"]["sequence"].as_u64().unwrap());
    }
    assert_eq!(heard, [1, 3]);

    let mut page_token = String::new();
    let mut pages = Vec::new();
    for _ in 0..3 {
        let request = SearchEventsRequest {
            query: "kind:exec".into(),
            page_size: 2,
            page_token,
        };
        let page = ada.search_events(request).await.unwrap().into_inner();
        pages.push(page.records.len());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [2, 1]);

    let sql = SqlRequest {
        sql: "SELECT outcome, count(*) FROM events WHERE kind = 'exec' GROUP BY 1 ORDER BY 1"
            .into(),
        limit: 0,
    };
    assert_status(
        ada.sql(sql.clone()).await.map(drop),
        Code::PermissionDenied,
        "your role is viewer",
    );
    let mut bob = auditor(&approver, "bob").await;
    let mut answer = bob.sql(sql).await.unwrap().into_inner();
    let message = within(answer.message()).await.unwrap().unwrap();
    assert_eq!(message.rows, [r#"["allowed","1"]"#, r#"["denied","2"]"#]);
    assert!(!message.cut);
}

#[tokio::test]
async fn mistakes_are_explained() {
    let approver = Approver::start().await;
    let mut bob = auditor(&approver, "bob").await;
    let search = |query: &str| SearchEventsRequest {
        query: query.into(),
        ..SearchEventsRequest::default()
    };
    assert_status(
        bob.search_events(search("kind:exec outcom:x")).await,
        Code::InvalidArgument,
        "column 11: there is no key \"outcom\"",
    );
    let drop_table = SqlRequest {
        sql: "DROP TABLE events".into(),
        limit: 0,
    };
    let refused = bob.sql(drop_table).await.map(drop);
    assert_status(refused, Code::InvalidArgument, "only SELECT is answered");
    let token = SearchEventsRequest {
        page_token: "x".into(),
        ..search("")
    };
    assert_status(
        bob.search_events(token).await,
        Code::InvalidArgument,
        "page token",
    );
}
