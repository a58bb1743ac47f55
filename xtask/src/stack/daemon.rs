//! `holdpointd`, enrolled and enforcing.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;

use super::{Echo, OWNER, Service, private_folder, write};
use crate::process::{mortal, text};

/// A host daemon and everything about it.
#[derive(Debug)]
pub(crate) struct Daemon {
    bin_dir: PathBuf,
    folder: PathBuf,
    socket: PathBuf,
}

impl Daemon {
    /// Writes its configuration to `folder`: one profile, `demo`, whose sessions
    /// these users may start. The policy is read from where it is.
    pub(crate) fn configure(
        bin_dir: &Path,
        folder: &Path,
        socket: &Path,
        users: &[&str],
        policy: &Path,
    ) -> Result<Self> {
        private_folder(folder)?;
        let daemon = Self {
            bin_dir: bin_dir.to_owned(),
            folder: folder.to_owned(),
            socket: socket.to_owned(),
        };
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        write(
            &daemon.config(),
            &format!(
                "state_dir = {}\ncontrol_socket = {}\n\n\
                 [profiles.demo]\nowner = \"{OWNER}\"\nusers = {users:?}\npolicy = {}\n",
                quoted(&folder.join("holdpointd")),
                quoted(socket),
                quoted(policy),
            ),
        )?;
        Ok(daemon)
    }

    /// Enrols this host with the approver that made the token.
    pub(crate) fn enrol(&self, token: &Path) -> Result<()> {
        text(
            Command::new(self.program())
                .env("NO_COLOR", "1")
                .arg("--config")
                .arg(self.config())
                .args(["enrol", "--token-file"])
                .arg(token),
        )
        .map(drop)
    }

    /// Starts it.
    pub(crate) fn run(&self, log: &Path, echo: Option<Echo>) -> Result<Service> {
        let mut command = mortal(self.program());
        command
            .env("NO_COLOR", "1")
            .arg("--config")
            .arg(self.config())
            .arg("run");
        Service::start("holdpointd", &mut command, log, echo)
    }

    /// Waits until it enforces and has its approver.
    pub(crate) fn wait_until_up(&self, service: &mut Service) -> Result<()> {
        service.until(|| {
            let status = text(
                Command::new(self.bin_dir.join("holdpoint"))
                    .args(["status", "--json", "--socket"])
                    .arg(&self.socket),
            )?;
            let status: Value = serde_json::from_str(&status)
                .with_context(|| format!("`holdpoint status --json` says {status:?}"))?;
            if is_up(&status) {
                Ok(())
            } else {
                Err(anyhow!("`holdpoint status` says {status}"))
            }
        })
    }

    fn program(&self) -> PathBuf {
        self.bin_dir.join("holdpointd")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("holdpointd.toml")
    }
}

fn is_up(status: &Value) -> bool {
    status["enforcing"] == true && status["approver"]["connected"] == true
}
