//! The real server on a loopback port, with real clients over TLS: what a host
//! and a person see.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that meets the unexpected ends its test"
)]

#[path = "approver/decide.rs"]
mod decide;
#[path = "approver/enrol.rs"]
mod enrol;
#[path = "approver/events.rs"]
mod events;
#[path = "approver/flags.rs"]
mod flags;
#[path = "approver/grants.rs"]
mod grants;
#[path = "approver/keys.rs"]
mod keys;
#[path = "approver/killed.rs"]
mod killed;
#[path = "approver/kit.rs"]
mod kit;
#[path = "approver/lifecycle.rs"]
mod lifecycle;
#[path = "approver/log.rs"]
mod log;
#[path = "approver/login.rs"]
mod login;
#[path = "approver/requests.rs"]
mod requests;
#[path = "approver/review.rs"]
mod review;
#[path = "approver/web.rs"]
mod web;
