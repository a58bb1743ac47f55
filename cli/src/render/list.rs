//! Requests as lines: the table of `list`, the lines of `watch`.
//!
//! Everything here is ASCII, so that a character is a column. What is cut says
//! how much is missing.

use std::fmt::Write as _;

use holdpoint_proto::v1::Request;
use jiff::Timestamp;

use super::{operation, state, time};
use crate::escape;

const HEADER: [&str; COLUMNS] = [
    "ID",
    "AGE",
    "STATE",
    "LEFT",
    "HOST",
    "OWNER/SESSION",
    "WHAT",
];
const COLUMNS: usize = 7;
const GAP: usize = 2;

/// Shortest part of an id shown, if it tells the requests apart.
const SHORTEST_ID: usize = 8;

/// Least room for the operation, also on a narrow terminal.
const LEAST_WHAT: usize = 24;

/// Where `watch` cuts an operation.
const WATCHED_WHAT: usize = 240;

/// A table of `requests` for a terminal of `width` columns; uncut and with whole
/// ids without one.
pub(crate) fn table(requests: &[Request], now: Timestamp, width: Option<usize>) -> String {
    let id_length = width.map_or(usize::MAX, |_| telling_length(requests));
    let name_length = match width {
        None => usize::MAX,
        Some(..140) => 13,
        Some(_) => 24,
    };
    let mut rows = vec![HEADER.map(ToOwned::to_owned)];
    rows.extend(
        requests
            .iter()
            .map(|request| row(request, now, id_length, name_length)),
    );
    let mut widths = [0; COLUMNS];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let before: usize = widths
        .iter()
        .take(COLUMNS - 1)
        .map(|width| width + GAP)
        .sum();
    let room = width.map_or(usize::MAX, |width| {
        width.saturating_sub(before).max(LEAST_WHAT)
    });
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths).take(COLUMNS - 1) {
            // Writing to a String can't fail.
            let _ = write!(line, "{cell:<width$}{:GAP$}", "");
        }
        line += &cut(row.last().map_or("", String::as_str), room);
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// One line about a request that is new or has changed.
pub(crate) fn change(request: &Request, now: Timestamp) -> String {
    let [_, _, state, left, host, owner, what] = row(request, now, usize::MAX, usize::MAX);
    let left = if left == "-" {
        String::new()
    } else {
        format!(" ({left} left)")
    };
    let by = request
        .decision
        .as_ref()
        .map_or_else(String::new, |decision| {
            format!(" by {}", escape::name(&decision.reviewer))
        });
    format!(
        "{} {} {state}{by}{left} {host} {owner} {}\n",
        now.strftime("%H:%M:%SZ"),
        escape::name(&request.id),
        cut(&what, WATCHED_WHAT),
    )
}

fn row(
    request: &Request,
    now: Timestamp,
    id_length: usize,
    name_length: usize,
) -> [String; COLUMNS] {
    let session = request.context.as_ref().and_then(|c| c.session.as_ref());
    let owner = session.map_or_else(
        || "-".to_owned(),
        |session| {
            // The end of a session's id: the beginning may be common to many.
            let id = session.id.get(session.id.len().saturating_sub(8)..);
            let id = escape::name(id.unwrap_or(&session.id));
            format!("{}/{id}", cut(&escape::name(&session.owner), name_length))
        },
    );
    let age = time::timestamp(request.created_at).map(|at| time::seconds(at, now));
    let left = time::timestamp(request.deadline)
        .filter(|_| state(request) == "pending")
        .map(|at| time::seconds(now, at));
    let or_dash = |span: Option<u64>| span.map_or_else(|| "-".to_owned(), time::span);
    [
        escape::name(&request.id).chars().take(id_length).collect(),
        or_dash(age),
        state(request).to_owned(),
        or_dash(left),
        cut(&escape::name(&request.hostname), name_length),
        owner,
        operation::line(request),
    ]
}

/// How many characters of an id tell these requests apart. The ids of requests
/// that come close together begin alike.
fn telling_length(requests: &[Request]) -> usize {
    let mut ids: Vec<&str> = requests.iter().map(|request| request.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.iter()
        .zip(ids.iter().skip(1))
        .map(|(one, other)| {
            let pairs = one.chars().zip(other.chars());
            pairs.take_while(|(one, other)| one == other).count() + 1
        })
        .max()
        .map_or(SHORTEST_ID, |length| length.max(SHORTEST_ID))
}

/// `text` in at most `room` columns if the mark fits; the mark says how many
/// characters are missing.
fn cut(text: &str, room: usize) -> String {
    if text.len() <= room {
        return text.to_owned();
    }
    // The longest mark this text can need decides how much is kept.
    let mark = format!("..(+{})", text.len()).len();
    let kept = text.get(..room.saturating_sub(mark)).unwrap_or_default();
    format!("{kept}..(+{})", text.len() - kept.len())
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    #[test]
    fn golden() {
        let requests = samples::all();
        let list = table(&requests, samples::now(), Some(100));
        samples::golden("list.txt", &list);
        assert!(list.lines().all(|line| line.len() <= 100), "{list}");
        samples::golden(
            "list_narrow.txt",
            &table(&requests, samples::now(), Some(60)),
        );
        samples::golden("list_uncut.txt", &table(&requests, samples::now(), None));
    }

    #[test]
    fn golden_changes() {
        let lines: String = samples::all()
            .iter()
            .map(|request| change(request, samples::now()))
            .collect();
        samples::golden("watch.txt", &lines);
    }

    #[test]
    fn a_cut_says_how_much_is_missing() {
        assert_eq!(cut("abcdefghij", 10), "abcdefghij");
        assert_eq!(cut("abcdefghijk", 10), "abc..(+8)");
        assert_eq!(cut("abcdefghijk", 0), "..(+11)");
    }

    #[test]
    fn ids_are_long_enough_to_tell_requests_apart() {
        let request = |id: &str| Request {
            id: id.into(),
            ..Request::default()
        };
        let far = [request("0198aaaa-1"), request("0298aaaa-1")];
        assert_eq!(telling_length(&far), 8);
        let near = [request("0198aaaa-1111"), request("0198aaaa-1121")];
        assert_eq!(telling_length(&near), 12);
        assert_eq!(telling_length(&[]), 8);
    }
}
