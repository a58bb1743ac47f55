//! The label follows the task: whatever a process does to get away, its exec is
//! held, and an approval lets exactly that exec go on.

use std::{fs, os::unix::fs::MetadataExt as _};

use holdpoint_tests::{
    guest::{Place, Stack, guest},
    patience::wait_until,
};

/// Runs the payload by `route`, free and in a session.
fn is_held_by(route: &str) {
    is_held(&Attack {
        route,
        as_root: false,
        set_uid: false,
        payload: |place| place.payload("held"),
    });
}

/// The same as root.
fn is_held_by_root(route: &str) {
    is_held(&Attack {
        route,
        as_root: true,
        set_uid: false,
        payload: |place| place.payload("held"),
    });
}

struct Attack<'a> {
    route: &'a str,
    /// In a session of root.
    as_root: bool,
    /// By a program that is root's for everybody.
    set_uid: bool,
    payload: fn(&Place) -> String,
}

fn is_held(attack: &Attack<'_>) {
    let &Attack { route, as_root, .. } = attack;
    let mut guest = guest();
    let place = Place::new(&format!("label-{route}"));
    let payload = (attack.payload)(&place);
    let program = place.copy("attack-exec", "attack-exec");
    if attack.set_uid {
        place.set_uid_root(&program);
    }
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
        let witness = place.path("free");
        let words = [&*program, route, &payload, &witness, "complete"];
        let mut free = if as_root {
            guest.free_root(&words)
        } else {
            guest.free(&words)
        };
        ran("free");
        free.wait();
    }
    let owner = |name: &str| fs::metadata(place.path(name)).unwrap().uid();
    assert_eq!(owner("free") == 0, as_root || attack.set_uid);
    let witness = place.path("witness");
    let words = [&*program, route, &payload, &witness, "complete"];
    let mut session = if as_root {
        guest.root_session(&words)
    } else {
        guest.session(&words)
    };
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
    assert_eq!(owner("witness"), owner("free"));
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

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn into_a_mount_namespace_root() {
    is_held_by("mount-namespace");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn as_a_child_of_its_grandparent_root() {
    is_held_by("sibling");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn born_into_another_control_group_root() {
    is_held_by_root("control-group");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn moved_to_another_control_group_root() {
    is_held_by_root("moved");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn through_a_program_that_runs_as_root_for_everybody_root() {
    is_held(&Attack {
        route: "plain",
        as_root: false,
        set_uid: true,
        payload: |place| place.payload("held"),
    });
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn through_the_32_bit_entry_root() {
    is_held_by("compat");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn through_the_32_bit_entry_by_a_descriptor_root() {
    is_held_by("compat-descriptor");
}

/// Writes `complete` to the file that its first argument names, says that it ran
/// and ends with 42.
#[rustfmt::skip]
const PROGRAM_OF_32_BITS: &[u8] = &[
    // ELF header: 32-bit, executable, 386, begins at 0x10054.
    0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    2, 0, 3, 0, 1, 0, 0, 0, 0x54, 0, 1, 0, 52, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    // Program header: all 179 bytes at 0x10000, readable and executable.
    1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0,
    179, 0, 0, 0, 179, 0, 0, 0, 5, 0, 0, 0, 0, 0x10, 0, 0,
    // open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644)
    0x8b, 0x5c, 0x24, 0x08, 0xb9, 0x41, 2, 0, 0, 0xba, 0xa4, 1, 0, 0,
    0xb8, 5, 0, 0, 0, 0xcd, 0x80,
    // write(that, "complete\n", 9)
    0x89, 0xc3, 0xb9, 0x9e, 0, 1, 0, 0xba, 9, 0, 0, 0, 0xb8, 4, 0, 0, 0, 0xcd, 0x80,
    // write(1, "payload ran\n", 12)
    0xbb, 1, 0, 0, 0, 0xb9, 0xa7, 0, 1, 0, 0xba, 12, 0, 0, 0, 0xb8, 4, 0, 0, 0, 0xcd, 0x80,
    // exit(42)
    0xbb, 42, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0xcd, 0x80,
    b'c', b'o', b'm', b'p', b'l', b'e', b't', b'e', b'\n',
    b'p', b'a', b'y', b'l', b'o', b'a', b'd', b' ', b'r', b'a', b'n', b'\n',
];

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn into_a_program_of_32_bits_root() {
    is_held(&Attack {
        route: "child",
        as_root: false,
        set_uid: false,
        payload: |place| place.script("held/payload", PROGRAM_OF_32_BITS),
    });
}
