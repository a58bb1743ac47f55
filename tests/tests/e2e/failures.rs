//! What breaks while something is held: nothing passes, nothing is forgotten,
//! and the decision finds its way.

use holdpoint_agent::kernel::simulated::Fate;
use holdpoint_proto::v1::{Outcome, RequestState};
use holdpoint_tests::{
    patience::until,
    world::{World, bounded, scenario},
};

#[test]
fn a_new_daemon_adopts_what_the_old_one_left_held() {
    scenario(async |world| {
        let mut attempt = world.host.exec(&["/usr/bin/curl"]);
        let before = world.bob.wait_for_one().await;
        world.host.kill().await;
        attempt.assert_held();
        world.host.start();
        world.host.wait_for_link(true).await;
        let after = world.bob.wait_for_one().await;
        assert_eq!((&after.id, &after.digest), (&before.id, &before.digest));
        attempt.assert_held();
        world.people.approve("ada", &before.id).await.ok();
        assert_eq!(attempt.fate().await, Fate::Passed);
        world
            .bob
            .wait_for(&before.id, |r| r.outcome() == Outcome::Released)
            .await;
    });
}

#[test]
fn what_was_held_while_no_daemon_ran_is_asked_by_the_next() {
    bounded(async {
        let mut world = World::new().await;
        let mut attempt = world.host.exec(&["/usr/bin/curl"]);
        let harmless = world.host.exec(&["/usr/bin/ls"]);
        attempt.assert_held();
        world.host.start();
        assert_eq!(harmless.fate().await, Fate::Passed);
        let request = world.bob.wait_for_one().await;
        world.people.deny("ada", &request.id).await.ok();
        assert_eq!(attempt.fate().await, Fate::Refused);
    });
}

#[test]
fn a_decision_made_without_a_daemon_reaches_the_next() {
    scenario(async |world| {
        let mut attempt = world.host.exec(&["/usr/bin/curl"]);
        let request = world.bob.wait_for_one().await;
        world.host.kill().await;
        world.people.approve("ada", &request.id).await.ok();
        attempt.assert_held();
        world.host.start();
        assert_eq!(attempt.fate().await, Fate::Passed);
    });
}

#[test]
fn a_decision_made_while_the_network_was_down_arrives_when_it_is_up() {
    scenario(async |world| {
        let mut approved = world.host.exec(&["/usr/bin/curl", "one"]);
        let yes = world.bob.wait_for_one().await;
        world.host.wire.cut();
        world.host.wait_for_link(false).await;
        world.people.approve("ada", &yes.id).await.ok();
        approved.assert_held();
        world.host.wire.mend();
        assert_eq!(approved.fate().await, Fate::Passed);
        world
            .bob
            .wait_for(&yes.id, |r| r.outcome() == Outcome::Released)
            .await;
    });
}

#[test]
fn an_outcome_that_could_not_be_told_is_told_later() {
    scenario(async |world| {
        let attempt = world.host.exec(&["/usr/bin/curl"]);
        let request = world.bob.wait_for_one().await;
        world.host.wire.cut();
        world.host.wait_for_link(false).await;
        world.host.gate.exit(attempt.task);
        // Long enough for the daemon to notice, so that it has to remember it.
        world.wait_for_no_hold().await;
        assert_eq!(
            world.bob.get(&request.id).await.state(),
            RequestState::Pending
        );
        world.host.wire.mend();
        world
            .bob
            .wait_for(&request.id, |r| r.state() == RequestState::Withdrawn)
            .await;
    });
}

#[test]
fn an_approver_that_comes_late_is_asked_then() {
    bounded(async {
        let mut world = World::new().await;
        world.approver.stop().await;
        world.host.start();
        let harmless = world.host.exec(&["/usr/bin/ls"]);
        assert_eq!(
            harmless.fate().await,
            Fate::Passed,
            "the policy needs no approver"
        );
        let mut attempt = world.host.exec(&["/usr/bin/curl"]);
        let status = world
            .wait_for_status(|status| status["held"] == 1 && !status["approver"]["error"].is_null())
            .await;
        assert_eq!(status["approver"]["connected"], false);
        attempt.assert_held();
        world.approver.start_again().await;
        let request = world.bob.wait_for_one().await;
        world.people.approve("ada", &request.id).await.ok();
        assert_eq!(attempt.fate().await, Fate::Passed);
    });
}

#[test]
fn an_approver_that_restarts_has_the_same_request() {
    scenario(async |world| {
        let mut attempt = world.host.exec(&["/usr/bin/curl"]);
        let before = world.bob.wait_for_one().await;
        world.approver.stop().await;
        world.host.wait_for_link(false).await;
        attempt.assert_held();
        world.approver.start_again().await;
        world.host.wait_for_link(true).await;
        let after = world.bob.wait_for_one().await;
        assert_eq!((&after.id, &after.deadline), (&before.id, &before.deadline));
        attempt.assert_held();
        world.people.approve("ada", &before.id).await.ok();
        assert_eq!(attempt.fate().await, Fate::Passed);
    });
}

#[test]
fn without_an_approver_the_deadline_still_refuses() {
    scenario(async |world| {
        world.host.wire.cut();
        world.host.wait_for_link(false).await;
        let attempt = world.host.exec(&["/usr/bin/impatient"]);
        assert_eq!(attempt.fate().await, Fate::Refused);
        // And the host is as good as before once it has its approver again.
        world.host.wire.mend();
        let attempt = world.host.exec(&["/usr/bin/curl"]);
        let request = world.bob.wait_for_one().await;
        world.people.approve("ada", &request.id).await.ok();
        assert_eq!(attempt.fate().await, Fate::Passed);
    });
}

#[test]
fn a_hold_whose_event_was_lost_is_found_by_looking() {
    scenario(async |world| {
        world.host.gate.lose_events(true);
        let mut attempt = world.host.exec(&["/usr/bin/curl"]);
        let request = world.bob.wait_for_one().await;
        attempt.assert_held();
        world.people.approve("ada", &request.id).await.ok();
        assert_eq!(attempt.fate().await, Fate::Passed);
        // That it went on was lost, too: nobody claims what nobody saw.
        world.wait_for_no_hold().await;
        let ended = world.bob.get(&request.id).await;
        assert_eq!(ended.state(), RequestState::Approved);
        assert_eq!(ended.outcome(), Outcome::Unspecified);
    });
}

#[test]
fn a_decision_somebody_else_signed_is_ignored() {
    scenario(async |world| {
        let mut attempt = world.host.exec(&["/usr/bin/curl"]);
        let request = world.bob.wait_for_one().await;
        let mut real = [0; 32];
        world.host.change_identity(|identity| {
            real = identity.decision_key;
            identity.decision_key[7] ^= 1;
        });
        world.people.approve("ada", &request.id).await.ok();
        until("a word about the forgery", async || {
            let lines = holdpoint_tests::logs::lines_with(&[&request.id, "valid signature"]);
            if lines.is_empty() {
                Err("nothing logged")
            } else {
                Ok(())
            }
        })
        .await;
        attempt.assert_held();
        // With the right key the same decision counts.
        world
            .host
            .change_identity(|identity| identity.decision_key = real);
        world.host.wire.cut();
        world.host.wait_for_link(false).await;
        world.host.wire.mend();
        assert_eq!(attempt.fate().await, Fate::Passed);
    });
}
