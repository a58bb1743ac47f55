//! Attack programs against the gate in a real kernel. What counts is what they
//! did or did not do, never what Holdpoint says about it. Each attack is let
//! loose outside a session first, and must win there: otherwise the test would
//! prove nothing.
//!
//! Runs as root in a throw-away guest: `cargo xtask test --only vm`. Elsewhere
//! every test is reported as ignored.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected ends"
)]

#[path = "vm/arguments.rs"]
mod arguments;
#[path = "vm/barred.rs"]
mod barred;
#[path = "vm/connect.rs"]
mod connect;
#[path = "vm/death.rs"]
mod death;
#[path = "vm/events.rs"]
mod events;
#[path = "vm/exec.rs"]
mod exec;
#[path = "vm/label.rs"]
mod label;
#[path = "vm/local.rs"]
mod local;
#[path = "vm/mechanism.rs"]
mod mechanism;
#[path = "vm/network.rs"]
mod network;
#[path = "vm/no_module.rs"]
mod no_module;
#[path = "vm/routes.rs"]
mod routes;
#[path = "vm/script.rs"]
mod script;
#[path = "vm/send.rs"]
mod send;
#[path = "vm/session.rs"]
mod session;
#[path = "vm/swap.rs"]
mod swap;
#[path = "vm/tracking.rs"]
mod tracking;
#[path = "vm/verifier.rs"]
mod verifier;
