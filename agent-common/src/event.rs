//! What the gate tells the daemon as it happens. A hint, never the only record:
//! a lost event loses no hold.

use crate::{OperationKey, TaskKey, plain};

/// A raw value from the kernel side that this version does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownValue {
    /// What was read.
    pub what: &'static str,
    /// Its value.
    pub value: u32,
}

impl core::fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "unknown {} {} from the kernel side",
            self.what, self.value
        )
    }
}

impl core::error::Error for UnknownValue {}

/// One record of the ring buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// [`EventKind`].
    pub kind: u32,
    /// [`Cause`], 0 unless refused.
    pub cause: u32,
    /// The task.
    pub task: TaskKey,
    /// Its session.
    pub session: u64,
    /// Boot time, nanoseconds.
    pub at_ns: u64,
    /// [`crate::Pending::held_ns`] of the hold it belongs to, 0 if none.
    pub held_ns: u64,
    /// The operation, zero where there is none.
    pub operation: OperationKey,
}

/// What happened.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventKind {
    /// A new operation waits in the pending map.
    Held = 1,
    /// A ticket was used: the operation goes on.
    Released = 2,
    /// An operation was refused; see [`Cause`].
    Refused = 3,
    /// A held operation ended without using an answer: the call was interrupted
    /// and failed on its own, or the program gave it up.
    Abandoned = 4,
}

impl TryFrom<u32> for EventKind {
    type Error = UnknownValue;

    fn try_from(value: u32) -> Result<Self, UnknownValue> {
        match value {
            1 => Ok(Self::Held),
            2 => Ok(Self::Released),
            3 => Ok(Self::Refused),
            4 => Ok(Self::Abandoned),
            _ => Err(UnknownValue {
                what: "event kind",
                value,
            }),
        }
    }
}

/// Why the gate refused.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// A ticket said so.
    Ticket = 1,
    /// A cached verdict said so.
    Cached = 2,
    /// The session is cut.
    Cut = 3,
    /// No room in the pending map.
    PendingFull = 4,
    /// The task could not be stopped.
    NotStoppable = 5,
    /// The call cannot be restarted (`io_uring`, a kernel thread, an unknown entry).
    NotRestartable = 6,
    /// The address is too short or of a family that is not gated yet.
    Address = 7,
    /// The executable's path is longer than [`crate::PATH_CAPACITY`].
    PathTooLong = 8,
    /// A kernel structure could not be read.
    Unreadable = 9,
    /// The arguments that would have run are not the ones that were approved.
    ArgumentsChanged = 10,
    /// A child could not get its label, so it was not born.
    NoLabel = 11,
    /// The interpreter of a script is a script itself, or the script's path is
    /// longer than [`crate::SCRIPT_PATH`]: its arguments could not be shown.
    Script = 12,
    /// The operation is a [`crate::Route`] that the session has no permit for.
    Barred = 13,
    /// The file has no name any more, or never had one: memfd, unlinked.
    Unlinked = 14,
    /// The file's content is made up by another process as it is read.
    Fuse = 15,
}

impl TryFrom<u32> for Cause {
    type Error = UnknownValue;

    fn try_from(value: u32) -> Result<Self, UnknownValue> {
        Ok(match value {
            1 => Self::Ticket,
            2 => Self::Cached,
            3 => Self::Cut,
            4 => Self::PendingFull,
            5 => Self::NotStoppable,
            6 => Self::NotRestartable,
            7 => Self::Address,
            8 => Self::PathTooLong,
            9 => Self::Unreadable,
            10 => Self::ArgumentsChanged,
            11 => Self::NoLabel,
            12 => Self::Script,
            13 => Self::Barred,
            14 => Self::Unlinked,
            15 => Self::Fuse,
            _ => {
                return Err(UnknownValue {
                    what: "cause",
                    value,
                });
            }
        })
    }
}

const _: () = assert!(size_of::<Event>() == 8 + 16 + 24 + 56);

plain!(Event);
