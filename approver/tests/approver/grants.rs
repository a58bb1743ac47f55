//! Grants, from the approval that gives one to its end: what reviewers, hosts and
//! the events of hosts make of it.

use std::time::Duration;

use holdpoint_proto::v1::{
    Event, Grant, GrantChange, GrantEvent, GrantScope, GrantState, Hello, IssuedGrant,
    ListGrantsRequest, OpenRequest, Outcome, RevokeGrantRequest, Verdict, event::Body,
};
use tonic::{Code, Status};

use crate::{
    events::Spool,
    kit::{
        Approver, Host, Person, Stream, assert_status, changed, decision_of, hello, raw_stream,
        say, verify,
    },
};

fn duration(micros: u64) -> prost_types::Duration {
    prost_types::Duration::try_from(Duration::from_micros(micros)).unwrap()
}

/// A request whose rule gives grants for the session, of a minute at most.
fn request_of(owner: &str) -> OpenRequest {
    changed(|context| {
        context.session.as_mut().unwrap().owner = owner.into();
        let rule = context.rule.as_mut().unwrap();
        rule.grants = vec![GrantScope::Session.into()];
        rule.max_ttl = Some(duration(60_000_000));
    })
}

fn wish(scope: GrantScope, ttl_micros: Option<u64>, max_uses: u32) -> Grant {
    Grant {
        scope: scope.into(),
        ttl: ttl_micros.map(duration),
        max_uses,
        ..Grant::default()
    }
}

/// Opens `request` and approves it for the session. Gives the grant as the host
/// gets it.
async fn granted(stream: &mut Stream, reviewer: &mut Person, request: &OpenRequest) -> Grant {
    stream.open(request).await.unwrap();
    let mut decide = decision_of(request, Verdict::Approve);
    decide.grant = Some(wish(GrantScope::Session, None, 0));
    say(reviewer, decide).await.unwrap();
    stream.decision().await.grant.unwrap()
}

async fn grants(person: &mut Person, active_only: bool) -> Vec<IssuedGrant> {
    let list = ListGrantsRequest {
        active_only,
        ..ListGrantsRequest::default()
    };
    person.list_grants(list).await.unwrap().into_inner().grants
}

/// The only grant there is.
async fn only(person: &mut Person) -> IssuedGrant {
    let [grant] = <[IssuedGrant; 1]>::try_from(grants(person, false).await).unwrap();
    grant
}

async fn revoke(person: &mut Person, id: &str, reason: &str) -> Result<IssuedGrant, Status> {
    let request = RevokeGrantRequest {
        id: id.into(),
        reason: reason.into(),
    };
    let revoked = person.revoke_grant(request).await?;
    Ok(revoked.into_inner().grant.unwrap())
}

fn told(sequence: u64, grant: &str, change: GrantChange, uses: u64) -> Event {
    Event {
        sequence,
        body: Some(Body::Grant(GrantEvent {
            grant_id: grant.into(),
            change: change.into(),
            uses,
            ..GrantEvent::default()
        })),
        ..Event::default()
    }
}

#[tokio::test]
async fn an_approval_gives_no_more_than_its_rule_allows() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let asked = request_of("ada");
    stream.open(&asked).await.unwrap();
    let approve = decision_of(&asked, Verdict::Approve);
    let session = |ttl| wish(GrantScope::Session, Some(ttl), 0);
    for (verdict, grant, message) in [
        (
            Verdict::Approve,
            wish(GrantScope::Process, None, 0),
            "does not allow an approval for the whole process; it allows: once, session",
        ),
        (Verdict::Approve, session(60_001_000), "give at most 60 s"),
        (Verdict::Approve, session(999_999), "at least 1 s"),
        (Verdict::Approve, session(0), "at least 1 s"),
        (Verdict::Deny, session(1_000_000), "only an approval"),
        (
            Verdict::Approve,
            wish(GrantScope::Unspecified, None, 0),
            "once, process or session",
        ),
        (
            Verdict::Approve,
            wish(GrantScope::Once, None, 1),
            "neither a ttl nor a number of uses",
        ),
    ] {
        let mut bad = approve.clone();
        bad.verdict = verdict.into();
        bad.grant = Some(grant);
        assert_status(say(&mut bob, bad).await, Code::InvalidArgument, message);
    }
    assert!(grants(&mut bob, false).await.is_empty());

    // Finer than what is stored: what the host gets is signed all the same.
    let mut good = approve;
    good.grant = Some(wish(GrantScope::Session, Some(1_000_500), 3));
    say(&mut bob, good).await.unwrap();
    let decision = stream.decision().await;
    verify(&host, &decision);
    let grant = decision.grant.unwrap();
    assert_eq!(
        (grant.scope(), grant.ttl, grant.max_uses),
        (GrantScope::Session, Some(duration(1_000_000)), 3)
    );
    let listed = only(&mut bob).await;
    assert_eq!(listed.grant.as_ref(), Some(&grant));
    assert_eq!(
        (listed.request_id.as_str(), listed.host_id.as_str()),
        (asked.request_id.as_str(), host.id.as_str())
    );
    assert_eq!(
        (listed.state(), listed.reviewer.as_str(), listed.uses),
        (GrantState::Active, "bob", 0)
    );

    // It ends by itself.
    let start = tokio::time::Instant::now();
    while only(&mut bob).await.state() != GrantState::Ended {
        assert!(start.elapsed() < crate::kit::PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(grants(&mut bob, true).await.is_empty());
}

#[tokio::test]
async fn who_names_no_life_gets_what_the_rule_allows() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let grant = granted(&mut stream, &mut bob, &request_of("ada")).await;
    assert_eq!(grant.ttl, Some(duration(60_000_000)));
}

#[tokio::test]
async fn uses_are_counted_as_the_host_tells_them() {
    let approver = Approver::start().await;
    let (host, other) = tokio::join!(approver.enrol(), approver.enrol());
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let grant = granted(&mut stream, &mut bob, &request_of("ada")).await;
    let (mut spool, _) = Spool::open(&host, 1, 1).await.unwrap();
    let (mut stranger, _) = Spool::open(&other, 1, 1).await.unwrap();
    let (used, ended) = (GrantChange::Used, GrantChange::Ended);
    spool
        .send(vec![
            told(1, &grant.id, GrantChange::Active, 0),
            told(2, &grant.id, used, 1),
            told(3, &grant.id, used, 2),
        ])
        .await
        .unwrap();
    let lies = vec![told(1, &grant.id, used, 99), told(2, &grant.id, ended, 99)];
    stranger.send(lies).await.unwrap();
    let seen = only(&mut bob).await;
    assert_eq!((seen.uses, seen.state()), (2, GrantState::Active));
    // The same again: the acknowledgement was lost.
    spool
        .send(vec![
            told(3, &grant.id, used, 2),
            told(4, &grant.id, ended, 3),
        ])
        .await
        .unwrap();
    let seen = only(&mut bob).await;
    assert_eq!((seen.uses, seen.state()), (3, GrantState::Ended));
}

#[tokio::test]
async fn a_grant_is_revoked_by_another_reviewer_and_the_host_is_told_until_it_says_so() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut stream = host.connect().await;
    let (mut ada, mut bob, mut eve) = tokio::join!(
        approver.login("ada"),
        approver.login("bob"),
        approver.login("eve")
    );
    let grant = granted(&mut stream, &mut eve, &request_of("bob")).await;

    let by_owner = revoke(&mut bob, &grant.id, "mine").await;
    assert_status(by_owner, Code::PermissionDenied, "you own the session");
    let by_viewer = revoke(&mut ada, &grant.id, "enough").await;
    assert_status(by_viewer, Code::PermissionDenied, "your role is viewer");
    let silent = revoke(&mut eve, &grant.id, " ").await;
    assert_status(silent, Code::InvalidArgument, "reason");
    let unknown = revoke(&mut eve, "ffffffff", "enough").await;
    assert_status(unknown, Code::NotFound, "there is no grant ffffffff");
    let rubbish = revoke(&mut eve, "x", "enough").await;
    assert_status(rubbish, Code::InvalidArgument, "is no grant id");
    assert_eq!(only(&mut ada).await.state(), GrantState::Active);

    let revoked = revoke(&mut eve, &grant.id[..13], "enough").await.unwrap();
    assert_eq!(
        (revoked.state(), revoked.revoked_by.as_str()),
        (GrantState::Revoking, "eve")
    );
    // Without a word from the host it is told again.
    for _ in 0..2 {
        assert_eq!(stream.revoked().await, grant.id);
    }
    let again = revoke(&mut eve, &grant.id, "enough").await.unwrap();
    assert_eq!(again.state(), GrantState::Revoking);
    assert_eq!(grants(&mut ada, true).await.len(), 1, "it may still give");

    let (mut spool, _) = Spool::open(&host, 1, 1).await.unwrap();
    let confirmed = told(1, &grant.id, GrantChange::Revoked, 0);
    spool.send(vec![confirmed]).await.unwrap();
    assert_eq!(only(&mut ada).await.state(), GrantState::Revoked);
    assert!(grants(&mut ada, true).await.is_empty());
}

#[tokio::test]
async fn a_hello_shows_which_grants_are_over_and_is_told_which_are_wrong() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let asked = request_of("ada");
    let grant = granted(&mut stream, &mut bob, &asked).await;
    drop(stream);
    // Its host may not have heard of it yet.
    answered(&mut host.connect().await).await;
    assert_eq!(only(&mut bob).await.state(), GrantState::Active);

    let mut stream = host.greet(hello(&[&grant.id])).await.unwrap();
    stream
        .report(&asked.request_id, Outcome::Released, false)
        .await;
    drop(stream);
    let unknown = "00000000-0000-7000-8000-000000000000";
    let mut stream = host.greet(hello(&[&grant.id, unknown])).await.unwrap();
    assert_eq!(stream.revoked().await, unknown);
    assert_eq!(only(&mut bob).await.state(), GrantState::Active);
    drop(stream);

    let mut stream = host.greet(hello(&[unknown])).await.unwrap();
    assert_eq!(stream.revoked().await, unknown);
    assert_eq!(only(&mut bob).await.state(), GrantState::Ended);
}

#[tokio::test]
async fn a_boot_ends_the_grants_that_are_not_named_after_it() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let booted = |boot_id: &str| Hello {
        boot_id: boot_id.into(),
        ..hello(&[])
    };
    let (stream, mut bob) = tokio::join!(host.greet(booted("1")), approver.login("bob"));
    granted(&mut stream.unwrap(), &mut bob, &request_of("ada")).await;
    // The decision may be on its way still.
    answered(&mut host.greet(booted("1")).await.unwrap()).await;
    assert_eq!(only(&mut bob).await.state(), GrantState::Active);
    answered(&mut host.greet(booted("2")).await.unwrap()).await;
    assert_eq!(only(&mut bob).await.state(), GrantState::Ended);
}

/// Waits until the approver has looked at all that the Hello said.
async fn answered(stream: &mut Stream) {
    stream.withdraw("rubbish", "nothing").await;
}

#[tokio::test]
async fn nobody_honours_more_grants_than_people_give() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let ids: Vec<String> = (0..10_001).map(|n| format!("{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let refused = host.greet(hello(&ids)).await.map(drop);
    assert_status(refused, Code::InvalidArgument, "names 10001 grants");
}

/// The last that a revoked host hears on `stream`.
async fn farewell(stream: &mut Stream, grant: &str) {
    assert_eq!(stream.revoked().await, grant);
    let status = stream.end().await;
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert!(status.message().contains("was revoked"), "{status:?}");
}

async fn revoke_host(approver: &Approver, host: &Host) {
    let id = host.id.parse().unwrap();
    approver.admin.revoke_host(id).await.unwrap();
}

#[tokio::test]
async fn a_revoked_host_hears_of_its_grants_before_it_is_out() {
    let approver = Approver::start().await;
    let (host, away) = tokio::join!(approver.enrol(), approver.enrol());
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let grant = granted(&mut stream, &mut bob, &request_of("ada")).await;
    revoke_host(&approver, &host).await;
    farewell(&mut stream, &grant.id).await;

    // And one that was away when it comes again, each time.
    let mut stream = away.connect().await;
    let grant = granted(&mut stream, &mut bob, &request_of("ada")).await;
    drop(stream);
    revoke_host(&approver, &away).await;
    for _ in 0..2 {
        let mut stream = raw_stream(away.channel().await).await.unwrap();
        farewell(&mut stream, &grant.id).await;
    }
}
