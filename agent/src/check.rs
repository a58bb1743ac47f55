//! `holdpointd check`: what this host lacks to hold anything, and how to mend it.
//!
//! Looks, and changes nothing. [`host`] judges what the machine says of itself and
//! is pure; [`service`] looks at configuration, identity, approver and daemon;
//! `open_routes` knows which ways around the gate are open on which kernel.

pub mod host;
mod open_routes;
pub mod service;

use std::{fmt::Write as _, path::Path};

use serde::Serialize;

/// How one thing is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it must be.
    Good,
    /// Good to know, and no reason to fail; or it cannot be told.
    Doubtful,
    /// This host cannot hold anything, or nobody can let it go on.
    Lacking,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub name: &'static str,
    /// How it is.
    pub outcome: Outcome,
    /// What was found.
    pub found: String,
    /// How to mend it; none where nothing has to be.
    pub mend: Option<String>,
}

impl Finding {
    pub(crate) fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            outcome: Outcome::Good,
            found: found.into(),
            mend: None,
        }
    }

    pub(crate) fn doubtful(
        name: &'static str,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            name,
            outcome: Outcome::Doubtful,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }

    pub(crate) fn lacking(
        name: &'static str,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            name,
            outcome: Outcome::Lacking,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }
}

/// Everything that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether nothing is lacking.
    pub ready: bool,
    /// In the order in which to mend it.
    pub findings: Vec<Finding>,
}

impl Report {
    fn of(findings: Vec<Finding>) -> Self {
        Self {
            ready: findings
                .iter()
                .all(|finding| finding.outcome != Outcome::Lacking),
            findings,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let width = self
            .findings
            .iter()
            .map(|finding| finding.name.len())
            .max()
            .unwrap_or(0);
        for finding in &self.findings {
            let mark = match finding.outcome {
                Outcome::Good => "ok     ",
                Outcome::Doubtful => "note   ",
                Outcome::Lacking => "LACKING",
            };
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{mark}  {:width$}  {}", finding.name, finding.found);
            for line in finding.mend.iter().flat_map(|mend| mend.lines()) {
                let _ = writeln!(text, "         {:width$}  > {line}", "");
            }
        }
        let lacking = self
            .findings
            .iter()
            .filter(|finding| finding.outcome == Outcome::Lacking)
            .count();
        let _ = match lacking {
            0 => writeln!(text, "\nThis host has what it needs."),
            1 => writeln!(text, "\nOne thing is lacking; mend it and check again."),
            many => writeln!(
                text,
                "\n{many} things are lacking; mend the first and check again."
            ),
        };
        text
    }
}

/// Looks at everything. `config` is the configuration file.
pub async fn run(config: &Path) -> Report {
    let mut findings = host::look();
    findings.extend(service::look(config).await);
    findings.push(open_routes::of(host::running()));
    Report::of(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_is_lacking_and_how_to_mend_it() {
        let report = Report::of(vec![
            Finding::good("kernel", "6.12"),
            Finding::doubtful("clock", "unknown", "look at it"),
            Finding::lacking("lsm", "no bpf", "first line\nsecond line"),
        ]);
        assert!(!report.ready);
        assert_eq!(
            report.text(),
            "ok       kernel  6.12\n\
             note     clock   unknown\n                 > look at it\n\
             LACKING  lsm     no bpf\n                 > first line\n                 > second line\n\
             \nOne thing is lacking; mend it and check again.\n"
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["ready"], false);
        assert_eq!(json["findings"][2]["outcome"], "lacking");
        assert_eq!(json["findings"][0]["mend"], serde_json::Value::Null);
    }

    #[test]
    fn doubts_are_no_lack() {
        let report = Report::of(vec![Finding::doubtful("clock", "unknown", "look at it")]);
        assert!(report.ready && report.text().ends_with("This host has what it needs.\n"));
    }
}
