//! The daemon's door for local callers: sessions and status.

use holdpoint_tests::world::{World, bounded, scenario};

fn run_arguments(world: &World, words: &[&str]) -> Vec<std::ffi::OsString> {
    let socket = world.host.socket().into_os_string();
    let mut arguments = vec!["run".into(), "--socket".into(), socket];
    arguments.extend(words.iter().map(Into::into));
    arguments
}

#[test]
fn a_session_begins_with_the_command_itself() {
    scenario(async |world| {
        let arguments = run_arguments(
            world,
            &["--profile", "demo", "--", "sh", "-c", "echo $$; exit 7"],
        );
        let done = world.people.holdpoint(arguments).await;
        assert_eq!(done.code, Some(7), "{done:?}");
        let pid: u32 = done.stdout.trim().parse().unwrap();
        let status = world.status().await;
        assert_eq!(status["enforcing"], true);
        assert_eq!(status["approver"]["connected"], true);
        let session = &status["sessions"][0];
        assert_eq!(session["root_pid"], pid);
        assert_eq!(
            (&session["profile"], &session["owner"]),
            (&"demo".into(), &"owner".into())
        );
    });
}

#[test]
fn a_session_that_may_not_begin_does_not_run_its_command() {
    scenario(async |world| {
        let witness = world.approver.directory().join("ran");
        let witness = witness.to_str().unwrap();
        for (words, reason) in [
            (&["--", "touch", witness][..], "several profiles"),
            (
                &["--profile", "production", "--", "touch", witness],
                "\"production\"",
            ),
        ] {
            let done = world.people.holdpoint(run_arguments(world, words)).await;
            done.fails(125, &["the command was not run", reason]);
        }
        assert!(!std::path::Path::new(witness).exists());
    });
}

#[test]
fn a_host_that_does_not_enforce_begins_no_session_and_says_why() {
    bounded(async {
        let mut world = World::new().await;
        world.host.gate.set_broken(Some("the canary sang"));
        world.host.start();
        let witness = world.approver.directory().join("ran");
        let words = [
            "--profile",
            "demo",
            "--",
            "touch",
            witness.to_str().unwrap(),
        ];
        let done = world.people.holdpoint(run_arguments(&world, &words)).await;
        done.fails(125, &["does not enforce", "the canary sang"]);
        assert!(!witness.exists());
        let socket = world.host.socket().display().to_string();
        let status = world
            .people
            .types("ada", &["status", "--json", "--socket", &socket])
            .await;
        assert_eq!(status.code, Some(1));
        let json: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        assert_eq!(json["enforcing"], false);
        assert_eq!(json["not_enforcing_because"], "the canary sang");
        let text = world
            .people
            .types("ada", &["status", "--socket", &socket])
            .await;
        assert!(text.stdout.contains("NO: the canary sang"), "{text:?}");
    });
}

#[test]
fn without_a_daemon_nothing_runs() {
    bounded(async {
        let world = World::new().await;
        let witness = world.approver.directory().join("ran");
        let words = ["--", "touch", witness.to_str().unwrap()];
        let done = world.people.holdpoint(run_arguments(&world, &words)).await;
        done.fails(
            125,
            &["holdpointd isn't running", "systemctl start holdpointd"],
        );
        assert!(!witness.exists());
    });
}

#[test]
fn a_host_says_when_it_has_no_identity() {
    bounded(async {
        let mut world = World::new().await;
        std::fs::remove_file(world.host.state_dir().join("identity.json")).unwrap();
        world.host.start();
        world
            .wait_for_status(|status| {
                let error = status["approver"]["error"].as_str();
                error.is_some_and(|error| error.contains("holdpointd enrol TOKEN"))
            })
            .await;
    });
}
