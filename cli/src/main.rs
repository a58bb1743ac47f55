//! `holdpoint`: the command line for people. Starts sessions, lists and decides
//! requests, tells how a host is doing.
//!
//! Owns the order of things at start and the exit status. Starts no thread: of
//! `run`, the very process is handed to the daemon and then becomes the command.

mod args;
mod commands;
mod contexts;
mod control;
mod escape;
mod failure;
mod output;
mod render;
mod reviews;

use std::{io::Write as _, process::ExitCode};

use clap::{CommandFactory as _, Parser as _};

use self::{
    args::{Arguments, Command},
    commands::{account, audit, decide, events, grants, requests, run, status},
    failure::Failure,
    output::Output,
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut output = Output::stdout(arguments.json);
    match dispatch(arguments, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where even this can't be written, the exit status still tells.
            if let Some(message) = failure.message() {
                let _ = writeln!(std::io::stderr(), "holdpoint: {message}");
            }
            failure.exit_code()
        }
    }
}

fn dispatch(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let context = arguments.context;
    match arguments.command {
        Command::Login(login) => account::login(&context, &login, output),
        Command::Logout => account::logout(&context, output),
        Command::Whoami => account::whoami(&context, output),
        Command::Contexts => account::contexts(&context, output),
        Command::Requests { command } => requests::run(&context, command, output),
        Command::Approve(decision) => decide::approve(&context, &decision, output),
        Command::Deny(decision) => decide::deny(&context, &decision, output),
        Command::Flag(decision) => decide::flag(&context, &decision, output),
        Command::Grants { command } => grants::grants(&context, command, output),
        Command::Flags { command } => grants::flags(&context, command, output),
        Command::Events(events) => events::run(&context, &events, output),
        Command::Audit(command) => audit::run(&context, &command, output),
        Command::Run(run) => run::run(&run),
        Command::Status { socket } => status::status(&socket, output),
        Command::Manual { folder } => {
            holdpoint_manual::write(&Arguments::command(), "1", &folder).map_err(Failure::Manual)
        }
    }
}
