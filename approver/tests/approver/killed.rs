//! An approver that is killed around a decision: what was recorded is carried out
//! once, and what was not can still be decided.

use std::time::Duration;

use holdpoint_proto::v1::{
    DecideRequest, Decision, Grant, GrantScope, OpenRequest, Outcome, RequestState, Verdict,
    approver_message::Message as Down,
};
use tokio::time::{sleep, timeout};

use crate::kit::{Approver, changed, decide, decision_of, request, say, show, verify};

/// How often the approver is killed at a moment of chance, and how many decisions
/// are under way then.
const ROUNDS: u64 = 4;
const UNDER_WAY: usize = 6;

#[tokio::test]
async fn a_decision_that_was_recorded_and_not_delivered_is_delivered_once_after_a_kill() {
    let mut approver = Approver::start().await;
    let host = approver.enrol().await;
    approver.stop().await;
    let mut child = approver.program();
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let asked = changed(|context| {
        context.rule.as_mut().unwrap().grants = vec![GrantScope::Session.into()];
    });
    stream.open(&asked).await.unwrap();
    // Nobody is there to deliver it to.
    drop(stream);
    let approve = DecideRequest {
        grant: Some(Grant {
            scope: GrantScope::Session.into(),
            ..Grant::default()
        }),
        idempotency_key: "one".into(),
        ..decision_of(&asked, Verdict::Approve)
    };
    let recorded = say(&mut bob, approve.clone()).await.unwrap().decision;
    child.kill().unwrap();
    child.wait().unwrap();

    let mut child = approver.program();
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    stream.open(&asked).await.unwrap();
    let delivered = stream.decision().await;
    verify(&host, &delivered);
    assert_eq!(Some(&delivered), recorded.as_ref());
    // Nothing comes after it but the answer to what the host says.
    stream
        .report(&asked.request_id, Outcome::Released, false)
        .await;
    // The reviewer's tool did not hear the answer, and says it again.
    let again = say(&mut bob, approve).await.unwrap();
    assert_eq!(again.decision, recorded);
    assert_eq!(
        (again.state(), again.outcome()),
        (RequestState::Approved, Outcome::Released)
    );
    let silence = timeout(Duration::from_millis(300), stream.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Decisions that reached `stream` before it ended, whatever ended it.
async fn delivered(stream: &mut crate::kit::Stream) -> Vec<Decision> {
    let mut delivered = Vec::new();
    while let Ok(message) = stream.next().await {
        match message {
            Down::Decision(decision) => delivered.push(decision),
            other => panic!("{other:?}"),
        }
    }
    delivered
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_people_decide_no_decision_is_lost_changed_or_made_twice() {
    let mut approver = Approver::start().await;
    let host = approver.enrol().await;
    approver.stop().await;
    let mut child = approver.program();
    for round in 0..ROUNDS {
        let (mut stream, bob) = tokio::join!(host.connect(), approver.login("bob"));
        let mut asked: Vec<OpenRequest> = Vec::new();
        for _ in 0..UNDER_WAY {
            let one = request();
            stream.open(&one).await.unwrap();
            asked.push(one);
        }
        let deciding: Vec<_> = asked
            .iter()
            .cloned()
            .map(|one| {
                let mut bob = bob.clone();
                tokio::spawn(async move { decide(&mut bob, &one, Verdict::Approve).await })
            })
            .collect();
        // Not the same moment in any two rounds.
        sleep(Duration::from_millis(2 + 7 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let heard = delivered(&mut stream).await;
        let mut answered = Vec::new();
        for one in deciding {
            answered.push(one.await.unwrap().ok().and_then(|request| request.decision));
        }

        child = approver.program();
        let (mut stream, mut eve) = tokio::join!(host.connect(), approver.login("eve"));
        for (one, answered) in asked.iter().zip(answered) {
            let shown = show(&mut eve, &one.request_id).await;
            let heard: Vec<&Decision> = heard
                .iter()
                .filter(|decision| decision.request_id == one.request_id)
                .collect();
            assert!(heard.len() <= 1, "{heard:?}");
            for known in heard.into_iter().chain(answered.as_ref()) {
                assert_eq!(shown.decision.as_ref(), Some(known));
            }
            if shown.state() == RequestState::Pending {
                decide(&mut eve, one, Verdict::Deny).await.unwrap();
                assert_eq!(stream.decision().await.reviewer, "eve");
            } else {
                stream.open(one).await.unwrap();
                let decision = stream.decision().await;
                verify(&host, &decision);
                assert_eq!(Some(decision), shown.decision);
            }
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
