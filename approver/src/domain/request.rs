//! The life of a request.
//!
//! A request begins pending and is closed once: approved, denied, flagged,
//! expired or withdrawn. A closed request never changes its state again. What became of
//! the operation on its host, the [`Outcome`], is kept apart: "it was approved"
//! and "it ran" are two facts.

use std::{fmt, str::FromStr};

use super::time::Millis;

/// Where a request stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum State {
    /// Waiting for a person.
    Pending,
    /// A person approved it.
    Approved,
    /// A person denied it.
    Denied,
    /// Refused as suspicious: by its own decision, or by the flag that an earlier
    /// one put on the same operation.
    Flagged,
    /// Nobody answered in time. Not a person's denial.
    Expired,
    /// The process went away or gave the operation up.
    Withdrawn,
}

/// A person's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The operation may go on.
    Approve,
    /// The operation is refused.
    Deny,
    /// The operation is refused, here and wherever it is attempted again.
    Flag,
}

/// Something that happens to a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A person decided.
    Decided(Verdict),
    /// There is a flag on its operation from another request's decision.
    FlagFound,
    /// Its deadline passed.
    DeadlinePassed,
    /// Its host took it back.
    Withdrawn,
}

/// What became of the operation on its host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The operation went on.
    Released,
    /// The operation was refused, or its process killed.
    Refused,
    /// The process was gone before the answer reached it.
    Gone,
}

/// The request is closed; nothing can happen to it any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the request is already {state}")]
pub struct Closed {
    /// How it was closed.
    pub state: State,
}

/// A text in the database that names no known value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no known {1}")]
pub struct UnknownName(pub(super) String, pub(super) &'static str);

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Flagged,
        Self::Expired,
        Self::Withdrawn,
    ];

    /// The state after `event`. Only a pending request has one.
    pub fn after(self, event: Event) -> Result<Self, Closed> {
        match (self, event) {
            (Self::Pending, Event::Decided(Verdict::Approve)) => Ok(Self::Approved),
            (Self::Pending, Event::Decided(Verdict::Deny)) => Ok(Self::Denied),
            (Self::Pending, Event::Decided(Verdict::Flag) | Event::FlagFound) => Ok(Self::Flagged),
            (Self::Pending, Event::DeadlinePassed) => Ok(Self::Expired),
            (Self::Pending, Event::Withdrawn) => Ok(Self::Withdrawn),
            (state, _) => Err(Closed { state }),
        }
    }

    /// The state's name in the database and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Flagged => "flagged",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether the request is in a state that only people's decisions put it in:
    /// its own, or that which flagged its operation.
    pub const fn is_decided(self) -> bool {
        matches!(self, Self::Approved | Self::Denied | Self::Flagged)
    }
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 3] = [Self::Approve, Self::Deny, Self::Flag];

    /// The verdict's name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Flag => "flag",
        }
    }
}

impl Outcome {
    /// The outcome's name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Refused => "refused",
            Self::Gone => "gone",
        }
    }
}

impl FromStr for State {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownName(text.to_owned(), "state"))
    }
}

impl FromStr for Verdict {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
            .ok_or_else(|| UnknownName(text.to_owned(), "verdict"))
    }
}

impl FromStr for Outcome {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [Self::Released, Self::Refused, Self::Gone]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| UnknownName(text.to_owned(), "outcome"))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a host reports about an operation, and what it says about a request
/// that was still pending when the report came.
///
/// A report ends the wait in any case: there is nothing left to decide. A
/// release without an approval also closes it, and [`contradicts`] says that
/// somebody must be told.
pub const fn closes_pending(outcome: Outcome, expired: bool) -> Event {
    match outcome {
        Outcome::Refused if expired => Event::DeadlinePassed,
        Outcome::Refused | Outcome::Gone | Outcome::Released => Event::Withdrawn,
    }
}

/// Whether a host says it did what nobody allowed.
pub fn contradicts(state: State, outcome: Outcome) -> bool {
    outcome == Outcome::Released && state != State::Approved
}

/// Whether a request with this deadline can still be decided at `now`.
pub fn in_time(deadline: Millis, now: Millis) -> bool {
    now < deadline
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events() -> impl Strategy<Value = Vec<Event>> {
        prop::collection::vec(
            prop_oneof![
                Just(Event::Decided(Verdict::Approve)),
                Just(Event::Decided(Verdict::Deny)),
                Just(Event::Decided(Verdict::Flag)),
                Just(Event::FlagFound),
                Just(Event::DeadlinePassed),
                Just(Event::Withdrawn),
            ],
            0..12,
        )
    }

    proptest! {
        #[test]
        fn the_first_event_closes_and_nothing_reopens(events in events()) {
            let mut state = State::Pending;
            let mut accepted = Vec::new();
            for event in &events {
                match state.after(*event) {
                    Ok(next) => {
                        accepted.push(*event);
                        state = next;
                    }
                    Err(closed) => prop_assert_eq!(closed.state, state),
                }
            }
            prop_assert_eq!(accepted.first(), events.first());
            prop_assert!(accepted.len() <= 1);
            prop_assert_eq!(state == State::Pending, events.is_empty());
        }

        #[test]
        fn only_a_person_decides(events in events()) {
            let state = events.iter().fold(State::Pending, |s, e| s.after(*e).unwrap_or(s));
            let by_person = matches!(events.first(), Some(Event::Decided(_) | Event::FlagFound));
            prop_assert_eq!(state.is_decided(), by_person);
        }
    }

    #[test]
    fn names_read_back() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        for outcome in [Outcome::Released, Outcome::Refused, Outcome::Gone] {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
        }
        for verdict in Verdict::ALL {
            assert_eq!(verdict.as_str().parse(), Ok(verdict));
        }
        assert!("Pending".parse::<State>().is_err());
    }

    #[test]
    fn a_release_is_in_order_only_after_an_approval() {
        for state in State::ALL {
            assert_eq!(
                contradicts(state, Outcome::Released),
                state != State::Approved
            );
            assert!(!contradicts(state, Outcome::Refused));
        }
    }

    #[test]
    fn a_host_that_gave_up_at_its_deadline_expires_the_request() {
        let state = |outcome, expired| State::Pending.after(closes_pending(outcome, expired));
        assert_eq!(state(Outcome::Refused, true), Ok(State::Expired));
        assert_eq!(state(Outcome::Refused, false), Ok(State::Withdrawn));
        assert_eq!(state(Outcome::Gone, false), Ok(State::Withdrawn));
        assert_eq!(state(Outcome::Released, false), Ok(State::Withdrawn));
    }
}
