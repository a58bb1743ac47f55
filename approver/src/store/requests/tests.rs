//! The store's part of a request's life: what races must not break.

use holdpoint_proto::v1::{Rule, Session};
use tokio::task::JoinSet;

use super::*;
use crate::{
    domain::{audit::Actor, request::Verdict},
    store::{decisions::Decided, enrolment_tokens::NewToken, hosts::NewHost, open::tests::store},
};

pub(in crate::store) const DEADLINE: Millis = Millis::new(100);

pub(in crate::store) fn id(n: u32) -> String {
    format!("{n:08x}-0000-7000-8000-000000000000")
}

pub(in crate::store) async fn enrolled(store: &Store, n: u8) -> Uuid {
    let token = NewToken {
        id: n.to_string(),
        secret_hash: [n; 32],
        label: String::new(),
        created_at: Millis::new(0),
        expires_at: Millis::new(10),
    };
    store.add_token(&token, &Actor::Local).await.unwrap();
    let host = NewHost {
        id: Uuid::now_v7(),
        hostname: format!("host{n}"),
        certificate_serial: "1".into(),
        certificate_expires_at: Millis::new(10),
    };
    assert!(store.enrol(&[n; 32], &host, Millis::new(1)).await.unwrap());
    host.id
}

pub(in crate::store) async fn open(
    store: &Store,
    host: Uuid,
    n: u32,
    context: &RequestContext,
) -> Opened {
    let request = NewRequest {
        id: &id(n),
        host_id: host,
        digest: &[1; 32],
        operation_digest: [u8::try_from(n % 2).unwrap(); 32],
        context,
        kind: "exec",
        held_at: None,
        created_at: Millis::new(1),
        deadline: DEADLINE,
    };
    store.open_request(&request, 3).await.unwrap()
}

pub(in crate::store) fn context() -> RequestContext {
    RequestContext {
        session: Some(Session {
            owner: "ada".into(),
            ..Session::default()
        }),
        rule: Some(Rule::default()),
        ..RequestContext::default()
    }
}

pub(in crate::store) fn decision(n: u32, reviewer: &str, verdict: Verdict, at: i64) -> Decision {
    Decision {
        request_id: id(n),
        digest: vec![1; 32],
        verdict,
        reviewer: reviewer.into(),
        reason: "because".into(),
        decided_at: Millis::new(at),
        signature: vec![2; 64],
        grant: None,
    }
}

/// Whether `decision` was recorded.
async fn decided(store: &Store, decision: &Decision) -> bool {
    matches!(
        store.decide(decision, None).await.unwrap(),
        Decided::Recorded(_)
    )
}

pub(in crate::store) async fn get(store: &Store, n: u32) -> Request {
    store.request(&id(n)).await.unwrap().unwrap()
}

#[tokio::test]
async fn of_many_deciders_one_wins_and_the_state_is_theirs() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    open(&store, host, 1, &context()).await;
    let mut racing = JoinSet::new();
    for n in 0..8 {
        let store = store.clone();
        let verdict = if n % 2 == 0 {
            Verdict::Approve
        } else {
            Verdict::Deny
        };
        let decision = decision(1, &format!("r{n}"), verdict, 5);
        racing.spawn(async move { decided(&store, &decision).await.then_some(decision) });
    }
    let winners: Vec<Decision> = racing.join_all().await.into_iter().flatten().collect();
    let [winner] = winners.as_slice() else {
        panic!("{} winners", winners.len());
    };
    let request = get(&store, 1).await;
    assert_eq!(request.decision.as_ref(), Some(winner));
    assert_eq!(
        State::Pending.after(Event::Decided(winner.verdict)),
        Ok(request.state)
    );
}

#[tokio::test]
async fn nothing_is_decided_at_or_after_the_deadline() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    open(&store, host, 1, &context()).await;
    assert!(!decided(&store, &decision(1, "bob", Verdict::Approve, 100)).await);
    assert_eq!(store.next_deadline().await.unwrap(), Some(DEADLINE));
    assert!(
        store
            .expire_requests(Millis::new(99))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store.expire_requests(DEADLINE).await.unwrap(),
        [(host, id(1))]
    );
    assert!(!decided(&store, &decision(1, "bob", Verdict::Approve, 50)).await);
    let request = get(&store, 1).await;
    assert_eq!((request.state, request.decision), (State::Expired, None));
    assert_eq!(store.next_deadline().await.unwrap(), None);
}

#[tokio::test]
async fn opening_is_idempotent_and_bounded_for_each_host() {
    let (store, _directory) = store().await;
    let (one, two) = (enrolled(&store, 1).await, enrolled(&store, 2).await);
    for n in 0..3 {
        assert_eq!(open(&store, one, n, &context()).await, Opened::New);
    }
    assert_eq!(
        open(&store, one, 0, &context()).await,
        Opened::Exists,
        "even when full"
    );
    assert_eq!(open(&store, one, 3, &context()).await, Opened::LimitReached);
    assert_eq!(
        open(&store, two, 4, &context()).await,
        Opened::New,
        "others have room"
    );
    store
        .withdraw_request(&id(0), one, "gone", Millis::new(2))
        .await
        .unwrap();
    assert_eq!(open(&store, one, 3, &context()).await, Opened::New);
}

#[tokio::test]
async fn a_host_touches_only_its_own_requests() {
    let (store, _directory) = store().await;
    let (one, two) = (enrolled(&store, 1).await, enrolled(&store, 2).await);
    open(&store, one, 1, &context()).await;
    let report = Report {
        outcome: Outcome::Refused,
        detail: "x",
        closes: Event::Withdrawn,
    };
    assert!(
        !store
            .withdraw_request(&id(1), two, "x", Millis::new(2))
            .await
            .unwrap()
    );
    assert_eq!(
        store
            .report_outcome(&id(1), two, &report, Millis::new(2))
            .await
            .unwrap(),
        None
    );
    assert!(
        !store
            .withdraw_request(&id(9), one, "x", Millis::new(2))
            .await
            .unwrap()
    );
    assert_eq!(get(&store, 1).await.state, State::Pending);
}

#[tokio::test]
async fn outcome_and_decision_are_two_facts() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    open(&store, host, 1, &context()).await;
    assert!(decided(&store, &decision(1, "bob", Verdict::Approve, 5)).await);
    assert!(
        store
            .withdraw_request(&id(1), host, "process died", Millis::new(6))
            .await
            .unwrap()
    );
    let request = get(&store, 1).await;
    assert_eq!(
        (request.state, request.outcome),
        (State::Approved, Some(Outcome::Gone))
    );
    assert_eq!(request.outcome_detail, "process died");

    let late = Report {
        outcome: Outcome::Released,
        detail: "",
        closes: Event::Withdrawn,
    };
    let state = store
        .report_outcome(&id(1), host, &late, Millis::new(7))
        .await
        .unwrap();
    assert_eq!(state, Some(State::Approved));
    assert_eq!(
        get(&store, 1).await.outcome,
        Some(Outcome::Gone),
        "the first report stays"
    );
}

#[tokio::test]
async fn every_change_has_a_revision_of_its_own() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    for n in 0..3 {
        open(&store, host, n, &context()).await;
    }
    let before = store.revision().await.unwrap();
    assert_eq!(store.expire_requests(DEADLINE).await.unwrap().len(), 3);
    let first = store.changed_requests(before, 2).await.unwrap();
    assert!(first.more && first.requests.len() == 2);
    let last = store
        .changed_requests(first.requests[1].revision, 2)
        .await
        .unwrap();
    assert!(!last.more && last.requests.len() == 1);
    assert_eq!(store.revision().await.unwrap(), last.requests[0].revision);
}

#[tokio::test]
async fn pages_are_newest_first_filtered_and_bounded_by_bytes() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    let mut large = context();
    large.session.as_mut().unwrap().user = "x".repeat(2 * 1024 * 1024);
    for n in 0..3 {
        open(&store, host, n, &large).await;
    }
    store
        .withdraw_request(&id(1), host, "", Millis::new(2))
        .await
        .unwrap();
    let ids = |page: &Page| {
        page.requests
            .iter()
            .map(|r| r.id.clone())
            .collect::<Vec<_>>()
    };

    let page = store
        .requests(&Filter::default(), i64::MAX, 50)
        .await
        .unwrap();
    assert_eq!(
        (ids(&page), page.more),
        (vec![id(2)], true),
        "two would be too many bytes"
    );
    let page = store
        .requests(&Filter::default(), page.requests[0].seq, 50)
        .await
        .unwrap();
    assert_eq!((ids(&page), page.more), (vec![id(1)], true));
    let filter = Filter {
        states: vec![State::Withdrawn, State::Denied],
        ..Filter::default()
    };
    let page = store.requests(&filter, i64::MAX, 50).await.unwrap();
    assert_eq!((ids(&page), page.more), (vec![id(1)], false));
    let page = store.pending_requests(0, 1).await.unwrap();
    assert_eq!((ids(&page), page.more), (vec![id(0)], true));
}

#[tokio::test]
async fn prefixes_find_one_or_tell_that_there_are_more() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    open(&store, host, 0xabcd_0001, &context()).await;
    open(&store, host, 0xabcd_0002, &context()).await;
    assert_eq!(
        store.request_ids("abcd0001").await.unwrap(),
        [id(0xabcd_0001)]
    );
    assert_eq!(store.request_ids("abcd0001-0").await.unwrap().len(), 1);
    assert_eq!(store.request_ids("abcd").await.unwrap().len(), 2);
    assert!(store.request_ids("abce").await.unwrap().is_empty());
}

#[tokio::test]
async fn revoking_a_host_withdraws_what_it_waits_for() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    open(&store, host, 1, &context()).await;
    assert!(
        store
            .revoke_host(host, &Actor::Local, Millis::new(5))
            .await
            .unwrap()
    );
    assert!(
        !store
            .revoke_host(host, &Actor::Local, Millis::new(6))
            .await
            .unwrap()
    );
    let request = get(&store, 1).await;
    assert_eq!(request.state, State::Withdrawn);
    assert_eq!(request.outcome_detail, "its host was revoked");
    assert_eq!(
        store.host(host).await.unwrap().unwrap().revoked_at,
        Some(Millis::new(5))
    );
}

#[tokio::test]
async fn a_withdrawal_said_twice_changes_nothing_the_second_time() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    open(&store, host, 1, &context()).await;
    for at in 2..4 {
        let known = store
            .withdraw_request(&id(1), host, "died", Millis::new(at))
            .await;
        assert!(known.unwrap());
    }
    let request = get(&store, 1).await;
    assert_eq!((request.state, request.outcome), (State::Withdrawn, None));
}
