//! The port to the kernel: what the daemon needs of a gate, whoever provides it.
//!
//! Two implementations: [`live`] drives the eBPF programs, [`simulated`] plays a
//! kernel from a script, for tests and laptops. Raw values from the kernel side
//! are turned into the types here once, and nowhere else.

pub mod live;
mod observed;
pub mod simulated;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use holdpoint_agent_common as raw;
pub use holdpoint_agent_common::{ArgumentsMac, Cause, FileId, LocalPeer, Route, TaskKey};
use tokio::sync::mpsc;

pub use self::observed::{Losses, Observed, ObservedEnd, ObservedOperation};

/// Names one hold for as long as the machine is up: the thread, and when it was
/// first stopped.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HoldId {
    /// Thread id.
    pub tid: u32,
    /// Thread group id.
    pub tgid: u32,
    /// Start of the thread, nanoseconds since boot.
    pub start_ns: u64,
    /// First stop, nanoseconds since boot.
    pub held_ns: u64,
}

impl HoldId {
    /// The hold that `task` entered at `held_ns`.
    pub const fn new(task: TaskKey, held_ns: u64) -> Self {
        Self {
            tid: task.tid,
            tgid: task.tgid,
            start_ns: task.start_ns,
            held_ns,
        }
    }

    /// The thread that waits.
    pub const fn task(self) -> TaskKey {
        TaskKey {
            tid: self.tid,
            tgid: self.tgid,
            start_ns: self.start_ns,
        }
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.tgid, self.tid, self.held_ns)
    }
}

/// A session, by its random number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The session of the canary. No real session gets its number.
pub const CANARY_SESSION: SessionId = SessionId(1);

/// Where a connect goes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Destination {
    /// Canonical: never an IPv4-mapped or unspecified address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// IP protocol number of the socket.
    pub protocol: u16,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Interface of a link-local address, otherwise 0.
    pub scope_id: u32,
}

/// What a stopped task attempted, as the kernel saw it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attempted {
    /// Execution of a file.
    Exec {
        /// Which file.
        file: FileId,
        /// Its path in the task's mount namespace.
        path: Vec<u8>,
        /// Where its arguments are in the task's memory.
        memory: ExecMemory,
        /// What it is the interpreter of, if of anything.
        interprets: Option<Interpreted>,
    },
    /// A connection.
    Connect(Destination),
    /// A connection or a message to a local (unix) socket.
    Local {
        /// The socket that would answer.
        peer: LocalPeer,
        /// What it is bound to, as its owner wrote it: a path, or with a NUL before it
        /// a name of the abstract kind. Empty if to nothing.
        name: Vec<u8>,
    },
}

impl Attempted {
    /// Whether it is the second half of an exec: the interpreter of a script.
    pub const fn is_interpreter(&self) -> bool {
        matches!(
            self,
            Self::Exec {
                interprets: Some(_),
                ..
            }
        )
    }
}

/// The file that named an interpreter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Interpreted {
    /// A script.
    Script {
        /// Its first line without `#!` and line end.
        line: Vec<u8>,
        /// The path it was called by.
        path: Vec<u8>,
    },
    /// Something that was registered with `binfmt_misc`: what the interpreter's
    /// arguments will be cannot be told.
    Other,
}

/// Addresses in the memory of a task that is stopped in execve.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ExecMemory {
    /// Array of pointers to arguments, null-terminated.
    pub argv: u64,
    /// Array of pointers to environment strings, null-terminated.
    pub envp: u64,
    /// Pointers are 4 bytes wide, not 8.
    pub compat: bool,
}

/// An operation that waits in the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Held {
    /// Names the hold.
    pub id: HoldId,
    /// Session of the task.
    pub session: SessionId,
    /// What it attempted.
    pub attempted: Attempted,
    /// The operation as the kernel compares it; part of every ticket.
    pub operation: raw::OperationKey,
    /// Real user of the task.
    pub uid: u32,
    /// Real group of the task.
    pub gid: u32,
    /// How often the kernel judged it: grows while the task keeps trying.
    pub evaluations: u64,
}

/// What the gate tells as it happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GateEvent {
    /// The task waits; look it up with [`Gate::held`].
    Held(TaskKey),
    /// A ticket was used and the operation goes on.
    Released(HoldId),
    /// A ticket was used and the operation was refused.
    Refused(HoldId),
    /// A ticket was used, but the arguments were not those that were approved: the
    /// process was killed before its first instruction.
    Changed(HoldId),
    /// The operation ended without using an answer, or failed by itself after.
    Abandoned(HoldId),
    /// The kernel refused on its own, without a hold.
    RefusedAlone {
        /// The task.
        task: TaskKey,
        /// Its session.
        session: SessionId,
        /// Why.
        cause: Cause,
    },
}

/// How a hold ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// The operation goes on, if its arguments are these (exec only).
    Release(ArgumentsMac),
    /// The operation fails with `EPERM`.
    Refuse,
    /// The process is killed.
    Kill,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TaskState {
    /// Stopped by a signal: a hold keeps it, or somebody's SIGSTOP.
    Stopped,
    /// Anything else that is alive.
    Running,
    /// It exited, or its number belongs to another task now.
    Gone,
}

/// A verdict the kernel may give alone from now on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Settled {
    /// The operation passes.
    Allow,
    /// The operation fails with `EPERM`.
    Deny,
}

/// Routes that a profile opens to its sessions. All others are barred.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Permits(u32);

impl Permits {
    /// None.
    pub const NONE: Self = Self(0);

    /// Those of `self` and `route`.
    #[must_use]
    pub const fn with(self, route: Route) -> Self {
        Self(self.0 | route.bit())
    }

    /// As the kernel has them.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
}

/// A running session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// Profile it runs under.
    pub profile: String,
    /// Accountable person.
    pub owner: String,
    /// First process.
    pub root: TaskKey,
    /// Local user that started it.
    pub uid: u32,
}

/// What is known of a held operation beyond the kernel's record.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// The calling process.
    pub caller: ProcessFacts,
    /// Start of that process, nanoseconds since boot to the resolution of /proc:
    /// the same for all its threads.
    pub process_start_ns: u64,
    /// From its parent up to the root of the session.
    pub ancestry: Vec<ProcessFacts>,
    /// For an exec.
    pub exec: Option<ExecFacts>,
    /// For a connection within this host, as far as it is known.
    pub listener: Option<Listener>,
    /// For a local socket: its name is a path that leads to it on the host.
    pub name_is_hosts: bool,
}

/// The process that answers a connection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listener {
    /// Thread group id.
    pub pid: u32,
    /// Owner of the socket.
    pub uid: u32,
    /// Program it runs, empty if it cannot be told.
    pub executable: Vec<u8>,
    /// Whether the host's file of that path is that program.
    pub executable_is_hosts: bool,
}

/// One process of a tracked tree.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProcessFacts {
    /// Thread group id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Start, nanoseconds since boot (of the clock's resolution for ancestors).
    pub start_ns: u64,
    /// Real user.
    pub uid: u32,
    /// Real group.
    pub gid: u32,
    /// Program it runs, empty if it cannot be told.
    pub executable: Vec<u8>,
    /// Whether the host's file of that path is that program.
    pub executable_is_hosts: bool,
    /// Working directory.
    pub cwd: Vec<u8>,
    /// Arguments it was started with.
    pub argv: Vec<Vec<u8>>,
    /// There are more of them.
    pub argv_cut: bool,
}

/// What an exec would run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExecFacts {
    /// All arguments.
    pub argv: Vec<Vec<u8>>,
    /// SHA-256 of the environment strings, each with its NUL.
    pub environment_sha256: [u8; 32],
    /// Those of its variables that a reviewer sees.
    pub environment: Vec<Variable>,
    /// Keyed hashes for the ticket.
    pub arguments: ArgumentsMac,
    /// The host's file of that path is this file.
    pub path_is_hosts: bool,
    /// The file has no other name.
    pub single_link: bool,
}

/// A variable of the environment, for display.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: Vec<u8>,
    /// What it holds, shortened; none if that is a secret.
    pub value: Option<Vec<u8>>,
}

/// What a held exec would run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// SHA-256 of the whole content of the file the kernel judged.
    Read([u8; 32]),
    /// The file is too large, too slow, or of a kind whose content proves nothing.
    Unread,
    /// The path does not lead to that file (any more), or the file was written to.
    Elsewhere,
}

impl Content {
    /// The digest as the contract has it: empty if it is not known.
    pub fn sha256(self) -> Vec<u8> {
        match self {
            Self::Read(digest) => digest.to_vec(),
            Self::Unread | Self::Elsewhere => Vec::new(),
        }
    }
}

/// Why a held operation cannot be shown to anybody; it is then refused.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// The task is gone.
    #[error("the process is gone")]
    Gone,
    /// More than can be reviewed.
    #[error("arguments and environment are larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The calling program cannot be told, so no rule about it could be applied.
    #[error("cannot tell which program calls")]
    Caller,
    /// See [`Interpreted::Other`].
    #[error("cannot tell the arguments of an interpreter that binfmt_misc calls")]
    Interpreter,
    /// Its memory could not be read.
    #[error("cannot read the arguments at {address:#x}: {source}")]
    Memory {
        /// Address in the task.
        address: u64,
        /// Cause.
        source: std::io::Error,
    },
}

/// Why the gate could not do something.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The kernel or its parts do not fit.
    #[error("{0}")]
    Unsupported(String),
    /// A map could not be used.
    #[error("cannot {action} in map {map}: {source}")]
    Map {
        /// What was tried.
        action: &'static str,
        /// Which map.
        map: &'static str,
        /// Cause.
        source: aya::maps::MapError,
    },
    /// The object file was refused.
    #[error("cannot load the gate: {0}")]
    Load(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A system call failed.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: String,
        /// Cause.
        source: std::io::Error,
    },
}

/// A gate. Calls are quick (map operations and signals) but for
/// [`describe`](Gate::describe), [`caller`](Gate::caller) and
/// [`content`](Gate::content), which read another process and its files and may
/// block.
pub trait Gate: Send + Sync + 'static {
    /// The gate's events, once: a later call gives none. Events are hints and may
    /// be lost; [`all_held`](Gate::all_held) is the truth.
    fn events(&self) -> Option<mpsc::Receiver<GateEvent>>;

    /// Everything that waits now.
    fn all_held(&self) -> Result<Vec<Held>, GateError>;

    /// What `task` waits with.
    fn held(&self, task: TaskKey) -> Result<Option<Held>, GateError>;

    /// Reads what a reviewer must see. May block on the files of the task.
    fn describe(&self, held: &Held) -> Result<Facts, DescribeError>;

    /// The calling process of `held` as it is now. May block.
    fn caller(&self, held: &Held) -> Result<ProcessFacts, DescribeError>;

    /// Who answers the internet connect `held` as it is now, if that is on this host and
    /// known. May block.
    fn listener(&self, held: &Held) -> Option<Listener>;

    /// What `held` would run, read for at most about `patience`. May block for
    /// longer, on a filesystem that does not answer.
    fn content(&self, held: &Held, patience: Duration) -> Content;

    /// Writes a ticket that lives for `lifetime` and lets the task try again.
    fn answer(&self, held: &Held, answer: Answer, lifetime: Duration) -> Result<(), GateError>;

    /// Removes a hold whose task gave the operation up.
    fn forget(&self, id: HoldId) -> Result<(), GateError>;

    /// Lets the kernel answer operations like `held` in its session alone.
    fn remember(&self, held: &Held, settled: Settled) -> Result<(), GateError>;

    /// Voids everything remembered.
    fn policy_changed(&self) -> Result<(), GateError>;

    /// Makes process `pid` the root of a new session. `Err` leaves it untracked.
    fn begin_session(
        &self,
        pid: u32,
        profile: &str,
        owner: &str,
        uid: u32,
        permits: Permits,
    ) -> Result<Session, GateError>;

    /// The session of process `pid`, if it is tracked.
    fn session_of(&self, pid: u32) -> Result<Option<SessionId>, GateError>;

    /// All sessions, also those whose tree is gone.
    fn sessions(&self) -> Result<Vec<Session>, GateError>;

    /// Forgets the sessions that have no process left.
    fn sweep_sessions(&self) -> Result<(), GateError>;

    /// Whether process `pid` that started at `start_ns` (see
    /// [`Facts::process_start_ns`]) is there.
    fn process_lives(&self, pid: u32, start_ns: u64) -> bool;

    /// Where a task is.
    fn task_state(&self, task: TaskKey) -> TaskState;

    /// Nanoseconds since boot.
    fn now_ns(&self) -> u64;

    /// A secret of this boot, the same after a restart of the daemon.
    fn boot_secret(&self) -> [u64; 2];

    /// The operations it settles without a hold, once: a later call gives none.
    fn observations(&self) -> Option<mpsc::Receiver<Observed>>;

    /// How many of those of one session it is to tell of in a second.
    fn tell_at_most(&self, per_second: u32) -> Result<(), GateError>;

    /// What it could not tell, and nobody declared yet.
    fn losses(&self) -> Result<Losses, GateError>;

    /// `losses` are written down as lost, and are not to be told of again.
    fn declared(&self, losses: Losses) -> Result<(), GateError>;

    /// Proves that a known deny denies (invariant I9). `Err` says what did not.
    fn canary(&self) -> Result<(), String>;
}

impl Held {
    /// Reads the kernel's record. `None` if it is not complete yet or of a kind
    /// this version does not know.
    pub fn from_raw(task: TaskKey, pending: &raw::Pending) -> Option<Self> {
        if pending.held_ns == 0 {
            return None;
        }
        let attempted = match raw::OperationKind::try_from(pending.operation.kind).ok()? {
            raw::OperationKind::Exec => Attempted::Exec {
                file: pending.operation.file()?,
                path: pending.path().to_vec(),
                memory: ExecMemory {
                    argv: pending.argv,
                    envp: pending.envp,
                    compat: pending.flags & raw::PENDING_COMPAT != 0,
                },
                interprets: (pending.flags & raw::PENDING_INTERPRETER != 0)
                    .then(|| Interpreted::from_raw(&pending.script)),
            },
            raw::OperationKind::Connect => {
                Attempted::Connect(Destination::from_raw(&pending.operation.peer()?))
            }
            raw::OperationKind::Local => Attempted::Local {
                peer: pending.operation.local_peer()?,
                name: bound_name(pending.path()),
            },
            // Barred or not, never held.
            raw::OperationKind::Route => return None,
        };
        Some(Self {
            id: HoldId::new(task, pending.held_ns),
            session: SessionId(pending.session),
            attempted,
            operation: pending.operation,
            uid: pending.uid,
            gid: pending.gid,
            evaluations: pending.evaluations,
        })
    }
}

/// What a local socket is bound to. A path ends at its NUL, an abstract name where the
/// kernel says (`unix(7)`).
fn bound_name(raw: &[u8]) -> Vec<u8> {
    match raw {
        [0, ..] => raw.to_vec(),
        path => path
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default()
            .to_vec(),
    }
}

impl Interpreted {
    /// Reads the line as the kernel does (`load_script`, 6.1): up to the line's
    /// end or the end of what it looked at, blanks at both ends left out.
    fn from_raw(script: &raw::Script) -> Self {
        let upto = |bytes: &[u8], end: &[u8]| -> Vec<u8> {
            bytes
                .split(|byte| end.contains(byte))
                .next()
                .unwrap_or_default()
                .to_vec()
        };
        match script.line.strip_prefix(b"#!") {
            Some(line) => Self::Script {
                line: upto(line, b"\n\0").trim_ascii().to_vec(),
                path: upto(&script.path, b"\0"),
            },
            None => Self::Other,
        }
    }

    /// What the kernel puts before `argv[1..]` in the place of `argv[0]`: the
    /// interpreter as the line names it, the rest of the line as one argument,
    /// and the script's path. `None` if it cannot be told.
    pub fn arguments(&self) -> Option<Vec<Vec<u8>>> {
        let Self::Script { line, path } = self else {
            return None;
        };
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let name_end = line.iter().position(blank).unwrap_or(line.len());
        let (name, rest) = line.split_at(name_end);
        let mut words = vec![name.to_vec()];
        let rest = rest.trim_ascii();
        if !rest.is_empty() {
            words.push(rest.to_vec());
        }
        words.push(path.clone());
        Some(words)
    }
}

impl Destination {
    /// The kernel's peer as an address.
    fn from_raw(peer: &raw::Peer) -> Self {
        const AF_INET: u16 = 2;
        let [a, b, c, d, ..] = peer.address;
        Self {
            address: if peer.family == AF_INET {
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            } else {
                IpAddr::V6(Ipv6Addr::from(peer.address))
            },
            port: peer.port,
            protocol: peer.protocol,
            netns: peer.netns,
            scope_id: peer.scope_id,
        }
    }
}

impl GateEvent {
    /// Reads the kernel's event; the error names the value this version does not know.
    pub fn from_raw(event: &raw::Event) -> Result<Self, raw::UnknownValue> {
        let id = HoldId::new(event.task, event.held_ns);
        Ok(match raw::EventKind::try_from(event.kind)? {
            raw::EventKind::Held => Self::Held(event.task),
            raw::EventKind::Released => Self::Released(id),
            raw::EventKind::Abandoned => Self::Abandoned(id),
            raw::EventKind::Refused => match Cause::try_from(event.cause)? {
                Cause::Ticket => Self::Refused(id),
                Cause::ArgumentsChanged if event.held_ns != 0 => Self::Changed(id),
                cause => Self::RefusedAlone {
                    task: event.task,
                    session: SessionId(event.session),
                    cause,
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(line: &[u8], path: &[u8]) -> raw::Script {
        let mut script = raw::Script::NONE;
        script.line[..line.len()].copy_from_slice(line);
        script.path[..path.len()].copy_from_slice(path);
        script
    }

    #[test]
    fn an_interpreter_gets_the_words_of_the_line_and_the_scripts_path() {
        let cases: [(&[u8], &[&[u8]]); 4] = [
            (b"#!/bin/sh\necho", &[b"/bin/sh", b"./x"]),
            (
                b"#! /usr/bin/env -S  a b \t\n",
                &[b"/usr/bin/env", b"-S  a b", b"./x"],
            ),
            (
                b"#!/usr/bin/echo INJECTED\nreal",
                &[b"/usr/bin/echo", b"INJECTED", b"./x"],
            ),
            (b"#!/bin/sh", &[b"/bin/sh", b"./x"]),
        ];
        for (line, expected) in cases {
            let interpreted = Interpreted::from_raw(&script(line, b"./x"));
            assert_eq!(interpreted.arguments().unwrap(), expected);
        }
    }

    #[test]
    fn a_path_ends_at_its_nul_and_an_abstract_name_may_have_some() {
        assert_eq!(bound_name(b"/run/x\0"), b"/run/x");
        assert_eq!(bound_name(b"/run/x"), b"/run/x");
        assert_eq!(bound_name(b"\0a\0b"), b"\0a\0b");
        assert_eq!(bound_name(b""), b"");
    }

    #[test]
    fn the_arguments_of_another_interpreter_cannot_be_told() {
        assert_eq!(Interpreted::from_raw(&raw::Script::NONE).arguments(), None);
    }
}
