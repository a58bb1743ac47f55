//! What the document of the ways around the gate must keep to. Pure: whether a
//! test exists is asked of the caller.

use std::{collections::BTreeMap, fmt};

use super::table::{Document, Fault, Id, KERNELS, Row, State};

/// The ways every version has to answer for. More may follow in each section.
const KNOWN: [(char, u32); 4] = [('A', 32), ('B', 23), ('C', 16), ('D', 23)];

/// Longest description that `holdpointd check` prints in one line.
const DESCRIPTION: usize = 100;

/// Where `holdpointd check` has its list.
const TOLD: &str = "agent/src/check/open_routes/table.rs";

/// One way that `holdpointd check` tells as open.
pub(super) struct Told<'a> {
    pub(super) id: &'a str,
    pub(super) what: &'a str,
    /// On which of the kernels.
    pub(super) open: [bool; 3],
}

/// How many rows there are.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Count {
    rows: usize,
    closed: usize,
}

impl Count {
    pub(super) fn is_at_least(&self, percent: u8) -> bool {
        self.closed * 100 >= self.rows * usize::from(percent)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, closed } = self;
        write!(f, "rows {rows}, closed {closed}, open {}", rows - closed)
    }
}

/// A row is closed if it is open on no kernel.
pub(super) fn count(rows: &[Row]) -> Count {
    Count {
        rows: rows.len(),
        closed: rows.iter().filter(|row| !row.is_open()).count(),
    }
}

/// Everything that is wrong, in the order of lines. `look_up` says why a test
/// cannot be what a row names.
pub(super) fn faults(
    document: &Document,
    told: &[Told<'_>],
    look_up: &dyn Fn(&str) -> Result<(), String>,
) -> Vec<Fault> {
    let mut faults: Vec<Fault> = document
        .faults
        .iter()
        .map(|fault| Fault {
            line: fault.line,
            what: fault.what.clone(),
        })
        .collect();
    faults.extend(numbering(document));
    for row in &document.rows {
        let complain = |what| Fault {
            line: row.line,
            what,
        };
        faults.extend(proved(row, look_up).into_iter().map(complain));
    }
    faults.extend(explained(document));
    faults.extend(told_alike(document, told));
    faults.sort_by_key(|fault| fault.line);
    faults
}

/// No number is missing, none is there twice.
fn numbering(document: &Document) -> Vec<Fault> {
    let mut lines: BTreeMap<Id, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for row in &document.rows {
        if let Some(first) = lines.insert(row.id, row.line) {
            let what = format!(
                "{} stands in line {first} already: give this one the next number",
                row.id
            );
            faults.push(Fault {
                line: row.line,
                what,
            });
        }
    }
    for (section, known) in KNOWN {
        let heading = document.sections.iter().find(|(name, _)| *name == section);
        let mut line = heading.map_or(1, |(_, line)| *line);
        let last = lines.keys().filter(|id| id.section == section);
        let last = last.map(|id| id.number).max().unwrap_or(0);
        for number in 1..=last.max(known) {
            let id = Id { section, number };
            if let Some(at) = lines.get(&id) {
                line = *at;
            } else {
                let what = format!("{id} is missing: add its row behind this line");
                faults.push(Fault { line, what });
            }
        }
    }
    faults
}

/// Whatever is closed is proved, and every proof exists.
fn proved(row: &Row, look_up: &dyn Fn(&str) -> Result<(), String>) -> Vec<String> {
    let mut faults = Vec::new();
    if row.states.contains(&State::Closed) && row.proofs.is_empty() {
        faults.push(format!(
            "{} is closed on some kernel and nothing proves it: name a test, or write open",
            row.id
        ));
    }
    for proof in &row.proofs {
        if let Err(why) = look_up(proof) {
            faults.push(format!("{}: `{proof}` proves nothing: {why}", row.id));
        }
    }
    faults
}

/// Whatever is open is explained, once, and nothing else is.
fn explained(document: &Document) -> Vec<Fault> {
    let mut faults = Vec::new();
    for row in document.rows.iter().filter(|row| row.is_open()) {
        if !document.explained.iter().any(|(id, _)| *id == row.id) {
            let what = format!(
                "{} is open and not explained: add `### {}` to the open routes",
                row.id, row.id
            );
            faults.push(Fault {
                line: row.line,
                what,
            });
        }
    }
    for (index, (id, line)) in document.explained.iter().enumerate() {
        let open = document
            .rows
            .iter()
            .any(|row| row.id == *id && row.is_open());
        let what = if !open {
            format!("{id} is explained as open, and no row says so: remove it here")
        } else if document.explained[..index].iter().any(|(one, _)| one == id) {
            format!("{id} is explained twice: make one of it")
        } else {
            continue;
        };
        faults.push(Fault { line: *line, what });
    }
    faults
}

/// `holdpointd check` tells the same.
fn told_alike(document: &Document, told: &[Told<'_>]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut complain = |line, what| faults.push(Fault { line, what });
    for row in &document.rows {
        let open = row.states.map(|state| state == State::Open);
        let name = row.id.to_string();
        let here = told.iter().find(|told| told.id == name);
        if here.map_or([false; 3], |told| told.open) == open {
            continue;
        }
        let kernels: Vec<&str> = KERNELS
            .iter()
            .zip(open)
            .filter_map(|((kernel, _), open)| open.then_some(*kernel))
            .collect();
        let what = if kernels.is_empty() {
            format!("{name} is closed: remove it from {TOLD}")
        } else {
            format!("{name} is open on {}: say so in {TOLD}", kernels.join(", "))
        };
        complain(row.line, what);
    }
    for (index, one) in told.iter().enumerate() {
        let id = one.id;
        if !document.rows.iter().any(|row| row.id.to_string() == id) {
            complain(
                1,
                format!("{TOLD} tells of {id}, which has no row: remove it there"),
            );
        }
        if told[..index].iter().any(|other| other.id == id) {
            complain(1, format!("{TOLD} tells of {id} twice: remove one"));
        }
        if one.what.is_empty() || one.what.len() > DESCRIPTION || one.what.contains('\n') {
            complain(
                1,
                format!("{TOLD}: describe {id} in one line of at most {DESCRIPTION} bytes"),
            );
        }
    }
    faults
}

#[cfg(test)]
mod tests;
