//! What the dashboard's tests play before: a real approver, and a host whose
//! kernel is simulated. Commands come on stdin, one JSON object a line, and each
//! is answered by one on stdout; it ends with its stdin.

use std::{collections::HashMap, io::Write as _};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use holdpoint_agent::kernel::{
    SessionId,
    simulated::{Fate, Surroundings},
};
use holdpoint_tests::{
    approver::Approver,
    host::{Attempted, Host},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the host's sessions may do.
const POLICY: &str = include_str!("../../policies/dashboard.toml");

/// What a test asks for.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
enum Command {
    /// A process with these variables tries to run `argv`, all in base64.
    Exec {
        argv: Vec<String>,
        environment: Vec<String>,
    },
    /// A process tries to connect by TCP.
    Connect { address: String, port: u16 },
    /// Waits for what becomes of a process's attempt.
    Fate { process: u32 },
    /// A process exits.
    Exit { process: u32 },
    /// The session ends, and the next attempt begins another.
    NewSession,
    /// The approver stops.
    StopApprover,
    /// It starts again.
    StartApprover,
}

struct Stage {
    approver: Approver,
    host: Host,
    session: SessionId,
    attempts: HashMap<u32, Attempted>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let approver = Approver::start().await;
    let mut host = Host::enrol(&approver, POLICY).await;
    host.start();
    host.wait_for_link(true).await;
    let mut stage = Stage {
        session: host.session("demo"),
        approver,
        host,
        attempts: HashMap::new(),
    };
    answer(&json!({ "address": stage.approver.web_address() }))?;
    // This thread may wait: approver and host run on the runtime's others.
    for line in std::io::stdin().lines() {
        let line = line?;
        let command = serde_json::from_str(&line).with_context(|| format!("{line:?}"))?;
        answer(&stage.play(command).await?)?;
    }
    Ok(())
}

impl Stage {
    async fn play(&mut self, command: Command) -> Result<Value> {
        Ok(match command {
            Command::Exec { argv, environment } => {
                let (argv, environment) = (decoded(&argv)?, decoded(&environment)?);
                let attempted = if environment.is_empty() {
                    let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
                    self.host.exec_in(self.session, &argv)
                } else {
                    self.exec_with(&argv, environment)?
                };
                self.attempted(attempted)
            }
            Command::Connect { address, port } => self.attempted(self.host.connect(&address, port)),
            Command::Fate { process } => {
                let fate = self.attempt(process)?.fate().await;
                json!({ "fate": match fate {
                    Fate::Passed => "passed",
                    Fate::Refused => "refused",
                    Fate::Died => "died",
                } })
            }
            Command::Exit { process } => {
                let task = self.attempt(process)?.task;
                self.host.gate.exit(task);
                json!({})
            }
            Command::NewSession => {
                self.session = self.host.session("demo");
                json!({})
            }
            Command::StopApprover => {
                self.approver.stop().await;
                json!({})
            }
            Command::StartApprover => {
                self.approver.start_again().await;
                self.host.wait_for_link(true).await;
                json!({ "address": self.approver.web_address() })
            }
        })
    }

    /// A process with `environment` tries to run `argv`, which must be text.
    fn exec_with(&self, argv: &[Vec<u8>], environment: Vec<Vec<u8>>) -> Result<Attempted> {
        let argv: Vec<&str> = argv
            .iter()
            .map(|argument| std::str::from_utf8(argument))
            .collect::<Result<_, _>>()?;
        let surroundings = Surroundings {
            environment,
            ..Surroundings::default()
        };
        let task = self.host.gate.spawn(self.session);
        Ok(self.host.exec_by(task, self.session, &argv, &surroundings))
    }

    fn attempted(&mut self, attempted: Attempted) -> Value {
        let process = attempted.task.tgid;
        self.attempts.insert(process, attempted);
        json!({ "process": process })
    }

    fn attempt(&mut self, process: u32) -> Result<Attempted> {
        let Some(attempt) = self.attempts.remove(&process) else {
            bail!("process {process} attempts nothing");
        };
        Ok(attempt)
    }
}

fn decoded(texts: &[String]) -> Result<Vec<Vec<u8>>> {
    texts
        .iter()
        .map(|text| STANDARD.decode(text).with_context(|| format!("{text:?}")))
        .collect()
}

fn answer(value: &Value) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{value}")?;
    stdout.flush()?;
    Ok(())
}
