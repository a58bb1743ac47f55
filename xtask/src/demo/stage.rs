//! The demo's part on the host that is gated, in a guest or on this machine: two
//! servers, the agent in a session, and a view of what really happened. It obeys
//! lines on stdin and reports in lines on stdout; it must never judge.

mod agent;
mod server;

use std::{
    fs,
    io::{self, BufRead as _},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use nix::unistd::User;
use serde_json::json;

use agent::Agent;
use server::Server;

/// The port that the policy holds connections to.
pub(crate) const STAGING_PORT: u16 = 9000;
/// The account the agent tries to make.
const ACCOUNT: &str = "backdoor";

/// The gated side of `demo`; not for people
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Whom the agent runs as
    #[arg(long)]
    user: String,

    /// Where it works
    #[arg(long)]
    folder: PathBuf,

    /// The program `holdpoint`
    #[arg(long)]
    holdpoint: PathBuf,

    /// Control socket of the daemon
    #[arg(long)]
    socket: PathBuf,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let user = User::from_name(&args.user)
        .context("cannot look users up")?
        .with_context(|| format!("there is no user {}", args.user))?;
    fs::create_dir_all(&args.folder)
        .and_then(|()| {
            chown(
                &args.folder,
                Some(user.uid.as_raw()),
                Some(user.gid.as_raw()),
            )
        })
        .with_context(|| format!("cannot make {} for {}", args.folder.display(), user.name))?;
    let uploads = Server::start(0)?;
    let staging = Server::start(STAGING_PORT)?;
    let mut agent = Agent::start(args, &user, uploads.port())?;
    println!("ready");
    for line in io::stdin().lock().lines() {
        let line = line.context("cannot read what to do")?;
        match line.split_once(' ') {
            Some(("act", task)) => agent.act(task)?,
            None if line == "look" => println!("seen {}", look(&args.folder, &uploads, &staging)?),
            _ => bail!("asked for {line:?}, which makes no sense"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What has happened so far, as the host itself sees it.
fn look(folder: &Path, uploads: &Server, staging: &Server) -> Result<serde_json::Value> {
    let size = |name| fs::metadata(folder.join(name)).map(|file| file.len()).ok();
    let account = User::from_name(ACCOUNT).context("cannot look users up")?;
    Ok(json!({
        "uploads": uploads.traffic(),
        "staging": staging.traffic(),
        "archive": size("project.tar.gz"),
        "receipt": size("receipt.txt"),
        "account": account.is_some(),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
    }))
}
