//! People at a terminal: the real `holdpoint`, one context for each person.

use std::{collections::HashSet, ffi::OsString, process::Stdio};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{
    approver::{Approver, PASSWORD},
    patience::until,
    programs::{Done, program, run},
};

/// Everybody who uses `holdpoint` in a test.
pub struct People {
    directory: TempDir,
    login: Vec<OsString>,
    logged_in: HashSet<String>,
}

impl People {
    /// Of one approver. Nobody is logged in before they do something.
    pub fn of(approver: &Approver) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let password = directory.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let login = vec![
            "login".into(),
            "--approver".into(),
            approver.address().into(),
            "--ca".into(),
            approver.ca().into(),
            "--password-file".into(),
            password.into(),
        ];
        Self {
            directory,
            login,
            logged_in: HashSet::new(),
        }
    }

    /// `name` types `holdpoint ARGUMENTS`.
    pub async fn types(&mut self, name: &str, arguments: &[&str]) -> Done {
        if self.logged_in.insert(name.to_owned()) {
            let mut login: Vec<OsString> = vec!["--context".into(), name.into()];
            login.extend(self.login.iter().cloned());
            login.extend(["--user".into(), name.into()]);
            self.holdpoint(login).await.ok();
        }
        let mut words: Vec<OsString> = vec!["--context".into(), name.into()];
        words.extend(arguments.iter().map(OsString::from));
        self.holdpoint(words).await
    }

    /// Somebody types `holdpoint ARGUMENTS` without being logged in.
    pub async fn holdpoint(&self, arguments: Vec<OsString>) -> Done {
        run("holdpoint", arguments, &self.environment()).await
    }

    /// `name`, who is logged in, types `holdpoint ARGUMENTS`, which goes on until
    /// it is dropped. Its output can be read.
    pub fn begins(&self, name: &str, arguments: &[&str]) -> Child {
        Command::new(program("holdpoint"))
            .args(["--context", name])
            .args(arguments)
            .env_remove("HOLDPOINT_CONTEXT")
            .envs(self.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    fn environment(&self) -> [(&'static str, OsString); 2] {
        let place = |name: &str| self.directory.path().join(name).into_os_string();
        [
            ("HOLDPOINT_CONFIG_DIR", place("contexts")),
            ("HOLDPOINT_STATE_DIR", place("state")),
        ]
    }

    /// Waits until the log is signed over `size` records.
    pub async fn wait_for_log(&mut self, name: &str, size: u64) {
        until("the log's checkpoint", async || {
            let told = self.types(name, &["audit", "checkpoint", "--json"]).await;
            let told = told.json();
            let signed: u64 = told["size"].as_str().unwrap().parse().unwrap();
            if signed >= size { Ok(()) } else { Err(signed) }
        })
        .await;
    }

    /// `name` approves the request `id`.
    pub async fn approve(&mut self, name: &str, id: &str) -> Done {
        self.types(name, &["approve", id, "--reason", "looks right"])
            .await
    }

    /// `name` denies the request `id`.
    pub async fn deny(&mut self, name: &str, id: &str) -> Done {
        self.types(name, &["deny", id, "--reason", "not today"])
            .await
    }

    /// The request `id` as JSON.
    pub async fn show(&mut self, name: &str, id: &str) -> serde_json::Value {
        self.types(name, &["requests", "show", id, "--json"])
            .await
            .json()
    }
}
