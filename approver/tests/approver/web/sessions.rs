//! Sessions, as the events of their hosts tell of them.

use holdpoint_proto::v1::{
    EnforcementEvent, Event, Lifecycle, Process, Session, SessionEvent, event::Body,
};

use super::Client;
use crate::{events::Spool, kit::Approver};

fn event(sequence: u64, body: Body) -> Event {
    Event {
        sequence,
        time: Some(std::time::SystemTime::now().into()),
        body: Some(body),
    }
}

fn started(sequence: u64) -> Event {
    let started = EnforcementEvent {
        enforcing: true,
        lifecycle: Lifecycle::Started.into(),
        ..EnforcementEvent::default()
    };
    event(sequence, Body::Enforcement(started))
}

fn session(sequence: u64, id: &str, ended: bool) -> Event {
    let session = SessionEvent {
        session: Some(Session {
            id: id.into(),
            profile: "demo".into(),
            owner: "ada".into(),
            ..Session::default()
        }),
        root: Some(Process {
            pid: 9,
            tid: 9,
            start_time_ns: 5,
            executable: b"/bin/sh".to_vec(),
            ..Process::default()
        }),
        ended,
    };
    event(sequence, Body::Session(session))
}

/// Which sessions go on.
async fn open(client: &Client) -> Vec<String> {
    let list = client.get("/sessions").await.ok();
    let sessions = list["sessions"].as_array().unwrap();
    let going = sessions.iter().filter(|one| one["ended_at"].is_null());
    let mut ids: Vec<String> = going
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn what_a_daemon_that_starts_does_not_tell_of_is_over() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let bob = Client::browser(&approver, "bob").await;
    let (mut spool, _) = Spool::open(&host, 1, 1).await.unwrap();
    let first = vec![
        started(1),
        session(2, "aa", false),
        session(3, "bb", false),
        session(4, "cc", false),
        session(5, "cc", true),
    ];
    assert_eq!(spool.send(first).await.unwrap(), 5);
    assert_eq!(open(&bob).await, ["aa", "bb"]);
    assert_eq!(
        spool
            .send(vec![started(6), session(7, "bb", false)])
            .await
            .unwrap(),
        7
    );
    assert_eq!(open(&bob).await, ["bb"]);
}
