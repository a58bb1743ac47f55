//! People at a terminal: the real `holdpoint`, one context for each person.

use std::{collections::HashSet, ffi::OsString};

use tempfile::TempDir;

use crate::{
    approver::{Approver, PASSWORD},
    programs::{Done, run},
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
        let contexts = self.directory.path().join("contexts").into_os_string();
        run(
            "holdpoint",
            arguments,
            &[("HOLDPOINT_CONFIG_DIR", contexts)],
        )
        .await
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
