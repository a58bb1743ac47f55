//! Grants: what one approval lets go on, and where it ends.

use holdpoint_agent::kernel::{
    Content, SessionId,
    simulated::{Fate, Surroundings},
};
use holdpoint_proto::v1::{GrantScope, Request, RequestState};
use holdpoint_tests::{logs, patience::until, world::World, world::scenario};

const REPEATED: &str = "/usr/bin/repeated";

/// One approved operation of `session` with a grant; gives the grant's id.
async fn granted(
    world: &mut World,
    session: SessionId,
    scope: GrantScope,
    ttl_seconds: i64,
    max_uses: u32,
) -> String {
    let attempt = world.host.exec_in(session, &[REPEATED.as_bytes(), b"a"]);
    let request = world.bob.wait_for_one().await;
    let decided = world
        .bob
        .grant(&request, scope, ttl_seconds, max_uses)
        .await;
    assert_eq!(attempt.fate().await, Fate::Passed);
    let id = decided.decision.unwrap().grant.unwrap().id;
    wait_for_change(&id, "GRANT_CHANGE_ACTIVE").await;
    id
}

/// Waits until the host says so of a grant.
async fn wait_for_change(id: &str, change: &str) {
    until(change, async || {
        let lines = logs::lines_with(&[id, change]);
        if lines.is_empty() {
            Err(logs::lines_with(&[id]))
        } else {
            Ok(())
        }
    })
    .await;
}

/// Asserts that `argv` of `session` is asked about, and denies it.
async fn is_asked(world: &mut World, session: SessionId, argv: &[&[u8]]) -> Request {
    let mut attempt = world.host.exec_in(session, argv);
    let request = world.bob.wait_for_one().await;
    attempt.assert_held();
    world.bob.deny(&request).await;
    assert_eq!(attempt.fate().await, Fate::Refused);
    request
}

#[test]
fn the_same_again_in_the_same_session_passes_unasked() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let id = granted(world, session, GrantScope::Session, 60, 0).await;
        for _ in 0..3 {
            let again = world.host.exec_in(session, &[REPEATED.as_bytes(), b"a"]);
            assert_eq!(again.fate().await, Fate::Passed);
        }
        wait_for_change(&id, "GRANT_CHANGE_USED").await;
        assert!(world.bob.pending().await.is_empty());
        let other = world.host.session("demo");
        is_asked(world, other, &[REPEATED.as_bytes(), b"a"]).await;
    });
}

#[test]
fn another_argument_directory_environment_or_content_is_asked_about() {
    scenario(async |world| {
        let session = world.host.session("demo");
        granted(world, session, GrantScope::Session, 60, 0).await;
        is_asked(world, session, &[REPEATED.as_bytes(), b"b"]).await;
        for surroundings in [
            Surroundings {
                cwd: b"/srv".to_vec(),
                ..Surroundings::default()
            },
            Surroundings {
                environment: vec![b"LD_PRELOAD=/tmp/x.so".to_vec()],
                ..Surroundings::default()
            },
        ] {
            let task = world.host.gate.spawn(session);
            let mut attempt = world
                .host
                .exec_by(task, session, &[REPEATED, "a"], &surroundings);
            let request = world.bob.wait_for_one().await;
            attempt.assert_held();
            world.bob.deny(&request).await;
            assert_eq!(attempt.fate().await, Fate::Refused);
        }
        let other = Content::Read([7; 32]);
        world.host.gate.set_content(REPEATED.as_bytes(), other);
        is_asked(world, session, &[REPEATED.as_bytes(), b"a"]).await;
    });
}

#[test]
fn a_grant_for_a_process_is_for_that_process() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let task = world.host.gate.spawn(session);
        let surroundings = Surroundings::default();
        let argv = [REPEATED, "a"];
        let first = world.host.exec_by(task, session, &argv, &surroundings);
        let request = world.bob.wait_for_one().await;
        let decided = world.bob.grant(&request, GrantScope::Process, 60, 0).await;
        assert_eq!(first.fate().await, Fate::Passed);
        let id = decided.decision.unwrap().grant.unwrap().id;
        wait_for_change(&id, "GRANT_CHANGE_ACTIVE").await;
        let again = world.host.exec_by(task, session, &argv, &surroundings);
        assert_eq!(again.fate().await, Fate::Passed);
        is_asked(world, session, &[REPEATED.as_bytes(), b"a"]).await;
        world.host.gate.exit(task);
        wait_for_change(&id, "GRANT_CHANGE_ENDED").await;
    });
}

#[test]
fn a_grant_ends_with_its_uses_and_with_its_time() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let id = granted(world, session, GrantScope::Session, 60, 1).await;
        let used = world.host.exec_in(session, &[REPEATED.as_bytes(), b"a"]);
        assert_eq!(used.fate().await, Fate::Passed);
        wait_for_change(&id, "GRANT_CHANGE_ENDED").await;
        is_asked(world, session, &[REPEATED.as_bytes(), b"a"]).await;

        let other = world.host.session("demo");
        let id = granted(world, other, GrantScope::Session, 1, 0).await;
        wait_for_change(&id, "GRANT_CHANGE_ENDED").await;
        is_asked(world, other, &[REPEATED.as_bytes(), b"a"]).await;
    });
}

#[test]
fn what_was_revoked_is_asked_about() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let id = granted(world, session, GrantScope::Session, 60, 0).await;
        world.bob.revoke(&id).await;
        wait_for_change(&id, "GRANT_CHANGE_REVOKED").await;
        is_asked(world, session, &[REPEATED.as_bytes(), b"a"]).await;
    });
}

#[test]
fn what_was_revoked_while_the_host_was_away_is_asked_about() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let id = granted(world, session, GrantScope::Session, 60, 0).await;
        world.host.wire.cut();
        world.host.wait_for_link(false).await;
        world.bob.revoke(&id).await;
        // It does not know better yet.
        let meanwhile = world.host.exec_in(session, &[REPEATED.as_bytes(), b"a"]);
        assert_eq!(meanwhile.fate().await, Fate::Passed);
        world.host.wire.mend();
        wait_for_change(&id, "GRANT_CHANGE_REVOKED").await;
        is_asked(world, session, &[REPEATED.as_bytes(), b"a"]).await;
    });
}

#[test]
fn a_grant_answers_what_waits_already() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let argv: [&[u8]; 2] = [REPEATED.as_bytes(), b"a"];
        let attempts = [(); 3].map(|()| world.host.exec_in(session, &argv));
        let waiting = world.bob.wait_for_pending(3).await;
        world
            .bob
            .grant(&waiting[0], GrantScope::Session, 60, 0)
            .await;
        for attempt in attempts {
            assert_eq!(attempt.fate().await, Fate::Passed);
        }
        for other in &waiting[1..] {
            let ended = world
                .bob
                .wait_for(&other.id, |r| r.state() == RequestState::Withdrawn)
                .await;
            assert!(ended.outcome_detail.contains("by the grant"), "{ended:?}");
        }
    });
}

#[test]
fn a_daemon_that_was_killed_asks_again_and_tells_the_end_of_its_grants() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let id = granted(world, session, GrantScope::Session, 60, 0).await;
        let ledger = world.host.state_dir().join("grants.json");
        until("the ledger", async || {
            let text = std::fs::read_to_string(&ledger).unwrap_or_default();
            if text.contains(&id) {
                Ok(())
            } else {
                Err(text)
            }
        })
        .await;
        world.host.kill().await;
        world.host.start();
        world.host.wait_for_link(true).await;
        wait_for_change(&id, "GRANT_CHANGE_ENDED").await;
        is_asked(world, session, &[REPEATED.as_bytes(), b"a"]).await;
    });
}

#[test]
fn another_policy_ends_what_was_given_under_the_one_before() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let id = granted(world, session, GrantScope::Session, 60, 0).await;
        let policy = format!("{}\n# another\n", holdpoint_tests::world::POLICY);
        world.host.reload(&policy).await;
        wait_for_change(&id, "GRANT_CHANGE_ENDED").await;
        is_asked(world, session, &[REPEATED.as_bytes(), b"a"]).await;
    });
}

#[test]
fn what_is_flagged_is_refused_at_once_and_everywhere() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let attempt = world.host.exec_in(session, &[REPEATED.as_bytes(), b"a"]);
        let request = world.bob.wait_for_one().await;
        world.bob.flag(&request).await;
        assert_eq!(attempt.fate().await, Fate::Refused);
        let other = world.host.session("demo");
        let again = world.host.exec_in(other, &[REPEATED.as_bytes(), b"a"]);
        assert_eq!(again.fate().await, Fate::Refused);
        assert!(world.bob.pending().await.is_empty());
        until("a flagged request", async || {
            let flagged = world.bob.in_state(RequestState::Flagged).await;
            if flagged.len() == 2 {
                Ok(())
            } else {
                Err(flagged.len())
            }
        })
        .await;
    });
}
