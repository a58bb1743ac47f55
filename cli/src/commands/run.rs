//! `run`: begin a session with this process as its root, then become the command.
//!
//! Must never fork, start a thread or a runtime: the daemon labels the process
//! that calls it, and that very process executes the command. Without a session
//! the command is not run.

use std::{
    io::{self, IsTerminal as _, Write as _},
    os::unix::process::CommandExt as _,
    process,
};

use holdpoint_proto::control::{Answer, Call, SessionInfo};

use crate::{
    args::Run,
    control::{self, ControlError},
    escape,
    failure::Failure,
};

/// Why the command did not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("the command was not run: {0}")]
    NoSession(#[from] ControlError),
    #[error("{command}: no such command")]
    NotFound { command: String },
    #[error("{command}: the host's policy or a reviewer refused it")]
    Refused { command: String },
    #[error("{command}: {source}")]
    NotExecutable { command: String, source: io::Error },
}

impl RunError {
    /// As shells and `env` have it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoSession(_) => 125,
            Self::Refused { .. } | Self::NotExecutable { .. } => 126,
            Self::NotFound { .. } => 127,
        }
    }
}

/// Returns only if the command could not be run.
pub(crate) fn run(run: &Run) -> Result<(), Failure> {
    let begin = Call::BeginSession {
        profile: run.profile.clone(),
    };
    let answer = control::call(&run.socket, &begin).map_err(RunError::NoSession)?;
    let Answer::SessionBegun(session) = answer else {
        return Err(RunError::NoSession(control::unexpected(&run.socket)).into());
    };
    announce(&session);
    // Replaces this process. The standard library also empties the signal mask
    // and puts SIGPIPE, which it ignored at start, back to its default.
    let Some((program, arguments)) = run.command.split_first() else {
        return Ok(());
    };
    let error = process::Command::new(program).args(arguments).exec();
    Err(not_run(escape::word(program.as_encoded_bytes()), error).into())
}

/// Tells a person at a terminal; elsewhere the command's output is all there is.
fn announce(session: &SessionInfo) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        let _ = writeln!(
            stderr,
            "holdpoint: session {}, profile {}, owner {}",
            escape::name(&session.id),
            escape::name(&session.profile),
            escape::name(&session.owner),
        );
    }
}

fn not_run(command: String, source: io::Error) -> RunError {
    const EPERM: i32 = rustix::io::Errno::PERM.raw_os_error();
    match source.raw_os_error() {
        Some(EPERM) => RunError::Refused { command },
        _ if source.kind() == io::ErrorKind::NotFound => RunError::NotFound { command },
        _ => RunError::NotExecutable { command, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_tells_what_happened() {
        let of = |errno| {
            let error = not_run("x".into(), io::Error::from_raw_os_error(errno));
            (error.exit_code(), error.to_string())
        };
        let (code, message) = of(1);
        assert_eq!(code, 126);
        assert!(
            message.contains("policy or a reviewer refused"),
            "{message}"
        );
        assert_eq!(of(2).0, 127);
        let (code, message) = of(13);
        assert_eq!(code, 126);
        assert!(message.contains("Permission denied"), "{message}");
        assert_eq!(of(8).0, 126);
    }
}
