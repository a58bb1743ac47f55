//! Which of the units that are there are used. Pure.

use std::{ops::Range, sync::Arc};

use super::{Unit, Units};

/// Of `units` those that hold each number below `end` once, the largest whole
/// ones, and the others. An error says which numbers are not there.
pub(super) fn cover(units: Vec<Unit>, end: u64) -> Result<(Units, Vec<Unit>), Range<u64>> {
    let mut chosen = Vec::new();
    let mut next = 0;
    while next < end {
        let whole = units.iter().enumerate();
        let whole = whole.filter(|(_, unit)| unit.from == next && unit.is_whole());
        let Some((at, unit)) = whole.max_by_key(|(_, unit)| unit.to) else {
            return Err(next..after(&units, next, end));
        };
        chosen.push(at);
        next = unit.to;
    }
    let (mut cover, mut others) = (Units::new(), Vec::new());
    for (at, unit) in units.into_iter().enumerate() {
        if chosen.contains(&at) {
            cover.insert(unit.from, Arc::new(unit));
        } else {
            others.push(unit);
        }
    }
    Ok((cover, others))
}

/// The end of what is missing from `first` on.
fn after(units: &[Unit], first: u64, end: u64) -> u64 {
    let torn = units.iter().filter(|unit| unit.from == first);
    let torn = torn.map(|unit| unit.to).min();
    let later = units.iter().filter(|unit| unit.from > first);
    let later = later.map(|unit| unit.from).min();
    torn.or(later).unwrap_or(end).min(end)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Kept, digest::Checked},
        *,
    };

    fn unit(from: u64, to: u64, rows: u64) -> Unit {
        let file = Kept {
            day: "2026-01-31".into(),
            host: "h".into(),
            rows,
            digest: String::new(),
            path: format!("{from}-{to}").into(),
            checked: Checked::default(),
        };
        Unit {
            from,
            to,
            files: vec![file],
        }
    }

    fn covered(units: &[(u64, u64, u64)], end: u64) -> Result<(Vec<u64>, usize), Range<u64>> {
        let units = units.iter().map(|(from, to, rows)| unit(*from, *to, *rows));
        let (cover, others) = cover(units.collect(), end)?;
        let mut ends = Vec::new();
        for (from, unit) in cover {
            assert_eq!(from, unit.from);
            ends.push(unit.to);
        }
        Ok((ends, others.len()))
    }

    #[test]
    fn units_follow_each_other() {
        assert_eq!(covered(&[], 0), Ok((vec![], 0)));
        assert_eq!(covered(&[(0, 3, 3), (3, 5, 2)], 5), Ok((vec![3, 5], 0)));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(covered(&[], 5), Err(0..5));
        assert_eq!(covered(&[(0, 3, 3), (4, 5, 1)], 5), Err(3..4));
        assert_eq!(covered(&[(0, 3, 3)], 5), Err(3..5), "the tail");
        assert_eq!(covered(&[(3, 5, 2)], 5), Err(0..3), "the beginning");
        assert_eq!(covered(&[(0, 3, 2), (3, 5, 2)], 5), Err(0..3), "one file");
    }

    #[test]
    fn of_what_is_there_twice_the_larger_whole_unit_is_used() {
        // A round that failed half way, and went further the next time.
        assert_eq!(covered(&[(0, 2, 1), (0, 5, 5)], 5), Ok((vec![5], 1)));
        // A merge that was not finished, and one whose small units are there yet.
        let small = [(0, 2, 2), (2, 5, 3)];
        let with = |rows| [&small[..], &[(0, 5, rows)]].concat();
        assert_eq!(covered(&with(4), 5), Ok((vec![2, 5], 1)));
        assert_eq!(covered(&with(5), 5), Ok((vec![5], 2)));
        assert_eq!(covered(&with(5)[1..], 5), Ok((vec![5], 1)));
    }

    #[test]
    fn what_is_astride_of_others_ends_the_start() {
        assert_eq!(covered(&[(0, 4, 4), (3, 5, 2)], 5), Err(4..5));
    }
}
