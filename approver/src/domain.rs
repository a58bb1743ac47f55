//! The rules: what states a request passes through, who may decide it, what a
//! role allows, what an account name and a secret look like.
//!
//! Pure. Nothing here reads a clock, a file, a random source or a database: time
//! and bytes come in as arguments, so that every rule can be tested alone. It
//! must never know an edge (gRPC, SQL, the command line).

pub mod account;
pub mod audit;
pub mod capability;
pub mod decide;
pub mod grant;
pub mod request;
pub mod secret;
pub mod spool;
pub mod throttle;
pub mod time;
