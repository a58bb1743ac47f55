//! `status`: how the daemon of this host is doing.

use std::path::Path;

use holdpoint_proto::control::{Answer, Call};

use crate::{control, failure::Failure, output::Output, render};

/// Prints the status; fails if the host is not enforcing.
pub(crate) fn status(socket: &Path, output: &mut Output) -> Result<(), Failure> {
    let Answer::Status(status) = control::call(socket, &Call::Status)? else {
        return Err(control::unexpected(socket).into());
    };
    if output.json {
        output.json(&status)?;
    } else {
        output.text(&render::status::status(&status))?;
    }
    if status.enforcing {
        Ok(())
    } else {
        Err(Failure::NotEnforcing)
    }
}
