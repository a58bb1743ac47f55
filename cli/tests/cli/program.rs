//! Runs `holdpoint` with contexts of its own.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use super::approver::FakeApprover;

pub(crate) struct Program {
    directory: tempfile::TempDir,
}

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Done {
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        assert_eq!(self.stderr, "", "{self:?}");
        self.stdout
    }

    #[track_caller]
    pub(crate) fn fails(self, code: i32, with: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains(with), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }

    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

impl Program {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// With contexts `ada`, `bob` and `vera` logged in to `approver`.
    pub(crate) fn logged_in(approver: &FakeApprover) -> Self {
        let program = Self::new();
        for user in ["ada", "bob", "vera"] {
            program.login(approver, user, "secret").ok();
        }
        program
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn contexts_file(&self) -> PathBuf {
        self.path("config/contexts.toml")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdpoint"));
        command
            .args(arguments)
            .env_remove("HOLDPOINT_CONTEXT")
            .env("HOLDPOINT_CONFIG_DIR", self.path("config"))
            .env("HOLDPOINT_STATE_DIR", self.path("state"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        self.command(arguments).output().unwrap().into()
    }

    /// Logs `user` in to the context of the same name.
    pub(crate) fn login(&self, approver: &FakeApprover, user: &str, password: &str) -> Done {
        let ca = self.write("ca.pem", &approver.ca);
        let address = format!("https://localhost:{}", approver.port);
        let mut child = self
            .command(&[
                "--context",
                user,
                "login",
                "--approver",
                &address,
                "--user",
                user,
            ])
            .args([Path::new("--ca"), &ca])
            .args(["--password-file", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{password}").unwrap();
        drop(stdin);
        child.wait_with_output().unwrap().into()
    }
}
