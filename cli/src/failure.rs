//! Why a command failed, and the exit status that tells.

use std::{io, process::ExitCode};

use crate::{
    commands::{account::AccountError, audit::AuditError, decide::DecideError, run::RunError},
    contexts::ContextsError,
    control::ControlError,
    escape,
    reviews::ReviewsError,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Contexts(#[from] ContextsError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Decide(#[from] DecideError),
    #[error(transparent)]
    Manual(holdpoint_manual::ManualError),
    #[error(transparent)]
    Reviews(#[from] ReviewsError),
    #[error(transparent)]
    Run(#[from] RunError),
    /// `status` has said it; the exit status repeats it.
    #[error("the host is not enforcing")]
    NotEnforcing,
    #[error("can't write the output: {0}")]
    Output(io::Error),
    #[error("can't start: {0}")]
    Start(io::Error),
}

impl Failure {
    /// What to tell the person, nothing if that has happened. One line, safe for
    /// a terminal: errors quote what servers and files say.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::NotEnforcing | Self::Audit(AuditError::Unsound | AuditError::Incomplete) => None,
            // The reader has gone and wants no more, as in `... | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            other => Some(escape::sentence(&other.to_string())),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Audit(error) => ExitCode::from(error.exit_code()),
            Self::Run(error) => ExitCode::from(error.exit_code()),
            _ => ExitCode::FAILURE,
        }
    }
}
