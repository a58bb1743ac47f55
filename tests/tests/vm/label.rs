//! The label follows the task: whatever a process does to get away, its exec is
//! held, and an approval lets exactly that exec go on.

use holdpoint_tests::{
    guest::{Place, Stack, guest},
    patience::wait_until,
};

/// Runs the payload by `route`, free and in a session.
fn is_held_by(route: &str) {
    let mut guest = guest();
    let place = Place::new(&format!("label-{route}"));
    let payload = place.payload("held");
    let attack = place.copy("attack-exec", "attack-exec");
    let ran = |name: &str| {
        wait_until("the payload", || {
            let witness = place.witness(name).unwrap_or_default();
            if witness == b"complete\n" {
                Ok(())
            } else {
                Err(witness)
            }
        });
    };
    {
        let mut free = guest.free(&[&attack, route, &payload, &place.path("free"), "complete"]);
        ran("free");
        free.wait();
    }
    let witness = place.path("witness");
    let mut session = guest.session(&[&attack, route, &payload, &witness, "complete"]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    session.continue_500_times();
    assert_eq!(place.witness("witness"), None, "{:?}", session.peek());
    guest.bob.approve(&request);
    ran("witness");
    wait_until("the end of all its processes", || {
        let left = session.processes();
        if left.is_empty() || session.ended() && left.len() == 1 {
            Ok(())
        } else {
            Err((left, session.peek()))
        }
    });
    let done = session.wait();
    // The orphan's first parent ended well long before.
    let expected = if route == "orphan" { 0 } else { 42 };
    assert_eq!(done.code, Some(expected), "{done:?}");
    assert_eq!(done.stdout, "payload ran\n", "{done:?}");
    assert!(guest.bob.pending(&id).is_empty());
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn through_a_fork_root() {
    is_held_by("child");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn through_two_forks_and_a_new_session_root() {
    is_held_by("orphan");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn in_a_thread_that_is_not_the_first_root() {
    is_held_by("thread");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn through_vfork_root() {
    is_held_by("vfork");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn through_posix_spawn_root() {
    is_held_by("posix-spawn");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn by_a_descriptor_root() {
    is_held_by("descriptor");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn into_a_user_namespace_root() {
    is_held_by("user-namespace");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn into_a_pid_namespace_root() {
    is_held_by("pid-namespace");
}
