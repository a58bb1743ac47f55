//! The program as people meet it, against a fake approver (real gRPC over real
//! TLS) and a fake daemon (a real unix socket), on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests: what goes wrong is best seen where it happens"
)]

mod approver;
mod audit;
mod control;
mod log;
mod program;
mod reviews;
