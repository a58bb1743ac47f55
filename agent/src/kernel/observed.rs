//! Operations that the gate settled without a hold: what it tells of them, as
//! the daemon sees it.
//!
//! Unlike a hold, such an operation is over when it is told, and may be told of
//! or not: [`Losses`] counts those that were not.

use holdpoint_agent_common::{self as raw, Cause, Route, TaskKey};

use super::{Destination, FileId, LocalPeer, SessionId};

/// An operation that was settled without a hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Observed {
    /// The thread that attempted it.
    pub task: TaskKey,
    /// Process id and start of its parent.
    pub parent: (u32, u64),
    /// Session of the task.
    pub session: SessionId,
    /// Boot time, nanoseconds.
    pub at_ns: u64,
    /// Real user of the task.
    pub uid: u32,
    /// Real group of the task.
    pub gid: u32,
    /// Program that attempted it, empty if it cannot be told. Looked up after
    /// the fact: for people, not for judging.
    pub executable: Vec<u8>,
    /// What.
    pub operation: ObservedOperation,
    /// How it was settled.
    pub settled: ObservedEnd,
}

/// What was attempted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ObservedOperation {
    /// Execution of a file.
    Exec {
        /// Which.
        file: FileId,
        /// Its path in the task's mount namespace; empty if it could not be told.
        path: Vec<u8>,
        /// Its arguments, as they lie on the new program's stack; none if it was
        /// refused.
        argv: Vec<Vec<u8>>,
        /// There are more arguments, or more of the last.
        argv_cut: bool,
    },
    /// A connection, or a send that names a destination.
    Connect(Destination),
    /// A connection or a message to a local socket, whose name is not told.
    Local(LocalPeer),
    /// A route that is barred.
    Route {
        /// Which.
        route: Route,
        /// What the gate knows of the attempt; what each number is depends on the
        /// route.
        about: [u64; 3],
    },
    /// The gate could not tell.
    Unknown,
}

/// How an operation was settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ObservedEnd {
    /// It went on.
    Allowed,
    /// It was refused.
    Refused(Cause),
}

/// How much the gate could not tell, since the daemon last declared it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Losses {
    /// Events of holds. The holds themselves are found by looking.
    pub holds: u64,
    /// Operations settled without a hold, for want of room.
    pub room: u64,
    /// Operations settled without a hold, beyond what a session may have told.
    pub rate: u64,
    /// What it told, of either kind, and this version does not understand.
    pub unread: u64,
}

impl Losses {
    /// Nothing was lost.
    pub const NONE: Self = Self {
        holds: 0,
        room: 0,
        rate: 0,
        unread: 0,
    };

    /// All of `self` and of `more`.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self {
            holds: self.holds.saturating_add(more.holds),
            room: self.room.saturating_add(more.room),
            rate: self.rate.saturating_add(more.rate),
            unread: self.unread.saturating_add(more.unread),
        }
    }

    /// What of `self` is not in `declared`.
    #[must_use]
    pub const fn beyond(self, declared: Self) -> Self {
        Self {
            holds: self.holds.saturating_sub(declared.holds),
            room: self.room.saturating_sub(declared.room),
            rate: self.rate.saturating_sub(declared.rate),
            unread: self.unread.saturating_sub(declared.unread),
        }
    }
}

impl Observed {
    /// Reads the kernel's record. `path` and `strings` are what follows the head
    /// of an exec. The error names the value this version does not know.
    pub fn from_raw(
        head: &raw::Observation,
        path: &[u8],
        strings: &[u8],
    ) -> Result<Self, raw::UnknownValue> {
        let settled = match raw::ObservationKind::try_from(head.kind)? {
            raw::ObservationKind::Allowed => ObservedEnd::Allowed,
            raw::ObservationKind::Refused => ObservedEnd::Refused(Cause::try_from(head.cause)?),
        };
        let operation = if let Some(file) = head.operation.file() {
            let (argv, cut) = arguments(strings, head.argc);
            // Those of a refused one never got onto a stack.
            let argv_cut = cut || settled != ObservedEnd::Allowed;
            ObservedOperation::Exec {
                file,
                path: path.to_vec(),
                argv,
                argv_cut,
            }
        } else if let Some(peer) = head.operation.peer() {
            ObservedOperation::Connect(Destination::from_raw(&peer))
        } else if let Some(peer) = head.operation.local_peer() {
            ObservedOperation::Local(peer)
        } else if let Some((route, about)) = head.operation.attempted_route() {
            ObservedOperation::Route {
                route: Route::try_from(route)?,
                about,
            }
        } else {
            ObservedOperation::Unknown
        };
        Ok(Self {
            task: head.task,
            parent: (head.parent_tgid, head.parent_start_ns),
            session: SessionId(head.session),
            at_ns: head.at_ns,
            uid: head.uid,
            gid: head.gid,
            executable: Vec::new(),
            operation,
            settled,
        })
    }
}

/// The first `count` strings of `bytes`, which may end in the middle of one and
/// go on behind them: with the environment, which is nobody's business.
fn arguments(bytes: &[u8], count: u32) -> (Vec<Vec<u8>>, bool) {
    let count = count as usize;
    let mut argv = Vec::new();
    let mut rest = bytes;
    while argv.len() < count {
        let Some(end) = rest.iter().position(|byte| *byte == 0) else {
            if !rest.is_empty() {
                argv.push(rest.to_vec());
            }
            return (argv, true);
        };
        let (text, behind) = rest.split_at(end);
        argv.push(text.to_vec());
        rest = behind.get(1..).unwrap_or_default();
    }
    (argv, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_end_before_the_environment() {
        let words = |text: &[&str]| -> Vec<Vec<u8>> {
            text.iter().map(|word| word.as_bytes().to_vec()).collect()
        };
        let bytes = b"sh\0-c\0\0SECRET=1\0";
        assert_eq!(arguments(bytes, 3), (words(&["sh", "-c", ""]), false));
        assert_eq!(arguments(bytes, 0), (vec![], false));
        assert_eq!(arguments(b"sh\0-c", 2), (words(&["sh", "-c"]), true));
        assert_eq!(arguments(b"sh\0", 2), (words(&["sh"]), true));
        assert_eq!(arguments(b"", 1), (vec![], true));
    }

    #[test]
    fn what_was_declared_is_not_lost_again() {
        let all = Losses {
            holds: 3,
            room: 5,
            rate: 0,
            unread: 2,
        };
        let declared = Losses {
            holds: 3,
            room: 1,
            rate: 9,
            unread: 1,
        };
        let left = Losses {
            room: 4,
            unread: 1,
            ..Losses::NONE
        };
        assert_eq!(all.beyond(declared), left);
    }
}
