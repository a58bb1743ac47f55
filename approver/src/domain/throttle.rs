//! How many wrong passwords are too many.
//!
//! Counts failures in sliding windows: of one account from one place, of one
//! place, and of one account from everywhere. The last bound is wide, so that
//! strangers can't shut a person out without many places to do it from; there is
//! none over everybody, for then anybody could shut out all. What all of them
//! together can cost is bounded where passwords are hashed.
//!
//! An attempt counts as failed from its start until it is forgiven, so a burst
//! of parallel guesses gets no further than a slow series. Memory is bounded:
//! of very many failures the oldest are forgotten early.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// So many failures within so long.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// How many.
    pub failures: usize,
    /// How long each counts.
    pub window: Duration,
}

/// For one account from one place.
pub const PAIR: Bound = Bound {
    failures: 5,
    window: Duration::from_mins(5),
};
/// For one place, over all accounts.
pub const PLACE: Bound = Bound {
    failures: 20,
    window: Duration::from_mins(1),
};
/// For one account, from all places.
pub const ACCOUNT: Bound = Bound {
    failures: 50,
    window: Duration::from_mins(5),
};

/// The longest window.
const LONGEST: Duration = Duration::from_mins(5);
/// Most failures that are kept: more than can be hashed within [`LONGEST`].
const KEPT_MAX: usize = 20_000;
/// Bits of an IPv6 address that say whose it is: the rest one machine can have
/// as many of as it likes.
const IPV6_PREFIX: u32 = 64;

/// Where attempts come from; all of which it isn't known are one place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Place(Option<IpAddr>);

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
    place: Place,
}

#[derive(Debug)]
struct Failure {
    name: String,
    place: Place,
    at: Instant,
}

/// The failures of the last minutes, in the order they happened.
#[derive(Debug, Default)]
pub struct Throttle {
    failures: VecDeque<Failure>,
}

impl Throttle {
    /// Lets an attempt for `name` from `address` through, or says when to come
    /// back.
    pub fn admit(
        &mut self,
        name: &str,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<Attempt, Throttled> {
        let place = Place::of(address);
        self.forget(now);
        self.room(PAIR, now, |one| one.place == place && one.name == name)?;
        self.room(PLACE, now, |one| one.place == place)?;
        self.room(ACCOUNT, now, |one| one.name == name)?;
        if self.failures.len() >= KEPT_MAX {
            self.failures.pop_front();
        }
        self.failures.push_back(Failure {
            name: name.to_owned(),
            place,
            at: now,
        });
        Ok(Attempt {
            name: name.to_owned(),
            place,
        })
    }

    /// The attempt succeeded: its account starts afresh there. Whatever else was
    /// tried from there counts on, or an account of one's own would be a way to
    /// guess at others.
    pub fn forgive(&mut self, attempt: &Attempt) {
        self.failures
            .retain(|one| one.place != attempt.place || one.name != attempt.name);
    }

    fn forget(&mut self, now: Instant) {
        while self
            .failures
            .front()
            .is_some_and(|one| age(one, now) >= LONGEST)
        {
            self.failures.pop_front();
        }
    }

    /// Whether `bound` has room for one more of those that `counts` picks.
    fn room(
        &self,
        bound: Bound,
        now: Instant,
        counts: impl Fn(&Failure) -> bool,
    ) -> Result<(), Throttled> {
        let mut counted = self
            .failures
            .iter()
            .filter(|one| age(one, now) < bound.window && counts(one));
        match counted.next() {
            Some(oldest) if counted.count() + 1 >= bound.failures => Err(Throttled {
                retry_after: bound.window.saturating_sub(age(oldest, now)),
            }),
            _ => Ok(()),
        }
    }
}

fn age(failure: &Failure, now: Instant) -> Duration {
    now.saturating_duration_since(failure.at)
}

impl Place {
    fn of(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V6(v6) => {
                let kept = v6.to_bits() & !(u128::MAX >> IPV6_PREFIX);
                Ipv6Addr::from_bits(kept).into()
            }
            v4 @ IpAddr::V4(_) => v4,
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Attempts for `name` that are let through, of `tries` at once.
    fn admitted(
        throttle: &mut Throttle,
        (name, address): (&str, &str),
        tries: usize,
        now: Instant,
    ) -> usize {
        (0..tries)
            .filter(|_| throttle.admit(name, Some(ip(address)), now).is_ok())
            .count()
    }

    #[test]
    fn an_account_locks_where_it_failed_and_opens_again() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let here = Some(ip("192.0.2.1"));
        assert_eq!(
            admitted(&mut throttle, ("ada", "192.0.2.1"), 9, start),
            PAIR.failures
        );
        let later = start + Duration::from_mins(1);
        let throttled = throttle.admit("ada", here, later).unwrap_err();
        assert_eq!(throttled.retry_after, Duration::from_mins(4));
        assert!(throttle.admit("bob", here, start).is_ok(), "another one");
        assert!(throttle.admit("ada", None, start).is_ok(), "elsewhere");
        assert!(throttle.admit("ada", here, start + PAIR.window).is_ok());
    }

    #[test]
    fn a_stranger_shuts_nobody_else_out() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let mut tries = 0;
        for name in 0..1000 {
            let stranger = (&*name.to_string(), "203.0.113.9");
            tries += admitted(&mut throttle, stranger, 1, start);
        }
        assert_eq!(tries, PLACE.failures);
        let again = throttle.admit("ada", Some(ip("203.0.113.9")), start);
        assert_eq!(again.unwrap_err().retry_after, PLACE.window);
        let elsewhere = throttle.admit("ada", Some(ip("192.0.2.1")), start);
        assert!(elsewhere.is_ok());
    }

    #[test]
    fn guessing_at_one_account_from_many_places_ends_too() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let mut tries = 0;
        for host in 1..=200 {
            let place = format!("203.0.113.{host}");
            tries += admitted(&mut throttle, ("ada", &place), 9, start);
        }
        assert_eq!(tries, ACCOUNT.failures);
    }

    #[test]
    fn one_machine_with_many_addresses_is_one_place() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let mut tries = 0;
        for host in 0..100 {
            let place = format!("2001:db8:0:1:{host}::1");
            tries += admitted(&mut throttle, ("ada", &place), 1, start);
        }
        assert_eq!(tries, PAIR.failures);
        let next = throttle.admit("ada", Some(ip("2001:db8:0:2::1")), start);
        assert!(next.is_ok(), "another network");
        let mapped = ("bob", "::ffff:192.0.2.1");
        assert_eq!(admitted(&mut throttle, mapped, 3, start), 3);
        let plain = ("bob", "192.0.2.1");
        assert_eq!(admitted(&mut throttle, plain, 9, start), 2);
    }

    #[test]
    fn success_clears_the_account_and_nothing_else() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let here = Some(ip("192.0.2.1"));
        for _ in 0..3 * PAIR.failures {
            let attempt = throttle.admit("eve", here, now).unwrap();
            throttle.forgive(&attempt);
        }
        let guesses = PAIR.failures;
        assert_eq!(
            admitted(&mut throttle, ("ada", "192.0.2.1"), guesses, now),
            guesses
        );
        let attempt = throttle.admit("eve", here, now).unwrap();
        throttle.forgive(&attempt);
        assert_eq!(admitted(&mut throttle, ("ada", "192.0.2.1"), 1, now), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for place in 0..u32::try_from(KEPT_MAX).unwrap() {
            throttle.failures.push_back(Failure {
                name: "x".into(),
                place: Place(Some(std::net::Ipv4Addr::from_bits(place).into())),
                at: now,
            });
        }
        assert!(throttle.admit("ada", None, now).is_ok());
        assert_eq!(throttle.failures.len(), KEPT_MAX);
        let later = now + LONGEST;
        assert!(throttle.admit("ada", None, later).is_ok());
        assert_eq!(throttle.failures.len(), 1, "old ones are forgotten");
    }

    proptest! {
        #[test]
        fn no_window_ever_holds_more_than_its_bound(
            tries in prop::collection::vec((0_u8..3, 0_u8..16, 0_u64..3), 1..400),
        ) {
            let (mut throttle, mut now) = (Throttle::default(), Instant::now());
            let mut let_in: Vec<(u8, u8, Instant)> = Vec::new();
            for (name, place, pause) in tries {
                now += Duration::from_secs(pause);
                let address = Some(IpAddr::from([192, 0, 2, place]));
                let admitted = throttle.admit(&name.to_string(), address, now);
                let within = |bound: Bound, counts: &dyn Fn(u8, u8) -> bool| {
                    let_in
                        .iter()
                        .filter(|(n, p, at)| counts(*n, *p) && now - *at < bound.window)
                        .count() < bound.failures
                };
                let room = within(PAIR, &|n, p| (n, p) == (name, place))
                    && within(PLACE, &|_, p| p == place)
                    && within(ACCOUNT, &|n, _| n == name);
                prop_assert_eq!(admitted.is_ok(), room);
                match admitted {
                    Ok(_) => let_in.push((name, place, now)),
                    Err(throttled) => prop_assert!(!throttled.retry_after.is_zero()),
                }
            }
        }
    }
}
