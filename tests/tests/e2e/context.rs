//! What a request says of its operation, and that an approval is good for exactly
//! that: it is compared once more before anything goes on.

use holdpoint_agent::kernel::{
    Content, Gate as _,
    simulated::{Fate, Surroundings},
};
use holdpoint_proto::{
    digest,
    v1::{GrantScope, Outcome, Request, RequestState, Risk, operation::Kind},
};
use holdpoint_tests::{patience::until, world::scenario};
use sha2::{Digest as _, Sha256};

const CURL: &str = "/usr/bin/curl";

fn content_of(request: &Request) -> Vec<u8> {
    let context = request.context.as_ref().unwrap();
    match context.operation.as_ref().unwrap().kind.as_ref().unwrap() {
        Kind::Exec(exec) => exec.content_sha256.clone(),
        Kind::Connect(_) => panic!("{request:?}"),
    }
}

#[test]
fn a_request_says_what_the_file_contains_and_what_surrounds_it() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let surroundings = Surroundings {
            cwd: b"/srv/work".to_vec(),
            environment: vec![b"LD_PRELOAD=/tmp/x.so".to_vec(), b"PATH=/bin".to_vec()],
        };
        let task = world.host.gate.spawn(session);
        let _held = world
            .host
            .exec_by(task, session, &["/usr/bin/repeated"], &surroundings);
        let request = world.bob.wait_for_one().await;
        let context = request.context.clone().unwrap();
        assert_eq!(digest::of(&context).as_slice(), request.digest);
        let expected: [u8; 32] = Sha256::digest("/usr/bin/repeated").into();
        assert_eq!(content_of(&request), expected);
        let Some(Kind::Exec(exec)) = context.operation.unwrap().kind else {
            panic!("{request:?}");
        };
        let shown: Vec<_> = exec
            .environment
            .iter()
            .map(|variable| (&*variable.name, &*variable.value, variable.redacted))
            .collect();
        assert_eq!(
            shown,
            [
                (&b"LD_PRELOAD"[..], &b"/tmp/x.so"[..], false),
                (b"PATH", b"/bin", false)
            ]
        );
        assert_eq!(context.process.unwrap().cwd, b"/srv/work");
        let rule = context.rule.unwrap();
        assert_eq!(rule.risk(), Risk::Medium);
        assert_eq!(
            rule.grants().collect::<Vec<_>>(),
            [GrantScope::Process, GrantScope::Session]
        );
        assert_eq!(rule.max_ttl.unwrap().seconds, 600);
        let policy: [u8; 32] = Sha256::digest(holdpoint_tests::world::POLICY).into();
        assert_eq!(rule.policy_sha256, policy);
    });
}

#[test]
fn content_that_changed_after_it_was_shown_is_refused_in_spite_of_an_approval() {
    scenario(async |world| {
        let attempt = world.host.exec(&[CURL]);
        let request = world.bob.wait_for_one().await;
        let other = Content::Read([7; 32]);
        world.host.gate.set_content(CURL.as_bytes(), other);
        world.bob.approve(&request).await;
        assert_eq!(attempt.fate().await, Fate::Refused);
        let ended = world
            .bob
            .wait_for(&request.id, |r| r.outcome() == Outcome::Refused)
            .await;
        assert_eq!(ended.state(), RequestState::Approved);
        assert!(
            ended.outcome_detail.contains("no longer what was approved"),
            "{ended:?}"
        );
    });
}

#[test]
fn a_file_that_was_replaced_is_asked_about_anew() {
    scenario(async |world| {
        let mut attempt = world.host.exec(&[CURL]);
        let first = world.bob.wait_for_one().await;
        world
            .host
            .gate
            .set_content(CURL.as_bytes(), Content::Elsewhere);
        world.bob.approve(&first).await;
        let second = until("another question", async || {
            let pending = world.bob.pending().await;
            match pending.as_slice() {
                [one] if one.id != first.id => Ok(one.clone()),
                _ => Err(pending.len()),
            }
        })
        .await;
        attempt.assert_held();
        assert_eq!(content_of(&second), b"", "it could not be read");
        world
            .bob
            .wait_for(&first.id, |r| r.outcome() == Outcome::Gone)
            .await;
        world.bob.deny(&second).await;
        assert_eq!(attempt.fate().await, Fate::Refused);
    });
}

#[test]
fn what_cannot_be_read_is_shown_as_unread_and_can_be_approved() {
    scenario(async |world| {
        world
            .host
            .gate
            .set_content(CURL.as_bytes(), Content::Unread);
        let attempt = world.host.exec(&[CURL]);
        let request = world.bob.wait_for_one().await;
        assert_eq!(content_of(&request), b"");
        world.bob.approve(&request).await;
        assert_eq!(attempt.fate().await, Fate::Passed);
    });
}

#[test]
fn what_cannot_be_read_again_is_refused() {
    scenario(async |world| {
        let attempt = world.host.exec(&[CURL]);
        let request = world.bob.wait_for_one().await;
        world
            .host
            .gate
            .set_content(CURL.as_bytes(), Content::Unread);
        world.bob.approve(&request).await;
        assert_eq!(attempt.fate().await, Fate::Refused);
        let ended = world
            .bob
            .wait_for(&request.id, |r| r.outcome() == Outcome::Refused)
            .await;
        assert!(
            ended.outcome_detail.contains("could not be compared"),
            "{ended:?}"
        );
    });
}

#[test]
fn a_policy_that_is_read_anew_is_in_force_at_once() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let free = world.host.exec_in(session, &[b"/usr/bin/ls"]);
        assert_eq!(free.fate().await, Fate::Passed);
        world.host.reload("default = \"deny\"").await;
        // The kernel may not go on with what it remembered.
        until("the new policy", async || {
            let fate = world.host.exec_in(session, &[b"/usr/bin/ls"]).fate().await;
            if fate == Fate::Refused {
                Ok(())
            } else {
                Err(fate)
            }
        })
        .await;
        assert!(world.host.gate.all_held().unwrap().is_empty());
    });
}
