//! What the gate keeps with each tracked task, in task storage.

use crate::{OperationKey, pending::ArgumentsMac, plain};

/// Every operation of the session is refused: it was ended, or it is a canary.
pub const LABEL_CUT: u32 = 1;

/// The task has a hold that was not answered yet, or whose ticket was not used.
pub const LABEL_HELD: u32 = 2;

/// An operation whose ticket was used and whose system call has not ended yet.
/// The hook may see it again (a restarted blocking connect, the interpreter
/// after its script) and must not ask again.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Admitted {
    /// What was admitted; kind 0 is an empty slot.
    pub operation: OperationKey,
    /// Boot time, nanoseconds, after which the slot no longer counts. A second
    /// line of defence: the end of the system call empties it.
    pub until_ns: u64,
}

/// The session label of one task. Present on every thread of a tracked tree,
/// inherited in `task_alloc` without what was admitted to the parent.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Label {
    /// Key into the sessions map, never 0.
    pub session: u64,
    /// `LABEL_*`.
    pub flags: u32,
    /// Zero.
    pub padding: u32,
    /// Two slots: a script and its interpreter pass in one execve.
    pub admitted: [Admitted; 2],
    /// What the arguments of the exec under way must be; `present` 0 if any.
    pub arguments: ArgumentsMac,
}

const _: () = assert!(size_of::<Admitted>() == 56);
const _: () = assert!(size_of::<Label>() == 16 + 2 * 56 + size_of::<ArgumentsMac>());

plain!(Admitted, Label);
