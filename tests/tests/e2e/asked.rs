//! Asking what happened, and checking that it is true: `holdpoint events` and
//! `holdpoint audit` as people type them, of events that happened.

use std::fs;

use holdpoint_agent::kernel::simulated::Fate;
use holdpoint_tests::{
    patience::until,
    world::{World, scenario},
};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// One download that bob approves, and one program that never may run. Gives the
/// request.
async fn story(world: &mut World) -> String {
    let attempted = world.host.exec(&["/usr/bin/curl", "-T", "no\u{202e}tes"]);
    let request = world.bob.wait_for_one().await;
    world.bob.approve(&request).await;
    assert_eq!(attempted.fate().await, Fate::Passed);
    let refused = world.host.exec(&["/usr/bin/never"]);
    assert_eq!(refused.fate().await, Fate::Refused);
    request.id
}

/// What `ada` gets for `query` as soon as it is `count` records.
async fn found(world: &mut World, query: &str, count: usize) -> Vec<Value> {
    let people = &mut world.people;
    until(query, async || {
        let done = people.types("ada", &["events", query, "--json"]).await;
        let lines: Vec<Value> = done
            .ok()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        if lines.len() == count {
            Ok(lines)
        } else {
            Err(lines)
        }
    })
    .await
}

#[test]
fn what_happened_is_found_by_query_json_and_sql() {
    scenario(async |world| {
        let request = story(world).await;
        let query = "outcome:denied exe:*/never since:1h";
        let records = found(world, query, 1).await;
        let record = &records[0]["record"];
        assert_eq!(record["class_uid"], 1007);
        assert_eq!(record["unmapped"]["rule"], "never");
        assert_eq!(record["unmapped"]["session"]["owner"], "owner");
        let line = world.people.types("ada", &["events", query]).await.ok();
        assert_eq!(line.lines().count(), 1, "{line}");
        for word in ["build-7", "exec denied", "owner", "/usr/bin/never"] {
            assert!(line.contains(word), "{word:?} is not in {line}");
        }

        // A request from its opening to its outcome, at host and approver.
        let query = format!("request:{request} kind:request,decision");
        let records = found(world, &query, 3).await;
        let outcomes: Vec<&Value> = records
            .iter()
            .map(|record| &record["record"]["unmapped"]["outcome"])
            .collect();
        assert_eq!(outcomes, ["released", "approved", "pending"]);
        assert_eq!(records[1]["record"]["unmapped"]["reviewer"], "bob");
        let text = world.people.types("ada", &["events", &query]).await.ok();
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("\\u{202e}"), "{text}");

        let sql = "SELECT exe, outcome, count(*) AS times FROM events WHERE kind = 'exec' AND \
                   outcome <> 'allowed' GROUP BY exe, outcome ORDER BY exe, outcome";
        found(world, "kind:exec outcome:released", 1).await;
        let words = ["events", "--sql", sql, "--json"];
        let told = world.people.types("ada", &words).await.json();
        assert_eq!(
            told["columns"],
            serde_json::json!(["exe", "outcome", "times"])
        );
        let rows = serde_json::json!([
            ["/usr/bin/curl", "held", "1"],
            ["/usr/bin/curl", "released", "1"],
            ["/usr/bin/never", "denied", "1"],
        ]);
        assert_eq!(told["rows"], rows);
        let table = world.people.types("ada", &words[..3]).await.ok();
        assert!(table.contains("/usr/bin/never\tdenied\t1\n"), "{table}");

        let people = &mut world.people;
        let refused = people.types("vera", &["events", "--sql", sql]).await;
        refused.fails(1, &["your role is viewer"]);
        let refused = people.types("ada", &["events", "outcom:denied"]).await;
        refused.fails(1, &["there is no key \"outcom\""]);
        let refused = people.types("ada", &["events", "--sql", "DROP TABLE events"]);
        refused.await.fails(1, &["only SELECT"]);
    });
}

#[test]
fn who_follows_hears_it_as_it_happens() {
    scenario(async |world| {
        // Logged in, and nothing of before is heard.
        world
            .people
            .types("ada", &["events", "kind:exec"])
            .await
            .ok();
        let words = ["events", "--follow", "--json", "kind:exec outcome:denied"];
        let mut following = world.people.begins("ada", &words);
        let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
        // It follows from when it is connected, which it does not say.
        let line = lines.next_line();
        let mut line = std::pin::pin!(line);
        let first = loop {
            world.host.exec(&["/usr/bin/never"]).fate().await;
            let soon = tokio::time::timeout(std::time::Duration::from_millis(500), &mut line);
            if let Ok(line) = soon.await {
                break line.unwrap().unwrap();
            }
        };
        let first: Value = serde_json::from_str(&first).unwrap();
        assert_eq!(first["record"]["process"]["file"]["path"], "/usr/bin/never");
    });
}

#[test]
fn the_log_is_verified_exported_and_proven() {
    scenario(async |world| {
        let request = story(world).await;
        found(world, "kind:exec outcome:denied", 1).await;
        let query = format!("request:{request} outcome:released kind:request");
        found(world, &query, 1).await;
        let newest = world
            .people
            .types("ada", &["events", "--limit", "1", "--json"]);
        let newest: Value = serde_json::from_str(&newest.await.ok()).unwrap();
        let newest: u64 = newest["log_index"].as_str().unwrap().parse().unwrap();
        world.people.wait_for_log("ada", newest + 1).await;
        let people = &mut world.people;
        let verified = people.types("ada", &["audit", "verify"]).await.ok();
        for words in [
            "FIRST USE",
            "every record is the one that was signed",
            "History      OK",
            "Completeness OK",
            "build-7",
        ] {
            assert!(verified.contains(words), "{words:?} is not in {verified}");
        }
        let new = people
            .types("ada", &["audit", "verify", "--new"])
            .await
            .ok();
        assert!(new.contains("were not read again"), "{new}");

        let place = world.approver.directory().join("export.tar");
        let place = place.to_str().unwrap();
        people.types("ada", &["audit", "export", place]).await.ok();
        let key = people.types("ada", &["audit", "key"]).await.ok();
        let offline = ["audit", "verify", "--offline", place, "--key", key.trim()];
        let checked = people.types("bob", &offline).await.ok();
        assert!(checked.contains("Integrity    OK"), "{checked}");

        let proof = world.approver.directory().join("proof");
        let proof = proof.to_str().unwrap();
        let words = ["audit", "prove", &request, "--output", proof];
        let proven = people.types("ada", &words).await.ok();
        assert!(proven.contains("\"outcome\": \"approved\""), "{proven}");
        let words = ["audit", "proof", "verify", proof, "--key", key.trim()];
        people.types("bob", &words).await.ok();
        let text = fs::read_to_string(proof).unwrap();
        let other = if text.contains("index 1") {
            "index 0"
        } else {
            "index 1"
        };
        let at = text.find("index ").unwrap();
        let end = at + text[at..].find('\n').unwrap();
        fs::write(proof, format!("{}{other}{}", &text[..at], &text[end..])).unwrap();
        let refused = people.types("bob", &words).await;
        refused.fails(3, &["does not"]);
    });
}
