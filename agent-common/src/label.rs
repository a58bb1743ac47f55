//! What the gate keeps with each tracked task, in task storage.

use crate::{OperationKey, TaskKey, pending::ArgumentsMac, plain};

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
    /// Address of the `struct sock` of a connect, otherwise 0: an interrupted
    /// connect may come back on its own socket and on no other.
    pub socket: u64,
    /// [`crate::Pending::held_ns`] of the hold it was let through by, until it is
    /// known whether it happened; 0 once that was told.
    pub untold_ns: u64,
}

/// Bytes of a file the kernel looks at to tell what it is (`BINPRM_BUF_SIZE`).
pub const SCRIPT_LINE: usize = 256;

/// Longest path a script can be called by, with its NUL. A longer one is refused.
pub const SCRIPT_PATH: usize = 512;

/// What a script adds to the arguments of its interpreter. All zeros if the exec
/// under way is of no script.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// The beginning of the file, `#!` included.
    pub line: [u8; SCRIPT_LINE],
    /// The path it was called by, NUL-padded.
    pub path: [u8; SCRIPT_PATH],
}

impl Script {
    /// No script.
    pub const NONE: Self = Self {
        line: [0; SCRIPT_LINE],
        path: [0; SCRIPT_PATH],
    };
}

/// The session label of one task. Present on every thread of a tracked tree,
/// inherited in `task_alloc` without what was admitted to the parent.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Key into the sessions map, never 0.
    pub session: u64,
    /// `LABEL_*`.
    pub flags: u32,
    /// Routes that are open to the session: [`crate::Route::bit`].
    pub permits: u32,
    /// Two slots: a script and its interpreter pass in one execve.
    pub admitted: [Admitted; 2],
    /// Who was let through: a thread that is not its group's first takes that
    /// one's place, and its name, when it executes.
    pub known_as: TaskKey,
    /// What the arguments of the exec under way must be; `present` 0 if any.
    pub arguments: ArgumentsMac,
    /// The script whose exec is under way.
    pub script: Script,
}

impl Label {
    /// The label of a task of `session`.
    pub const fn new(session: u64, flags: u32, permits: u32) -> Self {
        const EMPTY: Admitted = Admitted {
            operation: OperationKey {
                kind: 0,
                padding: 0,
                subject: [0; 5],
                script: 0,
            },
            until_ns: 0,
            socket: 0,
            untold_ns: 0,
        };
        Self {
            session,
            flags,
            permits,
            admitted: [EMPTY; 2],
            known_as: TaskKey {
                tid: 0,
                tgid: 0,
                start_ns: 0,
            },
            arguments: ArgumentsMac {
                present: 0,
                first_len: 0,
                rest_len: 0,
                padding: 0,
                first: 0,
                rest: 0,
            },
            script: Script::NONE,
        }
    }
}

const _: () = assert!(size_of::<Admitted>() == 80);
const _: () = assert!(
    size_of::<Label>() == 16 + 2 * 80 + 16 + size_of::<ArgumentsMac>() + SCRIPT_LINE + SCRIPT_PATH
);

plain!(Admitted, Script, Label);
