//! The store's part of a request's life: what races must not break.

use holdpoint_proto::v1::{Rule, Session};
use tokio::task::JoinSet;

use super::*;
use crate::{
    domain::{account::Role, audit::Actor, request::Verdict},
    store::{
        TOGETHER, decisions::Decided, enrolment_tokens::NewToken, hosts::NewHost,
        open::tests::store,
    },
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
    account(store, "bob", Role::Reviewer).await;
    account(store, "eve", Role::Reviewer).await;
    host.id
}

/// Makes sure of the account `name` and its role.
pub(in crate::store) async fn account(store: &Store, name: &str, role: Role) {
    sqlx::query(
        "INSERT INTO users (name, role, password_hash, created_at) VALUES (?, ?, 'h', 1)
         ON CONFLICT (name) DO UPDATE SET role = excluded.role",
    )
    .bind(name)
    .bind(role.as_str())
    .execute(&store.write)
    .await
    .unwrap();
}

pub(in crate::store) async fn open(
    store: &Store,
    host: Uuid,
    n: u32,
    context: &RequestContext,
) -> Opened {
    open_of(store, host, n, context, 3).await
}

/// Opens request `n` of a host that may have `limit`.
pub(in crate::store) async fn open_of(
    store: &Store,
    host: Uuid,
    n: u32,
    context: &RequestContext,
    limit: u32,
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
    store.open_request(&request, limit).await.unwrap()
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
        token: None,
        grant: None,
    }
}

/// Whether `decision` was recorded.
async fn decided(store: &Store, decision: &Decision) -> bool {
    matches!(
        store.decide(decision, None).await.unwrap(),
        Decided::Recorded { .. }
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
        account(&store, &format!("r{n}"), Role::Reviewer).await;
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

#[tokio::test]
async fn who_may_decide_is_looked_at_when_it_is_decided() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    open(&store, host, 1, &context()).await;
    let by_bob = decision(1, "bob", Verdict::Approve, 5);
    account(&store, "bob", Role::Viewer).await;
    let refused = store.decide(&by_bob, None).await.unwrap();
    assert_eq!(refused, Decided::NotAllowed(Some(Role::Viewer)));
    let by_nobody = decision(1, "zoe", Verdict::Deny, 5);
    let refused = store.decide(&by_nobody, None).await.unwrap();
    assert_eq!(refused, Decided::NotAllowed(None));
    assert_eq!(get(&store, 1).await.state, State::Pending);
    account(&store, "bob", Role::Administrator).await;
    assert!(decided(&store, &by_bob).await);
}

/// Many more than one change takes.
const MANY: u32 = 2 * TOGETHER + 7;

/// A store in which [`MANY`] requests are pending.
async fn crowded() -> (Store, Uuid, tempfile::TempDir) {
    let (store, directory) = store().await;
    let host = enrolled(&store, 1).await;
    for n in 0..MANY {
        // The kit gives requests of odd numbers one operation, even ones another.
        assert_eq!(
            open_of(&store, host, 2 * n, &context(), MANY).await,
            Opened::New
        );
    }
    (store, host, directory)
}

#[tokio::test]
async fn what_comes_due_at_once_is_closed_a_few_at_a_time() {
    let (store, host, _directory) = crowded().await;
    let mut sizes = Vec::new();
    loop {
        let expired = store.expire_requests(DEADLINE).await.unwrap();
        if expired.is_empty() {
            break;
        }
        assert!(expired.iter().all(|(of, _)| *of == host));
        sizes.push(expired.len());
    }
    assert_eq!(sizes, [64, 64, 7]);
    assert_eq!(store.pending().await.unwrap(), 0);
}

#[tokio::test]
async fn nobody_decides_what_a_revoked_host_or_a_flag_is_about_to_close() {
    let (store, host, _directory) = crowded().await;
    // As if the process had died after the first change.
    sqlx::query("UPDATE hosts SET revoked_at = 4")
        .execute(&store.write)
        .await
        .unwrap();
    assert!(!decided(&store, &decision(2, "bob", Verdict::Approve, 5)).await);
    assert!(!decided(&store, &decision(2, "bob", Verdict::Deny, 5)).await);
    let some = store.withdraw_revoked(Millis::new(6)).await.unwrap();
    assert_eq!((some.len(), some[0].0), (64, host));
    let withdrawn = get(&store, 0).await;
    assert_eq!(
        (withdrawn.state, withdrawn.outcome_detail.as_str()),
        (State::Withdrawn, "its host was revoked")
    );
    while !store
        .withdraw_revoked(Millis::new(6))
        .await
        .unwrap()
        .is_empty()
    {}
    assert_eq!(store.pending().await.unwrap(), 0);
}

#[tokio::test]
async fn all_of_a_revoked_hosts_requests_are_withdrawn() {
    let (store, host, _directory) = crowded().await;
    let other = enrolled(&store, 2).await;
    open(&store, other, 1, &context()).await;
    let revoked = store.revoke_host(host, &Actor::Local, Millis::new(5));
    assert!(revoked.await.unwrap());
    assert_eq!(store.pending().await.unwrap(), 1);
    assert_eq!(get(&store, 1).await.state, State::Pending);
}

#[tokio::test]
async fn a_flag_is_in_force_before_all_that_it_refuses_is_closed() {
    let (store, _, _directory) = crowded().await;
    let other = enrolled(&store, 2).await;
    open(&store, other, 1, &context()).await;
    assert!(decided(&store, &decision(0, "bob", Verdict::Flag, 5)).await);
    assert_eq!(store.pending().await.unwrap(), u64::from(MANY));
    assert!(!decided(&store, &decision(2, "eve", Verdict::Approve, 6)).await);
    assert!(
        decided(&store, &decision(4, "eve", Verdict::Deny, 6)).await,
        "a denial changes nothing for the worse"
    );
    let mut sizes = Vec::new();
    loop {
        let refused = store.refuse_flagged(Millis::new(7)).await.unwrap();
        if refused.is_empty() {
            break;
        }
        sizes.push(refused.len());
    }
    assert_eq!(sizes, [64, 64, 5]);
    let refused = get(&store, 2).await;
    assert_eq!((refused.state, refused.decision), (State::Flagged, None));
    assert!(
        refused.outcome_detail.contains("flagged by bob at"),
        "{}",
        refused.outcome_detail
    );
    assert_eq!(
        get(&store, 1).await.state,
        State::Pending,
        "another operation"
    );
    assert!(decided(&store, &decision(1, "eve", Verdict::Approve, 8)).await);
}
