//! Holdpoint in a guest: all of it, or only `holdpointd` as a host of an approver
//! elsewhere. It runs until the guest ends.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result};

use super::{host::AGENT, ports::Port};
use crate::{
    stack::{Approver, Daemon, Echo, Ports, joined, private_folder},
    vm::SOCKET_IN_GUESTS,
};

/// Where root's contexts are.
const CONTEXTS: &str = "/root/.config/holdpoint";
const FOLDER: &str = "/run/holdpoint-vm";
/// Those that an approver has unless told otherwise.
const PORTS: Ports = Ports {
    listen: 7443,
    web: 7444,
};

/// Starts an approver and a daemon, enrolled and enforcing.
pub(crate) fn start_all(bin_dir: &Path, policy: &Path, logs: &Port) -> Result<()> {
    let folder = Path::new(FOLDER);
    let approver = Approver::configure(bin_dir, folder, Path::new(CONTEXTS), PORTS, "localhost")?;
    approver.add_people()?;
    let serving = approver.serve(&folder.join("approver.log"), Some(echo(logs)))?;
    let token = folder.join("token");
    fs::write(&token, approver.token()?).context("cannot write the token")?;
    // Passwords are slow to check, and slower still under emulation.
    // The daemon is started here because it ends with the thread that did so.
    thread::scope(|scope| {
        let people = scope.spawn(|| approver.log_in_people());
        start_daemon(bin_dir, policy, &token, logs)?;
        joined(people)
    })?;
    serving.detach();
    Ok(())
}

/// Starts a daemon, enrolled with the token and enforcing.
pub(crate) fn start_daemon(bin_dir: &Path, policy: &Path, token: &Path, logs: &Port) -> Result<()> {
    let folder = Path::new(FOLDER);
    let daemon = Daemon::configure(
        bin_dir,
        folder,
        Path::new(SOCKET_IN_GUESTS),
        &[AGENT, "root"],
        &own_copy(policy, folder)?,
    )?;
    daemon.enrol(token)?;
    let mut running = daemon.run(&folder.join("holdpointd.log"), Some(echo(logs)))?;
    daemon.wait_until_up(&mut running)?;
    running.detach();
    Ok(())
}

/// The policy where nobody but root can change it.
fn own_copy(policy: &Path, folder: &Path) -> Result<PathBuf> {
    let copy = folder.join("policy.toml");
    private_folder(folder)?;
    fs::copy(policy, &copy)
        .with_context(|| format!("cannot copy the policy {}", policy.display()))?;
    Ok(copy)
}

fn echo(logs: &Port) -> Echo {
    Box::new(logs.clone())
}
