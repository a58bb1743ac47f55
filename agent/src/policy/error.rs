//! Why a policy can't be used. Every error names the file; all but reading
//! errors name the line, the rule and the mend.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a policy can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file can't be read.
    #[error("can't read the policy {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than any sensible policy.
    #[error("the policy {} is larger than {limit} bytes; split it by profile", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Largest size accepted.
        limit: u64,
    },
    /// The text is no valid policy.
    #[error("{}:{line}: {}{problem}; {mend}", path.display(), in_rule(rule.as_deref()))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Name of the rule, or its position in the file if it has none.
        rule: Option<String>,
        /// What is wrong.
        problem: String,
        /// How to mend it.
        mend: String,
    },
}

fn in_rule(rule: Option<&str>) -> String {
    rule.map_or_else(String::new, |rule| format!("rule {rule}: "))
}

/// A [`PolicyError::Invalid`] before the file is known.
#[derive(Debug)]
pub(super) struct Fault {
    /// Byte offset in the text.
    at: usize,
    rule: Option<String>,
    problem: String,
    mend: String,
}

impl Fault {
    pub(super) fn new(at: usize, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            at,
            rule: None,
            problem: problem.into(),
            mend: mend.into(),
        }
    }

    /// Names the rule it is in.
    pub(super) fn in_rule(mut self, rule: &str) -> Self {
        self.rule = Some(rule.to_owned());
        self
    }

    pub(super) fn into_error(self, text: &str, origin: &Path) -> PolicyError {
        PolicyError::Invalid {
            path: origin.to_owned(),
            line: line_of(text, self.at),
            rule: self.rule,
            problem: self.problem,
            mend: self.mend,
        }
    }
}

/// Line of the byte offset `at`, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    before.filter(|byte| **byte == b'\n').count() + 1
}
