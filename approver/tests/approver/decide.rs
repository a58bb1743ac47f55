//! A person decides and the host hears of it, or may not and doesn't.

use std::time::Duration;

use holdpoint_proto::v1::{
    DecideRequest, Outcome, RequestState, Verdict, approver_message::Message as Down,
};
use tonic::Code;

use crate::kit::{Approver, assert_status, decide, request, request_of, show, verify};

#[tokio::test]
async fn an_approval_reaches_the_host_signed_and_bound_to_the_digest() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let asked = request();
    stream.open(&asked).await.unwrap();

    let shown = show(&mut bob, &asked.request_id).await;
    assert_eq!(shown.context, asked.context, "byte for byte");
    assert_eq!(
        (shown.state(), shown.hostname.as_str()),
        (RequestState::Pending, "build-7")
    );

    let decided = decide(&mut bob, &asked, Verdict::Approve).await.unwrap();
    let decision = stream.decision().await;
    verify(&host, &decision);
    assert_eq!(
        (&decision.request_id, &decision.digest),
        (&asked.request_id, &asked.digest)
    );
    assert_eq!(
        (decision.verdict(), decision.reviewer.as_str()),
        (Verdict::Approve, "bob")
    );
    assert_eq!(decided.state(), RequestState::Approved);
    assert_eq!(
        decided.decision.as_ref(),
        Some(&decision),
        "what is kept is what was sent"
    );
    assert_eq!(
        decided.outcome(),
        Outcome::Unspecified,
        "it has not run yet"
    );

    stream
        .report(&asked.request_id, Outcome::Released, false)
        .await;
    let shown = show(&mut bob, &asked.request_id).await;
    assert_eq!(
        (shown.state(), shown.outcome()),
        (RequestState::Approved, Outcome::Released)
    );
}

#[tokio::test]
async fn the_owner_and_viewers_cannot_decide() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut stream = host.connect().await;
    let (mut ada, mut bob) = tokio::join!(approver.login("ada"), approver.login("bob"));

    let of_bob = request_of("bob", Duration::from_mins(1));
    stream.open(&of_bob).await.unwrap();
    for verdict in [Verdict::Approve, Verdict::Deny] {
        let refused = decide(&mut bob, &of_bob, verdict).await;
        assert_status(refused, Code::PermissionDenied, "you own the session");
        let refused = decide(&mut ada, &of_bob, verdict).await;
        assert_status(refused, Code::PermissionDenied, "your role is viewer");
    }
    assert_eq!(
        show(&mut ada, &of_bob.request_id).await.state(),
        RequestState::Pending
    );
}

#[tokio::test]
async fn of_two_racing_reviewers_one_decides() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut stream = host.connect().await;
    let (mut bob, mut eve) = tokio::join!(approver.login("bob"), approver.login("eve"));
    for _ in 0..10 {
        let asked = request();
        stream.open(&asked).await.unwrap();
        let (by_bob, by_eve) = tokio::join!(
            decide(&mut bob, &asked, Verdict::Approve),
            decide(&mut eve, &asked, Verdict::Deny),
        );
        let (verdict, loser) = match (by_bob, by_eve) {
            (Ok(_), loser @ Err(_)) => (Verdict::Approve, loser),
            (loser @ Err(_), Ok(_)) => (Verdict::Deny, loser),
            both => panic!("{both:?}"),
        };
        assert_status(loser, Code::FailedPrecondition, "the request is already");
        assert_eq!(stream.decision().await.verdict(), verdict);
    }
}

#[tokio::test]
async fn a_decision_needs_a_verdict_a_reason_and_the_digest_shown() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let asked = request();
    stream.open(&asked).await.unwrap();
    let good = DecideRequest {
        id: asked.request_id.clone(),
        verdict: Verdict::Approve.into(),
        reason: "fine".into(),
        digest: asked.digest.clone(),
        ..DecideRequest::default()
    };
    let mut other = asked.digest.clone();
    other[0] ^= 1;
    for (bad, code, message) in [
        (
            DecideRequest {
                verdict: 0,
                ..good.clone()
            },
            Code::InvalidArgument,
            "approve, deny or flag",
        ),
        (
            DecideRequest {
                reason: " ".into(),
                ..good.clone()
            },
            Code::InvalidArgument,
            "reason",
        ),
        (
            DecideRequest {
                reason: "x".repeat(4097),
                ..good.clone()
            },
            Code::InvalidArgument,
            "4097 characters",
        ),
        (
            DecideRequest {
                digest: other,
                ..good.clone()
            },
            Code::FailedPrecondition,
            "digest",
        ),
        (
            DecideRequest {
                digest: vec![],
                ..good.clone()
            },
            Code::FailedPrecondition,
            "digest",
        ),
        (
            DecideRequest {
                id: "zzzz".into(),
                ..good.clone()
            },
            Code::InvalidArgument,
            "UUID",
        ),
    ] {
        assert_status(bob.decide(bad).await, code, message);
    }
    bob.decide(good.clone()).await.unwrap();
    assert_status(
        bob.decide(good).await,
        Code::FailedPrecondition,
        "already approved",
    );
}

#[tokio::test]
async fn a_host_that_was_away_gets_the_decision_when_it_opens_again() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let asked = request();
    stream.open(&asked).await.unwrap();
    drop(stream);
    decide(&mut bob, &asked, Verdict::Deny).await.unwrap();

    let mut stream = host.connect().await;
    for _ in 0..2 {
        stream.open(&asked).await.unwrap();
        let decision = stream.decision().await;
        verify(&host, &decision);
        assert_eq!(decision.verdict(), Verdict::Deny);
    }
}

#[tokio::test]
async fn decisions_and_requests_survive_a_restart_of_the_approver() {
    let mut approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let (decided, pending) = (request(), request());
    stream.open(&decided).await.unwrap();
    stream.open(&pending).await.unwrap();
    decide(&mut bob, &decided, Verdict::Approve).await.unwrap();
    let first = stream.decision().await;

    approver.stop().await;
    assert_eq!(stream.end().await.code(), Code::Unavailable);
    approver.start_again().await;

    let mut stream = host.connect().await;
    stream.open(&decided).await.unwrap();
    assert_eq!(stream.decision().await, first);
    stream.open(&pending).await.unwrap();
    // The login survives as well.
    decide(&mut bob, &pending, Verdict::Approve).await.unwrap();
    verify(&host, &stream.decision().await);
}

#[tokio::test]
async fn an_expired_request_cannot_be_decided_and_its_host_is_told() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let asked = request_of("ada", Duration::from_millis(100));
    stream.open(&asked).await.unwrap();
    match stream.next().await.unwrap() {
        Down::Rejected(rejected) => {
            assert_eq!(rejected.request_id, asked.request_id);
            assert!(
                rejected.reason.contains("nobody answered"),
                "{}",
                rejected.reason
            );
        }
        other => panic!("{other:?}"),
    }
    let refused = decide(&mut bob, &asked, Verdict::Approve).await;
    assert_status(refused, Code::FailedPrecondition, "expired");
    let shown = show(&mut bob, &asked.request_id).await;
    assert_eq!(
        (shown.state(), shown.decision),
        (RequestState::Expired, None)
    );
    let again = stream.open(&asked).await.unwrap_err();
    assert!(again.contains("expired"), "{again}");
}

#[tokio::test]
async fn what_came_due_while_the_approver_was_down_has_expired() {
    let mut approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let asked = request_of("ada", Duration::from_millis(300));
    stream.open(&asked).await.unwrap();
    approver.stop().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    approver.start_again().await;
    let refused = decide(&mut bob, &asked, Verdict::Approve).await;
    assert_status(refused, Code::FailedPrecondition, "expired");
    assert_eq!(
        show(&mut bob, &asked.request_id).await.state(),
        RequestState::Expired
    );
}
