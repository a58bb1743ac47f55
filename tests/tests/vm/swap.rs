//! What was approved is what runs: changes behind a reviewer's back are asked
//! about again, or end the process.

use std::{fs, io::Write as _, os::unix::fs::symlink};

use holdpoint_proto::v1::{Outcome, RequestState, operation::Kind};
use holdpoint_tests::{
    guest::{Place, Stack, guest, reviews::kind},
    patience::wait_until,
};

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_link_that_points_elsewhere_by_now_is_asked_about_again_root() {
    let mut guest = guest();
    let place = Place::new("swap-link");
    let good = place.script("held/good", "#!/bin/sh\necho good ran\n");
    let evil = place.script("held/evil", "#!/bin/sh\necho evil ran\n");
    let attack = place.copy("attack-exec", "attack-exec");
    let link = place.path("link");
    symlink(&good, &link).unwrap();
    assert_eq!(
        guest.free(&[&attack, "plain", &link]).wait().stdout,
        "good ran\n"
    );

    let mut session = guest.session(&[&attack, "plain", &link]);
    let id = Stack::session_id(&mut session);
    let first = guest.bob.wait_for_one(&id);
    fs::remove_file(&link).unwrap();
    symlink(&evil, &link).unwrap();
    guest.bob.approve(&first);
    let second = wait_until("another question", || {
        let pending = guest.bob.pending(&id);
        match pending.as_slice() {
            [one] if one.id != first.id => Ok(one.clone()),
            _ => Err((pending.len(), session.peek())),
        }
    });
    let Kind::Exec(exec) = kind(&second) else {
        panic!("{second:?}");
    };
    assert_eq!(
        exec.path,
        evil.as_bytes(),
        "the reviewer sees what it is now"
    );
    assert_eq!(session.peek().0, "");
    guest.bob.deny(&second);
    assert_eq!(session.wait().stdout, format!("errno {}\n", libc::EPERM));
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_file_written_to_while_held_is_asked_about_again_root() {
    let mut guest = guest();
    let place = Place::new("swap-content");
    let script = place.script("held/script", "#!/bin/sh\necho good ran\n");
    let attack = place.copy("attack-exec", "attack-exec");
    assert_eq!(
        guest.free(&[&attack, "plain", &script]).wait().stdout,
        "good ran\n"
    );

    let mut session = guest.session(&[&attack, "plain", &script]);
    let id = Stack::session_id(&mut session);
    let first = guest.bob.wait_for_one(&id);
    // The same length: size alone would not tell.
    let mut file = fs::File::options().write(true).open(&script).unwrap();
    file.write_all(b"#!/bin/sh\necho evil ran\n").unwrap();
    drop(file);
    guest.bob.approve(&first);
    let second = wait_until("another question", || {
        let pending = guest.bob.pending(&id);
        match pending.as_slice() {
            [one] if one.id != first.id => Ok(one.clone()),
            _ => Err((pending.len(), session.peek())),
        }
    });
    assert_ne!(second.digest, first.digest);
    assert_eq!(session.peek().0, "");
    guest.bob.deny(&second);
    assert_eq!(session.wait().stdout, format!("errno {}\n", libc::EPERM));
}

/// Its effect is a file, as that of the payload is.
const SCRIPT: &str = "#!/bin/sh\nprintf '%s\\n' \"$2$evil\" > \"$1\"\nexit 42\n";

/// Swaps `what` while the exec is held, and approves what was shown.
fn is_killed_when_swapped(how: &str, what: &str, script: bool) {
    let mut guest = guest();
    let place = Place::new(&format!("swap-{how}-{what}-{script}"));
    // Its interpreter is allowed whatever its arguments are, and is one that this
    // session has not run before.
    let program = if script {
        place.script("held/script", SCRIPT)
    } else {
        place.payload("held")
    };
    let attack = place.copy("attack-swap", "attack-swap");
    let (witness, trigger) = (place.path("witness"), place.path("trigger"));
    let mut session = guest.session(&[&attack, how, what, &program, &witness, &trigger]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    let Kind::Exec(exec) = kind(&request) else {
        panic!("{request:?}");
    };
    assert_eq!(exec.argv[2], b"harmless");
    fs::write(&trigger, "").unwrap();
    session.wait_for("swapped");
    guest.bob.approve(&request);
    let done = session.wait();
    assert_eq!(place.witness("witness"), None, "{done:?}");
    assert_eq!(done.code, Some(128 + libc::SIGKILL), "{done:?}");
    // The record says what became of the approval.
    let record = guest.bob.wait_for_outcome(&request.id, Outcome::Refused);
    assert_eq!(record.state(), RequestState::Approved);
    assert!(
        record.outcome_detail.contains("arguments changed"),
        "{record:?}"
    );
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn arguments_changed_while_held_kill_before_the_first_instruction_root() {
    is_killed_when_swapped("child", "argument", false);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_environment_changed_while_held_kills_before_the_first_instruction_root() {
    is_killed_when_swapped("child", "environment", false);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn arguments_of_a_script_changed_while_held_kill_its_interpreter_root() {
    is_killed_when_swapped("sibling", "argument", true);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_environment_of_a_script_changed_while_held_kills_its_interpreter_root() {
    is_killed_when_swapped("sibling", "environment", true);
}

/// Swaps nothing before the program has run.
fn runs_when_not_swapped(how: &str, program: impl FnOnce(&Place) -> String) {
    let mut guest = guest();
    let place = Place::new(&format!("swap-nothing-{how}"));
    let program = program(&place);
    let attack = place.copy("attack-swap", "attack-swap");
    let (witness, trigger) = (place.path("witness"), place.path("trigger"));
    let mut session = guest.session(&[&attack, how, "argument", &program, &witness, &trigger]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    guest.bob.approve(&request);
    wait_until("the program", || {
        let witness = place.witness("witness").unwrap_or_default();
        if witness == b"harmless\n" {
            Ok(())
        } else {
            Err(witness)
        }
    });
    fs::write(&trigger, "").unwrap();
    assert_eq!(session.wait().code, Some(42));
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn arguments_that_stay_run_root() {
    runs_when_not_swapped("child", |place| place.payload("held"));
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn arguments_of_a_script_that_stay_run_root() {
    runs_when_not_swapped("sibling", |place| place.script("held/script", SCRIPT));
}
