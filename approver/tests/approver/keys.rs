//! Idempotency keys: a call that comes twice is one decision.

use holdpoint_proto::v1::{DecideRequest, Grant, GrantScope, OpenRequest, Outcome, Verdict};
use tonic::Code;

use crate::kit::{Approver, assert_status, changed, decision_of, request, say};

fn keyed(request: &OpenRequest, verdict: Verdict, key: &str) -> DecideRequest {
    DecideRequest {
        idempotency_key: key.into(),
        ..decision_of(request, verdict)
    }
}

#[tokio::test]
async fn the_same_call_with_the_same_key_is_answered_again_and_carried_out_once() {
    let mut approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let asked = request();
    stream.open(&asked).await.unwrap();
    let call = keyed(&asked, Verdict::Approve, "one");
    let first = say(&mut bob, call.clone()).await.unwrap();
    let again = say(&mut bob, call.clone()).await.unwrap();
    assert_eq!(again, first);
    stream.decision().await;
    // The next that the host hears is the answer to what it says itself.
    stream
        .report(&asked.request_id, Outcome::Released, false)
        .await;

    approver.stop().await;
    approver.start_again().await;
    let after = say(&mut bob, call).await.unwrap();
    assert_eq!(after.decision, first.decision);
    assert_eq!(
        after.outcome(),
        Outcome::Released,
        "the request as it stands now"
    );
}

#[tokio::test]
async fn of_the_same_call_twice_at_once_neither_fails() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let mut same = bob.clone();
    for n in 0..5 {
        let asked = request();
        stream.open(&asked).await.unwrap();
        let call = keyed(&asked, Verdict::Deny, &format!("key {n}"));
        let (one, two) = tokio::join!(say(&mut bob, call.clone()), say(&mut same, call));
        assert_eq!(one.unwrap().decision, two.unwrap().decision);
        stream.decision().await;
        stream
            .report(&asked.request_id, Outcome::Refused, false)
            .await;
    }
}

#[tokio::test]
async fn a_key_is_not_good_for_another_call() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let granting = || {
        changed(|context| {
            let rule = context.rule.as_mut().unwrap();
            rule.grants = vec![GrantScope::Session.into()];
        })
    };
    let (asked, other) = (granting(), granting());
    stream.open(&asked).await.unwrap();
    stream.open(&other).await.unwrap();
    let call = keyed(&asked, Verdict::Approve, "one");
    say(&mut bob, call.clone()).await.unwrap();
    let with_grant = DecideRequest {
        grant: Some(Grant {
            scope: GrantScope::Session.into(),
            ..Grant::default()
        }),
        ..call.clone()
    };
    let with_reason = DecideRequest {
        reason: "another".into(),
        ..call.clone()
    };
    for call in [
        keyed(&asked, Verdict::Deny, "one"),
        keyed(&other, Verdict::Approve, "one"),
        with_grant,
        with_reason,
    ] {
        let refused = say(&mut bob, call).await;
        let message = format!("another decision, about request {}", asked.request_id);
        assert_status(refused, Code::AlreadyExists, &message);
    }
    // With one of its own it is another decision.
    say(&mut bob, keyed(&other, Verdict::Approve, "two"))
        .await
        .unwrap();
    let long = keyed(&asked, Verdict::Approve, &"x".repeat(201));
    let refused = say(&mut bob, long).await;
    assert_status(refused, Code::InvalidArgument, "this one has 201");
}

#[tokio::test]
async fn the_keys_of_two_people_are_two_keys() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut stream = host.connect().await;
    let (mut bob, mut eve) = tokio::join!(approver.login("bob"), approver.login("eve"));
    let (asked, other) = (request(), request());
    stream.open(&asked).await.unwrap();
    stream.open(&other).await.unwrap();
    say(&mut bob, keyed(&asked, Verdict::Approve, "one"))
        .await
        .unwrap();
    // The very call of somebody else is no answer to theirs.
    let late = say(&mut eve, keyed(&asked, Verdict::Approve, "one")).await;
    assert_status(late, Code::FailedPrecondition, "bob decided at");
    let decided = say(&mut eve, keyed(&other, Verdict::Deny, "one"))
        .await
        .unwrap();
    assert_eq!(decided.decision.unwrap().reviewer, "eve");
}
