//! Places in lists: how many, and from where.

use super::problem::{Code, Problem};

/// Items in a page at most, and unless told otherwise.
pub(super) const LIMIT_MAX: u32 = 500;
pub(super) const LIMIT_DEFAULT: u32 = 50;

/// The number of items a caller wants.
pub(super) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    let limit = asked.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("limit is {limit}; it must be 1 to {LIMIT_MAX}");
    Err(Problem::new(Code::Invalid, detail))
}

/// The place a caller hands back; without one the beginning.
pub(super) fn before(cursor: Option<&str>) -> Result<i64, Problem> {
    let Some(cursor) = cursor else {
        return Ok(i64::MAX);
    };
    i64::from_str_radix(cursor, 16)
        .ok()
        .filter(|place| *place >= 0)
        .ok_or_else(|| {
            Problem::new(Code::Invalid, "the cursor is not one of this approver")
                .with_mend("begin without a cursor")
        })
}

/// A place as the opaque text callers hand back.
pub(super) fn cursor(place: i64) -> String {
    format!("{place:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_others_are_refused() {
        assert_eq!(before(Some(&cursor(77))).unwrap(), 77);
        assert_eq!(before(None).unwrap(), i64::MAX);
        for bad in ["", "-1", "page 2", "ffffffffffffffffffff"] {
            assert!(before(Some(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn limits_are_bounded() {
        assert_eq!(limit(None).unwrap(), 50);
        assert_eq!(limit(Some(500)).unwrap(), 500);
        assert!(limit(Some(0)).is_err());
        assert!(limit(Some(501)).is_err());
    }
}
