//! `holdpointd`: the host daemon.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use holdpoint_agent::{config, kernel::live, service};

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
    },
    /// The child of the gate's own proof; of no use to anybody else.
    #[command(hide = true)]
    Canary,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Canary => return live::canary_child(),
        Command::Run { simulate } => service::run(&arguments.config, simulate.as_deref()),
        Command::Enrol { token, token_file } => {
            service::enrol(&arguments.config, token, token_file.as_deref())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            service::complain(&error);
            ExitCode::FAILURE
        }
    }
}
