//! Types that cross the boundary between `holdpointd` and its eBPF programs.
//!
//! Owns memory layout and nothing else: every type is `repr(C)` with explicit
//! padding and a size assert, and no Rust enum or bool crosses the boundary
//! (a raw integer does, and user space checks it with `TryFrom`). Whoever
//! changes a type that lives in a pinned map changes [`ABI`] too: a daemon must
//! never read another version's maps.
#![cfg_attr(not(feature = "user"), no_std)]
#![expect(
    clippy::inline_always,
    reason = "the verifier follows inlined code better than calls"
)]

mod event;
mod label;
mod observation;
mod offsets;
mod operation;
mod pending;
mod route;
mod siphash;
mod socket;

pub use event::{Cause, Event, EventKind, UnknownValue};
pub use label::{Admitted, LABEL_CUT, LABEL_HELD, Label, SCRIPT_LINE, SCRIPT_PATH, Script};
pub use observation::{
    ExecObservation, LOST_RATE, LOST_ROOM, Observation, ObservationKind, TOLD_ARGUMENTS,
    TOLD_PER_SECOND, Telling, Told,
};
pub use offsets::Offsets;
pub use operation::{
    FileId, InodeKey, LEADS_TO_DAEMON, LEADS_TO_STARTUP, LocalPeer, OperationKey, OperationKind,
    PROTECTION, Peer, Protection, STARTUP_NAME, StartupKind, StartupName, TaskKey,
};
pub use pending::{
    Answer, ArgumentsMac, CachedVerdict, Control, PATH_CAPACITY, PENDING_COMPAT,
    PENDING_INTERPRETER, Pending, Session, SessionName, Ticket, VerdictKey,
};
pub use route::Route;
pub use siphash::SipHash;
pub use socket::SocketTag;

/// Version of everything that lives in pinned maps. Part of their path.
pub const ABI: u32 = 2;

/// Operations that can be held at once on a host. A full map denies.
pub const PENDING_CAPACITY: usize = 16_384;

/// Sessions that can run at once on a host.
pub const SESSION_CAPACITY: usize = 1_024;

/// Verdicts the kernel remembers. A full cache forgets the least recently used.
pub const CACHE_CAPACITY: usize = 16_384;

/// Files and folders that are kept from tracked tasks. A full map is an error at start.
pub const PROTECTED_CAPACITY: usize = 8_192;

/// Names of startup files.
pub const STARTUP_CAPACITY: usize = 128;

/// Names of the maps that outlive the daemon, as pinned.
pub const PINNED_MAPS: [&str; 15] = [
    "LABELS",
    "PENDING",
    "TICKETS",
    "VERDICTS",
    "SESSIONS",
    "CONTROL",
    "SOCKETS",
    "PROTECTED",
    "STARTUP",
    "EVENTS",
    "LOST",
    "OBSERVATIONS",
    "UNTOLD",
    "TOLD",
    "TELLING",
];

/// Marks a type as plain bytes for aya, on the user side only.
macro_rules! plain {
    ($($name:ty),+ $(,)?) => {
        $(
            #[cfg(feature = "user")]
            #[expect(unsafe_code, reason = "map values are bytes to the kernel")]
            // SAFETY: repr(C), only integers and arrays of integers, no implicit
            // padding (asserted by size beside the type), any bit pattern valid.
            unsafe impl aya::Pod for $name {}
        )+
    };
}
pub(crate) use plain;
