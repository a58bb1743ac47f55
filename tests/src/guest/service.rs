//! A program of the stack that runs in the background and may die.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A program that a test can kill, stop and start again.
pub struct Service {
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Service {
    /// `program ARGUMENTS`, its log in `log`; not started yet.
    pub fn new(program: &Path, arguments: &[&str], log: &Path) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            log: log.to_owned(),
            child: None,
        }
    }

    /// Starts it. The log goes on where it was.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs", self.program.display());
        let log = File::options().create(true).append(true).open(&self.log);
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env("NO_COLOR", "1")
            .env("RUST_LOG", "info,holdpoint_agent=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn();
        self.child = Some(child.unwrap());
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        let id = self.child.as_ref().unwrap().id();
        Pid::from_raw(i32::try_from(id).unwrap())
    }

    /// Whether it runs. One that ended by itself is not forgotten silently.
    pub fn runs(&mut self) -> bool {
        let Some(child) = &mut self.child else {
            return false;
        };
        match child.try_wait().unwrap() {
            None => true,
            Some(status) => {
                eprintln!("{} ended: {status}\n{}", self.program.display(), self.log());
                self.child = None;
                false
            }
        }
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
