//! What an approval may give beyond the operation that was held, and the life of
//! what it gave.
//!
//! A grant is never wider than the rule that asked allows, always ends by time,
//! and is never given back once it has ended or was revoked. Whether its host
//! still honours it is another fact than whether it should: between the two lies
//! [`State::Revoking`].

use std::{fmt, str::FromStr, time::Duration};

use super::{
    request::{UnknownName, Verdict},
    time::Millis,
};

/// Longest life of a grant whose rule names none.
pub const TTL_MAX_DEFAULT: Duration = Duration::from_hours(1);
/// Life of a grant whose reviewer names none, if its rule allows that much.
pub const TTL_DEFAULT: Duration = Duration::from_mins(10);
/// Shortest life of a grant.
pub const TTL_MIN: Duration = Duration::from_secs(1);

/// Who may do the same operation again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// The same process.
    Process,
    /// Any process of the same session.
    Session,
}

/// What a reviewer wants to give.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wish {
    /// To whom.
    pub scope: Scope,
    /// For how long; none: [`TTL_DEFAULT`], or as long as the rule allows if that
    /// is shorter.
    pub ttl: Option<Duration>,
    /// How often beside the operation that was held; 0: any number.
    pub max_uses: u32,
}

/// What the rule that asked lets an approval give.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Allowance {
    /// Scopes beside once.
    pub scopes: Vec<Scope>,
    /// Longest life; none: [`TTL_MAX_DEFAULT`].
    pub max_ttl: Option<Duration>,
}

/// What a grant gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    /// To whom.
    pub scope: Scope,
    /// For how long.
    pub ttl: Duration,
    /// How often; 0: any number.
    pub max_uses: u32,
}

/// A grant as it is signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// UUID.
    pub id: String,
    /// What it gives.
    pub terms: Terms,
    /// When it ends at the latest.
    pub expires_at: Millis,
}

/// Why an approval can't give what its reviewer wants.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GrantRefusal {
    /// A denial gives nothing.
    #[error("only an approval can give a grant; leave the grant out to {}", .0.as_str())]
    NotApproved(Verdict),
    /// The rule does not allow it.
    #[error("the rule that asked does not allow an approval for the whole {0}; it allows: {1}")]
    Scope(Scope, String),
    /// Longer than the rule allows.
    #[error("a grant of {} s is longer than the rule that asked allows; give at most {} s", .asked.as_secs(), .most.as_secs())]
    Long {
        /// What was asked for.
        asked: Duration,
        /// What is allowed.
        most: Duration,
    },
    /// Too short to be of use.
    #[error("a grant must last at least {} s", TTL_MIN.as_secs())]
    Short,
}

/// What an approval with `wish` gives, within what its rule allows.
pub fn within(verdict: Verdict, wish: Wish, allowance: &Allowance) -> Result<Terms, GrantRefusal> {
    if verdict != Verdict::Approve {
        return Err(GrantRefusal::NotApproved(verdict));
    }
    if !allowance.scopes.contains(&wish.scope) {
        let mut allowed = vec!["once"];
        allowed.extend(allowance.scopes.iter().map(|scope| scope.as_str()));
        return Err(GrantRefusal::Scope(wish.scope, allowed.join(", ")));
    }
    let most = allowance.max_ttl.unwrap_or(TTL_MAX_DEFAULT);
    let ttl = whole_millis(wish.ttl.unwrap_or(TTL_DEFAULT.min(most)));
    if ttl < TTL_MIN {
        return Err(GrantRefusal::Short);
    }
    if ttl > most {
        return Err(GrantRefusal::Long { asked: ttl, most });
    }
    Ok(Terms {
        scope: wish.scope,
        ttl,
        max_uses: wish.max_uses,
    })
}

/// `ttl` without what is finer than a millisecond: what is signed must read back
/// from the database exactly as it was signed.
fn whole_millis(ttl: Duration) -> Duration {
    Duration::new(ttl.as_secs(), ttl.subsec_millis() * 1_000_000)
}

/// Where a grant stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It gives what it says.
    Active,
    /// Out of time or uses, or its session or process is over.
    Ended,
    /// Revoked; its host has not confirmed.
    Revoking,
    /// Revoked, and its host has confirmed.
    Revoked,
}

/// Something that happens to a grant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// Its time is up.
    TimeUp,
    /// Somebody revoked it.
    Revoked,
    /// Its host says that it gives nothing any more.
    HostEnded,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Active, Self::Ended, Self::Revoking, Self::Revoked];

    /// The state after `event`; none if the event changes nothing.
    pub const fn after(self, event: Event) -> Option<Self> {
        match (self, event) {
            (Self::Active, Event::HostEnded)
            // Time ends it on the host as well, whether or not the host heard of
            // a revocation.
            | (Self::Active | Self::Revoking, Event::TimeUp) => Some(Self::Ended),
            (Self::Active, Event::Revoked) => Some(Self::Revoking),
            (Self::Revoking, Event::HostEnded) => Some(Self::Revoked),
            (Self::Revoking, Event::Revoked) | (Self::Ended | Self::Revoked, _) => None,
        }
    }

    /// The state's name in the database and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
            Self::Revoking => "revoking",
            Self::Revoked => "revoked",
        }
    }
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 2] = [Self::Process, Self::Session];

    /// The scope's name in the database, on the command line and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Session => "session",
        }
    }
}

impl FromStr for State {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownName(text.to_owned(), "state of a grant"))
    }
}

impl FromStr for Scope {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownName(text.to_owned(), "scope"))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowance(scopes: &[Scope], max_ttl: Option<u64>) -> Allowance {
        Allowance {
            scopes: scopes.to_vec(),
            max_ttl: max_ttl.map(Duration::from_secs),
        }
    }

    const WISH: Wish = Wish {
        scope: Scope::Session,
        ttl: None,
        max_uses: 0,
    };

    #[test]
    fn a_reviewer_who_names_no_time_gives_little() {
        let ttl = |max_ttl| {
            within(Verdict::Approve, WISH, &allowance(&Scope::ALL, max_ttl))
                .unwrap()
                .ttl
                .as_secs()
        };
        assert_eq!(ttl(None), 600);
        assert_eq!(ttl(Some(60)), 60);
        assert_eq!(ttl(Some(86_400)), 600);
    }

    #[test]
    fn a_life_is_whole_milliseconds_and_that_is_what_must_be_long_enough() {
        let ttl = |micros| {
            let wish = Wish {
                ttl: Some(Duration::from_micros(micros)),
                ..WISH
            };
            within(Verdict::Approve, wish, &allowance(&Scope::ALL, None)).map(|terms| terms.ttl)
        };
        assert_eq!(ttl(1_000_500), Ok(Duration::from_secs(1)));
        assert_eq!(ttl(1_001_999), Ok(Duration::from_millis(1001)));
        assert_eq!(ttl(999_999), Err(GrantRefusal::Short));
        let odd = Allowance {
            max_ttl: Some(Duration::from_micros(2_000_700)),
            ..allowance(&Scope::ALL, None)
        };
        let terms = within(Verdict::Approve, WISH, &odd).unwrap();
        assert_eq!(
            terms.ttl,
            Duration::from_secs(2),
            "also if the rule's is odd"
        );
    }

    #[test]
    fn each_obstacle_is_named() {
        let once = within(Verdict::Approve, WISH, &allowance(&[], None)).unwrap_err();
        assert_eq!(
            once.to_string(),
            "the rule that asked does not allow an approval for the whole session; it allows: once"
        );
        let denied = within(Verdict::Deny, WISH, &allowance(&Scope::ALL, None)).unwrap_err();
        assert_eq!(denied, GrantRefusal::NotApproved(Verdict::Deny));
        let long = Wish {
            ttl: Some(TTL_MAX_DEFAULT + Duration::from_secs(1)),
            ..WISH
        };
        let long = within(Verdict::Approve, long, &allowance(&Scope::ALL, None)).unwrap_err();
        assert!(long.to_string().contains("give at most 3600 s"), "{long}");
    }

    proptest! {
        /// Whatever is wished for, no more is given than the rule allows.
        #[test]
        fn never_wider_than_the_rule(
            verdict in prop::sample::select(Verdict::ALL.to_vec()),
            scope in prop::sample::select(Scope::ALL.to_vec()),
            scopes in prop::sample::subsequence(Scope::ALL.to_vec(), 0..=2),
            ttl in prop::option::of(0_u64..10_000_000_000),
            max_ttl in prop::option::of(0_u64..10_000),
            max_uses: u32,
        ) {
            let wish = Wish { scope, ttl: ttl.map(Duration::from_micros), max_uses };
            let allowance = allowance(&scopes, max_ttl);
            if let Ok(terms) = within(verdict, wish, &allowance) {
                prop_assert_eq!(verdict, Verdict::Approve);
                prop_assert!(scopes.contains(&terms.scope));
                prop_assert!(terms.ttl <= Duration::from_secs(max_ttl.unwrap_or(3600)));
                prop_assert!(terms.ttl >= TTL_MIN);
                prop_assert_eq!(terms.ttl.subsec_nanos() % 1_000_000, 0, "as it is stored");
                prop_assert_eq!((terms.scope, terms.max_uses), (scope, max_uses));
            }
        }

        #[test]
        fn a_grant_never_comes_back(
            events in prop::collection::vec(
                prop::sample::select(vec![Event::TimeUp, Event::Revoked, Event::HostEnded]), 0..8,
            ),
        ) {
            let mut state = State::Active;
            for event in &events {
                if let Some(next) = state.after(*event) {
                    prop_assert_ne!(next, State::Active);
                    prop_assert!(!matches!(state, State::Ended | State::Revoked));
                    state = next;
                }
            }
            prop_assert_eq!(state == State::Active, events.is_empty());
            // Only a host's word ends a revocation.
            if state == State::Revoked {
                prop_assert!(events.contains(&Event::HostEnded));
            }
        }
    }

    #[test]
    fn names_read_back() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
    }
}
