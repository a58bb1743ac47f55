//! The approver: asks people about held operations and keeps what they decided.
//!
//! [`domain`] holds the rules and knows nobody. `store` is SQL, `service` is
//! what the approver does, `grpc` and `http` are how hosts and people reach it:
//! each knows only those before it. [`Server`] runs the whole, [`Admin`] is what the
//! command line and tests do beside it, on the same files.
//!
//! Nothing in here lets an operation pass: the approver signs what a person
//! decided, and the host that held the operation checks that signature.

pub mod admin;
pub mod commands;
pub mod config;
pub mod domain;
pub mod logging;
pub mod setup;

mod ca;
mod connection;
mod error_chain;
mod grpc;
mod http;
mod live;
mod log;
mod metrics;
mod notify;
mod passwords;
mod random;
mod server;
mod service;
mod signer;
mod state_dir;
mod store;

pub use admin::{Admin, AdminError};
pub use ca::{AuthorityFileError, IssueError};
pub use config::{Config, ConfigError};
pub use error_chain::error_chain;
pub use http::TlsError;
pub use log::{FilesError, LogError};
pub use passwords::HashError;
pub use random::RandomError;
pub use server::{ServeError, Server, StartError};
pub use service::enrolment::TokenError;
pub use signer::SignerError;
pub use state_dir::StateDirError;
pub use store::StoreError;
