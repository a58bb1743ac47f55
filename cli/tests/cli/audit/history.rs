//! What questions are answered from, compared with the log.

use super::*;

/// What can be done to what questions are answered from, with what has to be
/// said of it and its code.
fn falsified(whole: &FakeLog) -> Vec<(FakeLog, &'static str, &'static str)> {
    let with = |change: &dyn Fn(&mut FakeLog)| {
        let mut log = whole.clone();
        change(&mut log);
        log
    };
    vec![
        (
            with(&|log| log.history[400].1[20] ^= 1),
            "record 400 is not in the history as signed",
            "history-changed",
        ),
        (
            with(&|log| drop(log.history.drain(320..=329))),
            "records 320 to 329 are missing from the history",
            "history-missing",
        ),
        (
            with(&|log| log.history.truncate(600)),
            "records 600 to 699 are missing from the history",
            "history-missing",
        ),
        (
            with(&|log| log.history.clear()),
            "to 699 are missing from the history",
            "history-missing",
        ),
        (
            with(&|log| log.history.insert(500, (500, event(501)))),
            "record 500 is not in the history as signed",
            "history-changed",
        ),
        (
            with(&|log| log.unreadable_below = 450),
            "day=2026-01-31/x.parquet was changed",
            "history-changed",
        ),
    ]
}

#[test]
fn what_answers_questions_is_compared_with_the_log() {
    let key = key();
    let whole = FakeLog::of(&events(700), &key);
    for (log, words, code) in falsified(&whole) {
        // The first half was verified before.
        let stage = Stage::new(&FakeLog::of(&events(300), &key));
        stage.audit(&["verify"]).ok();
        for arguments in [&[][..], &["--new"]] {
            let done = stage.verify(&log, arguments);
            says(
                &done,
                UNSOUND,
                &["Integrity    BROKEN", words, "History      BROKEN"],
            );
            // The log is whole, and so is what hosts numbered.
            says(&done, UNSOUND, &["Completeness OK"]);
            let json = stage.verify(&log, &[arguments, &["--json"]].concat());
            let json: Value = serde_json::from_str(&json.stdout).unwrap();
            assert_eq!(json["history"], "broken");
            assert_eq!(json["integrity"]["sound"], false);
            let finding = &json["integrity"]["findings"][0];
            assert_eq!(finding["code"], code, "{finding}");
            assert!(finding["first"].is_string() && finding["last"].is_string());
        }
        // It was not remembered.
        says(
            &stage.verify(&whole, &["--new"]),
            0,
            &["records 300 to 699, which follow"],
        );
    }
    // Where the log itself is broken nothing can be said of the rest.
    let stage = Stage::new(&whole);
    let mut log = whole.clone();
    log.rebundle(1, |records| records[144][20] ^= 1);
    says(
        &stage.verify(&log, &[]),
        UNSOUND,
        &["History      UNDETERMINED"],
    );
}
