//! History: event records as OCSF, kept as Parquet, queried in place.
//!
//! Owns the shape of a record and every way to ask for one. Never decides what
//! is recorded, and never changes a record once it is written.

pub mod audit;
pub mod ocsf;
pub mod query;
