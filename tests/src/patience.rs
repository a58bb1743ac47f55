//! Waiting, but not for ever. Nothing in a test waits without one of these.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// Longest time anything a test waits for may take. Generous: guests are
/// emulated in software, and a test that passes never waits so long.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Waits for `future`; `what` says what took too long.
#[track_caller]
pub fn within<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(value) => value,
            Err(late) => panic!("{what}: not within {PATIENCE:?} ({place}): {late}"),
        }
    }
}

/// Looks until `look` gives something. Each look says what it saw instead.
pub async fn until<T, S: Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, S>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) => assert!(
                Instant::now() < deadline,
                "{what}: not within {PATIENCE:?}; last seen: {seen:?}"
            ),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// [`until`] for the world without async.
pub fn wait_until<T, S: Debug>(what: &str, mut look: impl FnMut() -> Result<T, S>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) => assert!(
                Instant::now() < deadline,
                "{what}: not within {PATIENCE:?}; last seen: {seen:?}"
            ),
        }
        std::thread::sleep(LOOK);
    }
}
