//! Reads the document of the ways around the gate. Pure: text in, rows and
//! headings out, with what cannot be read named by line. Judges nothing.

use std::fmt;

/// The columns of kernels, and which series each stands for.
pub(super) const KERNELS: [(&str, (u32, u32)); 3] =
    [("6.1", (6, 1)), ("6.12", (6, 12)), ("7.3", (7, 3))];

/// The columns of each table.
const COLUMNS: [&str; 7] = ["id", "route", "closed by", "6.1", "6.12", "7.3", "proof"];

/// The heading of the section that explains what is open.
const OPEN_ROUTES: &str = "Open routes";

/// Names one way around the gate: its section and its number in there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Id {
    pub(super) section: char,
    pub(super) number: u32,
}

impl Id {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let section = text.chars().next().filter(char::is_ascii_uppercase)?;
        let digits = &text[1..];
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        let number = plain.then(|| digits.parse().ok())??;
        Some(Self { section, number })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.section, self.number)
    }
}

/// How a way is on one kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Closed,
    Open,
    /// That kernel has no such thing.
    Absent,
}

/// One row of a table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: Id,
    pub(super) line: usize,
    pub(super) states: [State; 3],
    pub(super) proofs: Vec<String>,
}

impl Row {
    pub(super) fn is_open(&self) -> bool {
        self.states.contains(&State::Open)
    }
}

/// Something that cannot stay as it is.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) what: String,
}

/// What the document says.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) rows: Vec<Row>,
    /// The explanations of what is open, each with its line.
    pub(super) explained: Vec<(Id, usize)>,
    /// The sections that have a table, each with its line.
    pub(super) sections: Vec<(char, usize)>,
    /// What could not be read.
    pub(super) faults: Vec<Fault>,
}

enum Place {
    Elsewhere,
    Section(char),
    OpenRoutes,
}

/// Reads the whole document.
pub(super) fn parse(text: &str) -> Document {
    let mut document = Document::default();
    let mut place = Place::Elsewhere;
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        if let Some(title) = content.strip_prefix("## ") {
            place = place_of(title);
            if let Place::Section(section) = place {
                document.sections.push((section, line));
            }
            continue;
        }
        let read = match place {
            Place::OpenRoutes => content.strip_prefix("### ").map_or(Ok(()), |title| {
                explained(title).map(|id| document.explained.push((id, line)))
            }),
            Place::Section(section) if content.starts_with('|') => {
                row(content, section, line).map(|row| document.rows.extend(row))
            }
            _ => Ok(()),
        };
        if let Err(what) = read {
            document.faults.push(Fault { line, what });
        }
    }
    document
}

/// `A. Network` is section A.
fn place_of(title: &str) -> Place {
    match title.split_once(". ") {
        Some((letter, _)) if letter.len() == 1 => {
            let section = letter.chars().next().filter(char::is_ascii_uppercase);
            section.map_or(Place::Elsewhere, Place::Section)
        }
        _ if title.trim() == OPEN_ROUTES => Place::OpenRoutes,
        _ => Place::Elsewhere,
    }
}

fn explained(title: &str) -> Result<Id, String> {
    let word = title.split_whitespace().next().unwrap_or_default();
    Id::parse(word).ok_or_else(|| format!("`{word}` is no id: begin the heading with one, as A1"))
}

/// The row of one line, none for the head of a table.
fn row(content: &str, section: char, line: usize) -> Result<Option<Row>, String> {
    let cells = cells(content);
    let rule = |cell: &String| !cell.is_empty() && cell.bytes().all(|byte| b":-".contains(&byte));
    if cells == COLUMNS || cells.iter().all(rule) {
        return Ok(None);
    }
    let [id, route, closed_by, old, middle, new, proofs] = cells.as_slice() else {
        return Err(format!(
            "a row has {} cells ({}), this one has {}: write `\\|` for a bar inside a cell",
            COLUMNS.len(),
            COLUMNS.join(", "),
            cells.len()
        ));
    };
    let id = Id::parse(id)
        .filter(|id| id.section == section)
        .ok_or_else(|| format!("`{id}` is no id of section {section}: write {section}1 or so"))?;
    if route.is_empty() || closed_by.is_empty() {
        return Err(format!(
            "{id} does not say what it is or what closes it: write `-` where nothing does"
        ));
    }
    let state = |cell: &str| {
        Ok(match cell {
            "closed" => State::Closed,
            "open" => State::Open,
            "n/a" => State::Absent,
            other => {
                return Err(format!(
                    "{id} is `{other}` on a kernel: write closed, open or n/a"
                ));
            }
        })
    };
    Ok(Some(Row {
        id,
        line,
        states: [state(old)?, state(middle)?, state(new)?],
        proofs: names(proofs).ok_or_else(|| {
            format!(
                "{id} has no readable proof: write `vm::file::test`, another behind a comma, or -"
            )
        })?,
    }))
}

/// The cells of a line; a bar behind a backslash divides nothing.
fn cells(content: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut escaped = false;
    let inner = content.trim().trim_start_matches('|');
    for character in inner.strip_suffix('|').unwrap_or(inner).chars() {
        if character == '|' && !escaped {
            cells.push(String::new());
        } else if let Some(cell) = cells.last_mut() {
            cell.push(character);
        }
        escaped = character == '\\';
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// The tests that a cell names.
fn names(cell: &str) -> Option<Vec<String>> {
    if cell == "-" {
        return Some(Vec::new());
    }
    cell.split(',')
        .map(|name| {
            let name = name.trim().strip_prefix('`')?.strip_suffix('`')?;
            (!name.is_empty() && !name.contains('`')).then(|| name.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "| id | route | closed by | 6.1 | 6.12 | 7.3 | proof |\n\
                        |---|---|---|---|---|:--|---|\n";

    fn section(rows: &str) -> Document {
        parse(&format!("# Title\n\n## A. Network\n\n{HEAD}{rows}"))
    }

    fn fault(rows: &str) -> String {
        let document = section(rows);
        assert!(document.rows.is_empty());
        let [fault] = document.faults.as_slice() else {
            panic!("{document:?}");
        };
        assert_eq!(fault.line, 7);
        fault.what.clone()
    }

    #[test]
    fn rows_are_read_where_they_stand() {
        let document = section(
            "| A1 | a `x \\| y` | a hook | open | n/a | closed | `vm::a::b_root`, `e2e::c::d` |\n\
             | A12 | that | - | closed | closed | closed | - |\n",
        );
        assert!(document.faults.is_empty(), "{document:?}");
        assert_eq!(document.sections, [('A', 3)]);
        let [one, other] = document.rows.as_slice() else {
            panic!("{document:?}");
        };
        assert_eq!((one.id.to_string(), one.line), ("A1".to_owned(), 7));
        assert_eq!(one.states, [State::Open, State::Absent, State::Closed]);
        assert_eq!(one.proofs, ["vm::a::b_root", "e2e::c::d"]);
        assert!(one.is_open() && !other.is_open() && other.proofs.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        assert!(fault("| B1 | x | y | open | open | open | - |").contains("no id of section A"));
        assert!(fault("| A01 | x | y | open | open | open | - |").contains("no id of section A"));
        assert!(fault("| A1 | x | y | yes | open | open | - |").contains("`yes` on a kernel"));
        assert!(fault("| A1 | x | y | open | open | open | vm::a::b |").contains("readable proof"));
        assert!(fault("| A1 | x | y | open | open | open |").contains("this one has 6"));
        assert!(fault("| A1 | x | y | z | open | open | open | - |").contains("this one has 8"));
        assert!(fault("| A1 |  | y | open | open | open | - |").contains("what it is"));
    }

    #[test]
    fn explanations_are_headings_of_their_section() {
        let document =
            parse("### A1\n## Open routes\n\n### B2 More words\n### Other\n## End\n### C3\n");
        let found: Vec<_> = document
            .explained
            .iter()
            .map(|(id, line)| (id.to_string(), *line))
            .collect();
        assert_eq!(found, [("B2".to_owned(), 4)]);
        assert_eq!(document.faults.len(), 1);
        assert_eq!(document.faults[0].line, 5);
    }

    #[test]
    fn other_tables_are_left_alone() {
        let document = parse("## Words\n\n| a | b |\n|---|---|\n| A1 | x |\n");
        assert!(document.rows.is_empty() && document.faults.is_empty());
    }
}
