//! `cargo xtask`: the front door for developers. It owns the order in which
//! things are fetched, built, checked and tested, and must never be needed by
//! the product itself.
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program for a terminal: progress goes to stderr, data to stdout"
)]

mod build;
mod bypasses;
mod codegen;
mod demo;
mod guest;
mod layout;
mod lint;
mod package;
mod process;
mod random;
mod scratch;
mod setup;
mod stack;
mod test;
mod vm;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use layout::Layout;

/// Builds, checks and tries out Holdpoint.
///
/// Every command fetches what it lacks by itself (see `setup`).
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Args),
    Build(build::Args),
    Codegen(codegen::Args),
    Lint(lint::Args),
    Bypasses(bypasses::Args),
    Package(package::Args),
    Test(test::Args),
    Demo(demo::Args),
    Vm(vm::Args),
    #[command(hide = true)]
    Guest(guest::Args),
    #[command(hide = true)]
    Stage(demo::stage::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Some(command) = cli.command else {
        Cli::command().print_help()?;
        return Ok(ExitCode::SUCCESS);
    };
    // These have no workspace to look for: they are told all they need.
    match command {
        Command::Guest(args) => return guest::main(&args),
        Command::Stage(args) => return demo::stage::main(&args),
        _ => {}
    }
    let layout = Layout::discover()?;
    match command {
        Command::Setup(args) => setup::main(&layout, &args),
        Command::Build(args) => build::main(&layout, &args),
        Command::Codegen(args) => codegen::main(&layout, &args),
        Command::Lint(args) => lint::main(&layout, &args),
        Command::Bypasses(args) => bypasses::main(&layout, &args),
        Command::Package(args) => package::main(&layout, &args),
        Command::Test(args) => test::main(&layout, &args),
        Command::Vm(args) => Ok(vm::main(&layout, args)),
        Command::Demo(args) => demo::main(&layout, &args),
        Command::Guest(_) | Command::Stage(_) => unreachable!("handled above"),
    }
}
