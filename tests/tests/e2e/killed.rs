//! The daemon, a process of its own, is killed again and again at moments nobody
//! chose, while its kernel does a hundred things a second: whatever the approver
//! acknowledged is there once, and whatever is missing is declared.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use holdpoint_agent::events::spool;
use holdpoint_proto::v1::{Event, GapCause, SearchEventsRequest, event::Body};
use holdpoint_tests::{
    approver::Approver,
    host::Host,
    patience::{until, within},
    programs::program,
    world::{POLICY, bounded},
};
use serde_json::Value;

/// How often the daemon is killed.
const ROUNDS: usize = 12;

/// A daemon that plays a script, in a process.
struct Daemon {
    child: Child,
}

impl Daemon {
    fn start(config: &Path, script: &Path) -> Self {
        let child = Command::new(program("holdpointd"))
            .arg("--config")
            .arg(config)
            .args(["run", "--simulate"])
            .arg(script)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Numbers that look random and are the same for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// Of the seed that was given, or of the usual one.
    pub(crate) fn thrown() -> Self {
        let given = std::env::var("HOLDPOINT_TEST_SEED").ok();
        Self(given.and_then(|text| text.parse().ok()).unwrap_or(0x5eed))
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn write(path: PathBuf, text: &str) -> PathBuf {
    std::fs::write(&path, text).unwrap();
    path
}

/// An operation each 10 ms: some are allowed at once, some refused, some held.
fn script() -> String {
    let mut text = "profile = \"demo\"\nowner = \"owner\"\n".to_owned();
    for number in 0..3_000 {
        let exec = match number % 7 {
            0 => "\"/usr/bin/curl\", \"-T\"",
            1 | 2 => "\"/usr/bin/never\"",
            _ => "\"/bin/ls\", \"-l\"",
        };
        text.push_str("[[operations]]\nafter = 0.01\nexec = [");
        text.push_str(exec);
        text.push_str("]\n");
    }
    text
}

fn spooled(state_dir: &Path) -> BTreeMap<u64, Event> {
    spool::look(&state_dir.join("spool"))
        .unwrap()
        .into_iter()
        .map(|event| (event.sequence, event))
        .collect()
}

/// The host's own events at the approver, by their number: how often, and the
/// last one.
pub(crate) async fn stored(approver: &Approver) -> BTreeMap<u64, (usize, Value)> {
    let mut client = approver.reviewer("bob").await.audit();
    let mut stored: BTreeMap<u64, (usize, Value)> = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = SearchEventsRequest {
            query: String::new(),
            page_size: 1_000,
            page_token,
        };
        let page = within("events", client.search_events(request))
            .await
            .unwrap();
        let page = page.into_inner();
        for record in page.records {
            let record: Value = serde_json::from_slice(&record.json).unwrap();
            if let Some(number) = record["metadata"]["sequence"].as_u64() {
                let entry = stored.entry(number).or_insert((0, Value::Null));
                *entry = (entry.0 + 1, record);
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return stored;
        }
    }
}

#[test]
fn killed_at_any_moment_it_loses_nothing_that_is_not_declared() {
    bounded(async {
        let approver = Approver::start().await;
        let host = Host::enrol(&approver, POLICY).await;
        let directory = approver.directory();
        let policy = write(directory.join("policy.toml"), POLICY);
        let config = format!(
            "state_dir = \"{}\"\ncontrol_socket = \"{}\"\n[profiles.demo]\nowner = \"owner\"\n\
             users = [\"root\"]\npolicy = \"{}\"\n",
            host.state_dir().display(),
            directory.join("control.sock").display(),
            policy.display()
        );
        let config = write(directory.join("holdpointd.toml"), &config);
        let script = write(directory.join("script.toml"), &script());
        let mut dice = Dice::thrown();
        eprintln!("seed {}", dice.0);
        for _ in 0..ROUNDS {
            let daemon = Daemon::start(&config, &script);
            tokio::time::sleep(Duration::from_millis(150 + dice.below(900))).await;
            daemon.kill();
        }
        let daemon = Daemon::start(&config, &script);
        let begun = Instant::now();
        // Until it has written of itself and all of that is at the approver.
        let known = spooled(&host.state_dir()).len();
        until("the last daemon's events", async || {
            let events = spooled(&host.state_dir());
            let last = events.keys().next_back().copied().unwrap_or(0);
            if events.len() > known + 50 && begun.elapsed() > Duration::from_secs(1) {
                Ok(())
            } else {
                Err(last)
            }
        })
        .await;
        daemon.kill();
        let events = spooled(&host.state_dir());
        let stored = until("the acknowledged events", async || {
            let stored = stored(&approver).await;
            if stored.is_empty() {
                Err("nothing arrived")
            } else {
                Ok(stored)
            }
        })
        .await;
        assert!(stored.len() > 100, "{} arrived", stored.len());
        let mut expected = 1;
        for (number, (times, record)) in &stored {
            assert_eq!((*number, *times), (expected, 1), "once, and in order");
            assert_ne!(record["unmapped"]["cause"], "sequence", "{record}");
            expected += 1;
        }
        // What is on the host's disk is what arrived.
        for (number, event) in events.iter().filter(|(number, _)| **number < expected) {
            let (_, record) = &stored[number];
            let is_gap = matches!(event.body, Some(Body::Gap(_)));
            assert_eq!(is_gap, record["unmapped"]["cause"].is_string(), "{record}");
        }
        let numbers: Vec<u64> = events.keys().copied().collect();
        assert!(
            numbers.iter().copied().eq(1..=numbers.len() as u64),
            "{numbers:?}"
        );
        let declared = events
            .values()
            .filter(|event| match &event.body {
                Some(Body::Gap(gap)) => gap.cause() == GapCause::DaemonDown,
                _ => false,
            })
            .count();
        // A daemon that was killed before it opened its spool had nothing to lose.
        assert!(
            (ROUNDS - 4..=ROUNDS).contains(&declared),
            "{declared} of {ROUNDS}"
        );
    });
}
