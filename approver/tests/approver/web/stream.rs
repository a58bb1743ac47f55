//! The stream of what happens.

use http_body_util::BodyExt as _;
use hyper::{Method, Response, body::Incoming};
use serde_json::{Value, json};

use super::{Client, requests::decision};
use crate::kit::{self, Approver, within};

/// A stream that is read.
struct Events {
    body: Incoming,
    text: String,
}

#[derive(Debug)]
struct Event {
    name: String,
    id: Option<String>,
    data: Value,
}

impl Events {
    async fn follow(client: &Client, path: &str) -> Self {
        let response: Response<Incoming> = client
            .open(Method::GET, &format!("/api/v1{path}"), None)
            .await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next event; none at the end. Comments are skipped.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                };
                let event = field("event").map(|event| Event {
                    name: event.to_owned(),
                    id: field("id").map(str::to_owned),
                    data: serde_json::from_str(field("data").unwrap()).unwrap(),
                });
                if event.is_some() {
                    return event;
                }
            }
            let frame = within(self.body.frame()).await?.ok()?;
            let data = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    async fn request(&mut self) -> Event {
        let event = self.next().await.unwrap();
        assert_eq!(event.name, "request", "{event:?}");
        event
    }
}

#[tokio::test]
async fn a_client_that_comes_back_misses_nothing() {
    let approver = Approver::start().await;
    let mut host = approver.enrol().await.connect().await;
    let (first, second) = (kit::request(), kit::request());
    host.open(&first).await.unwrap();
    let bob = Client::browser(&approver, "bob").await;

    let mut events = Events::follow(&bob, "/stream").await;
    let hello = events.next().await.unwrap();
    assert_eq!(hello.name, "hello");
    assert!(
        hello.data["revision"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .is_ok()
    );
    let pending = events.request().await;
    assert_eq!(pending.data["id"], first.request_id.as_str());
    assert_eq!(pending.data["may_decide"], true);
    host.open(&second).await.unwrap();
    let live = events.request().await;
    assert_eq!(live.data["id"], second.request_id.as_str());
    let last = live.id.unwrap();
    drop(events);

    // While nobody looks: one is decided, one more comes.
    let path = format!("/requests/{}/decision", first.request_id);
    let body = decision("deny", &pending.data["digest"]);
    bob.post(&path, &body).await.ok();
    assert_eq!(host.decision().await.request_id, first.request_id);
    let third = kit::request();
    host.open(&third).await.unwrap();

    for (client, path) in [
        (bob.with("last-event-id", &last), "/stream".to_owned()),
        (bob.clone(), format!("/stream?after={last}")),
    ] {
        let mut events = Events::follow(&client, &path).await;
        assert_eq!(events.next().await.unwrap().name, "hello");
        let denied = events.request().await;
        assert_eq!(denied.data["state"], "denied");
        assert_eq!(events.request().await.data["id"], third.request_id.as_str());
    }
    // An id of another database is no place here.
    let mut events = Events::follow(&bob, "/stream?after=9999999").await;
    assert_eq!(events.next().await.unwrap().name, "hello");
    assert_eq!(events.request().await.data["state"], "pending");
    bob.get("/stream?after=x").await.problem(400, "invalid");
}

#[tokio::test]
async fn it_ends_with_the_login() {
    let approver = Approver::start().await;
    let bob = Client::browser(&approver, "bob").await;
    let mut events = Events::follow(&bob, "/stream").await;
    assert_eq!(events.next().await.unwrap().name, "hello");
    assert_eq!(bob.call(Method::POST, "/logout", None).await.status, 204);
    let bye = events.next().await.unwrap();
    assert_eq!(
        (bye.name.as_str(), &bye.data),
        ("bye", &json!({ "because": "login" }))
    );
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn it_ends_with_the_approver_and_goes_on_with_the_next() {
    let mut approver = Approver::start().await;
    let bob = Client::browser(&approver, "bob").await;
    let mut events = Events::follow(&bob, "/stream").await;
    assert_eq!(events.next().await.unwrap().name, "hello");
    approver.stop().await;
    let bye = events.next().await.unwrap();
    assert_eq!(
        (bye.name.as_str(), &bye.data),
        ("bye", &json!({ "because": "closing" }))
    );
    assert!(events.next().await.is_none());
    approver.start_again().await;
    // The login is still good.
    let mut events = Events::follow(&bob, "/stream").await;
    assert_eq!(events.next().await.unwrap().name, "hello");
}

#[tokio::test]
async fn one_person_has_so_many_and_no_more() {
    let approver = Approver::start().await;
    let bob = Client::browser(&approver, "bob").await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(Events::follow(&bob, "/stream").await);
    }
    let refused = bob.get("/stream").await;
    refused.problem(429, "too-many");
    assert!(refused.headers.contains_key("retry-after"));
    let eve = Client::browser(&approver, "eve").await;
    let mut events = Events::follow(&eve, "/stream").await;
    assert_eq!(events.next().await.unwrap().name, "hello");
}
