//! What was decided, proved: that nothing of the log was changed or is missing,
//! and that one decision is in it, to somebody who doesn't ask the approver.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    super::{page, people::Said, records::Record},
    SOON, Story,
    deciding::typed,
    observe,
};
use crate::stack::{OWNER, REVIEWERS};

/// What a person keeps in files, as `docs/security/evidence.md` has it.
const KEY: &str = "log.key";
const PROOF: &str = "decision.tlog-proof";
const CHANGED: &str = "changed.tlog-proof";
/// The exit status where a proof does not hold.
const UNSOUND: i32 = 3;

impl Story<'_> {
    /// What was decided can be proved.
    pub(super) fn proved(&mut self) -> Result<()> {
        // Newest first. Where nobody decided anything, an expiry has to do.
        let by_person = self.closings.iter().rfind(|one| one.kind() == "decision");
        let closing = by_person.or(self.closings.first()).cloned();
        let closing = closing.context("nothing was decided")?;
        self.whole(&closing)?;
        let prove = ["audit", "prove", closing.log_index(), "--output", PROOF];
        let said = self.says(REVIEWERS[0], &typed(&prove), &prove, &["Record", "Written"])?;
        observe(
            said.worked(),
            "the decision stands for itself now, in one file",
            || format!("{said:?}"),
        )?;
        self.believed(&closing)
    }

    /// The log is whole, the decision in it.
    fn whole(&mut self, closing: &Record) -> Result<()> {
        let verify = ["audit", "verify"];
        let covers = |found: &Value| {
            let index: u64 = closing.log_index().parse().ok()?;
            (number(&found["size"])? > index).then_some(())
        };
        // The head of the log is signed a moment after a record came.
        self.wait("the signed log goes up to the decisions", SOON, |story| {
            let found = story
                .approver
                .json(REVIEWERS[0], &["audit", "checkpoint"])?;
            Ok(covers(&found))
        })?;
        let lines = ["Checkpoint", "Integrity", "History", "Completeness"];
        let said = self.says(REVIEWERS[0], &typed(&verify), &verify, &lines)?;
        let found = self.approver.json(REVIEWERS[0], &verify)?;
        let size = number(&found["size"]).unwrap_or_default();
        observe(
            said.worked() && is_sound(&found) && covers(&found).is_some(),
            &format!("integrity: each of the {size} records is the one that was signed"),
            || format!("{said:?}, and {found}"),
        )?;
        observe(
            is_complete(&found),
            &format!(
                "completeness: each of the {} events that the host has told is there",
                events(&found)
            ),
            || found.to_string(),
        )
    }

    /// The owner, who could not decide, believes the proof, and no other.
    fn believed(&mut self, closing: &Record) -> Result<()> {
        let key = self.approver.json(REVIEWERS[0], &["audit", "key"])?;
        let key = key["verifier_key"].as_str().context("the log has no key")?;
        let folder = self.approver.folder();
        fs::write(folder.join(KEY), format!("{key}\n")).context("cannot write the log's key")?;
        let typed_key = format!("{} > {KEY}", typed(&["audit", "key"]));
        page::line(REVIEWERS[0], &typed_key);
        let verify = |file| ["audit", "proof", "verify", file, "--key", key];
        let says = |file| {
            // The key is long; the owner has it from that file.
            let typed = format!("{} --key \"$(cat {KEY})\"", typed(&verify(file)[..4]));
            self.says(OWNER, &typed, &verify(file), &["Record", "is in the log"])
        };
        let said = says(PROOF)?;
        let found = self.approver.json(OWNER, &verify(PROOF))?;
        observe(
            said.worked() && proves(&found, closing),
            "proved without asking the approver: it was decided so, word for word",
            || format!("{said:?}, and {found}"),
        )?;
        let proof = fs::read_to_string(folder.join(PROOF)).context("cannot read the proof")?;
        let changed = changed(&proof).context("the proof carries no record")?;
        fs::write(folder.join(CHANGED), changed).context("cannot write the changed proof")?;
        let said = says(CHANGED)?;
        observe(
            said.status == Some(UNSOUND),
            "with one letter of the record changed, it proves nothing",
            || format!("{said:?}"),
        )
    }

    /// Lets somebody call `holdpoint`; shows what they typed and the lines they were
    /// told that begin so.
    fn says(&self, who: &str, typed: &str, words: &[&str], lines: &[&str]) -> Result<Said> {
        page::line(who, typed);
        let said = self.approver.say(who, words)?;
        let shown = |line: &&str| lines.iter().any(|start| line.starts_with(start));
        for line in said.headlines().filter(shown) {
            page::line(who, line);
        }
        if !said.worked() {
            page::line(who, said.last_line());
        }
        Ok(said)
    }
}

/// A number of 64 bits, which JSON has as digits.
fn number(value: &Value) -> Option<u64> {
    value.as_str()?.parse().ok()
}

fn is_sound(report: &Value) -> bool {
    report["integrity"]["sound"] == true && number(&report["size"]) > Some(0)
}

/// No event is missing, and there are some.
fn is_complete(report: &Value) -> bool {
    report["completeness"]["answer"] == "complete" && events(report) > 0
}

/// How many events hosts have told.
fn events(report: &Value) -> u64 {
    let hosts = report["completeness"]["hosts"].as_array();
    let events = |host: &Value| number(&host["events"]);
    hosts.into_iter().flatten().filter_map(events).sum()
}

/// What is proved is this record, and nothing else.
fn proves(found: &Value, record: &Record) -> bool {
    found["records"].as_array().is_some_and(|records| {
        matches!(records.as_slice(), [one] if record.is(&one["log_index"], &one["record"]))
    })
}

/// The proof with another letter in the middle of its record.
fn changed(proof: &str) -> Option<String> {
    const RECORD: &str = "\nextra ";
    let start = proof.find(RECORD)? + RECORD.len();
    let length = proof[start..].find('\n')?;
    let middle = start + length / 2;
    let letter = proof.get(middle..=middle)?;
    let other = if letter == "A" { "B" } else { "A" };
    Some(format!(
        "{}{other}{}",
        &proof[..middle],
        &proof[middle + letter.len()..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report() -> Value {
        json!({
            "size": "12",
            "integrity": { "sound": true },
            "completeness": {
                "answer": "complete", "hosts": [{ "events": "4" }, { "events": "3" }],
            },
        })
    }

    #[test]
    fn a_report_must_say_that_all_is_well_with_something() {
        let good = report();
        assert!(is_sound(&good) && is_complete(&good));
        assert_eq!(events(&good), 7);
        let mut bad = good.clone();
        bad["integrity"]["sound"] = json!(false);
        assert!(!is_sound(&bad));
        bad = good.clone();
        bad["size"] = json!("0");
        assert!(!is_sound(&bad));
        bad = good.clone();
        bad["completeness"]["answer"] = json!("incomplete");
        assert!(!is_complete(&bad));
        bad = good;
        bad["completeness"]["hosts"] = json!([]);
        assert!(!is_complete(&bad));
    }

    #[test]
    fn one_letter_of_the_record_is_another() {
        let proof = "c2sp.org/tlog-proof@v1\nextra QUFBQQ==\nindex 1\n\nlog\n";
        let changed = changed(proof).unwrap();
        let differ = proof.chars().zip(changed.chars()).filter(|(a, b)| a != b);
        assert_eq!((differ.count(), proof.len()), (1, changed.len()));
        assert!(changed.contains("\nindex 1\n"));
        assert!(super::changed("index 1\n").is_none());
    }

    #[test]
    fn another_record_proves_nothing() {
        let line = r#"{"log_index":"7","record":{"time":1}}"#;
        let record = &Record::all(line).unwrap()[0];
        let one = json!({ "log_index": "7", "record": { "time": 1 } });
        assert!(proves(&json!({ "records": [one] }), record));
        let other = json!({ "log_index": "7", "record": { "time": 2 } });
        for wrong in [json!([]), json!([other]), json!([one, one])] {
            assert!(!proves(&json!({ "records": wrong }), record), "{wrong}");
        }
    }
}
