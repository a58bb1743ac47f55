//! What the gate keeps with each socket that a tracked task made, in socket storage.

use crate::plain;

/// Whose a socket is, and where it may send without another question. A socket
/// that an accepted connection makes inherits it from the one that listens.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SocketTag {
    /// Session of the task that made it, never 0.
    pub session: u64,
    /// [`crate::Control::epoch`] under which `peer` was let through.
    pub epoch: u64,
    /// The bytes of the [`crate::Peer`] or [`crate::LocalPeer`] it may send to; all
    /// zeros if none.
    pub peer: [u64; 5],
}

const _: () = assert!(size_of::<SocketTag>() == 56);

plain!(SocketTag);
