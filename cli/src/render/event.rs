//! Records and answers to SQL, for people and for programs.
//!
//! A record quotes what processes say, so nothing of it is printed as it is.

use std::fmt::Write as _;

use holdpoint_proto::v1::EventRecord;
use jiff::Timestamp;
use serde_json::Value;

use super::json::ascii;
use crate::escape;

/// Longest command line that is shown on a record's line, in characters.
const SHOWN: usize = 240;

/// `record` as one line of JSON. The record's keys keep their order.
pub(crate) fn json(record: &EventRecord) -> String {
    let text = String::from_utf8_lossy(&record.json);
    format!(
        "{{\"log_index\":\"{}\",\"record\":{}}}\n",
        record.log_index,
        ascii(&text)
    )
}

/// `record` as one line of ASCII: when, number, host, what, who, and a sentence.
pub(crate) fn line(record: &EventRecord) -> String {
    let parsed: Value = serde_json::from_slice(&record.json).unwrap_or_default();
    let text = |places: &[&str]| {
        let mut found = places.iter().filter_map(|place| parsed.pointer(place));
        found.find_map(Value::as_str).unwrap_or_default()
    };
    let time = parsed.pointer("/time").and_then(Value::as_i64);
    let time = time
        .and_then(|time| Timestamp::from_millisecond(time).ok())
        .map_or_else(
            || "-".to_owned(),
            |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        );
    let or_dash = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            escape::name(text)
        }
    };
    let who = text(&["/unmapped/reviewer", "/unmapped/session/owner"]);
    let mut line = format!(
        "{time}  #{}  {}  {} {}  {}  {}",
        record.log_index,
        or_dash(text(&["/device/hostname"])),
        or_dash(text(&["/unmapped/kind"])),
        or_dash(text(&["/unmapped/outcome"])),
        or_dash(who),
        escape::name(text(&["/message"])),
    );
    let command = text(&["/process/cmd_line", "/unmapped/operation/process/cmd_line"]);
    for (name, value) in [
        ("", command),
        ("reason: ", text(&["/unmapped/reason", "/comment"])),
        ("", text(&["/status_detail"])),
    ] {
        if !value.is_empty() {
            // Writing to a String can't fail.
            let _ = write!(line, "  [{name}{}]", cut(&escape::name(value)));
        }
    }
    line.push('\n');
    line
}

/// ASCII, cut with a word on how much is missing.
fn cut(text: &str) -> String {
    match text.get(..SHOWN) {
        Some(shown) if text.len() > SHOWN => {
            format!("{shown}... ({} more)", text.len() - SHOWN)
        }
        _ => text.to_owned(),
    }
}

/// An answer to SQL: a line of names, then a line for each row, with tabs.
pub(crate) fn table(columns: &[String], rows: &[Vec<Value>]) -> String {
    let names: Vec<String> = columns.iter().map(|name| escape::name(name)).collect();
    let mut table = names.join("\t");
    table.push('\n');
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .map(|value| match value {
                Value::Null => "-".to_owned(),
                Value::String(text) => escape::name(text),
                other => other.to_string(),
            })
            .collect();
        table.push_str(&cells.join("\t"));
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &str) -> EventRecord {
        EventRecord {
            log_index: 7,
            json: json.into(),
        }
    }

    #[test]
    fn a_line_says_who_did_what_and_shows_nothing_raw() {
        let line = line(&record(
            r#"{"time":1000,"message":"exec of /a\u001b[2J denied","device":{"hostname":"w\u202e"},
                "process":{"cmd_line":"a\nb"},"unmapped":{"kind":"exec","outcome":"denied",
                "session":{"owner":"ada"}}}"#,
        ));
        assert_eq!(
            line,
            "1970-01-01 00:00:01Z  #7  w\\u{202e}  exec denied  ada  exec of /a\\u{1b}[2J denied  \
             [a\\nb]\n"
        );
    }

    #[test]
    fn json_keeps_the_order_of_keys_and_is_ascii() {
        assert_eq!(
            json(&record(r#"{"z":1,"a":"é"}"#)),
            "{\"log_index\":\"7\",\"record\":{\"z\":1,\"a\":\"\\u00e9\"}}\n"
        );
    }

    #[test]
    fn long_commands_say_how_much_is_missing() {
        let command = "x".repeat(SHOWN + 5);
        let line = line(&record(&format!(
            r#"{{"process":{{"cmd_line":"{command}"}}}}"#
        )));
        assert!(line.contains("... (5 more)"), "{line}");
    }

    #[test]
    fn tables_hold_no_control_characters() {
        let rows = [vec![Value::Null, Value::from("a\tb\u{1b}"), Value::from(3)]];
        assert_eq!(
            table(&["x".into(), "y".into(), "z".into()], &rows),
            "x\ty\tz\n-\ta\\tb\\u{1b}\t3\n"
        );
    }
}
