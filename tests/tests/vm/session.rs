//! Sessions: who may begin one, and what the host says of itself.

use std::process::Command;

use holdpoint_tests::{
    guest::{Place, SOCKET, Stack, guest},
    programs::{Done, program},
};

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn the_host_says_that_it_enforces_root() {
    let _guest = guest();
    let output = Command::new(program("holdpoint"))
        .args(["status", "--json", "--socket", SOCKET])
        .output();
    let status = Done::from(output.unwrap()).json();
    assert_eq!(status["enforcing"], true, "{status}");
    assert_eq!(status["not_enforcing_because"], serde_json::Value::Null);
    assert_eq!(status["approver"]["connected"], true);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(status["kernel_release"], release.trim());
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn sessions_do_not_nest_root() {
    let mut guest = guest();
    let place = Place::new("session-nested");
    let holdpoint = program("holdpoint");
    let mut words = vec![holdpoint.to_str().unwrap(), "run", "--socket", SOCKET];
    let witness = place.path("witness");
    words.extend(["--profile", "demo", "--", "/usr/bin/touch", &witness]);
    guest.session(&words).wait().fails(
        125,
        &["runs in a session", "sessions do not nest", "not run"],
    );
    assert_eq!(place.witness("witness"), None);
    // Free, the same words begin one.
    guest.free(&words).wait().ok();
    assert!(place.witness("witness").is_some());
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn who_is_not_named_in_a_profile_begins_no_session_root() {
    use std::os::unix::process::CommandExt as _;
    let _guest = guest();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    for profile in [&["--profile", "demo"][..], &[]] {
        let output = Command::new(program("holdpoint"))
            .args(["run", "--socket", SOCKET])
            .args(profile)
            .args(["--", "/usr/bin/touch", "/tmp/never"])
            .uid(nobody.uid.as_raw())
            .gid(nobody.gid.as_raw())
            .output();
        Done::from(output.unwrap()).fails(125, &["nobody", "an administrator can add the user"]);
    }
    assert!(!std::path::Path::new("/tmp/never").exists());
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn nothing_outside_a_session_is_held_root() {
    let mut guest = guest();
    let place = Place::new("session-none");
    for folder in ["held", "killed", "denied"] {
        let payload = place.payload(folder);
        let witness = place.path(&format!("by-{folder}"));
        let done = guest.free(&[&payload, &witness]).wait();
        assert_eq!(done.code, Some(42), "{done:?}");
    }
    assert_eq!(Stack::status().held, 0);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn who_stops_because_a_child_stopped_goes_on_with_it_root() {
    let mut guest = guest();
    let place = Place::new("session-job");
    let payload = place.payload("held");
    // script(1) stops itself when its child does and waits to be continued.
    let command = format!("{payload} {}", place.path("witness"));
    let words = ["/usr/bin/script", "-qec", &command, "/dev/null"];
    let mut session = guest.session(&words);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    assert_eq!(place.witness("witness"), None);
    guest.bob.approve(&request);
    let done = session.wait();
    assert_eq!(done.code, Some(42), "{done:?}");
    assert!(done.stdout.contains("payload ran"), "{done:?}");
}
