//! Contexts: which approver, which account, and the login to it, by name.
//!
//! Owns the shape of the file and the errors about it; [`store`] does the I/O.
//! Must never show a token.

pub(crate) mod store;

use std::{collections::BTreeMap, fmt, io, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// All contexts of a person on this machine.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// One approver and account.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// `https://host:port`.
    pub(crate) approver: String,
    pub(crate) username: String,
    /// The login; none after a logout.
    pub(crate) login: Option<Login>,
    /// The approver's CA certificate, PEM.
    pub(crate) ca: String,
}

/// Proof of a login.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    pub(crate) token: String,
    pub(crate) expires_at: Option<Timestamp>,
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Login")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Login {
    pub(crate) fn expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// Why contexts can't be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextsError {
    #[error(
        "don't know where to keep contexts: set HOME, XDG_CONFIG_HOME or HOLDPOINT_CONFIG_DIR to \
         an absolute path"
    )]
    NoDirectory,
    #[error("can't read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("can't write {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "{path} can be read or written by others (mode {mode:04o}) and may hold a login; run \
         `chmod 600 {path}`, and `holdpoint logout` if somebody may have read it",
        path = path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{path} is damaged: {message}; remove it and log in again", path = path.display())]
    Damaged { path: PathBuf, message: String },
    #[error("there is no context {name:?}; {known}; `{login}` makes one",
        login = login_command(name))]
    Unknown { name: String, known: String },
    #[error("context {name:?} is not logged in; run `{login}`", login = login_command(name))]
    LoggedOut { name: String },
}

/// What to type to log in again to the context `name`.
pub(crate) fn login_command(name: &str) -> String {
    if name == "default" {
        "holdpoint login".to_owned()
    } else {
        format!("holdpoint --context {name} login")
    }
}

impl Contexts {
    /// The context `name`.
    pub(crate) fn get(&self, name: &str) -> Result<&Context, ContextsError> {
        self.contexts.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            ContextsError::Unknown {
                name: name.to_owned(),
                known: if names.is_empty() {
                    "there are none yet".to_owned()
                } else {
                    format!("the contexts are {}", names.join(", "))
                },
            }
        })
    }
}
