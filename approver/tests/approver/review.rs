//! What reviewers see: lists, single requests, the live view.

use std::time::Duration;

use holdpoint_proto::v1::{
    FollowEventsRequest, GetRequestRequest, ListRequestsRequest, Outcome, RequestState, Verdict,
    WatchRequestsRequest, WatchRequestsResponse,
};
use tonic::{Code, Streaming};

use crate::{
    events::auditor,
    kit::{Approver, PATIENCE, Person, assert_status, decide, request, request_of, within},
};

async fn seen(watch: &mut Streaming<WatchRequestsResponse>) -> (String, RequestState) {
    let response = within(watch.message()).await.unwrap().unwrap();
    let request = response.request.unwrap();
    let state = request.state();
    (request.id, state)
}

async fn watch(person: &mut Person) -> Streaming<WatchRequestsResponse> {
    person
        .watch_requests(WatchRequestsRequest {})
        .await
        .unwrap()
        .into_inner()
}

#[tokio::test]
async fn lists_are_newest_first_in_pages_and_filtered() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut ada) = tokio::join!(host.connect(), approver.login("ada"));
    let mut opened = Vec::new();
    for _ in 0..5 {
        let asked = request();
        stream.open(&asked).await.unwrap();
        opened.insert(0, asked.request_id);
    }
    let mut listed = Vec::new();
    let mut page_token = String::new();
    let mut pages = 0;
    loop {
        let request = ListRequestsRequest {
            states: vec![],
            page_size: 2,
            page_token,
        };
        let page = ada.list_requests(request).await.unwrap().into_inner();
        listed.extend(page.requests.into_iter().map(|request| request.id));
        pages += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((listed, pages), (opened.clone(), 3));

    stream.withdraw(&opened[1], "gone").await;
    let mut by_state = async |state: RequestState| {
        let request = ListRequestsRequest {
            states: vec![state.into()],
            ..ListRequestsRequest::default()
        };
        let page = ada.list_requests(request).await.unwrap().into_inner();
        page.requests
            .into_iter()
            .map(|request| request.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(by_state(RequestState::Withdrawn).await, [opened[1].clone()]);
    assert_eq!(by_state(RequestState::Pending).await.len(), 4);
    assert!(by_state(RequestState::Denied).await.is_empty());

    for (states, page_token, message) in [(vec![0], "", "state 0"), (vec![], "?", "page token")] {
        let request = ListRequestsRequest {
            states,
            page_size: 0,
            page_token: page_token.into(),
        };
        assert_status(
            ada.list_requests(request).await,
            Code::InvalidArgument,
            message,
        );
    }
}

#[tokio::test]
async fn a_beginning_of_an_id_is_enough_if_it_is_the_only_one() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut ada) = tokio::join!(host.connect(), approver.login("ada"));
    let (mut one, mut two) = (request(), request());
    one.request_id = "abcd1111-0000-4000-8000-000000000000".into();
    two.request_id = "abcd2222-0000-4000-8000-000000000000".into();
    stream.open(&one).await.unwrap();
    stream.open(&two).await.unwrap();

    for id in [
        "abcd1",
        "ABCD1111",
        "abcd11110000",
        "abcd1111-0000",
        &one.request_id,
    ] {
        let request = GetRequestRequest { id: id.into() };
        let found = ada
            .get_request(request)
            .await
            .unwrap()
            .into_inner()
            .request
            .unwrap();
        assert_eq!(found.id, one.request_id);
    }
    for (id, code, message) in [
        (
            "abcd",
            Code::InvalidArgument,
            "several requests begin with abcd",
        ),
        ("abc", Code::InvalidArgument, "\"abc\" is no request id"),
        ("", Code::InvalidArgument, "is no request id"),
        ("beef", Code::NotFound, "there is no request beef"),
    ] {
        let request = GetRequestRequest { id: id.into() };
        assert_status(ada.get_request(request).await, code, message);
    }
}

#[tokio::test]
async fn a_watcher_sees_what_is_pending_and_every_change() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut stream = host.connect().await;
    let (mut ada, mut bob) = tokio::join!(approver.login("ada"), approver.login("bob"));
    let (first, second) = (request(), request());
    let gone = request();
    stream.open(&gone).await.unwrap();
    stream.withdraw(&gone.request_id, "gone").await;
    stream.open(&first).await.unwrap();

    let mut watch = watch(&mut ada).await;
    let see =
        |request: &holdpoint_proto::v1::OpenRequest, state| (request.request_id.clone(), state);
    assert_eq!(seen(&mut watch).await, see(&first, RequestState::Pending));
    stream.open(&second).await.unwrap();
    assert_eq!(seen(&mut watch).await, see(&second, RequestState::Pending));
    decide(&mut bob, &first, Verdict::Approve).await.unwrap();
    assert_eq!(seen(&mut watch).await, see(&first, RequestState::Approved));
    stream.decision().await;
    stream
        .report(&first.request_id, Outcome::Released, false)
        .await;
    assert_eq!(seen(&mut watch).await, see(&first, RequestState::Approved));
    stream.withdraw(&second.request_id, "gone").await;
    assert_eq!(
        seen(&mut watch).await,
        see(&second, RequestState::Withdrawn)
    );
    let brief = request_of("ada", Duration::from_millis(500));
    stream.open(&brief).await.unwrap();
    assert_eq!(seen(&mut watch).await, see(&brief, RequestState::Pending));
    assert_eq!(seen(&mut watch).await, see(&brief, RequestState::Expired));
}

#[tokio::test]
async fn a_watcher_who_did_not_look_for_long_ends_up_with_the_truth() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut stream = host.connect().await;
    let (mut ada, mut bob) = tokio::join!(approver.login("ada"), approver.login("bob"));
    let mut watch = watch(&mut ada).await;

    // Megabytes of changes, far more than any buffer on the way holds.
    let mut last = None;
    for _ in 0..20 {
        let mut asked = request();
        let context = asked.context.as_mut().unwrap();
        context.process.as_mut().unwrap().argv = vec![vec![b'x'; 500_000]];
        asked.digest = holdpoint_proto::digest::of(context).to_vec();
        stream.open(&asked).await.unwrap();
        decide(&mut bob, &asked, Verdict::Deny).await.unwrap();
        stream.decision().await;
        last = Some(asked.request_id);
    }
    let mut states = std::collections::HashMap::new();
    loop {
        let (id, state) = seen(&mut watch).await;
        let done = Some(&id) == last.as_ref() && state == RequestState::Denied;
        states.insert(id, state);
        if done {
            break;
        }
    }
    assert_eq!(states.len(), 20);
    assert!(states.values().all(|state| *state == RequestState::Denied));
}

#[tokio::test]
async fn a_revoked_hosts_requests_leave_the_queue_for_those_who_watch() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut ada) = tokio::join!(host.connect(), approver.login("ada"));
    let asked = request();
    stream.open(&asked).await.unwrap();
    let mut watch = watch(&mut ada).await;
    assert_eq!(seen(&mut watch).await.1, RequestState::Pending);
    approver
        .admin
        .revoke_host(host.id.parse().unwrap())
        .await
        .unwrap();
    assert_eq!(
        seen(&mut watch).await,
        (asked.request_id, RequestState::Withdrawn)
    );
}

#[tokio::test]
async fn nobody_has_so_many_streams_that_others_have_none() {
    let approver = Approver::start().await;
    let (mut ada, mut bob) = tokio::join!(approver.login("ada"), approver.login("bob"));
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(watch(&mut ada).await);
    }
    let refused = ada.watch_requests(WatchRequestsRequest {}).await;
    let message = "you have 16 streams open already";
    assert_status(refused.map(drop), Code::ResourceExhausted, message);
    let follow = FollowEventsRequest::default();
    let refused = auditor(&approver, "ada").await.follow_events(follow).await;
    assert_status(refused.map(drop), Code::ResourceExhausted, message);
    watch(&mut bob).await;

    // One that ends makes room.
    open.pop();
    let start = std::time::Instant::now();
    while ada.watch_requests(WatchRequestsRequest {}).await.is_err() {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
