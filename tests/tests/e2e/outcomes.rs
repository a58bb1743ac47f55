//! What becomes of an operation: each verdict, each decision, each way to end.

use holdpoint_agent::kernel::simulated::Fate;
use holdpoint_proto::v1::{Outcome, RequestState};
use holdpoint_tests::{logs, patience::until, world::scenario};

#[test]
fn what_the_policy_allows_passes_unasked_and_is_remembered() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let first = world.host.exec_in(session, &[b"/usr/bin/ls", b"-l"]);
        assert_eq!(first.fate().await, Fate::Passed);
        // The kernel knows by now: nobody has to be there.
        world.host.kill().await;
        let second = world.host.exec_in(session, &[b"/usr/bin/ls", b"-a"]);
        assert_eq!(second.fate().await, Fate::Passed);
        assert!(world.bob.pending().await.is_empty());
        let mut held = world.host.exec(&["/usr/bin/curl"]);
        held.assert_held();
    });
}

#[test]
fn what_the_policy_denies_is_refused_unasked() {
    scenario(async |world| {
        let denied = world.host.exec(&["/usr/bin/never"]);
        assert_eq!(denied.fate().await, Fate::Refused);
        assert!(world.bob.pending().await.is_empty());
    });
}

#[test]
fn an_approved_exec_goes_on_and_its_release_is_recorded() {
    scenario(async |world| {
        let mut attempt = world.host.exec(&["/usr/bin/curl", "--head", "localhost"]);
        let request = world.bob.wait_for_one().await;
        attempt.assert_held();
        let shown = world.people.approve("ada", &request.id).await.ok();
        assert!(
            shown.contains("--head") && shown.contains("is approved"),
            "{shown}"
        );
        assert_eq!(attempt.fate().await, Fate::Passed);
        let ended = world
            .bob
            .wait_for(&request.id, |r| r.outcome() == Outcome::Released)
            .await;
        assert_eq!(ended.state(), RequestState::Approved);
        let decision = ended.decision.unwrap();
        assert_eq!(
            (&*decision.reviewer, &*decision.reason),
            ("ada", "looks right")
        );
    });
}

#[test]
fn an_approved_connect_goes_on() {
    scenario(async |world| {
        let free = world.host.connect("192.0.2.7", 443);
        assert_eq!(free.fate().await, Fate::Passed);
        let mut attempt = world.host.connect("192.0.2.7", 9000);
        let request = world.bob.wait_for_one().await;
        attempt.assert_held();
        let shown = world.people.show("ada", &request.id).await;
        let connect = &shown["operation"]["connect"];
        assert_eq!(connect["address"], "192.0.2.7");
        assert_eq!(
            (&connect["port"], &connect["protocol_name"]),
            (&9000.into(), &"tcp".into())
        );
        assert_eq!(shown["rule"]["name"], "staging");
        world.people.approve("ada", &request.id).await.ok();
        assert_eq!(attempt.fate().await, Fate::Passed);
    });
}

#[test]
fn a_denied_operation_is_refused_and_everybody_sees_why() {
    scenario(async |world| {
        let attempt = world.host.exec(&["/usr/bin/curl"]);
        let request = world.bob.wait_for_one().await;
        world.people.deny("ada", &request.id).await.ok();
        assert_eq!(attempt.fate().await, Fate::Refused);
        world
            .bob
            .wait_for(&request.id, |r| r.outcome() == Outcome::Refused)
            .await;
        let shown = world
            .people
            .types("vera", &["requests", "show", &request.id])
            .await
            .ok();
        for part in [
            "denied by ada",
            "not today",
            "never happened",
            "decided by ada",
        ] {
            assert!(shown.contains(part), "{shown} lacks {part:?}");
        }
        let json = world.people.show("vera", &request.id).await;
        assert_eq!(json["state"], "denied");
        assert_eq!(json["decision"]["reason"], "not today");
        assert_eq!(json["outcome"], "refused");
    });
}

#[test]
fn a_denial_kills_where_the_rule_says_so() {
    scenario(async |world| {
        let attempt = world.host.exec(&["/usr/bin/fatal"]);
        let request = world.bob.wait_for_one().await;
        world.people.deny("ada", &request.id).await.ok();
        assert_eq!(attempt.fate().await, Fate::Died);
    });
}

#[test]
fn what_nobody_answers_expires_and_is_nobodys_denial() {
    scenario(async |world| {
        let attempt = world.host.exec(&["/usr/bin/impatient"]);
        let request = world.bob.wait_for_one().await;
        assert_eq!(attempt.fate().await, Fate::Refused);
        let ended = world
            .bob
            .wait_for(&request.id, |r| r.outcome() == Outcome::Refused)
            .await;
        assert_eq!(ended.state(), RequestState::Expired);
        assert_eq!(ended.decision, None);
        let late = world.people.approve("ada", &request.id).await;
        late.fails(1, &[&request.id, "has expired"]);
    });
}

#[test]
fn a_process_that_exits_takes_its_request_with_it() {
    scenario(async |world| {
        let attempt = world.host.exec(&["/usr/bin/curl"]);
        let request = world.bob.wait_for_one().await;
        world.host.gate.exit(attempt.task);
        world
            .bob
            .wait_for(&request.id, |r| r.state() == RequestState::Withdrawn)
            .await;
        let late = world.people.approve("ada", &request.id).await;
        late.fails(1, &[&request.id, "withdrawn", "the process is gone"]);
    });
}

#[test]
fn arguments_swapped_behind_the_reviewers_back_kill() {
    scenario(async |world| {
        let attempt = world.host.exec(&["/usr/bin/curl", "harmless"]);
        let request = world.bob.wait_for_one().await;
        world.host.gate.swap_arguments(attempt.task);
        world.people.approve("ada", &request.id).await.ok();
        assert_eq!(attempt.fate().await, Fate::Died);
    });
}

#[test]
fn a_session_of_nobody_is_refused_and_the_log_says_why() {
    scenario(async |world| {
        let session = world.host.session("orphan");
        let attempt = world.host.exec_in(session, &[b"/usr/bin/curl"]);
        assert_eq!(attempt.fate().await, Fate::Refused);
        until("the reason", async || {
            let lines = logs::lines_with(&["rejected a request", "nobody-here"]);
            if lines.is_empty() {
                Err("nothing logged")
            } else {
                Ok(())
            }
        })
        .await;
        assert!(world.bob.pending().await.is_empty());
    });
}
