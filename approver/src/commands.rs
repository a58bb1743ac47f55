//! The command line: one module for each group of subcommands.
//!
//! Data goes to the writer the caller gives (stdout), logs and errors to stderr.
//! Reads arguments, asks for passwords, prints; what is done is [`Admin`]'s and
//! [`Server`](crate::Server)'s.

mod host;
mod password;
mod serve;
mod table;
mod token;
mod user;

use std::{io::Write, path::PathBuf};

use clap::{Parser, Subcommand};

use crate::{Admin, Config, config};

/// The approver of Holdpoint: asks people about operations that hosts hold, and
/// keeps what they decided.
#[derive(Debug, Parser)]
#[command(name = "holdpoint-approver", version)]
pub struct Cli {
    #[arg(long, value_name = "FILE", global = true, help = format!(
        "Configuration file [default: {}, if it exists]", config::DEFAULT_PATH
    ))]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
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
}

impl Cli {
    /// Does what the command line says.
    pub async fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let config = Config::load(self.config.as_deref())?;
        let command = match self.command {
            Command::Serve => return serve::run(config).await,
            other => other,
        };
        let admin = Admin::open(&config).await?;
        match command {
            Command::Serve => {}
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
