//! Evidence: a Merkle log in C2SP tlog-tiles form, and its verifier.
//!
//! Owns hashes, tiles, checkpoints and proofs. Pure: whoever calls brings the
//! bytes and keeps them. Never trusts what it verifies for its own bounds.
