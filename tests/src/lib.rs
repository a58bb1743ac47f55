//! What the end-to-end and the real-kernel tests are built from.
//!
//! A harness, not a library: whatever is not as it should be ends the test that
//! uses it. It uses the product only through what its programs and crates offer
//! to everybody, and must never reach around them.
#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a helper that meets the unexpected ends its test"
)]

pub mod approver;
pub mod guest;
pub mod host;
pub mod logs;
pub mod patience;
pub mod people;
pub mod programs;
pub mod reviewer;
pub mod wire;
pub mod world;
