//! How many wrong passwords are too many.
//!
//! Counts failures for each account and for all accounts together in a sliding
//! window. An attempt counts as failed from its start until it is forgiven, so
//! a burst of parallel guesses gets no further than a slow series. Memory is
//! bounded: names are kept only as long as the global window has room for them.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// Failures allowed for one account within [`ACCOUNT_WINDOW`].
pub const ACCOUNT_FAILURES: usize = 5;
/// How long a failure counts against its account.
pub const ACCOUNT_WINDOW: Duration = Duration::from_mins(5);
/// Failures allowed for all accounts within [`GLOBAL_WINDOW`].
pub const GLOBAL_FAILURES: usize = 100;
/// How long a failure counts against everybody.
pub const GLOBAL_WINDOW: Duration = Duration::from_mins(1);

/// Too many failures; try again later.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("too many failed logins; try again in {} s", retry_after.as_secs() + 1)]
pub struct Throttled {
    /// When there is room for one more attempt.
    pub retry_after: Duration,
}

/// An attempt that was let through.
#[derive(Debug)]
#[must_use = "an attempt counts as failed until it is forgiven"]
pub struct Attempt {
    name: String,
    at: Instant,
}

/// The failures of the last minutes.
#[derive(Debug, Default)]
pub struct Throttle {
    accounts: HashMap<String, VecDeque<Instant>>,
    all: VecDeque<Instant>,
}

impl Throttle {
    /// Lets an attempt for `name` through, or says when to come back.
    pub fn admit(&mut self, name: &str, now: Instant) -> Result<Attempt, Throttled> {
        forget(&mut self.all, GLOBAL_WINDOW, now);
        self.accounts.retain(|_, failures| {
            forget(failures, ACCOUNT_WINDOW, now);
            !failures.is_empty()
        });
        let failures = self.accounts.get(name);
        room(failures, ACCOUNT_FAILURES, ACCOUNT_WINDOW, now)?;
        room(Some(&self.all), GLOBAL_FAILURES, GLOBAL_WINDOW, now)?;
        self.all.push_back(now);
        self.accounts
            .entry(name.to_owned())
            .or_default()
            .push_back(now);
        Ok(Attempt {
            name: name.to_owned(),
            at: now,
        })
    }

    /// The attempt succeeded: the account starts afresh.
    pub fn forgive(&mut self, attempt: &Attempt) {
        self.accounts.remove(&attempt.name);
        if let Some(index) = self.all.iter().position(|at| *at == attempt.at) {
            self.all.remove(index);
        }
    }
}

fn forget(failures: &mut VecDeque<Instant>, window: Duration, now: Instant) {
    while failures
        .front()
        .is_some_and(|at| now.saturating_duration_since(*at) >= window)
    {
        failures.pop_front();
    }
}

fn room(
    failures: Option<&VecDeque<Instant>>,
    limit: usize,
    window: Duration,
    now: Instant,
) -> Result<(), Throttled> {
    match failures {
        Some(failures) if failures.len() >= limit => {
            let oldest = failures.front().copied().unwrap_or(now);
            Err(Throttled {
                retry_after: window.saturating_sub(now.saturating_duration_since(oldest)),
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_locks_after_its_failures_and_opens_again() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        for _ in 0..ACCOUNT_FAILURES {
            let _failed = throttle.admit("ada", start).unwrap();
        }
        let throttled = throttle
            .admit("ada", start + Duration::from_mins(1))
            .unwrap_err();
        assert_eq!(throttled.retry_after, Duration::from_mins(4));
        assert!(
            throttle.admit("bob", start).is_ok(),
            "others are not affected"
        );
        assert!(throttle.admit("ada", start + ACCOUNT_WINDOW).is_ok());
    }

    #[test]
    fn success_clears_the_account() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..3 * ACCOUNT_FAILURES {
            let attempt = throttle.admit("ada", now).unwrap();
            throttle.forgive(&attempt);
        }
    }

    #[test]
    fn guessing_over_many_names_meets_the_global_bound_and_bounded_memory() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let mut admitted = 0;
        for name in 0..10 * GLOBAL_FAILURES {
            admitted += usize::from(throttle.admit(&name.to_string(), start).is_ok());
        }
        assert_eq!(admitted, GLOBAL_FAILURES);
        assert_eq!(throttle.accounts.len(), GLOBAL_FAILURES);
        let later = start + ACCOUNT_WINDOW;
        assert!(throttle.admit("ada", later).is_ok());
        assert_eq!(throttle.accounts.len(), 1, "old names are forgotten");
    }
}
