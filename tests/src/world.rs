//! A whole Holdpoint in one process: approver, host, people. One per test.

use std::{ffi::OsString, time::Duration};

use serde_json::Value;

use crate::{
    approver::Approver, host::Host, logs, patience::until, people::People, reviewer::Reviewer,
};

/// Longest time a whole test may take.
const LIMIT: Duration = Duration::from_mins(2);

/// What sessions may do unless a test says otherwise.
pub const POLICY: &str = r#"
default = "allow"
deadline = "2m"

[[rules]]
name = "downloads"
verdict = "hold"
justification = "Moves data in or out of this host."
exec = { exe = ["/usr/bin/curl"] }

[[rules]]
name = "repeated"
verdict = "hold"
risk = "medium"
grants = ["process", "session"]
max_ttl = "10m"
exec = { exe = ["/usr/bin/repeated"] }

[[rules]]
name = "impatient"
verdict = "hold"
deadline = "1s"
exec = { exe = ["/usr/bin/impatient"] }

[[rules]]
name = "fatal"
verdict = "hold"
on_deny = "kill"
exec = { exe = ["/usr/bin/fatal"] }

[[rules]]
name = "never"
verdict = "deny"
exec = { exe = ["/usr/bin/never"] }

[[rules]]
name = "staging"
verdict = "hold"
connect = { port = [9000], protocol = ["tcp"] }
"#;

/// Everything a test plays with.
pub struct World {
    /// The central service.
    pub approver: Approver,
    /// A host with its daemon running and linked.
    pub host: Host,
    /// Who types commands.
    pub people: People,
    /// Sees everything, decides nothing unless told to: `bob` over gRPC.
    pub bob: Reviewer,
}

/// Runs `test` in a new world with [`POLICY`], bounded in time.
pub fn scenario(test: impl AsyncFnOnce(&mut World)) {
    bounded(async {
        let mut world = World::new().await;
        world.host.start();
        world.host.wait_for_link(true).await;
        test(&mut world).await;
    });
}

/// Runs `test`, bounded in time.
pub fn bounded(test: impl Future<Output = ()>) {
    logs::collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        assert!(
            tokio::time::timeout(LIMIT, test).await.is_ok(),
            "the test was not over within {LIMIT:?}"
        );
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
}

impl World {
    /// Approver and people; the host is enrolled, its daemon not started.
    pub async fn new() -> Self {
        let approver = Approver::start().await;
        let host = Host::enrol(&approver, POLICY).await;
        let people = People::of(&approver);
        let bob = approver.reviewer("bob").await;
        Self {
            approver,
            host,
            people,
            bob,
        }
    }
}

impl World {
    /// What `holdpoint status --json` says, enforcing or not.
    pub async fn status(&self) -> Value {
        let socket = self.host.socket().into_os_string();
        let mut words: Vec<OsString> = ["status", "--json", "--socket"].map(Into::into).into();
        words.push(socket);
        let done = self.people.holdpoint(words).await;
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"))
    }

    /// Waits until the status is what `wanted` says.
    pub async fn wait_for_status(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        until("the host's status", async || {
            let status = self.status().await;
            if wanted(&status) {
                Ok(status)
            } else {
                Err(status)
            }
        })
        .await
    }

    /// Waits until the daemon knows of no hold.
    pub async fn wait_for_no_hold(&self) {
        self.wait_for_status(|status| status["held"] == 0).await;
    }
}
