//! The documentation is true: its examples are what the program makes, its
//! queries run and find something.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a helper that meets the unexpected ends its test"
)]

#[path = "docs/samples.rs"]
mod samples;

use std::{fmt::Write as _, path::PathBuf};

use holdpoint_history::{History, columns, functions, query::Query};

/// Set to write the documents anew.
const BLESS: &str = "HOLDPOINT_BLESS";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name)
}

/// `document` with everything after `heading` replaced by `made`.
fn keep_true(name: &str, heading: &str, made: &str) {
    let document = std::fs::read_to_string(path(name)).unwrap();
    let (head, _) = document.split_once(heading).expect(heading);
    let wanted = format!("{head}{heading}{made}");
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(path(name), wanted).unwrap();
    } else {
        assert!(
            document == wanted,
            "docs/{name} is not what the program makes; run with {BLESS}=1 to write it anew"
        );
    }
}

#[test]
fn the_examples_of_events_are_made_by_the_program() {
    let mut made = String::new();
    for (kind, record) in samples::records() {
        // As it is stored, but for the white space.
        let pretty = samples::pretty(&record.json);
        write!(made, "\n### {kind}\n\n```json\n{pretty}\n```\n").unwrap();
    }
    keep_true("events.md", "## Examples\n", &made);
}

#[test]
fn every_column_is_described() {
    let document = std::fs::read_to_string(path("querying.md")).unwrap();
    for (name, meaning) in columns() {
        let row = format!("| `{name}` | {meaning} |\n");
        assert!(document.contains(&row), "docs/querying.md lacks {row:?}");
    }
}

#[test]
fn every_function_is_named() {
    let document = std::fs::read_to_string(path("querying.md")).unwrap();
    for name in functions() {
        assert!(
            document.contains(&format!("`{name}`")),
            "docs/querying.md lacks {name}"
        );
    }
}

#[tokio::test]
async fn the_ten_questions_are_answered() {
    let document = std::fs::read_to_string(path("querying.md")).unwrap();
    let (_, questions) = document.split_once("## Ten questions").unwrap();
    let (questions, _) = questions.split_once("\n## ").unwrap();
    assert_eq!(questions.matches("?\n\n```sh").count(), 10);
    let directory = tempfile::tempdir().unwrap();
    let records: Vec<_> = samples::records().into_iter().map(|(_, one)| one).collect();
    let history = History::open(directory.path(), 0, records.len() as u64).unwrap();
    history.offer(&records).unwrap();
    let mut asked = 0;
    for line in questions.lines() {
        let Some(arguments) = line.strip_prefix("holdpoint events ") else {
            continue;
        };
        asked += 1;
        if let Some(sql) = arguments.strip_prefix("--sql ") {
            let answer = history.sql(sql.trim_matches('"'), 100).await;
            let answer = answer.unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert!(!answer.rows.is_empty(), "{sql}");
        } else {
            let text = arguments.trim_matches('\'');
            let query = Query::parse(text, samples::NOW);
            let query = query.unwrap_or_else(|error| panic!("{}", error.pointed(text)));
            let page = history.search(&query, None, 100).await.unwrap();
            assert!(!page.records.is_empty(), "{text} finds nothing");
            assert!(
                page.records.len() < records.len(),
                "{text} finds everything"
            );
        }
    }
    assert_eq!(asked, 12);
}
