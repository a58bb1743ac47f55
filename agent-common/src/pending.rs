//! The gate's maps: operations that wait, the tickets that answer them, verdicts
//! the kernel may give alone, sessions, and shared settings.

use crate::{OperationKey, TaskKey, event::UnknownValue, label::Script, plain};

/// Longest path of an executable that can be held, with its NUL. A longer one is
/// refused: a reviewer must see all of it.
pub const PATH_CAPACITY: usize = 1024;

/// [`Pending::flags`]: the system call came through the 32-bit entry.
pub const PENDING_COMPAT: u32 = 1;

/// [`Pending::flags`]: the file is the interpreter of another one.
pub const PENDING_INTERPRETER: u32 = 2;

/// A held operation. Written by the hook, read by the daemon; it is the truth
/// about what waits, events only hint at it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// Boot time of the first stop, nanoseconds. With the task it names the hold.
    /// 0 while the hook still fills the record: not to be read yet. First field
    /// and last written, so that a copy that has it has the rest.
    pub held_ns: u64,
    /// The exact operation.
    pub operation: OperationKey,
    /// Session of the task.
    pub session: u64,
    /// User memory: argument and environment pointers of an exec, else 0.
    pub argv: u64,
    /// See `argv`.
    pub envp: u64,
    /// How often the hook judged this operation (stray SIGCONTs).
    pub evaluations: u64,
    /// Real user and group id.
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
    /// `PENDING_*`.
    pub flags: u32,
    /// Bytes of `path` without its NUL.
    pub path_len: u32,
    /// Path of the executable as its mount namespace names it. For a local socket the
    /// name it is bound to: a path, or with a NUL before it one of the abstract kind.
    pub path: [u8; PATH_CAPACITY],
    /// For the interpreter of a script.
    pub script: Script,
}

/// What a ticket says.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Go on.
    Release = 1,
    /// Refuse with `EPERM`.
    Refuse = 2,
    /// Kill the process.
    Kill = 3,
}

impl TryFrom<u32> for Answer {
    type Error = UnknownValue;

    fn try_from(value: u32) -> Result<Self, UnknownValue> {
        match value {
            1 => Ok(Self::Release),
            2 => Ok(Self::Refuse),
            3 => Ok(Self::Kill),
            _ => Err(UnknownValue {
                what: "answer",
                value,
            }),
        }
    }
}

/// Keyed hashes of the arguments and the environment of an exec: what was shown
/// must be what runs. SipHash-2-4 under the key in [`Control`], which no tracked
/// task can read, over the strings with their NULs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ArgumentsMac {
    /// 1 if there is something to compare.
    pub present: u32,
    /// Bytes of `argv[0]` with its NUL. A script's interpreter line replaces it.
    pub first_len: u32,
    /// Bytes of `argv[1..]` and the environment, each with its NUL.
    pub rest_len: u32,
    /// Zero.
    pub padding: u32,
    /// Over `argv[0]`.
    pub first: u64,
    /// Over `argv[1..]` and the environment.
    pub rest: u64,
}

/// Lets one exact operation of one task end, once.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    /// The operation, as the hook wrote it in [`Pending`].
    pub operation: OperationKey,
    /// [`Pending::held_ns`] of the hold it answers.
    pub held_ns: u64,
    /// Boot time, nanoseconds, after which it is void.
    pub until_ns: u64,
    /// [`Answer`].
    pub answer: u32,
    /// Zero.
    pub padding: u32,
    /// For an exec that is released.
    pub arguments: ArgumentsMac,
}

/// Key of a verdict the kernel may give without asking.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct VerdictKey {
    /// Session it was made for.
    pub session: u64,
    /// [`Control::epoch`] it was made under; another one is a miss.
    pub epoch: u64,
    /// The exact operation.
    pub operation: OperationKey,
}

/// A verdict the kernel may give without asking.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CachedVerdict {
    /// [`Answer`].
    pub answer: u32,
    /// Zero.
    pub padding: u32,
}

/// Text of bounded length.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionName {
    /// UTF-8, zero-padded.
    pub bytes: [u8; 64],
}

/// What the daemon must know of a session after its own restart. The programs
/// never read it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Session {
    /// Profile it runs under.
    pub profile: SessionName,
    /// Accountable person.
    pub owner: SessionName,
    /// Its first process.
    pub root: TaskKey,
    /// Local user that started it.
    pub uid: u32,
    /// Zero.
    pub padding: u32,
}

/// Settings shared with the programs, in a map of one element.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Control {
    /// Raised with every change of policy: cached verdicts of another are void.
    pub epoch: u64,
    /// Secret of this boot: key of [`ArgumentsMac`], seed of request ids.
    pub key: [u64; 2],
    /// Process id of the daemon, which no tracked task may touch; 0 if there is none.
    pub daemon_tgid: u32,
    /// Zero.
    pub padding: u32,
}

const _: () =
    assert!(size_of::<Pending>() == 56 + 5 * 8 + 4 * 4 + PATH_CAPACITY + size_of::<Script>());
const _: () = assert!(size_of::<ArgumentsMac>() == 32);
const _: () = assert!(size_of::<Ticket>() == 56 + 16 + 8 + 32);
const _: () = assert!(size_of::<VerdictKey>() == 72);
const _: () = assert!(size_of::<Session>() == 64 + 64 + 16 + 8);
const _: () = assert!(size_of::<Control>() == 32);

plain!(
    Pending,
    ArgumentsMac,
    Ticket,
    VerdictKey,
    CachedVerdict,
    Session,
    Control,
);

impl Pending {
    /// A record that is not ready.
    pub const EMPTY: Self = Self {
        held_ns: 0,
        operation: OperationKey {
            kind: 0,
            padding: 0,
            subject: [0; 5],
            script: 0,
        },
        session: 0,
        argv: 0,
        envp: 0,
        evaluations: 0,
        uid: 0,
        gid: 0,
        flags: 0,
        path_len: 0,
        path: [0; PATH_CAPACITY],
        script: Script::NONE,
    };

    /// The path without padding. Empty for an internet connect.
    pub fn path(&self) -> &[u8] {
        let len = (self.path_len as usize).min(PATH_CAPACITY);
        self.path.get(..len).unwrap_or_default()
    }
}

impl SessionName {
    /// Holds `text`, none if it is longer than 64 bytes.
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; 64];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        Some(Self { bytes })
    }

    /// The text, none if the bytes are no UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        let len = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(64);
        core::str::from_utf8(self.bytes.get(..len)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_up_to_64_bytes_come_back_and_longer_ones_are_refused() {
        for len in [0, 1, 63, 64] {
            let text = "x".repeat(len);
            assert_eq!(SessionName::new(&text).unwrap().as_str(), Some(&*text));
        }
        assert_eq!(SessionName::new(&"x".repeat(65)), None);
    }

    #[test]
    fn a_path_length_from_the_kernel_is_never_trusted() {
        let mut pending = Pending::EMPTY;
        pending.path_len = u32::MAX;
        assert_eq!(pending.path().len(), PATH_CAPACITY);
    }
}
