//! Many at once.

use futures::{StreamExt as _, stream};
use holdpoint_agent::kernel::simulated::Fate;
use holdpoint_proto::v1::{Request, Verdict, operation::Kind};
use holdpoint_tests::{host::MAX_REQUESTS, world::scenario};

const HOLDS: usize = MAX_REQUESTS as usize;

/// The number a test gave the attempt of `request`.
fn number(request: &Request) -> usize {
    let operation = request.context.as_ref().unwrap().operation.as_ref();
    match operation.unwrap().kind.as_ref().unwrap() {
        Kind::Exec(exec) => std::str::from_utf8(&exec.argv[1]).unwrap().parse().unwrap(),
        Kind::Connect(_) => panic!("nobody connects here"),
    }
}

#[test]
fn three_hundred_holds_at_once_each_get_their_own_answer() {
    scenario(async |world| {
        let attempts: Vec<_> = (0..HOLDS)
            .map(|number| world.host.exec(&["/usr/bin/curl", &number.to_string()]))
            .collect();
        let requests = world.bob.wait_for_pending(HOLDS).await;
        let verdict_of = |number: usize| {
            if number.is_multiple_of(3) {
                Verdict::Deny
            } else {
                Verdict::Approve
            }
        };
        stream::iter(&requests)
            .for_each_concurrent(16, |request| {
                let mut bob = world.bob.clone();
                async move {
                    bob.decide(request, verdict_of(number(request)))
                        .await
                        .unwrap();
                }
            })
            .await;
        for (number, attempt) in attempts.into_iter().enumerate() {
            let expected = match verdict_of(number) {
                Verdict::Approve => Fate::Passed,
                _ => Fate::Refused,
            };
            assert_eq!(attempt.fate().await, expected, "attempt {number}");
        }
        assert!(world.bob.pending().await.is_empty());
    });
}

#[test]
fn a_session_that_asks_too_much_is_refused_and_others_are_asked_about() {
    scenario(async |world| {
        let session = world.host.session("demo");
        let attempt = |word: &str| {
            world
                .host
                .exec_in(session, &[b"/usr/bin/curl", word.as_bytes()])
        };
        let attempts: Vec<_> = (0..HOLDS)
            .map(|number| attempt(&number.to_string()))
            .collect();
        world.bob.wait_for_pending(HOLDS).await;
        let beyond = attempt("beyond");
        assert_eq!(beyond.fate().await, Fate::Refused);
        let other = world.host.session("demo");
        let elsewhere = world.host.exec_in(other, &[b"/usr/bin/curl", b"7"]);
        let requests = world.bob.wait_for_pending(HOLDS + 1).await;
        for request in requests {
            world.bob.decide(&request, Verdict::Approve).await.unwrap();
        }
        assert_eq!(elsewhere.fate().await, Fate::Passed);
        for attempt in attempts {
            assert_eq!(attempt.fate().await, Fate::Passed);
        }
        // Once there is room, it is asked about again.
        let again = attempt("again");
        let request = world.bob.wait_for_pending(1).await.remove(0);
        world.bob.decide(&request, Verdict::Approve).await.unwrap();
        assert_eq!(again.fate().await, Fate::Passed);
    });
}
