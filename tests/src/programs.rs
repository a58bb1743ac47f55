//! The programs under test, run as anybody would run them.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::{Output, Stdio},
};

use tokio::process::Command;

use crate::patience::within;

/// Where the programs are: `HOLDPOINT_BIN_DIR`, or the folder cargo builds into.
pub fn bin_dir() -> PathBuf {
    if let Some(given) = std::env::var_os("HOLDPOINT_BIN_DIR") {
        return given.into();
    }
    // This test program is target/PROFILE/deps/NAME.
    let this = std::env::current_exe().unwrap();
    this.ancestors().nth(2).unwrap().to_owned()
}

/// The path of the program `name`.
pub fn program(name: &str) -> PathBuf {
    let path = bin_dir().join(name);
    assert!(
        path.exists(),
        "{} is not there: run `cargo xtask build` first, or set HOLDPOINT_BIN_DIR",
        path.display()
    );
    path
}

/// What a run of a program left behind.
#[derive(Debug)]
pub struct Done {
    /// Its exit status, none if a signal ended it.
    pub code: Option<i32>,
    /// The signal, if one ended it.
    pub signal: Option<i32>,
    /// Its output.
    pub stdout: String,
    /// Its errors and logs.
    pub stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Done {
    /// It ended well; gives its output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// It ended well and wrote one JSON value.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// It failed with `code`, said all of `parts` on stderr, and did not panic.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for part in parts {
            assert!(self.stderr.contains(part), "lacks {part:?}: {self:#?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
    }
}

/// Runs a program to its end.
pub async fn run<A: AsRef<OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = A>,
    environment: &[(&str, OsString)],
) -> Done {
    let mut command = Command::new(program(name));
    command
        .args(arguments)
        .env_remove("HOLDPOINT_CONTEXT")
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    within(name, command.output()).await.unwrap().into()
}
