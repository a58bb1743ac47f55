//! The people of the demo at a terminal: they see and decide requests, and ask
//! what happened, with `holdpoint`, as anybody would. It must never reach the
//! approver any other way.

use std::{fmt, process::Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::records::Record;
use crate::{
    process::{shown, text},
    stack::{Approver, REVIEWERS},
};

/// A request, as `holdpoint --json` shows it.
#[derive(Clone, Debug)]
pub(crate) struct Request(Value);

impl From<Value> for Request {
    fn from(shown: Value) -> Self {
        Self(shown)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (short, operation) = (self.short(), self.operation());
        let (rule, state) = (self.rule(), self.state());
        write!(f, "request {short}: {operation}, rule {rule}, {state}")?;
        if !self.reviewer().is_empty() {
            write!(f, " by {}: {:?}", self.reviewer(), self.reason())?;
        }
        if !self.outcome().is_empty() {
            write!(f, ", {}", self.outcome())?;
        }
        Ok(())
    }
}

/// The requests in words, for errors.
pub(crate) fn listed(requests: &[Request]) -> String {
    if requests.is_empty() {
        return "no request".to_owned();
    }
    let words: Vec<String> = requests.iter().map(Request::to_string).collect();
    words.join("; ")
}

impl Request {
    fn text(&self, pointer: &str) -> &str {
        self.0
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &str {
        self.text("/id")
    }

    /// The session it came from.
    pub(crate) fn session(&self) -> &str {
        self.text("/session/id")
    }

    /// As much of the id as a person types.
    pub(crate) fn short(&self) -> &str {
        self.id().split('-').next().unwrap_or_default()
    }

    pub(crate) fn state(&self) -> &str {
        self.text("/state")
    }

    pub(crate) fn rule(&self) -> &str {
        self.text("/rule/name")
    }

    pub(crate) fn justification(&self) -> &str {
        self.text("/rule/justification")
    }

    /// To the second, in UTC, as `holdpoint` shows times.
    pub(crate) fn deadline(&self) -> String {
        let seconds = self.text("/deadline").split('.').next().unwrap_or_default();
        format!("{}Z", seconds.trim_end_matches('Z').replace('T', " "))
    }

    pub(crate) fn reviewer(&self) -> &str {
        self.text("/decision/reviewer")
    }

    pub(crate) fn reason(&self) -> &str {
        self.text("/decision/reason")
    }

    /// What the host says became of the operation.
    pub(crate) fn outcome(&self) -> &str {
        self.text("/outcome")
    }

    /// The operation in a few words.
    pub(crate) fn operation(&self) -> String {
        let connect = &self.0["operation"]["connect"];
        if connect.is_object() {
            format!(
                "connect {}:{}",
                connect["address"].as_str().unwrap_or("?"),
                connect["port"]
            )
        } else {
            format!("exec {}", self.text("/operation/exec/path"))
        }
    }
}

/// How a command of somebody ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: Option<i32>,
    out: String,
    errors: String,
}

impl Approver {
    /// All requests there are, newest first.
    pub(crate) fn requests(&self) -> Result<Vec<Request>> {
        let list = self.json(REVIEWERS[0], &["requests", "list"])?;
        let requests = list["requests"].as_array().cloned().unwrap_or_default();
        Ok(requests.into_iter().map(Request).collect())
    }

    /// How a request stands.
    pub(crate) fn request(&self, id: &str) -> Result<Request> {
        self.json(REVIEWERS[0], &["requests", "show", id])
            .map(Request)
    }

    /// What happened, newest first.
    pub(crate) fn records(&self, query: &str) -> Result<Vec<Record>> {
        let mut command = self.holdpoint(REVIEWERS[0]);
        Record::all(&text(command.args(["events", "--json", query]))?)
    }

    /// Lets somebody call `holdpoint` with these words, for programs.
    pub(crate) fn json(&self, who: &str, words: &[&str]) -> Result<Value> {
        let mut command = self.holdpoint(who);
        command.current_dir(self.folder()).args(words).arg("--json");
        json(&text(&mut command)?)
    }

    /// Lets somebody call `holdpoint` with these words.
    pub(crate) fn say(&self, who: &str, words: &[&str]) -> Result<Said> {
        let mut command = self.holdpoint(who);
        let output = command
            .current_dir(self.folder())
            .args(words)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run `{}`", shown(&command)))?;
        Ok(Said {
            status: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Said {
    pub(crate) fn worked(&self) -> bool {
        self.status == Some(0)
    }

    /// What was said at the end: errors are at the end of stderr, results of
    /// stdout.
    pub(crate) fn last_line(&self) -> &str {
        let text = if self.worked() {
            &self.out
        } else {
            &self.errors
        };
        let last = text.lines().rfind(|line| !line.trim().is_empty());
        last.unwrap_or_default().trim()
    }

    /// The results, without what is indented below them.
    pub(crate) fn headlines(&self) -> impl Iterator<Item = &str> {
        let headline = |line: &&str| !line.is_empty() && !line.starts_with(' ');
        self.out.lines().filter(headline)
    }
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("`holdpoint` printed no JSON: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_are_named_in_a_few_words() {
        let exec = Request(json!({ "operation": { "exec": { "path": "/usr/bin/curl" } } }));
        assert_eq!(exec.operation(), "exec /usr/bin/curl");
        let connect = Request(
            json!({ "operation": { "connect": { "address": "127.0.0.1", "port": 9000 } } }),
        );
        assert_eq!(connect.operation(), "connect 127.0.0.1:9000");
    }

    #[test]
    fn deadlines_are_shown_to_the_second() {
        for deadline in ["2027-01-15T08:04:12.123Z", "2027-01-15T08:04:12Z"] {
            let request = Request(json!({ "deadline": deadline }));
            assert_eq!(request.deadline(), "2027-01-15 08:04:12Z");
        }
    }

    #[test]
    fn what_is_not_there_is_empty() {
        let request = Request(json!({ "id": "0198f1a2-6c3d", "decision": null }));
        assert_eq!(request.short(), "0198f1a2");
        assert_eq!((request.reviewer(), request.outcome()), ("", ""));
    }

    #[test]
    fn a_request_is_told_in_one_line() {
        let request = Request(json!({
            "id": "0198f1a2-6c3d", "state": "denied", "outcome": "refused",
            "rule": { "name": "downloads" }, "operation": { "exec": { "path": "/usr/bin/curl" } },
            "decision": { "reviewer": "reviewer2", "reason": "no" },
        }));
        assert_eq!(
            listed(&[request]),
            "request 0198f1a2: exec /usr/bin/curl, rule downloads, denied by reviewer2: \"no\", refused"
        );
    }

    #[test]
    fn what_is_said_last_counts() {
        let mut said = Said {
            status: Some(0),
            out: "Request 1\n  of somebody\n\nRequest 1 is denied\n".to_owned(),
            errors: "holdpoint: a warning\n".to_owned(),
        };
        assert_eq!(said.last_line(), "Request 1 is denied");
        assert_eq!(
            said.headlines().collect::<Vec<_>>(),
            ["Request 1", "Request 1 is denied"]
        );
        said.status = Some(1);
        assert_eq!(said.last_line(), "holdpoint: a warning");
    }
}
