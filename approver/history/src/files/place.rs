//! Where a record is kept, and the folders for it: durable, and private.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use jiff::{Timestamp, tz::TimeZone};

/// What is not about one host.
const NO_HOST: &str = "approver";

const DAY: i64 = 24 * 3_600_000;
/// How far the time of a record may be before the approver had it, and behind,
/// for its folder: a host's clock must not make as many folders as it likes.
const BEFORE: i64 = 7 * DAY;
const BEHIND: i64 = DAY;

/// The folder for records of a time that had not come when the approver had
/// them. No query begins later, so none passes over it.
const FUTURE: &str = "9999-12-31";

/// The folder for a record of `time` that the approver had at `logged`. Never of
/// an earlier day than `time`: a query passes over the days before it begins.
pub(super) fn folder_day(time: i64, logged: i64) -> String {
    if time > logged.saturating_add(BEHIND) {
        FUTURE.to_owned()
    } else {
        day(time.max(logged.saturating_sub(BEFORE)))
    }
}

/// The day of a time, as folders are called.
pub(crate) fn day(millis: i64) -> String {
    // A clock may say anything; what is no date is the first of all days.
    let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MIN);
    let date = time.to_zoned(TimeZone::UTC).date();
    if date.year() < 0 {
        "0000-01-01".to_owned()
    } else {
        date.to_string()
    }
}

/// The folder for what is about the host `id`.
pub(super) fn folder_host(id: Option<&str>) -> String {
    // An id of ours is a UUID; whatever else it were must stay a name.
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    id.unwrap_or(NO_HOST).chars().take(64).map(plain).collect()
}

/// Makes a folder and those above it that are not there; its name is on disk
/// then, also if it was there.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().filter(|one| !one.as_os_str().is_empty());
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        // A crash may have come before its name reached the disk.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_private(parent.ok_or(error)?)?;
            return make_private(folder);
        }
        Err(error) => return Err(error),
    }
    sync(parent.unwrap_or(Path::new(".")))
}

/// Brings the names in a folder to disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-31 12:00.
    const NOW: i64 = 1_769_860_800_000;

    #[test]
    fn a_clock_that_is_wrong_makes_few_folders() {
        assert_eq!(folder_day(NOW, NOW), "2026-01-31");
        assert_eq!(folder_day(NOW - 6 * DAY, NOW), "2026-01-25");
        assert_eq!(folder_day(NOW + DAY, NOW), "2026-02-01");
        for time in [0, i64::MIN, NOW - 8 * DAY] {
            assert_eq!(folder_day(time, NOW), "2026-01-24");
        }
        for time in [NOW + DAY + 1, i64::MAX] {
            assert_eq!(folder_day(time, NOW), FUTURE);
        }
    }

    #[test]
    fn a_host_is_a_name() {
        assert_eq!(folder_host(None), "approver");
        assert_eq!(folder_host(Some("0193-ab")), "0193-ab");
        assert_eq!(folder_host(Some("../x")), "___x");
    }

    proptest! {
        #[test]
        fn no_record_is_in_a_folder_that_its_query_passes_over(
            time in any::<i64>(), logged in 0..4_000_000_000_000_i64, since in any::<i64>()
        ) {
            if time >= since {
                prop_assert!(folder_day(time, logged) >= day(since));
            }
        }
    }
}
