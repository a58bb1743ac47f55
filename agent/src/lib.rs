//! The host daemon: holds flagged operations of AI agents in the kernel and asks
//! the approver about them.
//!
//! Pure cores without I/O: [`policy`], [`holds`] and [`ruling`]. The [`kernel`]
//! port has two implementations, live and simulated. Everything else is the rim:
//! [`daemon`] ties them together, [`link`] talks to the approver, [`control`] to
//! local callers, `process` reads what a reviewer must see.

pub mod config;
pub mod control;
pub mod daemon;
pub mod enrol;
pub mod holds;
pub mod identity;
pub mod kernel;
pub mod link;
pub mod policy;
mod process;
pub mod ruling;
pub mod service;
