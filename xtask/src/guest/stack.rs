//! A whole Holdpoint in one guest: an approver with two reviewers and an owner,
//! and `holdpointd`, enrolled and enforcing. It uses the programs exactly as a
//! person would.

use std::{
    fs::{self, DirBuilder, File},
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use super::ports::Port;
use crate::process::text;

/// Where root's contexts are.
const CONTEXTS: &str = "/root/.config/holdpoint";
const FOLDER: &str = "/run/holdpoint-vm";
const ADDRESS: &str = "https://localhost:7443";
const REVIEWERS: [&str; 3] = ["reviewer1", "reviewer2", "owner"];
const LIMIT: Duration = Duration::from_mins(1);

/// Starts everything and waits until it enforces.
pub(crate) fn start(bin_dir: &Path, policy: &Path, logs: &Port) -> Result<()> {
    let stack = Stack {
        bin_dir,
        folder: Path::new(FOLDER),
        logs,
    };
    stack.write_files(policy)?;
    // The first call makes the approver's database; the others find it.
    stack.add_reviewer(REVIEWERS[0])?;
    at_once(&REVIEWERS[1..], |name| stack.add_reviewer(name))?;
    let mut approver = stack.spawn("approver", stack.approver().arg("serve"))?;
    wait_for_approver(&mut approver).map_err(|error| stack.with_logs(&error))?;
    // Passwords are slow to check, and slower still under emulation.
    let daemon = thread::scope(|scope| {
        let daemon = scope.spawn(|| {
            stack.enrol()?;
            stack.spawn("holdpointd", stack.daemon().arg("run"))
        });
        at_once(&REVIEWERS, |name| stack.log_in(name))?;
        joined(daemon)
    });
    let mut daemon = daemon.map_err(|error| stack.with_logs(&error))?;
    stack
        .wait_for_enforcement(&mut daemon)
        .map_err(|error| stack.with_logs(&error))
}

struct Stack<'a> {
    bin_dir: &'a Path,
    folder: &'a Path,
    logs: &'a Port,
}

impl Stack<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn program(&self, name: &str) -> Command {
        let mut program = Command::new(self.bin_dir.join(name));
        program
            .env("HOME", "/root")
            .env("NO_COLOR", "1")
            .env("HOLDPOINT_CONFIG_DIR", CONTEXTS);
        program
    }

    fn approver(&self) -> Command {
        let mut approver = self.program("holdpoint-approver");
        approver.arg("--config").arg(self.path("approver.toml"));
        approver
    }

    fn daemon(&self) -> Command {
        let mut daemon = self.program("holdpointd");
        daemon.arg("--config").arg(self.path("holdpointd.toml"));
        daemon
    }

    fn write_files(&self, policy: &Path) -> Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        fs::copy(policy, self.path("policy.toml"))
            .with_context(|| format!("cannot copy the policy {}", policy.display()))?;
        let folder = self.folder.display();
        self.write(
            "approver.toml",
            &format!(
                "listen = \"127.0.0.1:7443\"\naddress = \"{ADDRESS}\"\n\
                 state_dir = \"{folder}/approver\"\n"
            ),
        )?;
        self.write(
            "holdpointd.toml",
            &format!(
                "state_dir = \"{folder}/holdpointd\"\n\n\
                 [profiles.demo]\nowner = \"owner\"\nusers = [\"agent\", \"root\"]\n\
                 policy = \"{folder}/policy.toml\"\n"
            ),
        )
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.path(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }

    fn password(&self, name: &str) -> PathBuf {
        self.path(&format!("password-{name}"))
    }

    fn add_reviewer(&self, name: &str) -> Result<()> {
        self.write(
            &format!("password-{name}"),
            &format!("password of {name}\n"),
        )?;
        text(
            self.approver()
                .args(["user", "add", name, "--role", "reviewer", "--password-file"])
                .arg(self.password(name)),
        )
        .map(drop)
    }

    fn log_in(&self, name: &str) -> Result<()> {
        text(
            self.program("holdpoint")
                .args(["--context", name, "login", "--approver", ADDRESS, "--ca"])
                .arg(self.path("approver/ca.pem"))
                .args(["--user", name, "--password-file"])
                .arg(self.password(name)),
        )
        .map(drop)
    }

    fn enrol(&self) -> Result<()> {
        let token = text(self.approver().args(["token", "create"]))?;
        self.write("token", &token)?;
        text(
            self.daemon()
                .args(["enrol", "--token-file"])
                .arg(self.path("token")),
        )
        .map(drop)
    }

    /// Starts a program in the background, its output kept in a file and sent
    /// to the other side, each line with the program's name.
    fn spawn(&self, name: &'static str, command: &mut Command) -> Result<Child> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let lines = child.stderr.take().context("the child has no stderr")?;
        let mut file = File::create(self.log_file(name))?;
        let port = self.logs.clone();
        thread::spawn(move || {
            for line in BufReader::new(lines).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                // Logs are best effort: the command's own output is not here.
                let _ = writeln!(file, "{line}");
                let _ = (&port).write_all(format!("{name}: {line}\n").as_bytes());
            }
        });
        Ok(child)
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.log"))
    }

    fn wait_for_enforcement(&self, daemon: &mut Child) -> Result<()> {
        until(daemon, "holdpointd", || {
            let status = text(self.program("holdpoint").args(["status", "--json"]))?;
            let status: Value = serde_json::from_str(&status)
                .with_context(|| format!("`holdpoint status --json` says {status:?}"))?;
            if is_up(&status) {
                Ok(())
            } else {
                Err(anyhow!("`holdpoint status` says {status}"))
            }
        })
    }

    fn with_logs(&self, error: &anyhow::Error) -> anyhow::Error {
        let log = |name| fs::read_to_string(self.log_file(name)).unwrap_or_default();
        anyhow!(
            "{error:#}\n--- log of the approver\n{}--- log of holdpointd\n{}",
            log("approver"),
            log("holdpointd")
        )
    }
}

/// Does it for all names at the same time.
fn at_once(names: &[&str], work: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(move || work(name)))
            .collect();
        running.into_iter().try_for_each(joined)
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .map_err(|_| anyhow!("a thread of this program panicked"))?
}

fn wait_for_approver(approver: &mut Child) -> Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], 7443));
    until(approver, "the approver", || {
        TcpStream::connect_timeout(&address, Duration::from_secs(1))
            .map(drop)
            .context("the approver does not listen")
    })
}

/// Whether the daemon enforces and has its approver.
fn is_up(status: &Value) -> bool {
    status["enforcing"] == true && status["approver"]["connected"] == true
}

/// Tries until it works, the program ends or the time is up.
fn until(program: &mut Child, name: &str, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let Err(error) = attempt() else {
            return Ok(());
        };
        if let Some(status) = program.try_wait()? {
            // Its last words are still on their way into the log.
            thread::sleep(Duration::from_millis(200));
            bail!("{name} ended: {status}");
        }
        if Instant::now() > deadline {
            return Err(error.context(format!("{name} was not up after {LIMIT:?}")));
        }
        thread::sleep(Duration::from_millis(100));
    }
}
