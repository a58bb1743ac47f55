//! `audit`: what is found, named and told by the exit status.

mod history;

use std::fs;

use serde_json::{Value, json};

use super::{
    approver::{FakeApprover, pending},
    log::{FakeLog, entries_path, event, events, key, numbered},
    program::{Done, Program},
};

const UNSOUND: i32 = 3;
const INCOMPLETE: i32 = 4;

struct Stage {
    approver: FakeApprover,
    program: Program,
}

impl Stage {
    fn new(log: &FakeLog) -> Self {
        let approver = FakeApprover::start();
        approver.keep_log(log.clone());
        let program = Program::new();
        program.login(&approver, "ada", "secret").ok();
        Self { approver, program }
    }

    fn audit(&self, arguments: &[&str]) -> Done {
        let mut all = vec!["--context", "ada", "audit"];
        all.extend(arguments);
        self.program.run(&all)
    }

    /// Verifies `log` instead.
    fn verify(&self, log: &FakeLog, arguments: &[&str]) -> Done {
        self.approver.keep_log(log.clone());
        let mut all = vec!["verify"];
        all.extend(arguments);
        self.audit(&all)
    }
}

#[track_caller]
fn says(done: &Done, code: i32, words: &[&str]) {
    assert_eq!(done.code, code, "{done:?}");
    for word in words {
        assert!(
            done.stdout.contains(word),
            "{word:?} is not in {}",
            done.stdout
        );
    }
}

#[test]
fn a_log_is_verified_and_then_what_came_since() {
    let key = key();
    let stage = Stage::new(&FakeLog::of(&events(300), &key));
    let first = stage.audit(&["verify"]);
    says(
        &first,
        0,
        &[
            "FIRST USE",
            "records 0 to 299",
            "Integrity    OK",
            "Completeness OK",
        ],
    );
    says(
        &first,
        0,
        &["build-1 (h1): 300 events, gaps: 0 declared, 0 not"],
    );
    says(
        &first,
        0,
        &[
            "every record is the one that was signed",
            "History      OK: questions are answered from the same records",
        ],
    );
    let again = stage.audit(&["verify", "--new"]);
    says(
        &again,
        0,
        &[
            "nothing new since",
            "records 0 to 299 were not read again",
            "OK: the records that were checked",
        ],
    );
    assert!(!again.stdout.contains("FIRST USE"));
    assert!(!again.stdout.contains("every record"), "{again:?}");
    let again = stage.audit(&["verify"]);
    says(&again, 0, &["records 0 to 299", "every record"]);
    assert!(!again.stdout.contains("not read again"), "{again:?}");
    let more = stage.verify(&FakeLog::of(&events(700), &key), &["--new"]);
    says(
        &more,
        0,
        &[
            "records 300 to 699, which follow",
            "records 0 to 299 were not read again",
            "700 events",
        ],
    );
    let json = stage.audit(&["verify", "--json"]).json();
    assert_eq!(json["records"], json!({ "from": "0", "checked": "700" }));
    assert_eq!(
        json["integrity"],
        json!({ "sound": true, "findings": [], "cut": false })
    );
    assert_eq!(json["completeness"]["answer"], "complete");
    assert_eq!(json["history"], "sound");
    assert_eq!(json["size"], "700");
}

#[test]
fn an_empty_log_is_sound() {
    let stage = Stage::new(&FakeLog::of(&[], &key()));
    says(
        &stage.audit(&["verify"]),
        0,
        &["there are no records yet", "Integrity    OK"],
    );
}

/// What can be done to the files of a log, and what has to be said of it.
fn tampered(whole: &FakeLog) -> Vec<(FakeLog, &'static str)> {
    let with = |change: &dyn Fn(&mut FakeLog)| {
        let mut log = whole.clone();
        change(&mut log);
        log
    };
    vec![
        (
            with(&|log| log.rebundle(1, |records| records[144][20] ^= 1)),
            "record 400 was changed after the log was signed",
        ),
        (
            with(&|log| drop(log.files.remove(&entries_path(1, 700)))),
            "records 256 to 511 are missing",
        ),
        (
            with(&|log| {
                log.rebundle(1, |records| {
                    records.drain(200..210);
                });
            }),
            "records 256 to 511 can't be read",
        ),
        (
            with(&|log| drop(log.files.remove(&entries_path(2, 700)))),
            "records 512 to 699 are missing",
        ),
        (
            with(&|log| log.rebundle(2, |records| drop(records.pop()))),
            "records 512 to 699 can't be read",
        ),
        (
            with(&|log| log.rebundle(1, |records| records.swap(200, 201))),
            "record 456 was moved: signed at 457, found at 456",
        ),
        (
            with(&|log| log.files.get_mut("tile/0/001").unwrap()[4] ^= 1),
            "the hashes tile/0/001 over records 256 to 511 were changed",
        ),
        (
            with(&|log| log.checkpoint = log.checkpoint.replacen("700", "699", 1)),
            "its signature is wrong: it was changed after it was signed, or forged",
        ),
        (
            with(&|log| {
                log.checkpoint = FakeLog::of(&events(700), &key()).checkpoint;
            }),
            "the log's key has not signed it",
        ),
    ]
}

#[test]
fn what_was_tampered_with_is_found_live() {
    let key = key();
    let whole = FakeLog::of(&events(700), &key);
    for (log, words) in tampered(&whole) {
        // The first half was verified before.
        let stage = Stage::new(&FakeLog::of(&events(300), &key));
        stage.audit(&["verify"]).ok();
        for arguments in [&[][..], &["--new"]] {
            let done = stage.verify(&log, arguments);
            says(&done, UNSOUND, &["Integrity    BROKEN", words]);
            assert!(!done.stderr.contains("panicked"), "{done:?}");
        }
        // It was not remembered: the whole log still follows what was.
        says(
            &stage.verify(&whole, &["--new"]),
            0,
            &["records 300 to 699, which follow"],
        );
    }
}

#[test]
fn what_was_tampered_with_is_found_offline() {
    let key = key();
    let whole = FakeLog::of(&events(700), &key);
    let text = whole.verifier_key.clone();
    for (number, (log, words)) in tampered(&whole).into_iter().enumerate() {
        let stage = Stage::new(&log);
        for name in [format!("{number}"), format!("{number}.tar")] {
            let path = stage.program.path(&name).display().to_string();
            let exported = stage.audit(&["export", &path, "--key", &text]);
            says(&exported, UNSOUND, &[words]);
            let checkpoint = exported.stdout.contains("Exported");
            assert!(
                checkpoint,
                "a broken log is exported as it is: {exported:?}"
            );
            let done = stage.audit(&["verify", "--offline", &path, "--key", &text]);
            says(&done, UNSOUND, &["BROKEN", words]);
        }
    }
}

#[test]
fn a_log_that_does_not_go_on_is_found() {
    let key = key();
    let stage = Stage::new(&FakeLog::of(&events(600), &key));
    stage.audit(&["verify"]).ok();
    let kept = stage
        .program
        .write("kept", &FakeLog::of(&events(600), &key).checkpoint);
    let kept = kept.to_str().unwrap();

    let back = stage.verify(&FakeLog::of(&events(500), &key), &[]);
    says(
        &back,
        UNSOUND,
        &[
            "rolled back: it had 600 records",
            "records 500 to 599 are gone",
            "UNDETERMINED",
        ],
    );
    let mut other = events(600);
    other[530] = numbered(531, &json!({ "kind": "exec", "outcome": "another" }));
    let forked = stage.verify(&FakeLog::of(&other, &key), &[]);
    says(
        &forked,
        UNSOUND,
        &[
            "forked: two different logs of 600 records",
            "within records 512 to 575",
        ],
    );
    other.extend((601..=800).map(event));
    let rewritten = FakeLog::of(&other, &key);
    let done = stage.verify(&rewritten, &["--json"]);
    assert_eq!(done.code, UNSOUND, "{done:?}");
    let json: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(json["integrity"]["findings"][0]["code"], "rewritten");
    assert_eq!(json["completeness"]["answer"], "undetermined");

    // Somebody who never saw the log, but was given a checkpoint of it.
    let fresh = Stage::new(&rewritten);
    says(
        &fresh.audit(&["verify", "--checkpoint", kept]),
        UNSOUND,
        &["was rewritten"],
    );
    let path = fresh.program.path("export").display().to_string();
    let text = rewritten.verifier_key.as_str();
    fresh.audit(&["export", &path]).ok();
    says(&fresh.audit(&["verify", "--offline", &path]), 0, &["OK"]);
    let offline = [
        "verify",
        "--offline",
        &path,
        "--key",
        text,
        "--checkpoint",
        kept,
    ];
    says(&fresh.audit(&offline), UNSOUND, &["was rewritten"]);

    // A cut tail with a checkpoint that was once true.
    fresh.approver.keep_log(FakeLog::of(&events(500), &key));
    let cut = fresh.program.path("cut.tar").display().to_string();
    let exported = fresh.audit(&["export", &cut, "--key", text]);
    assert_eq!(exported.code, UNSOUND, "it was longer before");
    says(
        &fresh.audit(&["verify", "--offline", &cut, "--key", text]),
        0,
        &["OK"],
    );
    let offline = [
        "verify",
        "--offline",
        &cut,
        "--key",
        text,
        "--checkpoint",
        kept,
    ];
    says(
        &fresh.audit(&offline),
        UNSOUND,
        &["rolled back: it had 600 records"],
    );
}

#[test]
fn another_key_is_not_taken_for_the_one_that_is_known() {
    let stage = Stage::new(&FakeLog::of(&events(10), &key()));
    stage.audit(&["verify"]).ok();
    let other = FakeLog::of(&events(10), &key());
    let done = stage.verify(&other, &[]);
    says(
        &done,
        UNSOUND,
        &["another key than the trusted one", "has not signed it"],
    );
    assert_eq!(stage.audit(&["checkpoint"]).code, UNSOUND);
    assert_eq!(stage.audit(&["prove", "3"]).code, UNSOUND);
}

#[test]
fn old_changes_are_found_and_new_alone_says_what_it_did_not_read() {
    let key = key();
    let whole = FakeLog::of(&events(700), &key);
    let stage = Stage::new(&whole);
    stage.audit(&["verify"]).ok();
    let mut log = whole;
    log.rebundle(0, |records| records[17][20] ^= 1);
    let done = stage.verify(&log, &["--new"]);
    says(&done, 0, &["records 0 to 699 were not read again"]);
    assert!(!done.stdout.contains("every record"), "{done:?}");
    says(
        &stage.verify(&log, &[]),
        UNSOUND,
        &["record 17 was changed"],
    );
}

#[test]
fn an_export_is_compared_with_what_this_machine_saw() {
    let key = key();
    let stage = Stage::new(&FakeLog::of(&events(600), &key));
    stage.audit(&["verify"]).ok();
    let export = |log: &FakeLog, name: &str| {
        // By somebody else.
        let other = Stage::new(log);
        let path = stage.program.path(name).display().to_string();
        other.audit(&["export", &path]).ok();
        path
    };
    let offline = |path: &str| stage.audit(&["verify", "--offline", path]);
    let same = export(&FakeLog::of(&events(600), &key), "same");
    let longer = export(&FakeLog::of(&events(800), &key), "longer.tar");
    for path in [same, longer] {
        let done = offline(&path);
        says(&done, 0, &["Integrity    OK"]);
        assert!(!done.stdout.contains("Warning"), "{done:?}");
    }
    let shorter = export(&FakeLog::of(&events(500), &key), "shorter");
    says(
        &offline(&shorter),
        0,
        &[
            "Warning",
            "it ends at 500 records, and this machine verified 600",
            "its tail was cut",
        ],
    );
    let mut records = events(600);
    records[530] = numbered(531, &json!({ "kind": "exec", "outcome": "another" }));
    let forked = export(&FakeLog::of(&records, &key), "forked");
    says(&offline(&forked), UNSOUND, &["is forked"]);
    records.extend((601..=700).map(event));
    let rewritten = export(&FakeLog::of(&records, &key), "rewritten");
    says(&offline(&rewritten), UNSOUND, &["was rewritten"]);
    // Of another log this machine knows nothing.
    let other = export(&FakeLog::of(&events(9), &super::log::key()), "other");
    says(&offline(&other), 0, &["the key is the export's own"]);
}

#[test]
fn forgetting_a_log_for_another_is_said() {
    let (one, two) = (key(), key());
    let stage = Stage::new(&FakeLog::of(&events(30), &one));
    stage.audit(&["verify"]).ok();
    let other = FakeLog::of(&events(40), &two);
    let text = other.verifier_key.clone();
    let done = stage.verify(&other, &["--key", &text]);
    says(
        &done,
        0,
        &[
            "Warning",
            "knew another log, of 30 records",
            "it is forgotten",
        ],
    );
    assert!(
        done.stdout.contains(&one.verifier().to_string()),
        "{done:?}"
    );
    let again = stage.audit(&["verify"]);
    says(&again, 0, &["Integrity    OK"]);
    assert!(!again.stdout.contains("Warning"), "{again:?}");
}

#[test]
fn a_checkpoint_is_worth_keeping() {
    let key = key();
    let stage = Stage::new(&FakeLog::of(&events(600), &key));
    stage.audit(&["verify"]).ok();
    let back = FakeLog::of(&events(500), &key);
    stage.approver.keep_log(back);
    stage
        .audit(&["checkpoint"])
        .fails(UNSOUND, "does not go on from what was seen before");
    let longer = FakeLog::of(&events(700), &key);
    stage.approver.keep_log(longer.clone());
    assert_eq!(stage.audit(&["checkpoint"]).ok(), longer.checkpoint);
}

#[test]
fn missing_events_are_told_apart_from_broken_integrity() {
    let key = key();
    let mut records = events(300);
    records.drain(100..110);
    let stage = Stage::new(&FakeLog::of(&records, &key));
    let words = [
        "Integrity    OK",
        "INCOMPLETE",
        "events 101 to 110 never came",
        "at record 100",
    ];
    says(&stage.audit(&["verify"]), INCOMPLETE, &words);
    // It stays so: what never came does not come later.
    records.extend((301..=310).map(event));
    let later = stage.verify(&FakeLog::of(&records, &key), &["--new"]);
    says(
        &later,
        INCOMPLETE,
        &[
            "records 290 to 299, which follow",
            "events 101 to 110 never came",
        ],
    );
    let json = stage.audit(&["verify", "--json"]);
    assert_eq!(json.code, INCOMPLETE);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["integrity"]["sound"], true);
    let hole = &json["completeness"]["hosts"][0]["undeclared"][0];
    assert_eq!(
        (&hole["first"], &hole["last"]),
        (&json!("101"), &json!("110"))
    );
    assert_eq!(hole["log_index"], "100");
}

#[test]
fn declared_gaps_are_listed_and_nothing_is_missing() {
    let mut records = events(3);
    records.push(numbered(
        4,
        &json!({ "kind": "gap", "cause": "ring-buffer", "lost": 12 }),
    ));
    records.push(numbered(
        9,
        &json!({ "kind": "gap", "cause": "sequence", "lost": 5 }),
    ));
    records.push(event(10));
    let stage = Stage::new(&FakeLog::of(&records, &key()));
    says(
        &stage.audit(&["verify"]),
        0,
        &[
            "Completeness OK",
            "declared in record 3: 12 events, ring-buffer",
            "declared in record 4: 5 events, sequence",
        ],
    );
}

#[test]
fn an_export_stands_for_itself() {
    let key = key();
    let mut records = events(300);
    records[7] = numbered(8, &json!({ "kind": "exec", "long": "x".repeat(70_000) }));
    let log = FakeLog::of(&records, &key);
    let stage = Stage::new(&log);
    let stranger = Program::new();
    for name in ["export", "export.tar"] {
        let path = stage.program.path(name).display().to_string();
        let done = stage.audit(&["export", &path]);
        says(&done, 0, &["Exported", "Integrity    OK"]);
        stage.audit(&["export", &path]).fails(1, "exists already");
        let offline = ["audit", "verify", "--offline", &path];
        let done = stranger.run(&offline);
        says(
            &done,
            0,
            &["Warning", "the key is the export's own", "300 events"],
        );
        let done = stranger.run(&[&offline[..], &["--key", &log.verifier_key]].concat());
        says(&done, 0, &["Integrity    OK"]);
        assert!(!done.stdout.contains("Warning"));
        let known = stage.audit(&["verify", "--offline", &path]);
        assert!(!known.stdout.contains("Warning"), "{known:?}");
    }
    let directory = stage.program.path("export");
    assert_eq!(
        fs::read_to_string(directory.join("checkpoint")).unwrap(),
        log.checkpoint
    );
    assert!(directory.join("record/007").exists() && directory.join("README").exists());
    fs::remove_file(directory.join("checkpoint")).unwrap();
    let path = directory.display().to_string();
    stranger
        .run(&["audit", "verify", "--offline", &path])
        .fails(1, "there is no file checkpoint in it");
    stranger
        .run(&["audit", "verify", "--offline", "/nonexistent"])
        .fails(1, "can't read /nonexistent");
}

#[test]
fn a_record_is_proven_and_the_proof_stands_for_itself() {
    let key = key();
    let request = "0193aaaa-0000-7000-8000-00000000000b";
    let about = |sequence| {
        numbered(
            sequence,
            &json!({ "kind": "request", "request_id": request, "x": "\u{202e}" }),
        )
    };
    let mut records = events(700);
    (records[5], records[600]) = (about(6), about(601));
    let log = FakeLog::of(&records, &key);
    let stage = Stage::new(&log);
    stage.approver.requests().push(pending(request, &[b"x"]));
    stage.audit(&["verify"]).ok();

    let file = stage.program.path("proof").display().to_string();
    let done = stage.audit(&["prove", "600", "--output", &file]);
    says(
        &done,
        0,
        &[
            "Record 600 of holdpoint/log/test",
            "proven",
            request,
            "\\u{202e}",
        ],
    );
    says(
        &stage.audit(&["proof", "verify", &file]),
        0,
        &["Record 600", "proven"],
    );
    let done = stage.audit(&["prove", "0193aaaa", "--output", &file]);
    says(&done, 0, &["Record 5 of", "Record 600 of"]);
    let json = stage.audit(&["proof", "verify", &file, "--json"]).json();
    assert_eq!(json["records"][0]["log_index"], "5");
    assert_eq!(
        json["records"][1]["record"]["unmapped"]["request_id"],
        request
    );

    let stranger = Program::new();
    let verify = ["audit", "proof", "verify", &file];
    stranger.run(&verify).fails(1, "give --key VERIFIER_KEY");
    stranger
        .run(&[&verify[..], &["--key", &log.verifier_key]].concat())
        .ok();
    let other = super::log::key().verifier().to_string();
    let done = stranger.run(&[&verify[..], &["--key", &other]].concat());
    done.fails(UNSOUND, "the log's key has not signed it");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("index 600", "index 601", 1)).unwrap();
    stage
        .audit(&["proof", "verify", &file])
        .fails(UNSOUND, "does not lead from record 601");

    stage
        .audit(&["prove", "700"])
        .fails(1, "700 records and nothing at 700");
    stage
        .audit(&["prove", "what?"])
        .fails(1, "is neither an index");
    stage
        .audit(&["prove", "0193bbbb"])
        .fails(1, "there is no request");
}

#[test]
fn checkpoint_and_key_can_be_kept_elsewhere() {
    let key = key();
    let log = FakeLog::of(&events(9), &key);
    let stage = Stage::new(&log);
    assert_eq!(stage.audit(&["checkpoint"]).ok(), log.checkpoint);
    assert_eq!(
        stage.audit(&["key"]).ok(),
        format!("{}\n", log.verifier_key)
    );
    let json = stage.audit(&["checkpoint", "--json"]).json();
    assert_eq!(json["size"], "9");
    stage
        .audit(&["verify", "--key", "rubbish"])
        .fails(2, "is no verifier key");
}

#[test]
fn a_damaged_memory_is_not_taken_for_none() {
    let stage = Stage::new(&FakeLog::of(&events(9), &key()));
    stage.audit(&["verify"]).ok();
    let memory = stage.program.path("state/audit/ada.json");
    let text = fs::read_to_string(&memory).unwrap();
    fs::write(
        &memory,
        text.replacen("holdpoint/log/test", "holdpoint/log/tess", 1),
    )
    .unwrap();
    stage.audit(&["verify"]).fails(1, "ada.json is damaged");
    fs::remove_file(&memory).unwrap();
    says(&stage.audit(&["verify"]), 0, &["FIRST USE"]);
}
