//! What a check found, for people and for programs. Pure; everything that comes
//! from elsewhere is escaped.

use std::fmt::Write as _;

use holdpoint_evidence::completeness::{Completeness, Hole, Host};
use serde_json::{Value, json};

use super::check::{History, Outcome, Problem};
use crate::escape;

/// Gaps of a host that are listed in the text; JSON has all that are kept.
const LISTED: usize = 20;

/// `outcome` as text.
pub(super) fn text(outcome: &Outcome) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{name:<13}{value}");
    };
    line("Log", &escape::name(outcome.key.name()));
    line("Key", &escape::name(&outcome.key.to_string()));
    if let Some(checkpoint) = &outcome.checkpoint {
        let (size, root) = (checkpoint.size, checkpoint.root);
        line("Checkpoint", &format!("{size} records, root {root}"));
        line("Checked", &checked(outcome, size));
    }
    if let Some(path) = &outcome.exported {
        line("Exported", &format!("to {}", escape::name(path)));
    }
    if outcome.first_use {
        line(
            "Note",
            "FIRST USE: this key and checkpoint are taken on trust and remembered; compare them \
             with what others have seen",
        );
    }
    for warning in &outcome.warnings {
        line("Warning", &escape::sentence(warning));
    }
    line("Integrity", integrity(outcome));
    for problem in outcome.problems.iter().chain(history(outcome)) {
        line("", &escape::sentence(&problem.text));
    }
    for finding in &outcome.report.findings {
        line("", &finding.to_string());
    }
    if outcome.report.cut {
        line("", "and more: the check ended early");
    }
    match &outcome.history {
        History::Absent => {}
        History::Undetermined => line(
            "History",
            "UNDETERMINED: the log does not tell which records should answer questions",
        ),
        History::Compared(problems) if problems.is_empty() => line(
            "History",
            "OK: questions are answered from the same records",
        ),
        History::Compared(_) => line(
            "History",
            "BROKEN: questions are answered from other records than were signed",
        ),
    }
    let answer = if outcome.is_incomplete() {
        "INCOMPLETE: events are missing that nobody declared"
    } else if outcome.tells_completeness() {
        "OK: every event that a host numbered is there, or declared lost"
    } else {
        "UNDETERMINED: records that are not the signed ones say nothing"
    };
    line("Completeness", answer);
    if outcome.tells_completeness() {
        hosts(&outcome.completeness, &mut line);
    }
    text
}

fn integrity(outcome: &Outcome) -> &'static str {
    match (outcome.is_sound(), outcome.since) {
        (false, _) => "BROKEN",
        (true, None) => "OK: every record is the one that was signed, in its place",
        (true, Some(_)) => {
            "OK: the records that were checked are the ones that were signed, in their place"
        }
    }
}

fn history(outcome: &Outcome) -> &[Problem] {
    match &outcome.history {
        History::Compared(problems) => problems,
        History::Absent | History::Undetermined => &[],
    }
}

fn checked(outcome: &Outcome, size: u64) -> String {
    match (outcome.since, size.checked_sub(1)) {
        (_, None) => "there are no records yet".to_owned(),
        (None, Some(last)) => format!("records 0 to {last}"),
        (Some(since), Some(last)) => {
            let since = since.strftime("%Y-%m-%d %H:%M:%SZ");
            let from = outcome.from;
            let unread = match from.checked_sub(1) {
                None => String::new(),
                Some(before) => format!("; records 0 to {before} were not read again"),
            };
            if from > last {
                format!("nothing new since {since}, and the log continues it{unread}")
            } else {
                format!("records {from} to {last}, which follow what was verified {since}{unread}")
            }
        }
    }
}

fn hosts(completeness: &Completeness, line: &mut impl FnMut(&str, &str)) {
    for (id, host) in &completeness.hosts {
        let name = escape::name(&host.hostname);
        let declared = host.declared.len() as u64 + host.declared_more;
        let missing = host.undeclared.len() as u64 + host.undeclared_more;
        line(
            "",
            &format!(
                "{name} ({}): {} events, gaps: {declared} declared, {missing} not",
                escape::name(id),
                host.events,
            ),
        );
        for gap in host.declared.iter().take(LISTED) {
            let lost = match gap.lost {
                0 => "an unknown number of events".to_owned(),
                1 => "1 event".to_owned(),
                lost => format!("{lost} events"),
            };
            let cause = escape::name(&gap.cause);
            line(
                "",
                &format!("  declared in record {}: {lost}, {cause}", gap.log_index),
            );
        }
        for hole in host.undeclared.iter().take(LISTED) {
            line(
                "",
                &format!(
                    "  NOT DECLARED, at record {}: {}",
                    hole.log_index, hole.hole
                ),
            );
        }
        if host.declared.len() > LISTED || host.undeclared.len() > LISTED {
            line("", "  and more; --json lists them");
        }
    }
    if completeness.unreadable > 0 {
        let unreadable = completeness.unreadable;
        line(
            "",
            &format!("{unreadable} records do not say whose they are"),
        );
    }
}

/// `outcome` as JSON.
pub(super) fn json(outcome: &Outcome) -> Value {
    let problems = outcome.problems.iter().chain(history(outcome));
    let mut findings: Vec<Value> = problems.map(problem).collect();
    findings.extend(outcome.report.findings.iter().map(|finding| {
        json!({
            "code": finding.flaw.code(),
            "text": finding.to_string(),
            "first": finding.first.to_string(),
            "last": finding.last.to_string(),
        })
    }));
    let answer = if outcome.is_incomplete() {
        "incomplete"
    } else if outcome.tells_completeness() {
        "complete"
    } else {
        "undetermined"
    };
    let hosts: Vec<Value> = outcome.completeness.hosts.iter().map(host).collect();
    let checkpoint = outcome.checkpoint.as_ref();
    json!({
        "log": outcome.key.name(),
        "verifier_key": outcome.key.to_string(),
        "size": checkpoint.map(|one| one.size.to_string()),
        "root": checkpoint.map(|one| one.root.to_string()),
        "first_use": outcome.first_use,
        "warnings": outcome.warnings,
        "records": {
            "from": outcome.from.to_string(),
            "checked": outcome.report.verified.to_string(),
        },
        "integrity": {
            "sound": outcome.is_sound(),
            "findings": findings,
            "cut": outcome.report.cut,
        },
        "history": match &outcome.history {
            History::Absent => "not-here",
            History::Undetermined => "undetermined",
            History::Compared(problems) if problems.is_empty() => "sound",
            History::Compared(_) => "broken",
        },
        "completeness": {
            "answer": answer,
            "hosts": hosts,
            "unreadable": outcome.completeness.unreadable.to_string(),
        },
    })
}

fn problem(problem: &Problem) -> Value {
    let mut value = json!({ "code": problem.code, "text": problem.text });
    if let Some((first, last)) = problem.records {
        value["first"] = json!(first.to_string());
        value["last"] = json!(last.to_string());
    }
    value
}

fn host((id, host): (&String, &Host)) -> Value {
    let declared: Vec<Value> = host
        .declared
        .iter()
        .map(|gap| {
            json!({
                "log_index": gap.log_index.to_string(),
                "cause": gap.cause,
                "lost": gap.lost.to_string(),
            })
        })
        .collect();
    let undeclared: Vec<Value> = host
        .undeclared
        .iter()
        .map(|one| {
            let (kind, first, last) = match one.hole {
                Hole::Missing { first, last } => ("missing", Some(first), Some(last)),
                Hole::Repeated { sequence } => ("repeated", Some(sequence), Some(sequence)),
                Hole::SpoolReplaced => ("spool-replaced", None, None),
            };
            json!({
                "log_index": one.log_index.to_string(),
                "kind": kind,
                "first": first.map(|number| number.to_string()),
                "last": last.map(|number| number.to_string()),
                "text": one.hole.to_string(),
            })
        })
        .collect();
    json!({
        "id": id,
        "hostname": host.hostname,
        "events": host.events.to_string(),
        "next": host.next.to_string(),
        "declared": declared,
        "declared_more": host.declared_more.to_string(),
        "undeclared": undeclared,
        "undeclared_more": host.undeclared_more.to_string(),
    })
}
