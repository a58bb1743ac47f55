//! What a service manager hears of the daemon, in which order.

use std::{
    os::unix::net::UnixDatagram,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use holdpoint_tests::{
    patience::{PATIENCE, until},
    programs::program,
    world::{World, bounded},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A manager's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(place: &std::path::Path) -> (Self, std::path::PathBuf) {
        let path = place.join("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        (Self(socket), path)
    }

    /// The next message, if one is there.
    fn heard(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// Waits for a message that begins so; gives all that came before it.
    async fn wait_for(&self, start: &str) -> Vec<String> {
        let mut before = Vec::new();
        until(start, async || {
            while let Some(message) = self.heard() {
                if message.starts_with(start) {
                    return Ok(());
                }
                before.push(message);
            }
            Err(before.clone())
        })
        .await;
        before
    }
}

#[test]
fn nothing_is_ready_before_the_kernel_refused_the_canary() {
    bounded(async {
        let mut world = World::new().await;
        let (manager, path) = Manager::listen(world.approver.directory());
        world.host.manager = Some(path.into_os_string());
        world.host.gate.set_broken(Some("the canary sang"));
        world.host.start();
        let before = manager
            .wait_for("STATUS=NOT ENFORCING: the canary sang")
            .await;
        assert!(
            !before.iter().any(|message| message == "READY=1"),
            "{before:?}"
        );
        // It is alive all the same, and has nothing else to say.
        let before = manager.wait_for("WATCHDOG=1").await;
        assert!(
            !before.iter().any(|message| message == "READY=1"),
            "{before:?}"
        );
        world.host.kill().await;

        world.host.gate.set_broken(None);
        world.host.start();
        manager.wait_for("READY=1").await;
        manager
            .wait_for("STATUS=enforcing, 0 held, 0 grants, linked to https://")
            .await;
        let _held = world.host.exec(&["/usr/bin/curl"]);
        manager.wait_for("STATUS=enforcing, 1 held").await;
        world.host.reload("default = \"allow\"").await;
        manager.wait_for("RELOADING=1\nMONOTONIC_USEC=").await;
        manager.wait_for("READY=1").await;
    });
}

/// A daemon of its own, ended with the test.
struct Daemon(Child);

impl Daemon {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    fn wait(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the daemon does not end");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_reloads_and_stops_when_it_is_told_to() {
    bounded(async {
        let place = tempfile::tempdir().unwrap();
        let (manager, socket) = Manager::listen(place.path());
        let path = |name: &str| place.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
        write("policy.toml", "default = \"allow\"");
        write(
            "script.toml",
            "profile = \"demo\"\nowner = \"owner\"\noperations = []\n",
        );
        write(
            "holdpointd.toml",
            &format!(
                "state_dir = {:?}\ncontrol_socket = {:?}\n[log]\nformat = \"json\"\n\
                 [profiles.demo]\nowner = \"owner\"\nusers = [\"root\"]\npolicy = {:?}\n",
                path("state"),
                path("control.sock"),
                path("policy.toml"),
            ),
        );
        let log = std::fs::File::create(path("log")).unwrap();
        let mut daemon = Daemon(
            Command::new(program("holdpointd"))
                .arg("--config")
                .arg(path("holdpointd.toml"))
                .args(["run", "--simulate"])
                .arg(path("script.toml"))
                .env("NOTIFY_SOCKET", &socket)
                .env("WATCHDOG_USEC", "200000")
                .env_remove("RUST_LOG")
                .stdin(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap(),
        );
        manager.wait_for("READY=1").await;
        manager.wait_for("WATCHDOG=1").await;

        write("policy.toml", "default = \"perhaps\"");
        daemon.signal(Signal::SIGHUP);
        let logged = until("a word about the bad policy", async || {
            let log = std::fs::read_to_string(path("log")).unwrap();
            if log.contains("not reloaded") && log.contains("is no verdict") {
                Ok(log)
            } else {
                Err(log)
            }
        })
        .await;
        for line in logged.lines() {
            let json: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(
                json["level"].is_string() && json["message"].is_string(),
                "{line}"
            );
        }

        write("policy.toml", "default = \"deny\"");
        daemon.signal(Signal::SIGHUP);
        let before = manager.wait_for("RELOADING=1").await;
        assert!(
            before.iter().all(|message| message != "READY=1"),
            "the bad policy was taken"
        );
        manager.wait_for("READY=1").await;

        daemon.signal(Signal::SIGTERM);
        manager.wait_for("STOPPING=1").await;
        assert_eq!(daemon.wait(), Some(0));
    });
}

#[test]
fn a_host_that_lacks_something_is_told_so() {
    bounded(async {
        let place = tempfile::tempdir().unwrap();
        let config = place.path().join("none.toml");
        let words = ["--config", config.to_str().unwrap(), "check"];
        let text = holdpoint_tests::programs::run("holdpointd", words, &[]).await;
        assert_eq!(text.code, Some(1), "{text:?}");
        assert!(text.stdout.contains("LACKING  configuration"), "{text:?}");
        assert!(text.stdout.contains("lacking; mend"), "{text:?}");
        let words = ["--config", config.to_str().unwrap(), "check", "--json"];
        let done = holdpoint_tests::programs::run("holdpointd", words, &[]).await;
        assert_eq!(done.code, Some(1), "{done:?}");
        let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(json["ready"], false);
        let findings = json["findings"].as_array().unwrap();
        let configuration = findings
            .iter()
            .find(|finding| finding["name"] == "configuration")
            .unwrap();
        assert_eq!(configuration["outcome"], "lacking");
        assert!(configuration["mend"].is_string());
        // What is open lacks nothing, and is told whatever else is wrong.
        let routes = findings
            .iter()
            .find(|finding| finding["name"] == "open routes")
            .unwrap();
        assert_ne!(routes["outcome"], "lacking");
    });
}

#[test]
fn the_shipped_samples_pass_their_own_checks() {
    bounded(async {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging");
        let config = format!("{shipped}/holdpointd.toml");
        let words = ["config", "check", &config];
        let done = holdpoint_tests::programs::run("holdpointd", words, &[]).await;
        assert!(done.ok().contains("valid, 0 profiles"));
        let policies: Vec<String> = std::fs::read_dir(format!("{shipped}/policies"))
            .unwrap()
            .map(|entry| entry.unwrap().path().display().to_string())
            .collect();
        let mut words = vec!["policy".to_owned(), "check".to_owned()];
        words.extend(policies.clone());
        let done = holdpoint_tests::programs::run("holdpointd", words, &[]).await;
        assert_eq!(done.ok().lines().count(), policies.len());
        let place = tempfile::tempdir().unwrap();
        let bad = place.path().join("bad.toml");
        std::fs::write(&bad, "default = \"perhaps\"").unwrap();
        let words = ["policy", "check", bad.to_str().unwrap()];
        let done = holdpoint_tests::programs::run("holdpointd", words, &[]).await;
        done.fails(1, &["bad.toml:1", "is no verdict"]);
    });
}
