//! The command line: one module for each group of subcommands.
//!
//! Data goes to the writer the caller gives (stdout), logs and errors to stderr.
//! Reads arguments, asks for passwords, prints; what is done is [`Admin`]'s and
//! [`Server`](crate::Server)'s.

mod config;
mod host;
mod password;
mod serve;
mod setup;
mod table;
mod token;
mod user;

use std::{io::Write, path::PathBuf};

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::{
    Admin, Config,
    config::{DEFAULT_PATH, LogFormat},
};

/// The approver of Holdpoint: asks people about operations that hosts hold, and
/// keeps what they decided.
#[derive(Debug, Parser)]
#[command(name = "holdpoint-approver", version)]
pub struct Cli {
    #[arg(long, value_name = "FILE", global = true, help = format!(
        "Configuration file [default: {}, if it exists]", DEFAULT_PATH
    ))]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up and start an approver on this machine: configuration, keys, first
    /// administrator, service. May be run again
    Setup(setup::Args),
    /// The part of setup that the service's own user does
    #[command(name = crate::setup::PREPARE, hide = true)]
    Prepare(setup::PrepareArgs),
    /// Run the service
    Serve,
    /// Enrolment tokens: each lets one host in, once
    #[command(subcommand)]
    Token(token::Command),
    /// People's accounts
    #[command(subcommand)]
    User(user::Command),
    /// Enrolled hosts
    #[command(subcommand)]
    Host(host::Command),
    /// The configuration file
    #[command(subcommand)]
    Config(config::Command),
    /// Write man pages and shell completions to a folder
    #[command(hide = true)]
    Manual {
        /// Where to
        folder: PathBuf,
    },
}

impl Cli {
    /// What the log is to look like. A configuration that can't be read is
    /// reported when it is needed.
    pub fn log_format(&self) -> LogFormat {
        match self.command {
            Command::Serve => Config::load(self.config.as_deref())
                .map(|config| config.log.format)
                .unwrap_or_default(),
            // For the person who typed the command.
            _ => LogFormat::Text,
        }
    }

    /// Does what the command line says.
    pub async fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let path = self.config.as_deref();
        let command = match self.command {
            Command::Manual { folder } => {
                return Ok(holdpoint_manual::write(&Self::command(), "8", &folder)?);
            }
            Command::Config(command) => return command.run(path, out),
            Command::Setup(args) => return args.run(path, out).await,
            Command::Prepare(args) => return args.run(&Config::load(path)?, out).await,
            Command::Serve => return serve::run(Config::load(path)?).await,
            Command::Token(_) | Command::User(_) | Command::Host(_) => self.command,
        };
        let config = Config::load(path)?;
        let admin = Admin::open(&config).await?;
        match command {
            Command::Config(_)
            | Command::Manual { .. }
            | Command::Prepare(_)
            | Command::Serve
            | Command::Setup(_) => {}
            Command::Token(command) => command.run(&admin, out).await?,
            Command::User(command) => command.run(&admin, out).await?,
            Command::Host(command) => command.run(&admin, out).await?,
        }
        admin.close().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
