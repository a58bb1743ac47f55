//! Points in time as the approver stores and compares them: milliseconds since
//! the epoch, UTC.
//!
//! Milliseconds, because what is signed must read back from the database
//! exactly as it was signed.

use std::{fmt, time::Duration};

use prost_types::Timestamp;

/// Milliseconds since the epoch, UTC.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Millis(i64);

impl Millis {
    /// The point `value` milliseconds after the epoch.
    pub const fn new(value: i64) -> Self {
        Self(value)
    }

    /// Milliseconds since the epoch.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// `self + duration`; stays at the end of time instead of wrapping.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<Millis> for Timestamp {
    fn from(time: Millis) -> Self {
        Self {
            seconds: time.0.div_euclid(1000),
            nanos: i32::try_from(time.0.rem_euclid(1000)).unwrap_or(0) * 1_000_000,
        }
    }
}

impl From<Timestamp> for Millis {
    /// Drops what is finer than a millisecond.
    fn from(time: Timestamp) -> Self {
        let millis = time.seconds.saturating_mul(1000);
        Self(millis.saturating_add(i64::from(time.nanos) / 1_000_000))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn displays_as_rfc_3339() {
        assert_eq!(Millis::new(1_500).to_string(), "1970-01-01T00:00:01.5Z");
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Millis::new(i64::MAX);
        assert_eq!(end.plus(Duration::MAX), end);
        assert_eq!(Millis::new(5).since(Millis::new(7)), Duration::ZERO);
        assert_eq!(Millis::new(7).since(Millis::new(5)).as_millis(), 2);
    }

    proptest! {
        #[test]
        fn a_timestamp_reads_back_exactly(millis in -1_000_000_000_000_000_i64..1_000_000_000_000_000) {
            let time = Millis::new(millis);
            prop_assert_eq!(Millis::from(Timestamp::from(time)), time);
        }
    }
}
