//! Evidence: a Merkle log in C2SP tlog-tiles form, and its verifier.
//!
//! Owns hashes, tiles, checkpoints and proofs. Pure: whoever calls brings the
//! bytes and keeps them. Never trusts what it verifies for its own bounds:
//! sizes and indices come out of a parser or a signed checkpoint, and nothing
//! is allocated by a number that was only claimed.
//!
//! A record becomes an [`entry`], entries become leaves of the [`tree`], the
//! tree is kept as [`tiles`] under [`path`]s and signed as a [`checkpoint`],
//! which is a signed [`note`]. A [`proof`] ties one record, or an earlier
//! checkpoint, to a later one; [`audit`] goes over a whole log and says what is
//! wrong and where; [`completeness`] says what never got into it.

pub mod audit;
pub mod checkpoint;
pub mod completeness;
pub mod entry;
pub mod hash;
pub mod note;
pub mod path;
pub mod proof;
pub mod tiles;
pub mod tlog_proof;
pub mod tree;

pub use checkpoint::Checkpoint;
pub use hash::Hash;
pub use note::{SigningKey, VerifierKey};
pub use path::Resource;
pub use tree::Frontier;
