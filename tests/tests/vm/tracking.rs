//! Who is asked about and who is answered: numbers that are used again, memory that
//! comes late, maps that are full, programs that somebody wants to take away.

use std::{fs, path::PathBuf, time::Duration};

use holdpoint_proto::v1::{Outcome, event::Body, operation::Kind};
use holdpoint_tests::{
    guest::{Guest, Place, Stack, guest, listener::Listener, reviews::caller},
    patience::wait_until,
};
use nix::sys::signal::Signal;

/// Pinned objects of the gate of one kind: `links` or `maps`.
fn pins(kind: &str) -> Vec<PathBuf> {
    let versions = fs::read_dir("/sys/fs/bpf/holdpoint").unwrap();
    let folders = versions.map(|version| version.unwrap().path().join(kind));
    folders
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// The payload in a held folder is held, and runs when it is approved.
fn holds(guest: &mut Guest, place: &Place, witness: &str) {
    let payload = place.payload("held");
    let mut session = guest.session(&[&payload, &place.path(witness)]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    assert_eq!(place.witness(witness), None);
    guest.bob.approve(&request);
    assert_eq!(session.wait().code, Some(42));
    assert!(place.witness(witness).is_some());
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_approval_is_not_for_the_next_process_with_that_number_root() {
    let mut guest = guest();
    let place = Place::new("tracking-number");
    let payload = place.payload("held");
    let attack = place.copy("attack-number", "attack-number");
    {
        let mut free = guest.free_root(&[&attack, &payload, &place.path("free")]);
        free.wait_for("child ");
        free.types("again");
        let done = free.wait();
        let child = done
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("child "));
        let again = done
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("again "));
        assert_eq!(child, again, "the number is used again: {done:?}");
        assert_eq!(done.code, Some(42), "{done:?}");
        assert!(place.witness("free").is_some());
    }
    let witness = place.path("witness");
    let mut session = guest.root_session(&[&attack, &payload, &witness]);
    let id = Stack::session_id(&mut session);
    let first = guest.bob.wait_for_one(&id);
    // Nobody on the host sees the first end and the second begin.
    guest.daemon.signal(Signal::SIGSTOP);
    session.types("again");
    session.wait_for(&format!("again {}", caller(&first)));
    guest.bob.approve(&first);
    guest.daemon.signal(Signal::SIGCONT);
    let second = wait_until("a question of its own", || {
        let pending = guest.bob.pending(&id);
        match pending.as_slice() {
            [one] if one.id != first.id => Ok(one.clone()),
            _ => Err(pending.len()),
        }
    });
    assert_eq!(caller(&second), caller(&first));
    session.continue_500_times();
    assert_eq!(place.witness("witness"), None, "{:?}", session.peek());
    guest.bob.deny(&second);
    let done = session.wait();
    let refused = format!("errno {}\n", libc::EPERM);
    assert!(done.stdout.contains(&refused), "{done:?}");
    assert_eq!(place.witness("witness"), None);
    guest.bob.wait_for_outcome(&first.id, Outcome::Gone);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn memory_that_comes_late_keeps_only_its_own_call_waiting_root() {
    let mut guest = guest();
    let place = Place::new("tracking-late");
    let payload = place.payload("held");
    let attack = place.copy("attack-userfault", "attack-userfault");
    let trigger = place.path("trigger");
    let words = |witness: &str| {
        [
            attack.clone(),
            "late".to_owned(),
            payload.clone(),
            place.path(witness),
            trigger.clone(),
        ]
    };
    let free = words("free");
    let free: Vec<&str> = free.iter().map(String::as_str).collect();
    let mut session = guest.free_root(&free);
    session.wait_for("waiting");
    fs::write(&trigger, "").unwrap();
    assert_eq!(session.wait().code, Some(42));
    assert!(place.witness("free").is_some());
    fs::remove_file(&trigger).unwrap();

    let late = words("late");
    let late: Vec<&str> = late.iter().map(String::as_str).collect();
    let mut session = guest.root_session(&late);
    let id = Stack::session_id(&mut session);
    session.wait_for("waiting");
    // The call stands in the kernel, before it is judged. Others are as ever.
    for round in 0..4 {
        holds(&mut guest, &place, &format!("other-{round}"));
    }
    assert!(guest.bob.pending(&id).is_empty());
    fs::write(&trigger, "").unwrap();
    let request = guest.bob.wait_for_one(&id);
    session.continue_500_times();
    assert_eq!(place.witness("late"), None);
    guest.bob.approve(&request);
    assert_eq!(session.wait().code, Some(42));
    assert!(place.witness("late").is_some());
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn memory_that_never_comes_keeps_no_other_session_waiting_root() {
    /// More than the daemon reads at once.
    const PROCESSES: usize = 40;
    let mut guest = guest();
    let place = Place::new("tracking-never");
    let payload = place.payload("held");
    let attack = place.copy("attack-userfault", "attack-userfault");
    let witness = place.path("never");
    let words = [
        &*attack,
        "never",
        &PROCESSES.to_string(),
        &payload,
        &witness,
    ];
    let mut hostile = guest.root_session(&words);
    Stack::session_id(&mut hostile);
    let mut other = guest.session(&["/bin/sh"]);
    let id = Stack::session_id(&mut other);
    other.types("echo ready");
    other.wait_for("ready");
    // It looks at them only when their memory is gone.
    guest.daemon.signal(Signal::SIGSTOP);
    hostile.types("go");
    hostile.wait_for("gone");
    guest.daemon.signal(Signal::SIGCONT);
    other.types(&format!("exec {payload} {}", place.path("other")));
    let request = guest.bob.wait_for_one(&id);
    guest.bob.approve(&request);
    assert_eq!(other.wait().code, Some(42));
    assert!(place.witness("other").is_some());
    // Whatever becomes of them: it is their own memory that they wait for.
    hostile.continue_500_times();
    assert_eq!(place.witness("never"), None);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn what_finds_no_room_to_wait_is_refused_root() {
    let mut guest = guest();
    let place = Place::new("tracking-full");
    let payload = place.payload("held");
    let attack = place.copy("attack-exec", "attack-exec");
    let gate = place.copy("attack-gate", "attack-gate");
    let mut pins = pins("maps").into_iter();
    let pending = pins.find(|pin| pin.ends_with("PENDING")).unwrap();
    let pending = pending.to_str().unwrap();
    let mut session = guest.session(&["/bin/sh"]);
    Stack::session_id(&mut session);
    let attempt = format!("{attack} plain {payload} {}", place.path("witness"));
    // What the kernel has been told needs no room.
    session.types(&format!("{attack} plain /usr/bin/true; echo ready"));
    session.wait_for("ready");
    // As many threads as would have to be held cost more than a guest has: what
    // they leave in the map is written there instead.
    guest.daemon.signal(Signal::SIGSTOP);
    let done = guest.free_root(&[&gate, "fill", pending]).wait();
    let filled = done.stdout.trim().strip_prefix("filled ");
    let filled: usize = filled.unwrap().parse().unwrap();
    assert!(filled > 16_000, "{filled}");
    let done = guest.free(&[&payload, &place.path("free")]).wait();
    assert_eq!(done.code, Some(42), "outside a session nothing is refused");
    session.types(&format!("{attempt}; {attempt}"));
    wait_until("two refusals", || {
        let (output, errors) = session.peek();
        let refused = format!("errno {}\n", libc::EPERM);
        if output.matches(&refused).count() == 2 {
            Ok(())
        } else {
            Err((output, errors))
        }
    });
    assert_eq!(place.witness("witness"), None);
    let done = guest.free_root(&[&gate, "empty", pending]).wait();
    assert_eq!(done.stdout, format!("emptied {filled}\n"));
    guest.daemon.signal(Signal::SIGCONT);
    guest.wait_until_up();
    holds(&mut guest, &place, "after");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn programs_of_the_gate_cannot_be_detached_or_replaced_root() {
    let mut guest = guest();
    let place = Place::new("tracking-detach");
    let gate = place.copy("attack-gate", "attack-gate");
    let links = pins("links");
    assert!(links.len() > 20, "{links:?}");
    // Other errors would say that the attack was not understood.
    for (how, errno) in [("detach", libc::EOPNOTSUPP), ("replace", libc::EINVAL)] {
        let mut words = vec![&*gate, how];
        words.extend(links.iter().map(|link| link.to_str().unwrap()));
        // By root, whom nothing holds.
        let done = guest.free_root(&words).wait();
        let refused = format!(" errno {errno}\n");
        let refusals = done.stdout.matches(&refused).count();
        assert_eq!(refusals, links.len(), "{how}: {done:?}");
    }
    holds(&mut guest, &place, "witness");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn nothing_passes_while_the_programs_are_replaced_root() {
    const TO: &str = "127.0.0.1:9249";
    let mut guest = guest();
    let place = Place::new("tracking-replaced");
    let attack = place.copy("attack-connect", "attack-connect");
    let payload = place.payload("denied");
    let enough = place.path("enough");
    {
        let listener = Listener::on(TO);
        guest.free(&[&attack, "insist", TO, &enough]).wait().ok();
        assert!(listener.packets() > 0);
    }
    let listener = Listener::on(TO);
    let mut connects = guest.session(&[&attack, "insist", TO, &enough]);
    Stack::session_id(&mut connects);
    let script = format!(
        "while [ ! -e {enough} ]; do {payload} {}; sleep 0.05; done",
        place.path("witness")
    );
    let mut execs = guest.session(&["/bin/sh", "-c", &script]);
    Stack::session_id(&mut execs);
    for _ in 0..2 {
        std::thread::sleep(Duration::from_secs(1));
        guest.daemon.kill();
        guest.daemon.start();
        guest.wait_until_up();
    }
    fs::write(&enough, "").unwrap();
    let done = connects.wait();
    assert!(done.stdout.contains(" connected 0\n"), "{done:?}");
    execs.wait();
    assert_eq!(place.witness("witness"), None);
    listener.assert_silence();
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_file_without_a_format_is_held_and_so_is_its_shell_judged_root() {
    let mut guest = guest();
    let place = Place::new("tracking-formless");
    let attack = place.copy("attack-exec", "attack-exec");
    let text = "echo ran > \"$1\"\nexit 42\n";
    let formless = place.script("held/formless", text);
    let words = |witness: &str| {
        [
            attack.clone(),
            "path-search".to_owned(),
            formless.clone(),
            place.path(witness),
        ]
    };
    let free = words("free");
    let free: Vec<&str> = free.iter().map(String::as_str).collect();
    assert_eq!(guest.free(&free).wait().code, Some(42));
    assert!(place.witness("free").is_some());

    let held = words("witness");
    let held: Vec<&str> = held.iter().map(String::as_str).collect();
    let mut session = guest.session(&held);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    session.continue_500_times();
    assert_eq!(place.witness("witness"), None);
    guest.bob.deny(&request);
    let done = session.wait();
    assert_eq!(done.stdout, format!("errno {}\n", libc::EPERM), "{done:?}");
    assert_eq!(
        place.witness("witness"),
        None,
        "no shell reads what is refused"
    );

    let before = Stack::events().len();
    let mut session = guest.session(&held);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    guest.bob.approve(&request);
    assert_eq!(session.wait().code, Some(42));
    assert!(place.witness("witness").is_some());
    // The shell that the library starts instead is one more exec.
    let shell = [&b"/bin/sh"[..], formless.as_bytes()];
    wait_until("the shell's exec", || {
        let told: Vec<_> = Stack::events()
            .split_off(before)
            .into_iter()
            .filter_map(|event| match event.body? {
                Body::Operation(operation) => operation.operation?.kind,
                _ => None,
            })
            .collect();
        let is_shell = |kind: &Kind| match kind {
            Kind::Exec(exec) => exec.argv.starts_with(&shell.map(<[u8]>::to_vec)),
            Kind::Connect(_) => false,
        };
        if told.iter().any(is_shell) {
            Ok(())
        } else {
            Err(told)
        }
    });
}

/// Whether this kernel knows `AT_EXECVE_CHECK`.
fn can_check() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(str::parse::<u32>);
    let mut next = || numbers.next().unwrap().unwrap_or(0);
    (next(), next()) >= (6, 14)
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn asking_whether_a_file_could_run_runs_nothing_and_allows_nothing_root() {
    let mut guest = guest();
    let place = Place::new("tracking-check");
    let attack = place.copy("attack-exec", "attack-exec");
    let payload = place.payload("held");
    let errno = if can_check() { 0 } else { libc::EINVAL };
    let could = format!("could errno {errno}\n");
    let done = guest
        .free(&[&attack, "check", &payload, &place.path("free")])
        .wait();
    assert!(done.stdout.starts_with(&could), "{done:?}");
    assert_eq!(done.code, Some(42), "{done:?}");

    let mut session = guest.session(&[&attack, "check", &payload, &place.path("witness")]);
    let id = Stack::session_id(&mut session);
    let request = guest.bob.wait_for_one(&id);
    // Nobody is asked about the question: this is about the exec behind it.
    assert_eq!(session.peek().0, could);
    session.continue_500_times();
    assert_eq!(place.witness("witness"), None);
    guest.bob.deny(&request);
    let done = session.wait();
    assert_eq!(done.stdout, format!("{could}errno {}\n", libc::EPERM));
    assert_eq!(place.witness("witness"), None);
}
