//! Whether the records that answer questions are those of the log. Pure.
//!
//! An approver keeps records twice: in the log, whose hashes vouch for them, and
//! in the history, which it answers from. Here everything is asked for, from the
//! newest record down, and compared with the leaves of the log.

use holdpoint_evidence::{Hash, entry::leaf_of};

use super::check::Problem;

/// Problems that are listed; neighbours are one.
const LISTED: usize = 1000;

/// Part of what the history answers when it is asked for everything.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Numbers and records, newest first.
    pub(super) records: Vec<(u64, Vec<u8>)>,
    /// Where the next page begins; empty on the last.
    pub(super) next: String,
}

/// Where the pages come from.
pub(super) trait Pages {
    /// Why there are none at all.
    type Error;

    /// The page at `token`, of no more than `most` records; in words why the
    /// history can't be read there.
    fn page(&mut self, token: &str, most: u64) -> Result<Result<Page, String>, Self::Error>;
}

/// What is wrong with the history from record `from` on, of which `leaves` are
/// those of the log. Newer records are passed over.
pub(super) fn compare<P: Pages>(
    pages: &mut P,
    from: u64,
    leaves: &[Hash],
) -> Result<Vec<Problem>, P::Error> {
    let mut comparison = Comparison {
        from,
        leaves,
        next: from + leaves.len() as u64,
        changed: Ranges::default(),
        missing: Ranges::default(),
    };
    let (mut token, mut lowest) = (String::new(), u64::MAX);
    while comparison.next > from {
        // No further down than has to be: what is there was not asked for.
        let left = lowest.min(comparison.next) - from;
        let page = match pages.page(&token, left)? {
            Ok(page) => page,
            Err(words) => return Ok(comparison.unreadable(&words)),
        };
        for (index, record) in &page.records {
            comparison.see(*index, record);
        }
        let low = page.records.iter().map(|(index, _)| *index).min();
        // An approver that answers in circles has said all it will.
        let Some(low) = low.filter(|low| *low < lowest) else {
            break;
        };
        (lowest, token) = (low, page.next);
        if token.is_empty() {
            break;
        }
    }
    Ok(comparison.problems())
}

struct Comparison<'a> {
    from: u64,
    leaves: &'a [Hash],
    /// Everything from here on was seen or is missing.
    next: u64,
    changed: Ranges,
    missing: Ranges,
}

impl Comparison<'_> {
    fn see(&mut self, index: u64, record: &[u8]) {
        let at = index.checked_sub(self.from);
        let leaf = at.and_then(|at| self.leaves.get(usize::try_from(at).ok()?));
        let Some(leaf) = leaf else {
            if index < self.from {
                self.missing.add(self.from, self.next);
                self.next = self.from;
            }
            return;
        };
        if index >= self.next {
            // There twice, or at another place.
            self.changed.add(index, index + 1);
            return;
        }
        self.missing.add(index + 1, self.next);
        self.next = index;
        if leaf_of(record) != *leaf {
            self.changed.add(index, index + 1);
        }
    }

    fn problems(mut self) -> Vec<Problem> {
        self.missing.add(self.from, self.next);
        self.listed()
    }

    fn unreadable(self, words: &str) -> Vec<Problem> {
        let (first, last) = (self.from, self.next - 1);
        let mut problems = vec![Problem {
            code: "history-changed",
            text: format!("the history can't be read at record {last} and below: {words}"),
            records: Some((first, last)),
        }];
        problems.extend(self.listed());
        problems
    }

    fn listed(self) -> Vec<Problem> {
        let changed = self.changed.0.into_iter().map(|(first, last)| Problem {
            code: "history-changed",
            text: format!(
                "{} not in the history as signed: what answers questions was changed",
                records(first, last)
            ),
            records: Some((first, last)),
        });
        let missing = self.missing.0.into_iter().map(|(first, last)| Problem {
            code: "history-missing",
            text: format!(
                "{} missing from the history: questions are answered without what they say",
                records(first, last)
            ),
            records: Some((first, last)),
        });
        changed.chain(missing).collect()
    }
}

fn records(first: u64, last: u64) -> String {
    if first == last {
        format!("record {first} is")
    } else {
        format!("records {first} to {last} are")
    }
}

/// First and last of each, from the newest down.
#[derive(Debug, Default)]
struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds the numbers from `start` up to `end`.
    fn add(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let full = self.0.len() == LISTED;
        match self.0.last_mut() {
            Some((first, _)) if *first == end => *first = start,
            _ if full => {}
            _ => self.0.push((start, end - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// A history in pages of three; each may end it with a word.
    struct Fake {
        records: Vec<(u64, Vec<u8>)>,
        broken_below: u64,
    }

    impl Pages for Fake {
        type Error = Infallible;

        fn page(&mut self, token: &str, most: u64) -> Result<Result<Page, String>, Infallible> {
            let before: usize = token.parse().unwrap_or(0);
            let most = usize::try_from(most.min(3)).unwrap();
            let page = self.records.iter().skip(before).take(most);
            let page: Vec<_> = page.cloned().collect();
            if page.iter().any(|(index, _)| *index < self.broken_below) {
                return Ok(Err("the file x was changed".into()));
            }
            let next = before + page.len();
            let more = next < self.records.len();
            Ok(Ok(Page {
                records: page,
                next: if more {
                    next.to_string()
                } else {
                    String::new()
                },
            }))
        }
    }

    fn record(index: u64) -> Vec<u8> {
        format!("{{\"n\":{index}}}").into_bytes()
    }

    fn history(indices: impl IntoIterator<Item = u64>) -> Fake {
        let records = indices.into_iter().map(|index| (index, record(index)));
        Fake {
            records: records.collect(),
            broken_below: 0,
        }
    }

    /// What is found in `history` of a log of ten records, from `from` on.
    fn found(mut history: Fake, from: u64) -> Vec<(&'static str, u64, u64)> {
        let leaves: Vec<Hash> = (from..10).map(|index| leaf_of(&record(index))).collect();
        let Ok(problems) = compare(&mut history, from, &leaves);
        let told = |problem: Problem| {
            let (first, last) = problem.records.unwrap();
            (problem.code, first, last)
        };
        problems.into_iter().map(told).collect()
    }

    #[test]
    fn the_same_records_are_sound_and_newer_ones_are_passed_over() {
        assert_eq!(found(history((0..10).rev()), 0), []);
        assert_eq!(found(history((0..15).rev()), 0), []);
        assert_eq!(found(history((0..15).rev()), 4), []);
        assert_eq!(found(history((0..15).rev()), 10), []);
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |first, last| ("history-missing", first, last);
        assert_eq!(found(history([]), 0), [missing(0, 9)]);
        assert_eq!(found(history((0..7).rev()), 0), [missing(7, 9)]);
        assert_eq!(found(history((3..10).rev()), 0), [missing(0, 2)]);
        let holes = [9, 8, 5, 4, 2, 1, 0];
        assert_eq!(found(history(holes), 0), [missing(6, 7), missing(3, 3)]);
        assert_eq!(found(history([9, 1, 0]), 5), [missing(5, 8)]);
        assert_eq!(found(history([20, 19, 18]), 0), [missing(0, 9)]);
    }

    #[test]
    fn what_was_changed_is_named() {
        let changed = |first, last| ("history-changed", first, last);
        let mut other = history((0..10).rev());
        for index in [2, 3, 7] {
            other.records[9 - index].1[2] = b'm';
        }
        assert_eq!(found(other, 0), [changed(7, 7), changed(2, 3)]);
        let twice = history([9, 8, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(found(twice, 0), [changed(8, 8)]);
        let mut swapped = history((0..10).rev());
        swapped.records.swap(3, 4);
        let found = found(swapped, 0);
        assert!(found.contains(&changed(6, 6)), "{found:?}");
    }

    #[test]
    fn where_it_cannot_be_read_the_rest_is_in_doubt() {
        let mut broken = history((0..10).rev());
        broken.broken_below = 4;
        assert_eq!(found(broken, 0), [("history-changed", 0, 3)]);
        // Whoever asks for what is new does not meet it.
        for from in 4..=10 {
            let mut broken = history((0..12).rev());
            broken.broken_below = 4;
            assert_eq!(found(broken, from), []);
        }
    }

    #[test]
    fn an_approver_that_answers_in_circles_is_left() {
        struct Circles;
        impl Pages for Circles {
            type Error = Infallible;

            fn page(&mut self, _: &str, _: u64) -> Result<Result<Page, String>, Infallible> {
                Ok(Ok(Page {
                    records: vec![(9, record(9))],
                    next: "again".into(),
                }))
            }
        }
        let leaves: Vec<Hash> = (0..10).map(|index| leaf_of(&record(index))).collect();
        let Ok(problems) = compare(&mut Circles, 0, &leaves);
        let missing = problems.iter().find(|one| one.code == "history-missing");
        assert_eq!(missing.unwrap().records, Some((0, 8)));
    }
}
