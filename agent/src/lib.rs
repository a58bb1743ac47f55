//! The host daemon: holds flagged operations of AI agents in the kernel and asks
//! the approver about them.
//!
//! Pure cores without I/O: [`policy`], [`holds`], [`grants`] and [`ruling`]. The [`kernel`]
//! port has two implementations, live and simulated. Everything else is the rim:
//! [`daemon`] ties them together, [`link`] talks to the approver, [`control`] to
//! local callers, [`notify`] to the service manager, `process` reads what a reviewer
//! must see, [`events`] keeps what happened and sends it, [`metrics`] counts. [`check`]
//! and [`validate`] look at a host and its files without a daemon.

pub mod check;
pub mod config;
pub mod control;
pub mod daemon;
pub mod enrol;
pub mod events;
pub mod grants;
pub mod holds;
pub mod identity;
pub mod kernel;
pub mod link;
pub mod metrics;
pub mod notify;
pub mod policy;
mod process;
pub mod ruling;
pub mod service;
pub mod unit;
pub mod validate;
