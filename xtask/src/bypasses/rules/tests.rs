//! What the rules about the document find, and what they leave alone.

use super::*;
use crate::bypasses::table::parse;

/// A document that is in order: everything known, closed and proved.
fn rows() -> Vec<String> {
    KNOWN
        .iter()
        .flat_map(|(section, known)| (1..=*known).map(move |number| format!("{section}{number}")))
        .map(|id| format!("| {id} | way | hook | closed | n/a | closed | `vm::a::b_root` |"))
        .collect()
}

fn document(rows: &[String], open: &str) -> Document {
    let mut lines = Vec::new();
    for (section, _) in KNOWN {
        lines.push(format!("## {section}. Something\n"));
        let begins = format!("| {section}");
        lines.extend(rows.iter().filter(|row| row.starts_with(&begins)).cloned());
    }
    lines.push(format!("## Open routes\n\n{open}"));
    parse(&lines.join("\n"))
}

fn found(rows: &[String], open: &str, told: &[Told<'_>]) -> Vec<String> {
    let look_up = |proof: &str| {
        if proof == "vm::a::b_root" {
            Ok(())
        } else {
            Err("there is none".to_owned())
        }
    };
    let found = faults(&document(rows, open), told, &look_up);
    found.into_iter().map(|fault| fault.what).collect()
}

fn replaced(id: &str, row: &str) -> Vec<String> {
    let begins = format!("| {id} |");
    let mut rows = rows();
    for line in &mut rows {
        if line.starts_with(&begins) {
            *line = format!("| {id} | {row} |");
        }
    }
    rows
}

#[test]
fn a_document_in_order_has_no_faults() {
    assert_eq!(found(&rows(), "", &[]), [""; 0]);
    let open = replaced("B7", "way | - | open | n/a | closed | `vm::a::b_root`");
    let told = Told {
        id: "B7",
        what: "a way",
        open: [true, false, false],
    };
    assert_eq!(found(&open, "### B7\n", &[told]), [""; 0]);
}

#[test]
fn what_is_missing_or_doubled_is_named() {
    let mut fewer = rows();
    fewer.retain(|row| !row.starts_with("| A32 ") && !row.starts_with("| C2 "));
    let missing = found(&fewer, "", &[]);
    assert!(missing[0].contains("A32 is missing"), "{missing:?}");
    assert!(missing[1].contains("C2 is missing"), "{missing:?}");
    assert_eq!(missing.len(), 2);

    let mut more = rows();
    more.push(more[0].clone());
    more.push(more[0].replace("A1", "A40"));
    let found = found(&more, "", &[]);
    assert!(found.iter().any(|what| what.contains("A1 stands in line")));
    let missing = found.iter().filter(|what| what.contains("is missing"));
    assert_eq!(missing.count(), 7, "A33 to A39: {found:?}");
}

#[test]
fn what_is_closed_is_proved_by_what_exists() {
    let bare = replaced("D3", "way | hook | closed | closed | closed | -");
    assert!(found(&bare, "", &[])[0].contains("nothing proves it"));
    let lost = replaced(
        "D3",
        "way | hook | closed | closed | closed | `vm::a::c_root`",
    );
    assert!(found(&lost, "", &[])[0].contains("there is none"));
    let absent = replaced("D3", "way | - | n/a | n/a | n/a | -");
    assert_eq!(found(&absent, "", &[]), [""; 0]);
}

#[test]
fn what_is_open_is_explained_and_told_and_nothing_else_is() {
    let told = |id, open| Told {
        id,
        what: "a way",
        open,
    };
    let open = replaced("A1", "way | - | closed | open | open | `vm::a::b_root`");
    let all = [false, true, true];
    assert!(found(&open, "", &[told("A1", all)])[0].contains("not explained"));
    assert!(found(&open, "### A1\n", &[])[0].contains("open on 6.12, 7.3: say so"));
    assert!(found(&open, "### A1\n", &[told("A1", [true; 3])])[0].contains("say so"));
    assert!(found(&open, "### A1\n### A1\n", &[told("A1", all)])[0].contains("twice"));
    let twice = [told("A1", all), told("A1", all)];
    assert!(found(&open, "### A1\n", &twice)[0].contains("A1 twice"));

    assert!(found(&rows(), "### A1\n", &[])[0].contains("no row says so"));
    assert!(found(&rows(), "", &[told("A1", all)])[0].contains("A1 is closed: remove"));
    assert!(found(&rows(), "", &[told("A99", all)])[0].contains("no row: remove"));
    let long = Told {
        id: "A1",
        what: &"x".repeat(DESCRIPTION + 1),
        open: all,
    };
    assert!(found(&open, "### A1\n", &[long])[0].contains("one line"));
}

#[test]
fn a_row_is_closed_if_it_is_open_nowhere() {
    let open = replaced("A1", "way | - | closed | open | closed | -");
    let count = count(&document(&open, "").rows);
    assert_eq!(count.to_string(), "rows 94, closed 93, open 1");
    assert!(count.is_at_least(98) && !count.is_at_least(99));
    assert!(Count { rows: 0, closed: 0 }.is_at_least(100));
}
