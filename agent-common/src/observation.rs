//! What the gate tells of operations it settled without a hold. In a ring buffer
//! of its own, so that no flood of them can push out what is told of holds.

use crate::{OperationKey, PATH_CAPACITY, TaskKey, event::UnknownValue, plain};

/// Bytes of an exec's arguments that are told.
pub const TOLD_ARGUMENTS: usize = 2048;

/// Such operations of one session that are told in a second, unless the daemon
/// says otherwise.
pub const TOLD_PER_SECOND: u32 = 500;

/// How an operation was settled.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ObservationKind {
    /// It went on. An exec has installed its new program.
    Allowed = 1,
    /// It was refused; see [`crate::Cause`].
    Refused = 2,
}

impl TryFrom<u32> for ObservationKind {
    type Error = UnknownValue;

    fn try_from(value: u32) -> Result<Self, UnknownValue> {
        match value {
            1 => Ok(Self::Allowed),
            2 => Ok(Self::Refused),
            _ => Err(UnknownValue {
                what: "observation",
                value,
            }),
        }
    }
}

/// A record of the ring buffer, or its head.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// [`ObservationKind`].
    pub kind: u32,
    /// [`crate::Cause`], 0 unless refused.
    pub cause: u32,
    /// The task.
    pub task: TaskKey,
    /// Its session.
    pub session: u64,
    /// Boot time, nanoseconds.
    pub at_ns: u64,
    /// Start of the task's parent, nanoseconds since boot.
    pub parent_start_ns: u64,
    /// The task's parent.
    pub parent_tgid: u32,
    /// Real user and group id.
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
    /// Number of arguments of an exec.
    pub argc: u32,
    /// Bytes of [`ExecObservation::path`] without its NUL.
    pub path_len: u32,
    /// Bytes of [`ExecObservation::strings`].
    pub strings_len: u32,
    /// The operation, zero where there is none.
    pub operation: OperationKey,
}

/// A record of an exec.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ExecObservation {
    /// What every record begins with.
    pub head: Observation,
    /// Path of the executable as its mount namespace names it.
    pub path: [u8; PATH_CAPACITY],
    /// The beginning of the strings on the new stack: arguments, each with its
    /// NUL, then environment.
    pub strings: [u8; TOLD_ARGUMENTS],
}

/// How much of a session was told in the present second.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// Boot time, seconds.
    pub second: u64,
    /// Operations in it.
    pub count: u64,
}

/// Counters of what could not be told, one for each processor: indexes.
pub const LOST_ROOM: u32 = 0;
/// Beyond what one session may have told in a second.
pub const LOST_RATE: u32 = 1;

/// What the daemon declared of the losses, and what it wants told. Kept in the
/// kernel so that a new daemon neither declares a loss twice nor forgets one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Telling {
    /// Declared of the lost events of holds.
    pub declared_holds: u64,
    /// Declared of [`LOST_ROOM`].
    pub declared_room: u64,
    /// Declared of [`LOST_RATE`].
    pub declared_rate: u64,
    /// Operations of one session that are told in a second.
    pub per_second: u64,
}

const _: () = assert!(size_of::<Observation>() == 8 + 16 + 24 + 24 + 56);
const _: () = assert!(
    size_of::<ExecObservation>() == size_of::<Observation>() + PATH_CAPACITY + TOLD_ARGUMENTS
);
const _: () = assert!(size_of::<Told>() == 16);
const _: () = assert!(size_of::<Telling>() == 32);

plain!(Told, Telling);
