//! Numbers of a host's events: which are new, which are missing, which are wrong.
//!
//! A host numbers its events from 1 in each spool. Only its opening may say that
//! numbers will never come; in a batch a number that is not the next is a mistake.

/// What an opening says about the events that are not stored yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opening {
    /// The host has all of them.
    Whole,
    /// The host does not have these any more.
    Missing {
        /// How many.
        lost: u64,
        /// The last of them.
        up_to: u64,
    },
}

/// How a batch stands to what is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Overlap {
    /// Events at its beginning that are stored already.
    pub known: usize,
    /// The last number that is stored with the batch.
    pub last: u64,
}

/// Why a host's numbers can't be right.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WrongNumbers {
    /// Below the first or beyond what can be stored.
    #[error("events are numbered from 1 up to 2^63 - 1; {0} is not such a number")]
    Range(u64),
    /// Not the next.
    #[error(
        "event {found} came where {wanted} was expected; events must be consecutive, and what the \
         spool does not hold any more is told by opening it again"
    )]
    Order {
        /// What came.
        found: u64,
        /// What should have come.
        wanted: u64,
    },
    /// Nothing in it.
    #[error("the batch holds no event")]
    Empty,
}

/// Judges an opening at `first`, with everything up to `last` stored.
pub fn opening(last: u64, first: u64) -> Result<Opening, WrongNumbers> {
    in_range(first)?;
    let up_to = first - 1;
    if up_to <= last {
        return Ok(Opening::Whole);
    }
    Ok(Opening::Missing {
        lost: up_to - last,
        up_to,
    })
}

/// Judges a batch of `numbers`, with everything up to `last` stored.
pub fn overlap(last: u64, numbers: impl IntoIterator<Item = u64>) -> Result<Overlap, WrongNumbers> {
    let mut previous: Option<u64> = None;
    let mut known = 0;
    for number in numbers {
        in_range(number)?;
        // At the beginning of a batch, anything that is stored or the next.
        let wanted = previous.map_or_else(|| number.min(last + 1), |previous| previous + 1);
        if number != wanted {
            return Err(WrongNumbers::Order {
                found: number,
                wanted,
            });
        }
        known += usize::from(number <= last);
        previous = Some(number);
    }
    let end = previous.ok_or(WrongNumbers::Empty)?;
    Ok(Overlap {
        known,
        last: end.max(last),
    })
}

fn in_range(number: u64) -> Result<(), WrongNumbers> {
    if number == 0 || i64::try_from(number).is_err() {
        return Err(WrongNumbers::Range(number));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_opening_tells_what_is_missing() {
        assert_eq!(opening(0, 1), Ok(Opening::Whole));
        assert_eq!(opening(7, 3), Ok(Opening::Whole));
        assert_eq!(opening(7, 8), Ok(Opening::Whole));
        assert_eq!(opening(7, 10), Ok(Opening::Missing { lost: 2, up_to: 9 }));
        assert_eq!(opening(7, 0), Err(WrongNumbers::Range(0)));
        assert_eq!(opening(7, u64::MAX), Err(WrongNumbers::Range(u64::MAX)));
    }

    #[test]
    fn wrong_batches() {
        let order = |found, wanted| Err(WrongNumbers::Order { found, wanted });
        assert_eq!(overlap(3, []), Err(WrongNumbers::Empty));
        assert_eq!(overlap(3, [5]), order(5, 4), "a hole before it");
        assert_eq!(overlap(3, [4, 6]), order(6, 5), "a hole in it");
        assert_eq!(overlap(3, [4, 4]), order(4, 5), "twice the same");
        assert_eq!(overlap(3, [0]), Err(WrongNumbers::Range(0)));
    }

    proptest! {
        #[test]
        fn any_split_and_repetition_stores_each_once(
            total in 1_u64..200,
            batches in prop::collection::vec((0_u64..200, 1_u64..50), 1..60),
        ) {
            let mut stored: Vec<u64> = Vec::new();
            for (from, length) in batches {
                let last = stored.len() as u64;
                // A host goes back at will, and never ahead of what is stored.
                let from = from.min(last) + 1;
                let to = (from + length).min(total + 1);
                if from >= to {
                    continue;
                }
                let batch: Vec<u64> = (from..to).collect();
                let overlap = overlap(last, batch.iter().copied()).unwrap();
                stored.extend(&batch[overlap.known..]);
                prop_assert_eq!(overlap.last, stored.len() as u64);
            }
            prop_assert!(stored.iter().copied().eq(1..=stored.len() as u64));
        }
    }
}
