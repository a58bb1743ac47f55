//! What each role may do, in one place.
//!
//! Edges ask for a capability and never for a role: a route or a method that
//! forgets to ask is found by looking for what does not name one.

use std::fmt;

use super::account::Role;

/// Something people do that not everybody may.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Capability {
    /// Look at requests, grants, flags, sessions, hosts, events.
    Read,
    /// Decide requests and revoke grants.
    Decide,
    /// Run SQL over the history.
    Query,
    /// Lift flags; manage people, hosts and enrolment.
    Administer,
}

/// The caller's role lacks a capability.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("your role is {role}, which may not {wanted}; ask an administrator for the role {}", wanted.least())]
pub struct Lacking {
    /// The caller's role.
    pub role: Role,
    /// What it lacks.
    pub wanted: Capability,
}

impl Capability {
    /// The least role that has it.
    pub const fn least(self) -> Role {
        match self {
            Self::Read => Role::Viewer,
            Self::Decide | Self::Query => Role::Reviewer,
            Self::Administer => Role::Administrator,
        }
    }
}

impl Role {
    /// Whether the role has `capability`.
    pub const fn may(self, capability: Capability) -> bool {
        match capability.least() {
            Self::Viewer => true,
            Self::Reviewer => self.may_decide(),
            Self::Administrator => matches!(self, Self::Administrator),
        }
    }

    /// An error unless the role has `capability`.
    pub const fn check(self, capability: Capability) -> Result<(), Lacking> {
        if self.may(capability) {
            Ok(())
        } else {
            Err(Lacking {
                role: self,
                wanted: capability,
            })
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Decide => "decide",
            Self::Query => "run SQL",
            Self::Administer => "administer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_one_before_it_may() {
        let all = [
            Capability::Read,
            Capability::Decide,
            Capability::Query,
            Capability::Administer,
        ];
        let count = |role: Role| all.iter().filter(|one| role.may(**one)).count();
        assert_eq!(Role::ALL.map(count), [1, 3, 4]);
        assert_eq!(
            Role::Viewer
                .check(Capability::Decide)
                .unwrap_err()
                .to_string(),
            "your role is viewer, which may not decide; ask an administrator for the role reviewer"
        );
        assert_eq!(Role::Administrator.check(Capability::Administer), Ok(()));
    }
}
