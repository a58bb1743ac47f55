//! Points in time and spans between them.

use jiff::Timestamp;

/// `at`, if it is a time at all.
pub(crate) fn timestamp(at: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok())
}

/// `at` to the second, in UTC.
pub(crate) fn shown(at: Option<prost_types::Timestamp>) -> String {
    timestamp(at).map_or_else(
        || "at an unknown time".to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

/// Whole seconds from `from` to `to`, 0 if that is backwards.
pub(crate) fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    to.as_second()
        .saturating_sub(from.as_second())
        .try_into()
        .unwrap_or(0)
}

/// A span in two units at most: `7s`, `4m12s`, `2h03m`, `3d04h`.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if minutes == 0 {
        format!("{seconds}s")
    } else if hours == 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else if days == 0 {
        format!("{hours}h{:02}m", minutes % 60)
    } else {
        format!("{days}d{:02}h", hours % 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        for (seconds, wanted) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m00s"),
            (252, "4m12s"),
            (7380, "2h03m"),
            (273_600, "3d04h"),
        ] {
            assert_eq!(span(seconds), wanted);
        }
    }

    #[test]
    fn impossible_times_are_said_to_be_unknown() {
        let seconds = i64::MAX;
        let at = Some(prost_types::Timestamp { seconds, nanos: -1 });
        assert_eq!(shown(at), "at an unknown time");
        assert_eq!(shown(None), "at an unknown time");
        assert_eq!(self::seconds(Timestamp::MAX, Timestamp::MIN), 0);
    }
}
