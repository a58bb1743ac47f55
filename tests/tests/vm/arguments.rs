//! Arguments: shown whole and as they are, or refused.

use holdpoint_proto::v1::operation::Kind;
use holdpoint_tests::{
    guest::{Place, Stack, guest, reviews::kind},
    patience::wait_until,
};

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_mebibyte_is_shown_whole_and_runs_root() {
    const BYTES: usize = 1024 * 1024;
    let mut guest = guest();
    let place = Place::new("arguments-large");
    let payload = place.payload("held");
    let attack = place.copy("attack-arguments", "attack-arguments");
    let size = BYTES.to_string();
    let free = guest
        .free(&[&attack, &size, &payload, &place.path("free")])
        .wait();
    assert_eq!(free.code, Some(42), "{free:?}");
    let complete = place.witness("free").unwrap();
    assert!(complete.len() > BYTES);

    let mut session = guest.session(&[&attack, &size, &payload, &place.path("witness")]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    let Kind::Exec(exec) = kind(&request) else {
        panic!("{request:?}");
    };
    let mut shown = exec.argv[2..].join(&b"\n"[..]);
    shown.push(b'\n');
    assert!(
        shown == complete,
        "{} of {} bytes shown",
        shown.len(),
        complete.len()
    );
    assert_eq!(place.witness("witness"), None);
    guest.bob.approve(&request);
    let done = session.wait();
    assert_eq!(done.code, Some(42), "{done:?}");
    assert!(place.witness("witness").unwrap() == complete);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn more_than_can_be_reviewed_is_refused_and_the_log_says_so_root() {
    const BYTES: usize = 5 * 1024 * 1024;
    let mut guest = guest();
    let place = Place::new("arguments-oversized");
    let payload = place.payload("held");
    let attack = place.copy("attack-arguments", "attack-arguments");
    let size = BYTES.to_string();
    let free = guest
        .free(&[&attack, &size, &payload, &place.path("free")])
        .wait();
    assert_eq!(free.code, Some(42), "the kernel takes that much: {free:?}");

    let done = guest
        .session(&[&attack, &size, &payload, &place.path("witness")])
        .wait();
    assert_eq!(done.stdout, format!("errno {}\n", libc::EPERM), "{done:?}");
    assert_eq!(place.witness("witness"), None);
    wait_until("a word in the log", || {
        let log = guest.daemon.log();
        let told = log.lines().any(|line| {
            line.contains("refused without a question")
                && line.contains("larger than 4194304 bytes")
        });
        if told { Ok(()) } else { Err(log) }
    });
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn hostile_bytes_arrive_as_they_are_root() {
    let mut guest = guest();
    let place = Place::new("arguments-hostile");
    let payload = place.payload("held");
    // A shell writes the bytes, so that they come from a real program.
    let shell = format!(
        "exec {payload} {} \"$(printf '\\033[2J\\377\\376')\" \"$(printf 'a\\nb')\" ''",
        place.path("witness")
    );
    let mut session = guest.session(&["/bin/sh", "-c", &shell]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    let Kind::Exec(exec) = kind(&request) else {
        panic!("{request:?}");
    };
    assert_eq!(exec.argv[2..], [&b"\x1b[2J\xff\xfe"[..], b"a\nb", b""]);
    guest.bob.approve(&request);
    assert_eq!(session.wait().code, Some(42));
    assert_eq!(
        place.witness("witness").unwrap(),
        b"\x1b[2J\xff\xfe\na\nb\n\n"
    );
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn the_name_a_program_is_given_is_shown_beside_what_it_is_root() {
    let mut guest = guest();
    let place = Place::new("arguments-name");
    let payload = place.payload("held");
    let shell = format!("exec -a /usr/bin/true {payload} {}", place.path("witness"));
    let mut session = guest.session(&["/bin/bash", "-c", &shell]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    let Kind::Exec(exec) = kind(&request) else {
        panic!("{request:?}");
    };
    assert_eq!(
        (&*exec.path, &*exec.argv[0]),
        (payload.as_bytes(), &b"/usr/bin/true"[..])
    );
    guest.bob.deny(&request);
    assert_eq!(session.wait().code, Some(126));
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn large_ancestors_keep_no_question_from_its_reviewer_root() {
    const LEVELS: &str = "10";
    let mut guest = guest();
    let place = Place::new("arguments-ancestors");
    let payload = place.payload("held");
    let attack = place.copy("attack-ancestors", "attack-ancestors");
    let free = guest
        .free(&[&attack, LEVELS, &payload, &place.path("free")])
        .wait();
    assert_eq!(free.code, Some(42), "{free:?}");

    let mut below = guest.session(&[&attack, LEVELS, &payload, &place.path("below")]);
    let below_id = Stack::session_id(&mut below);
    let request = guest.bob.wait_for_one(&below_id);
    let ancestry = &request.context.as_ref().unwrap().ancestry;
    assert!(ancestry.len() >= 10, "{}", ancestry.len());
    // Nor does it stand in the way of others.
    let mut beside = guest.session(&[&payload, &place.path("beside")]);
    let beside_id = Stack::session_id(&mut beside);
    let other = guest.bob.wait_for_one(&beside_id);
    for (request, mut session, witness) in [(other, beside, "beside"), (request, below, "below")] {
        assert_eq!(place.witness(witness), None);
        guest.bob.approve(&request);
        let done = session.wait();
        assert_eq!(done.code, Some(42), "{done:?}");
        assert!(place.witness(witness).is_some());
    }
}
