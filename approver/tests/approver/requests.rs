//! What hosts send: what is rejected and why, and what may come twice.

use std::time::Duration;

use holdpoint_proto::{
    digest,
    v1::{OpenRequest, Outcome, RequestState, Verdict},
};

use crate::kit::{Approver, decide, request, request_of, show};

#[tokio::test]
async fn what_cannot_be_put_to_a_person_is_rejected_with_the_reason() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut stream = host.connect().await;

    let mut tampered = request();
    tampered
        .context
        .as_mut()
        .unwrap()
        .session
        .as_mut()
        .unwrap()
        .owner = "eve".into();
    let mut nameless = request();
    nameless.request_id = "request-1".into();
    for (request, reason) in [
        (tampered, "digest"),
        (nameless, "UUID"),
        (request_of("", Duration::from_mins(1)), "no owner"),
        (
            request_of("zoe", Duration::from_mins(1)),
            "holdpoint-approver user add",
        ),
        (
            request_of("Ada", Duration::from_mins(1)),
            "\"Ada\" has no account",
        ),
        (request_of("ada", Duration::ZERO), "expired"),
        (
            OpenRequest {
                context: None,
                ..request()
            },
            "context",
        ),
    ] {
        let rejected = stream.open(&request).await.unwrap_err();
        assert!(rejected.contains(reason), "{rejected:?} lacks {reason:?}");
    }
}

#[tokio::test]
async fn opening_twice_is_opening_once() {
    let approver = Approver::start().await;
    let (one, two) = tokio::join!(approver.enrol(), approver.enrol());
    let (mut stream, mut other) = tokio::join!(one.connect(), two.connect());
    let asked = request();
    stream.open(&asked).await.unwrap();
    stream.open(&asked).await.unwrap();

    let taken = other.open(&asked).await.unwrap_err();
    assert!(taken.contains("taken by another request"), "{taken}");
    let mut changed = asked.clone();
    let context = changed.context.as_mut().unwrap();
    context.rule.as_mut().unwrap().name.push('x');
    changed.digest = digest::of(context).to_vec();
    let taken = stream.open(&changed).await.unwrap_err();
    assert!(taken.contains("taken by another request"), "{taken}");

    let mut bob = approver.login("bob").await;
    decide(&mut bob, &asked, Verdict::Approve).await.unwrap();
    assert_eq!(stream.decision().await.request_id, asked.request_id);
}

#[tokio::test]
async fn a_host_has_only_so_many_pending_requests() {
    let approver = Approver::start_with(|config| {
        config.limits.pending_per_host = 2.try_into().unwrap();
    })
    .await;
    let host = approver.enrol().await;
    let mut stream = host.connect().await;
    let first = request();
    stream.open(&first).await.unwrap();
    stream.open(&request()).await.unwrap();
    let full = stream.open(&request()).await.unwrap_err();
    assert!(full.contains("2 pending requests"), "{full}");
    stream
        .open(&first)
        .await
        .expect("an open one can be opened again");
    stream.withdraw(&first.request_id, "gone").await;
    stream.open(&request()).await.unwrap();
}

#[tokio::test]
async fn withdrawals_and_outcomes_are_acknowledged_whatever_they_name() {
    let approver = Approver::start().await;
    let (one, two) = tokio::join!(approver.enrol(), approver.enrol());
    let (mut stream, mut other) = tokio::join!(one.connect(), two.connect());
    let mut bob = approver.login("bob").await;
    let asked = request();
    stream.open(&asked).await.unwrap();

    for id in ["00000000-0000-7000-8000-000000000000", "rubbish", ""] {
        stream.withdraw(id, "x").await;
        stream.report(id, Outcome::Refused, true).await;
    }
    other.withdraw(&asked.request_id, "not mine").await;
    stream
        .report(&asked.request_id, Outcome::Unspecified, false)
        .await;
    let shown = show(&mut bob, &asked.request_id).await;
    assert_eq!(shown.state(), RequestState::Pending);

    for _ in 0..2 {
        stream
            .withdraw(&asked.request_id, "the process was killed")
            .await;
    }
    let shown = show(&mut bob, &asked.request_id).await;
    assert_eq!(shown.state(), RequestState::Withdrawn);
    assert_eq!(shown.outcome_detail, "the process was killed");
    let again = stream.open(&asked).await.unwrap_err();
    assert!(
        again.contains("withdrawn: the process was killed"),
        "{again}"
    );
}

#[tokio::test]
async fn a_host_that_gave_up_at_its_deadline_is_no_persons_denial() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let asked = request();
    stream.open(&asked).await.unwrap();
    stream
        .report(&asked.request_id, Outcome::Refused, true)
        .await;
    let shown = show(&mut bob, &asked.request_id).await;
    assert_eq!(
        (shown.state(), shown.outcome()),
        (RequestState::Expired, Outcome::Refused)
    );
    assert_eq!(shown.decision, None);
}

#[tokio::test]
async fn a_large_request_passes_whole() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let mut asked = request();
    let context = asked.context.as_mut().unwrap();
    context.process.as_mut().unwrap().argv = vec![vec![b'x'; 10 * 1024 * 1024]];
    asked.digest = digest::of(context).to_vec();
    stream.open(&asked).await.unwrap();
    assert_eq!(
        show(&mut bob, &asked.request_id).await.context,
        asked.context
    );
}
