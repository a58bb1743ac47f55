//! What holds whoever asks and however: between deciding, intake, flags, hosts and
//! those who only look.

use std::{future::Future, time::Duration};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use holdpoint_proto::{decision::signing_bytes, v1};
use tokio::time::timeout;

use super::{
    flags::FlagError,
    hosts::RevokeHostError,
    intake::{Opening, Rejection},
    kit::{Kit, answer, login, request},
    review::ReviewError,
};
use crate::{
    domain::{
        account::Role,
        audit::Actor,
        decide::Refusal,
        grant::{Scope, Wish},
        request::{State, Verdict},
    },
    store::requests::Filter,
};

const CURL: &str = "/usr/bin/curl";

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.unwrap()
}

/// Whether the host would accept `decision`.
fn is_signed(kit: &Kit, decision: &v1::Decision) -> bool {
    UnparsedPublicKey::new(&ED25519, kit.approver.signer.public_key())
        .verify(&signing_bytes(decision), &decision.signature)
        .is_ok()
}

#[tokio::test]
async fn a_decision_is_signed_as_it_is_stored() {
    let kit = Kit::new().await;
    let host = kit.host().await;
    let asked = request("ada", CURL);
    kit.open(host, &asked).await;
    let mut approval = answer(&asked, Verdict::Approve);
    approval.grant = Some(Wish {
        scope: Scope::Session,
        ttl: Some(Duration::from_micros(1_000_500)),
        max_uses: 3,
    });
    let bob = login("bob");
    let decided = kit.approver.decide(&bob, &asked.request_id, &approval);
    decided.await.unwrap();
    let stored = kit.approver.store.request(&asked.request_id).await.unwrap();
    let stored = v1::Decision::from(stored.unwrap().decision.unwrap());
    assert!(is_signed(&kit, &stored), "{stored:?}");
    let ttl = stored.grant.unwrap().ttl.unwrap();
    assert_eq!((ttl.seconds, ttl.nanos), (1, 0));
}

#[tokio::test]
async fn whoever_lost_their_role_meanwhile_decides_nothing() {
    let kit = Kit::new().await;
    let host = kit.host().await;
    let asked = request("ada", CURL);
    kit.open(host, &asked).await;
    let approve = answer(&asked, Verdict::Approve);
    // Their logins were looked at before.
    let (bob, eve) = (login("bob"), login("eve"));
    let store = &kit.approver.store;
    let at = super::now();
    store
        .set_role(&bob.username, Role::Viewer, &Actor::Local, at)
        .await
        .unwrap();
    store
        .remove_user(&eve.username, &Actor::Local, at)
        .await
        .unwrap();
    let refused = kit.approver.decide(&bob, &asked.request_id, &approve);
    let refused = refused.await.unwrap_err();
    assert!(
        matches!(
            refused,
            ReviewError::Refused(Refusal::NoReviewer { role: Role::Viewer })
        ),
        "{refused}"
    );
    let refused = kit.approver.decide(&eve, &asked.request_id, &approve);
    let refused = refused.await.unwrap_err();
    assert!(matches!(refused, ReviewError::NoAccount), "{refused}");
    let request = store.request(&asked.request_id).await.unwrap().unwrap();
    assert_eq!((request.state, request.decision), (State::Pending, None));
}

#[tokio::test]
async fn a_flag_stops_an_approval_that_was_not_delivered_and_lifting_it_does_not_bring_it_back() {
    let kit = Kit::new().await;
    let (host, other) = (kit.host().await, kit.host().await);
    let (approved, flagged) = (request("ada", CURL), request("ada", CURL));
    kit.open(host, &approved).await;
    kit.open(other, &flagged).await;
    kit.decide("bob", &approved, Verdict::Approve).await;
    let opened = async || kit.approver.open(host, &approved).await.unwrap();
    assert!(matches!(opened().await, Opening::Accepted(Some(_))));
    kit.decide("eve", &flagged, Verdict::Flag).await;

    let news = kit.approver.news(host, &approved.request_id).await.unwrap();
    for told in [opened().await, news.unwrap()] {
        let Opening::Rejected(Rejection::Flagged(said)) = told else {
            panic!("{told:?}")
        };
        assert!(said.contains("flagged by eve at"), "{said}");
    }
    let shown = kit.approver.find(&approved.request_id).await.unwrap();
    assert_eq!(shown.state, State::Approved, "that is what was decided");

    let operation = shown.operation_digest;
    let root = login("root");
    let lifted = kit.approver.lift_flag(&root, &operation, "checked");
    lifted.await.unwrap();
    assert!(
        matches!(opened().await, Opening::Rejected(Rejection::Flagged(_))),
        "whichever of the two its host hears of first"
    );
    let again = request("ada", CURL);
    kit.open(host, &again).await;
    kit.decide("bob", &again, Verdict::Approve).await;
    let opened = kit.approver.open(host, &again).await.unwrap();
    assert!(matches!(opened, Opening::Accepted(Some(_))), "{opened:?}");
}

#[tokio::test]
async fn an_approval_that_was_carried_out_stays_what_it_was() {
    let kit = Kit::new().await;
    let host = kit.host().await;
    let (approved, flagged) = (request("ada", CURL), request("ada", CURL));
    kit.open(host, &approved).await;
    kit.open(host, &flagged).await;
    kit.decide("bob", &approved, Verdict::Approve).await;
    let report = v1::ReportOutcome {
        request_id: approved.request_id.clone(),
        outcome: v1::Outcome::Released.into(),
        ..v1::ReportOutcome::default()
    };
    kit.approver.report(host, &report).await.unwrap();
    kit.decide("eve", &flagged, Verdict::Flag).await;
    let opened = kit.approver.open(host, &approved).await.unwrap();
    assert!(matches!(opened, Opening::Accepted(Some(_))), "{opened:?}");
}

#[tokio::test]
async fn what_a_flag_left_open_is_too_late_to_approve_and_says_why() {
    let kit = Kit::new().await;
    let host = kit.host().await;
    let (flagged, pending) = (request("ada", CURL), request("ada", CURL));
    kit.open(host, &flagged).await;
    kit.open(host, &pending).await;
    // As if the process had died before it refused the other.
    let flag = answer(&flagged, Verdict::Flag);
    let shown = kit.approver.find(&flagged.request_id).await.unwrap();
    let decision = kit.approver.rule(&login("bob"), &shown, &flag).await;
    let mut decision = decision.unwrap();
    decision.signature = vec![0; 64];
    kit.approver.store.decide(&decision, None).await.unwrap();
    let shown = kit.approver.find(&pending.request_id).await.unwrap();
    assert_eq!(shown.state, State::Pending);

    let approve = answer(&pending, Verdict::Approve);
    let eve = login("eve");
    let late = kit.approver.decide(&eve, &pending.request_id, &approve);
    let late = late.await.unwrap_err();
    assert!(
        matches!(&late, ReviewError::TooLate(request) if request.state == State::Flagged),
        "{late}"
    );
    assert!(late.to_string().contains("flagged by bob at"), "{late}");
}

#[tokio::test]
async fn the_owner_of_a_flagged_session_does_not_lift_the_flag() {
    let kit = Kit::new().await;
    let host = kit.host().await;
    let flagged = request("root", CURL);
    kit.open(host, &flagged).await;
    let shown = kit.decide("bob", &flagged, Verdict::Flag).await;
    let (root, operation) = (login("root"), &shown.operation_digest);
    let refused = kit.approver.lift_flag(&root, operation, "mine").await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, FlagError::Own), "{refused}");
    assert_eq!(
        kit.approver.flags(i64::MAX, 0).await.unwrap().flags.len(),
        1
    );
}

#[tokio::test]
async fn only_administrators_shut_hosts_out_whichever_edge_asks() {
    let kit = Kit::new().await;
    let host = kit.host().await;
    for name in ["ada", "bob"] {
        let refused = kit
            .approver
            .revoke_host(&login(name), &host.to_string())
            .await;
        assert!(
            matches!(refused, Err(RevokeHostError::Lacking(_))),
            "{name}"
        );
    }
    let known = kit.approver.store.host(host).await.unwrap().unwrap();
    assert_eq!(known.revoked_at, None);
    kit.approver
        .revoke_host(&login("root"), &host.to_string())
        .await
        .unwrap();
}

#[tokio::test]
async fn who_looks_around_keeps_neither_hosts_nor_deciders_waiting() {
    let kit = Kit::new().await;
    let host = kit.host().await;
    let asked = request("ada", CURL);
    kit.open(host, &asked).await;
    let everything = Filter::default();
    let taken = kit.approver.browse.hold_readers().await;
    let list = kit.approver.list(&everything, i64::MAX, 0);
    let waits = timeout(Duration::from_millis(50), list).await;
    assert!(waits.is_err(), "it has to wait for those who look");

    let another = request("ada", CURL);
    within(kit.open(host, &another)).await;
    within(kit.decide("bob", &asked, Verdict::Approve)).await;
    let opened = within(kit.approver.open(host, &asked)).await.unwrap();
    assert!(matches!(opened, Opening::Accepted(Some(_))), "{opened:?}");
    within(kit.approver.expire()).await.unwrap();
    drop(taken);
    let listed = within(kit.approver.list(&everything, i64::MAX, 0));
    assert_eq!(listed.await.unwrap().requests.len(), 2);
}
