//! An approver with two reviewers and an owner, and their logins.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{Echo, Service, at_once, private_folder, write};
use crate::{
    process::{mortal, text},
    random,
};

/// Who decides.
pub(crate) const REVIEWERS: [&str; 2] = ["reviewer1", "reviewer2"];
/// Who is accountable for the agent.
pub(crate) const OWNER: &str = "owner";
/// Everybody who has an account, with a context of the same name.
const PEOPLE: [&str; 3] = [REVIEWERS[0], REVIEWERS[1], OWNER];
/// Who manages accounts and hosts, where somebody wants to see that.
pub(crate) const ADMINISTRATOR: &str = "admin";

/// Where it listens on the loopback address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    /// For hosts and for `holdpoint`.
    pub(crate) listen: u16,
    /// For browsers.
    pub(crate) web: u16,
}

/// An approver and everything about it.
#[derive(Debug)]
pub(crate) struct Approver {
    bin_dir: PathBuf,
    folder: PathBuf,
    /// Where the people's contexts are.
    contexts: PathBuf,
    ports: Ports,
}

impl Approver {
    /// Writes its configuration to `folder`. It listens on the loopback address;
    /// hosts reach it at `address`.
    pub(crate) fn configure(
        bin_dir: &Path,
        folder: &Path,
        contexts: &Path,
        ports: Ports,
        address: &str,
    ) -> Result<Self> {
        private_folder(folder)?;
        let approver = Self {
            bin_dir: bin_dir.to_owned(),
            folder: folder.to_owned(),
            contexts: contexts.to_owned(),
            ports,
        };
        let Ports { listen, web } = ports;
        write(
            &approver.config(),
            &format!(
                "listen = \"127.0.0.1:{listen}\"\naddress = \"https://{address}:{listen}\"\n\
                 state_dir = {:?}\n\n[web]\nlisten = \"127.0.0.1:{web}\"\n",
                folder.join("approver").display().to_string(),
            ),
        )?;
        Ok(approver)
    }

    /// Adds everybody. The first call makes the database; the others find it.
    pub(crate) fn add_people(&self) -> Result<()> {
        self.add(PEOPLE[0], "reviewer")?;
        at_once(&PEOPLE[1..], |name| self.add(name, "reviewer"))
    }

    /// Adds [`ADMINISTRATOR`], who has no context.
    pub(crate) fn add_administrator(&self) -> Result<()> {
        self.add(ADMINISTRATOR, "administrator")
    }

    /// Starts it and waits until it listens.
    pub(crate) fn serve(&self, log: &Path, echo: Option<Echo>) -> Result<Service> {
        let mut command = mortal(self.bin_dir.join("holdpoint-approver"));
        command
            .env("NO_COLOR", "1")
            .arg("--config")
            .arg(self.config())
            .arg("serve");
        let mut service = Service::start("approver", &mut command, log, echo)?;
        for port in [self.ports.listen, self.ports.web] {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            service.until(|| {
                TcpStream::connect_timeout(&address, Duration::from_secs(1))
                    .map(drop)
                    .with_context(|| format!("the approver does not listen on {address}"))
            })?;
        }
        Ok(service)
    }

    /// Logs everybody in.
    pub(crate) fn log_in_people(&self) -> Result<()> {
        at_once(&PEOPLE, |name| self.log_in(name))
    }

    /// A token for one host.
    pub(crate) fn token(&self) -> Result<String> {
        text(self.admin().args(["token", "create"]))
    }

    /// `holdpoint` as one of the people, for a minute at most.
    pub(crate) fn holdpoint(&self, name: &str) -> Command {
        let mut holdpoint = Command::new("timeout");
        holdpoint
            .args(["--kill-after=5", "60"])
            .arg(self.bin_dir.join("holdpoint"))
            .env("NO_COLOR", "1")
            .env("HOLDPOINT_CONFIG_DIR", &self.contexts)
            .env("HOLDPOINT_STATE_DIR", self.folder.join("state"))
            .args(["--context", name]);
        holdpoint
    }

    /// Where its dashboard is, for programs and people of this machine.
    pub(crate) fn dashboard(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.web)
    }

    /// What signs its certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("approver/ca.pem")
    }

    /// A folder for one's own eyes.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn password(&self, name: &str) -> Result<String> {
        let file = self.password_file(name);
        let line =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(line.trim_end().to_owned())
    }

    fn config(&self) -> PathBuf {
        self.folder.join("approver.toml")
    }

    fn admin(&self) -> Command {
        let mut admin = Command::new(self.bin_dir.join("holdpoint-approver"));
        admin
            .env("NO_COLOR", "1")
            .arg("--config")
            .arg(self.config());
        admin
    }

    fn password_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("password-{name}"))
    }

    fn add(&self, name: &str, role: &str) -> Result<()> {
        let file = self.password_file(name);
        write(&file, &format!("{}\n", random::word()?))?;
        text(
            self.admin()
                .args(["user", "add", name, "--role", role, "--password-file"])
                .arg(file),
        )
        .map(drop)
    }

    fn log_in(&self, name: &str) -> Result<()> {
        text(
            self.holdpoint(name)
                .args(["login", "--approver"])
                .arg(format!("https://127.0.0.1:{}", self.ports.listen))
                .arg("--ca")
                .arg(self.authority())
                .args(["--user", name, "--password-file"])
                .arg(self.password_file(name)),
        )
        .map(drop)
    }
}
