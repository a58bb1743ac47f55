//! On what terms a person is asked: how much harm the rule's author sees, and
//! what an approval may give beyond the operation that is held.
//!
//! Must never widen: where several rules ask, the stricter part of each counts.

use std::{collections::BTreeSet, time::Duration};

/// How much harm an operation may do. Ordered.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Risk {
    /// Routine.
    Low,
    /// Worth a look.
    Medium,
    /// Harm is likely if it is wrong.
    High,
    /// Harm that cannot be undone.
    Critical,
}

/// For whom an approval may be good again.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// The same process.
    Process,
    /// Any process of the same session.
    Session,
}

/// What a hold rule says beside that a person decides.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Terms {
    /// None if the policy does not say.
    pub risk: Option<Risk>,
    /// What an approval may give beside the held operation itself, which it
    /// always may. Empty: nothing.
    pub grants: BTreeSet<Scope>,
    /// Longest life of a grant; zero where nothing may be granted.
    pub max_ttl: Duration,
}

impl Terms {
    /// The terms where both rules ask: the higher risk, and only what both give.
    pub(super) fn and(&self, other: &Self) -> Self {
        let grants: BTreeSet<Scope> = self.grants.intersection(&other.grants).copied().collect();
        Self {
            risk: self.risk.max(other.risk),
            max_ttl: if grants.is_empty() {
                Duration::ZERO
            } else {
                self.max_ttl.min(other.max_ttl)
            },
            grants,
        }
    }
}
