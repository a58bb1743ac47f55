//! The approver, a process of its own, is killed again and again at moments nobody
//! chose, while a host tells of everything its processes do: what was acknowledged
//! is there, once, and the log and what answers questions say the same.

use std::time::{Duration, Instant};

use holdpoint_tests::{
    patience::until,
    world::{World, bounded},
};

use serde_json::Value;

use crate::killed::{Dice, stored};

/// How often the approver is killed.
const ROUNDS: usize = 6;

/// What the host says of its spool: the last number, and the last acknowledged.
async fn spool(world: &World) -> (u64, u64) {
    let status = world.status().await;
    let number = |name: &str| status["events"][name].as_u64().unwrap();
    (number("last"), number("acknowledged"))
}

/// Numbers of the host's events at the approver: all from 1 on, each once.
async fn dense(world: &World) -> u64 {
    let stored = stored(&world.approver).await;
    let mut expected = 1;
    for (number, (times, record)) in &stored {
        assert_eq!((*number, *times), (expected, 1), "once, and in order");
        assert_ne!(record["unmapped"]["cause"], "sequence", "{record}");
        expected += 1;
    }
    expected - 1
}

#[test]
fn killed_at_any_moment_the_approver_has_what_it_acknowledged_once() {
    bounded(async {
        let mut world = World::new().await;
        world.approver.stop().await;
        world.host.start();
        let session = world.host.session("demo");
        let mut dice = Dice::thrown();
        eprintln!("seed {}", dice.0);
        let mut acknowledged = 0;
        for _ in 0..ROUNDS {
            let approver = world.approver.spawn().await;
            // Before the host can send anything again.
            let kept = dense(&world).await;
            assert!(kept >= acknowledged, "{kept} of {acknowledged} are there");
            world.host.wire.mend();
            world.host.wait_for_link(true).await;
            let end = Instant::now() + Duration::from_millis(300 + dice.below(900));
            while Instant::now() < end {
                let program = if dice.below(3) == 0 {
                    "/usr/bin/never"
                } else {
                    "/bin/ls"
                };
                let words = [program.as_bytes(), b"x"];
                world.host.exec_in(session, &words).fate().await;
            }
            approver.kill();
            world.host.wire.cut();
            (_, acknowledged) = spool(&world).await;
        }
        assert!(acknowledged > 50, "{acknowledged} were acknowledged");

        world.approver.start_again().await;
        assert!(dense(&world).await >= acknowledged);
        world.host.wire.mend();
        let last = until("all events at the approver", async || {
            let (last, acknowledged) = spool(&world).await;
            if last == acknowledged {
                Ok(last)
            } else {
                Err((last, acknowledged))
            }
        })
        .await;
        assert!(dense(&world).await >= last);

        let newest = world
            .people
            .types("ada", &["events", "--limit", "1", "--json"]);
        let newest: Value = serde_json::from_str(&newest.await.ok()).unwrap();
        let newest: u64 = newest["log_index"].as_str().unwrap().parse().unwrap();
        world.people.wait_for_log("ada", newest + 1).await;
        let told = world.people.types("ada", &["audit", "verify", "--json"]);
        let told = told.await.json();
        assert_eq!(told["integrity"]["sound"], true, "{told:#}");
        assert_eq!(told["history"], "sound", "{told:#}");
        assert_eq!(told["completeness"]["answer"], "complete", "{told:#}");
        assert_eq!(told["records"]["checked"], told["size"], "{told:#}");
        let host = &told["completeness"]["hosts"][0];
        let events: u64 = host["events"].as_str().unwrap().parse().unwrap();
        assert!(events >= last, "{told:#}");
        // What was seen then is what is there after one more end.
        world.approver.stop().await;
        world.approver.spawn().await.kill();
        world.approver.start_again().await;
        let again = world.people.types("ada", &["audit", "verify", "--new"]);
        let text = again.await.ok();
        assert!(text.contains("Integrity    OK"), "{text}");
    });
}
