//! `holdpointd`: the host daemon.

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};
use holdpoint_agent::{config, kernel::live, service, unit, validate};

/// Holds flagged operations of AI agents in the kernel and asks the approver.
#[derive(Parser)]
#[command(name = "holdpointd", version)]
struct Arguments {
    /// Configuration file.
    #[arg(long, global = true, default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Attach the gate and serve until SIGTERM. Holds outlive the daemon.
    Run {
        /// Play the operations of this script instead of gating this machine.
        #[arg(long, value_name = "SCRIPT")]
        simulate: Option<PathBuf>,
    },
    /// Make this host known to an approver.
    Enrol {
        /// What `holdpoint-approver token create` printed.
        #[arg(required_unless_present = "token_file")]
        token: Option<String>,
        /// Read the token from this file (`-`: standard input).
        #[arg(long, conflicts_with = "token")]
        token_file: Option<PathBuf>,
        /// Then start the service, now and at every boot.
        #[arg(long)]
        start: bool,
    },
    /// Take the gate off this machine, as removing the package does. All
    /// sessions are ended first: none goes on ungated.
    RemoveGate,
    /// Write man pages and shell completions to a folder.
    #[command(hide = true)]
    Manual {
        /// Where to.
        folder: PathBuf,
    },
    /// Say what this host lacks to hold anything, and how to mend it, and which
    /// known ways around the gate are open on its kernel. Ends with 1 if something
    /// is lacking.
    Check {
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Look at the configuration without using it.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at policies without using them.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// The child of the gate's own proof; of no use to anybody else.
    #[command(hide = true)]
    Canary,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say what is wrong with a configuration and the policies it names. Ends with
    /// 1 if something is.
    Check {
        /// The file, if it is another than --config says.
        file: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Say what is wrong with policies, rules that do not do what their own
    /// examples say included. Ends with 1 if something is.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Canary => return live::canary_child(),
        Command::RemoveGate => service::remove_gate(),
        Command::Manual { folder } => {
            holdpoint_manual::write(&Arguments::command(), "8", &folder).map_err(Into::into)
        }
        Command::Check { json } => return exit(service::check(&arguments.config, json)),
        Command::Config(ConfigCommand::Check { file }) => {
            let path = file.unwrap_or(arguments.config);
            let (mut out, mut errors) = (std::io::stdout(), std::io::stderr());
            return exit(validate::config(&path, &mut out, &mut errors).map_err(Into::into));
        }
        Command::Policy(PolicyCommand::Check { files }) => {
            let (mut out, mut errors) = (std::io::stdout(), std::io::stderr());
            return exit(validate::policies(&files, &mut out, &mut errors).map_err(Into::into));
        }
        Command::Run { simulate } => service::run(&arguments.config, simulate.as_deref()),
        Command::Enrol {
            token,
            token_file,
            start,
        } => service::enrol(&arguments.config, token, token_file.as_deref()).and_then(|()| {
            if start {
                unit::start(&arguments.config)
            } else {
                Ok(())
            }
        }),
    };
    exit(result.map(|()| true))
}

/// Success if all is good.
fn exit(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            service::complain(&error);
            ExitCode::FAILURE
        }
    }
}
