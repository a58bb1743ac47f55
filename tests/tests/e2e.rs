//! The real approver, the real daemon and the real `holdpoint`, with a simulated
//! kernel between them: what happens to an operation from its attempt to its end.
//! Needs no root.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected ends"
)]

#[path = "e2e/approver_killed.rs"]
mod approver_killed;
#[path = "e2e/asked.rs"]
mod asked;
#[path = "e2e/bad_input.rs"]
mod bad_input;
#[path = "e2e/context.rs"]
mod context;
#[path = "e2e/daemon.rs"]
mod daemon;
#[path = "e2e/display.rs"]
mod display;
#[path = "e2e/events.rs"]
mod events;
#[path = "e2e/failures.rs"]
mod failures;
#[path = "e2e/falsified.rs"]
mod falsified;
#[path = "e2e/grants.rs"]
mod grants;
#[path = "e2e/killed.rs"]
mod killed;
#[path = "e2e/load.rs"]
mod load;
#[path = "e2e/manager.rs"]
mod manager;
#[path = "e2e/outcomes.rs"]
mod outcomes;
#[path = "e2e/reviewers.rs"]
mod reviewers;
