//! A person of the demo in front of the dashboard: the calls a browser makes,
//! made by curl. What is secret goes to curl through its standard input and a
//! private file; it must never be on a command line.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{process::shown, stack::Approver};

/// Where the API begins.
const API: &str = "/api/v1";
/// Longest time for a call, in seconds: a busy machine is slow to check passwords.
const PATIENCE: &str = "60";
/// What the dashboard's document has and no other page.
const MARK: &str = "id=\"app\"";
/// Digits of a digest that are shown.
const SHOWN: usize = 8;

/// Somebody who is logged in.
pub(crate) struct Browser {
    dashboard: String,
    authority: PathBuf,
    /// Where curl keeps the cookie of the login.
    cookies: PathBuf,
    /// Proves that a call comes from the dashboard.
    csrf: String,
}

/// What somebody wants to decide, about what they were shown.
#[derive(Debug)]
pub(crate) struct Ballot {
    request: String,
    verdict: String,
    reason: String,
    digest: String,
    /// Makes a call that comes twice one decision.
    key: String,
}

/// What the approver answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    text: String,
    /// Null if it is no JSON.
    pub(crate) body: Value,
}

impl Browser {
    /// Opens the dashboard and logs in.
    pub(crate) fn open(approver: &Approver, name: &str) -> Result<Self> {
        let mut browser = Self {
            dashboard: approver.dashboard(),
            authority: approver.authority(),
            cookies: approver.folder().join(format!("cookies-{name}")),
            csrf: String::new(),
        };
        fs::write(&browser.cookies, "")
            .with_context(|| format!("cannot write {}", browser.cookies.display()))?;
        let page = browser.call("/", &[], None)?;
        if page.status != 200 || !page.text.contains(MARK) {
            bail!(
                "expected: the dashboard at {}\nfound: {page:?}",
                browser.dashboard
            );
        }
        let password = approver.password(name)?;
        let login = json!({ "username": name, "password": password });
        let login = browser.call(&format!("{API}/login"), &[], Some(&login))?;
        let Some(csrf) = login.body["csrf_token"].as_str() else {
            bail!(
                "expected: {name} can log in\nfound: {}",
                login.in_words(name)
            );
        };
        csrf.clone_into(&mut browser.csrf);
        Ok(browser)
    }

    /// Looks at a request, to decide about what is shown.
    pub(crate) fn ballot(
        &self,
        request: &str,
        verdict: &str,
        reason: &str,
        key: String,
    ) -> Result<Ballot> {
        let page = self.call(&format!("{API}/requests/{request}"), &[], None)?;
        let Some(digest) = page.body["digest"].as_str() else {
            bail!(
                "expected: the request {request}\nfound: {}",
                page.in_words(request)
            );
        };
        Ok(Ballot {
            request: request.to_owned(),
            verdict: verdict.to_owned(),
            reason: reason.to_owned(),
            digest: digest.to_owned(),
            key,
        })
    }

    /// Decides.
    pub(crate) fn cast(&self, ballot: &Ballot) -> Result<Answer> {
        let path = format!("{API}/requests/{}/decision", ballot.request);
        self.call(
            &path,
            &[("Idempotency-Key", &ballot.key)],
            Some(&ballot.body()),
        )
    }

    /// One call: GET, or POST if there is a body.
    fn call(&self, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Result<Answer> {
        let mut options = option("url", &format!("{}{path}", self.dashboard));
        let mut header = |name: &str, value: &str| {
            options.push_str(&option("header", &format!("{name}: {value}")));
        };
        for (name, value) in headers {
            header(name, value);
        }
        if let Some(body) = body {
            // What browsers say of a call that a page of the same origin makes.
            header("Origin", &self.dashboard);
            header("Sec-Fetch-Site", "same-origin");
            header("Content-Type", "application/json");
            if !self.csrf.is_empty() {
                header("X-CSRF-Token", &self.csrf);
            }
            options.push_str(&option("data-raw", &body.to_string()));
        }
        let mut curl = Command::new("curl");
        // The first: neither settings nor a proxy of this machine's user.
        curl.args(["--disable", "--noproxy", "*", "--silent", "--show-error"])
            .args(["--max-time", PATIENCE, "--write-out", "\\n%{http_code}"])
            .arg("--cacert")
            .arg(&self.authority)
            .arg("--cookie")
            .arg(&self.cookies)
            .arg("--cookie-jar")
            .arg(&self.cookies)
            .args(["--config", "-"]);
        let typed = shown(&curl);
        let failed = || format!("cannot run `{typed}`");
        let mut child = curl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(failed)?;
        let mut stdin = child.stdin.take().context("the child has no stdin")?;
        stdin.write_all(options.as_bytes()).with_context(failed)?;
        drop(stdin);
        let output = child.wait_with_output().with_context(failed)?;
        if !output.status.success() {
            bail!(
                "`{typed}` about {path} failed: {}\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Answer::parse(&output.stdout)
            .with_context(|| format!("`{typed}` about {path} printed no answer"))
    }
}

impl Ballot {
    fn body(&self) -> Value {
        json!({ "verdict": self.verdict, "reason": self.reason, "digest": self.digest })
    }

    /// The call in one line, with ids and digests shortened.
    pub(crate) fn in_words(&self) -> String {
        let request = self.request.split('-').next().unwrap_or_default();
        let digest: String = self.digest.chars().take(SHOWN).collect();
        format!(
            r#"POST {API}/requests/{request}…/decision {{"verdict":{},"reason":{},"digest":"{digest}…"}}"#,
            json!(self.verdict),
            json!(self.reason),
        )
    }
}

impl Answer {
    /// What curl printed: the body, then the status on a line of its own.
    fn parse(printed: &[u8]) -> Option<Self> {
        let printed = String::from_utf8_lossy(printed);
        let (text, status) = printed.rsplit_once('\n')?;
        Some(Self {
            status: status.parse().ok()?,
            body: serde_json::from_str(text).unwrap_or_default(),
            text: text.to_owned(),
        })
    }

    /// What tells an error from others.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// What happened, if it is an error.
    pub(crate) fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }

    /// The answer in one line; `what` it is about.
    pub(crate) fn in_words(&self, what: &str) -> String {
        let (status, code, detail) = (self.status, self.code(), self.detail());
        match self.body["state"].as_str() {
            Some(state) => format!("{status}: {what} is {state}"),
            None if code.is_empty() => format!("{status} about {what}"),
            None => format!("{status} {code}: {detail}"),
        }
    }
}

/// An option of curl, as its configuration has it.
fn option(name: &str, value: &str) -> String {
    let mut line = format!("{name} = \"");
    for letter in value.chars() {
        match letter {
            '\\' => line.push_str("\\\\"),
            '"' => line.push_str("\\\""),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            other => line.push(other),
        }
    }
    line.push_str("\"\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_begins_another_option() {
        assert_eq!(
            option("data-raw", "{\"reason\":\"a\\b\"}\nurl = \"x\""),
            "data-raw = \"{\\\"reason\\\":\\\"a\\\\b\\\"}\\nurl = \\\"x\\\"\"\n"
        );
    }

    #[test]
    fn an_answer_is_a_body_and_a_status() {
        let answer = Answer::parse(b"{\"state\":\"approved\"}\n200").unwrap();
        assert_eq!(answer.in_words("request 1"), "200: request 1 is approved");
        let answer = Answer::parse(
            b"{\"status\":409,\"code\":\"already-decided\",\"detail\":\"too late\",\n\
              \"request\":{\"state\":\"denied\"}}\n409",
        )
        .unwrap();
        assert_eq!((answer.status, answer.code()), (409, "already-decided"));
        assert_eq!(
            answer.in_words("request 1"),
            "409 already-decided: too late"
        );
        let answer = Answer::parse(b"<p>\nno JSON</p>\n200").unwrap();
        assert!(answer.text.starts_with("<p>") && answer.body.is_null());
        assert!(Answer::parse(b"").is_none() && Answer::parse(b"{}\n2xx").is_none());
    }

    #[test]
    fn a_call_is_told_in_one_line_without_its_key() {
        let ballot = Ballot {
            request: "0198f1a2-6c3d-8000".to_owned(),
            verdict: "deny".to_owned(),
            reason: "not \"now\"".to_owned(),
            digest: "0123456789abcdef".to_owned(),
            key: "k".repeat(20),
        };
        assert_eq!(
            ballot.in_words(),
            r#"POST /api/v1/requests/0198f1a2…/decision {"verdict":"deny","reason":"not \"now\"","digest":"01234567…"}"#
        );
        assert!(!ballot.body().to_string().contains(&ballot.key));
    }
}
