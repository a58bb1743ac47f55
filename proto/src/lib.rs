//! The contract between Holdpoint's programs.
//!
//! Owns the gRPC messages and services ([`v1`]), the canonical request digest
//! ([`digest`]), the bytes a decision's signature covers ([`decision`]), the
//! enrolment token ([`token`]) and the local control protocol ([`control`]).
//! It holds no policy and does no I/O: host and approver share nothing but this.

pub mod control;
pub mod decision;
pub mod digest;
pub mod token;

/// Generated from `proto/holdpoint/v1/*.proto`; `cargo xtask codegen` renews it.
#[expect(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    clippy::allow_attributes_without_reason,
    reason = "generated code; the .proto files carry the documentation"
)]
#[rustfmt::skip]
#[path = "gen/holdpoint.v1.rs"]
pub mod v1;
