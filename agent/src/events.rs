//! What happened on this host, told to the approver so that nothing is lost
//! silently: a pure [`recorder`] makes events of what the daemon does, a
//! [`spool`] keeps them on disk until they are acknowledged, the [`publisher`]
//! sends them.
//!
//! Events are evidence, never a condition: whatever fails here delays no hold
//! and opens no gate. What could not be kept is declared by a gap in its place.

pub mod journal;
pub mod publisher;
pub mod recorder;
pub mod spool;
