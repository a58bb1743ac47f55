//! History: event records as OCSF, kept as Parquet, queried in place.
//!
//! Owns the shape of a record and every way to ask for one. Never decides what
//! is recorded, and never changes a record once it is written.

pub mod audit;
pub mod ocsf;
pub mod query;

mod columns;
mod error;
mod files;
mod filter;
mod store;

pub use columns::described as columns;
pub use error::HistoryError;
pub use store::{Answer, Bucket, Histogram, History, Page, Stretch, functions};

/// One record as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Its number in the log.
    pub log_index: u64,
    /// One OCSF object, byte for byte as the log covers it.
    pub json: Vec<u8>,
}
