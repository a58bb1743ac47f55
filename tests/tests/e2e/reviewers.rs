//! Who may decide, and what happens when several want to.

use holdpoint_agent::kernel::simulated::Fate;
use holdpoint_proto::v1::{RequestState, Verdict};
use holdpoint_tests::world::scenario;

#[test]
fn nobody_decides_about_their_own_session() {
    scenario(async |world| {
        let mut attempt = world.host.exec(&["/usr/bin/curl"]);
        let request = world.bob.wait_for_one().await;
        let own = world.people.approve("owner", &request.id).await;
        own.fails(1, &[&request.id, "somebody else must decide"]);
        let own = world.people.deny("owner", &request.id).await;
        own.fails(1, &[&request.id, "somebody else must decide"]);
        let now = world.bob.get(&request.id).await;
        assert_eq!(now.state(), RequestState::Pending);
        attempt.assert_held();
        world.people.approve("ada", &request.id).await.ok();
        assert_eq!(attempt.fate().await, Fate::Passed);
    });
}

#[test]
fn a_viewer_sees_and_cannot_decide() {
    scenario(async |world| {
        let mut attempt = world.host.exec(&["/usr/bin/curl"]);
        let request = world.bob.wait_for_one().await;
        let shown = world.people.show("vera", &request.id).await;
        assert_eq!(shown["state"], "pending");
        let refused = world.people.approve("vera", &request.id).await;
        refused.fails(1, &["vera", "viewer", "administrator"]);
        assert_eq!(
            world.bob.get(&request.id).await.state(),
            RequestState::Pending
        );
        attempt.assert_held();
    });
}

#[test]
fn the_second_decision_changes_nothing_and_says_who_was_first() {
    scenario(async |world| {
        let attempt = world.host.exec(&["/usr/bin/curl"]);
        let request = world.bob.wait_for_one().await;
        world.people.deny("ada", &request.id).await.ok();
        let second = world.people.approve("bob", &request.id).await;
        second.fails(1, &[&request.id, "already denied by ada", "not today"]);
        assert_eq!(attempt.fate().await, Fate::Refused);
        assert_eq!(
            world.bob.get(&request.id).await.state(),
            RequestState::Denied
        );
    });
}

#[test]
fn of_two_reviewers_at_once_exactly_one_decides() {
    const ROUNDS: usize = 30;
    scenario(async |world| {
        let mut ada = world.approver.reviewer("ada").await;
        let mut approved = 0;
        for round in 0..ROUNDS {
            let attempt = world.host.exec(&["/usr/bin/curl", &round.to_string()]);
            let request = world.bob.wait_for_one().await;
            // Who begins changes from round to round.
            let (first, second) = if round % 2 == 0 {
                (Verdict::Approve, Verdict::Deny)
            } else {
                (Verdict::Deny, Verdict::Approve)
            };
            let (by_ada, by_bob) = tokio::join!(
                ada.decide(&request, first),
                world.bob.decide(&request, second)
            );
            let verdict = match (&by_ada, &by_bob) {
                (Ok(_), Err(late)) => {
                    assert_eq!(late.code(), tonic::Code::FailedPrecondition, "{late:?}");
                    first
                }
                (Err(late), Ok(_)) => {
                    assert_eq!(late.code(), tonic::Code::FailedPrecondition, "{late:?}");
                    second
                }
                both => panic!("round {round}: {both:?}"),
            };
            let expected = if verdict == Verdict::Approve {
                approved += 1;
                Fate::Passed
            } else {
                Fate::Refused
            };
            assert_eq!(attempt.fate().await, expected, "round {round}");
            let decided = world.bob.get(&request.id).await.decision.unwrap();
            assert_eq!(decided.verdict(), verdict);
        }
        println!("{approved} of {ROUNDS} rounds ended with an approval");
    });
}

#[test]
fn an_unknown_request_is_named() {
    scenario(async |world| {
        let unknown = "01234567-89ab-7def-8123-456789abcdef";
        for words in [
            &["approve", unknown, "--reason", "x"][..],
            &["deny", unknown, "--reason", "x"],
            &["requests", "show", unknown],
        ] {
            let done = world.people.types("ada", words).await;
            done.fails(1, &[unknown, "holdpoint requests list"]);
        }
        let done = world
            .people
            .types("ada", &["approve", "no-such", "--reason", "x"])
            .await;
        done.fails(1, &["no-such", "UUID"]);
    });
}

#[test]
fn a_decision_needs_a_reason() {
    scenario(async |world| {
        let mut attempt = world.host.exec(&["/usr/bin/curl"]);
        let request = world.bob.wait_for_one().await;
        let done = world.people.types("ada", &["approve", &request.id]).await;
        done.fails(2, &["--reason"]);
        let done = world
            .people
            .types("ada", &["approve", &request.id, "--reason", " "])
            .await;
        done.fails(2, &["say why"]);
        attempt.assert_held();
    });
}
