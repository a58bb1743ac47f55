//! The agent: a shell script in a session of Holdpoint, as an unprivileged user.
//! Everything it started ends with this value.

use std::{
    fs,
    io::{BufRead as _, BufReader, PipeReader, Write as _, pipe},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Pid, User},
};

use super::{Args, STAGING_PORT};

const SCRIPT: &str = include_str!("../agent.sh");
/// How the script says that a task has ended.
const RECORD_SEPARATOR: u8 = 0x1e;

pub(super) struct Agent {
    child: Child,
    tasks: ChildStdin,
}

impl Agent {
    /// Starts it; what it says goes to stdout.
    pub(super) fn start(args: &Args, user: &User, upload_port: u16) -> Result<Self> {
        let script = args.folder.join("agent.sh");
        fs::write(&script, SCRIPT).with_context(|| format!("cannot write {}", script.display()))?;
        let (reader, writer) = pipe().context("cannot make a pipe")?;
        let mut child = Command::new(&args.holdpoint)
            .args(["run", "--profile", "demo", "--socket"])
            .arg(&args.socket)
            .args(["--", "sh"])
            .arg(&script)
            .env_clear()
            // Each program once: a shell that is refused one looks for the next.
            .env("PATH", "/usr/bin:/usr/sbin")
            .env("HOME", &args.folder)
            .env("LANG", "C.UTF-8")
            .env(
                "UPLOAD_URL",
                format!("http://127.0.0.1:{upload_port}/project.tar.gz"),
            )
            .env("STAGING_PORT", STAGING_PORT.to_string())
            .current_dir(&args.folder)
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().context("cannot share a pipe")?)
            .stderr(writer)
            .spawn()
            .with_context(|| format!("cannot run {}", args.holdpoint.display()))?;
        let tasks = child.stdin.take().context("the child has no stdin")?;
        thread::spawn(move || report(reader));
        Ok(Self { child, tasks })
    }

    /// Gives it a task.
    pub(super) fn act(&mut self, task: &str) -> Result<()> {
        writeln!(self.tasks, "{task}").context("the agent takes no more tasks")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // The group is the agent's own; one that is gone needs no ending.
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

fn report(reader: PipeReader) {
    for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
        match line.split_first() {
            Some((&RECORD_SEPARATOR, status)) => {
                println!("done {}", String::from_utf8_lossy(status));
            }
            _ => println!("agent {}", String::from_utf8_lossy(&line)),
        }
    }
    println!("ended");
}
