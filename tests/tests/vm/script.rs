//! Scripts: what their first line makes of an interpreter's arguments is judged,
//! shown and run.

use holdpoint_proto::v1::operation::Kind;
use holdpoint_tests::guest::{Place, Stack, guest, reviews::kind};

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn the_words_of_a_script_are_shown_among_its_interpreters_root() {
    let mut guest = guest();
    let place = Place::new("script-words");
    let payload = place.payload("held");
    // The word of the line is the payload's witness.
    let script = |witness: &str| {
        let line = format!("#!{payload} {}\n", place.path(witness));
        place.script(&format!("by-{witness}"), &line)
    };
    let named_echo = |script: &str| format!("exec -a echo {script} --version");
    let free = script("free");
    let done = guest.free(&["/bin/bash", "-c", &named_echo(&free)]).wait();
    assert_eq!(done.code, Some(42), "{done:?}");
    let wrote = |script: &str| format!("{script}\n--version\n").into_bytes();
    assert_eq!(place.witness("free"), Some(wrote(&free)));

    let held = script("witness");
    let mut session = guest.session(&["/bin/bash", "-c", &named_echo(&held)]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    let Kind::Exec(exec) = kind(&request) else {
        panic!("{request:?}");
    };
    assert_eq!(exec.path, payload.as_bytes());
    let word = place.path("witness");
    let shown = [&payload, &word, &held, "--version"].map(str::as_bytes);
    assert_eq!(exec.argv, shown);
    assert_eq!(place.witness("witness"), None);
    guest.bob.approve(&request);
    let done = session.wait();
    assert_eq!(done.code, Some(42), "{done:?}");
    assert_eq!(place.witness("witness"), Some(wrote(&held)));
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_rule_about_arguments_holds_for_those_of_a_script_root() {
    let mut guest = guest();
    let place = Place::new("script-rule");
    let attack = place.copy("attack-exec", "attack-exec");
    let denied = place.script("denied-words", "#!/usr/bin/cat -n\nsecret\n");
    let allowed = place.script("allowed-words", "#!/usr/bin/cat -b\nsecret\n");
    let done = guest.free(&[&attack, "plain", &denied]).wait();
    assert!(done.stdout.contains("secret"), "{done:?}");

    let done = guest.session(&[&attack, "plain", &denied]).wait();
    assert_eq!(done.stdout, format!("errno {}\n", libc::EPERM), "{done:?}");
    let done = guest.session(&[&attack, "plain", &allowed]).wait();
    assert!(done.stdout.contains("secret"), "{done:?}");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_script_that_a_script_interprets_is_refused_root() {
    let mut guest = guest();
    let place = Place::new("script-chain");
    let attack = place.copy("attack-exec", "attack-exec");
    let inner = place.script("inner", "#!/bin/sh\necho inner ran\n");
    let outer = place.script("outer", format!("#!{inner}\n"));
    let done = guest.free(&[&attack, "plain", &outer]).wait();
    assert_eq!(done.stdout, "inner ran\n", "{done:?}");

    let done = guest.session(&[&attack, "plain", &outer]).wait();
    assert_eq!(done.stdout, format!("errno {}\n", libc::EPERM), "{done:?}");
}
