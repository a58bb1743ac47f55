//! Flags: what one person calls suspicious is refused everywhere, until somebody
//! else lifts it.

use holdpoint_proto::v1::{
    Flag, LiftFlagRequest, ListFlagsRequest, OpenRequest, Outcome, RequestState, Verdict,
    operation::Kind,
};
use tonic::{Code, Status};

use crate::kit::{
    Approver, Person, assert_status, changed, decide, request, request_of, show, verify,
};

/// A request to run the program at `path`.
fn running(path: &str) -> OpenRequest {
    changed(|context| {
        let operation = context.operation.as_mut().unwrap();
        let Some(Kind::Exec(exec)) = &mut operation.kind else {
            panic!("{operation:?}")
        };
        exec.path = path.into();
    })
}

async fn flags(person: &mut Person) -> Vec<Flag> {
    let list = ListFlagsRequest::default();
    person.list_flags(list).await.unwrap().into_inner().flags
}

async fn lift(person: &mut Person, operation_digest: &[u8], reason: &str) -> Result<(), Status> {
    let lift = LiftFlagRequest {
        operation_digest: operation_digest.to_vec(),
        reason: reason.into(),
    };
    person.lift_flag(lift).await.map(drop)
}

#[tokio::test]
async fn a_flag_refuses_the_same_operation_on_another_host_at_once() {
    let approver = Approver::start().await;
    let (one, two) = tokio::join!(approver.enrol(), approver.enrol());
    let (mut stream, mut other) = tokio::join!(one.connect(), two.connect());
    let (mut bob, mut eve) = tokio::join!(approver.login("bob"), approver.login("eve"));
    let (flagged, same, different) = (request(), request(), running("/usr/bin/ls"));
    stream.open(&flagged).await.unwrap();
    other.open(&different).await.unwrap();
    other.open(&same).await.unwrap();

    let decided = decide(&mut bob, &flagged, Verdict::Flag).await.unwrap();
    assert_eq!(decided.state(), RequestState::Flagged);
    let decision = stream.decision().await;
    verify(&one, &decision);
    assert_eq!(decision.verdict(), Verdict::Flag);

    let (id, reason) = other.flagged().await;
    assert_eq!(id, same.request_id);
    for part in ["flagged by bob", "I know this upload"] {
        assert!(reason.contains(part), "{reason}");
    }
    let shown = show(&mut eve, &same.request_id).await;
    assert_eq!(
        (shown.state(), shown.decision),
        (RequestState::Flagged, None)
    );
    let late = decide(&mut eve, &same, Verdict::Approve).await;
    assert_status(late, Code::FailedPrecondition, "flagged by bob");

    // And whoever comes after it. Nobody is asked.
    let again = request();
    let refused = other.open(&again).await.unwrap_err();
    assert!(refused.contains("flagged by bob"), "{refused}");
    let shown = show(&mut eve, &again.request_id).await;
    assert_eq!(shown.state(), RequestState::Flagged);
    other.open(&running("/usr/bin/ls")).await.unwrap();
    let shown = show(&mut eve, &different.request_id).await;
    assert_eq!(shown.state(), RequestState::Pending);

    let [flag] = <[Flag; 1]>::try_from(flags(&mut eve).await).unwrap();
    assert_eq!(
        (flag.reviewer.as_str(), flag.request_id),
        ("bob", flagged.request_id)
    );
    assert_eq!(flag.operation, flagged.context.unwrap().operation);
}

#[tokio::test]
async fn a_flag_is_lifted_by_an_administrator_whose_session_it_is_not() {
    let approver = Approver::start().await;
    approver.add("root", "administrator").await;
    approver.add("zoe", "administrator").await;
    let host = approver.enrol().await;
    let mut stream = host.connect().await;
    let (mut bob, mut root, mut zoe) = tokio::join!(
        approver.login("bob"),
        approver.login("root"),
        approver.login("zoe")
    );
    let flagged = request_of("root", std::time::Duration::from_mins(1));
    stream.open(&flagged).await.unwrap();
    decide(&mut bob, &flagged, Verdict::Flag).await.unwrap();
    stream.decision().await;
    let digest = flags(&mut bob).await.remove(0).operation_digest;

    let refused = lift(&mut bob, &digest, "known").await;
    assert_status(refused, Code::PermissionDenied, "your role is reviewer");
    let refused = lift(&mut root, &digest, "known").await;
    assert_status(
        refused,
        Code::PermissionDenied,
        "you own a session that asked for this operation",
    );
    let refused = lift(&mut zoe, &digest, " ").await;
    assert_status(refused, Code::InvalidArgument, "reason");
    let refused = lift(&mut zoe, &[0; 32], "known").await;
    assert_status(refused, Code::NotFound, "there is no flag");
    assert_eq!(flags(&mut bob).await.len(), 1);

    lift(&mut zoe, &digest, "known").await.unwrap();
    assert!(flags(&mut bob).await.is_empty());
    let refused = lift(&mut zoe, &digest, "known").await;
    assert_status(refused, Code::NotFound, "there is no flag");
    // People are asked again; what was refused stays refused.
    let again = request();
    stream.open(&again).await.unwrap();
    decide(&mut bob, &again, Verdict::Approve).await.unwrap();
    stream.decision().await;
    let shown = show(&mut bob, &flagged.request_id).await;
    assert_eq!(shown.state(), RequestState::Flagged);
}

#[tokio::test]
async fn an_approval_that_is_on_its_way_yields_to_a_flag() {
    let approver = Approver::start().await;
    approver.add("zoe", "administrator").await;
    let (one, two) = tokio::join!(approver.enrol(), approver.enrol());
    let (mut stream, mut other) = tokio::join!(one.connect(), two.connect());
    let (mut bob, mut zoe) = tokio::join!(approver.login("bob"), approver.login("zoe"));
    let (approved, flagged) = (request(), request());
    stream.open(&approved).await.unwrap();
    other.open(&flagged).await.unwrap();
    // Its host is away.
    drop(stream);
    decide(&mut bob, &approved, Verdict::Approve).await.unwrap();
    decide(&mut zoe, &flagged, Verdict::Flag).await.unwrap();

    let mut stream = one.connect().await;
    let refused = stream.open(&approved).await.unwrap_err();
    assert!(refused.contains("flagged by zoe"), "{refused}");
    // The answer was lost, and meanwhile somebody lifts the flag.
    let digest = flags(&mut bob).await.remove(0).operation_digest;
    lift(&mut zoe, &digest, "known").await.unwrap();
    let refused = stream.open(&approved).await.unwrap_err();
    assert!(refused.contains("flagged by zoe"), "{refused}");

    stream
        .report(&approved.request_id, Outcome::Refused, false)
        .await;
    let shown = show(&mut bob, &approved.request_id).await;
    assert_eq!(
        (shown.state(), shown.outcome()),
        (RequestState::Approved, Outcome::Refused)
    );
}

#[tokio::test]
async fn flags_are_listed_in_pages() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    let mut flagged = Vec::new();
    for n in 0..3 {
        let asked = running(&format!("/usr/bin/{n}"));
        stream.open(&asked).await.unwrap();
        decide(&mut bob, &asked, Verdict::Flag).await.unwrap();
        stream.decision().await;
        flagged.insert(0, asked.request_id);
    }
    let (mut listed, mut pages, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let list = ListFlagsRequest {
            page_size: 2,
            page_token,
        };
        let page = bob.list_flags(list).await.unwrap().into_inner();
        listed.extend(page.flags.into_iter().map(|flag| flag.request_id));
        pages += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((listed, pages), (flagged, 2));
}
