//! Counts what passed and failed, from libtest's own words and from checks that
//! are not tests, and says it all in one last line.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

/// The count so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u32,
    failed: u32,
    /// Name and reason.
    failures: Vec<(String, String)>,
    skipped: Vec<String>,
}

impl Tally {
    pub(crate) fn pass(&mut self) {
        self.passed += 1;
    }

    pub(crate) fn fail(&mut self, name: &str, reason: &str) {
        self.failed += 1;
        eprintln!("xtask: FAILED {name}: {reason}");
        self.failures.push((name.to_owned(), reason.to_owned()));
    }

    /// A filter that matches nothing is a mistake, not a success.
    pub(crate) fn expect_some(&mut self, filters: &[String]) {
        if !filters.is_empty() && self.passed == 0 && self.failed == 0 {
            self.fail(&filters.join(" "), "nothing has this in its name");
        }
    }

    /// Adds a run of tests that ended with `ended_well`. A run that says less
    /// than its status does (it crashed, or never came to an end) has failed.
    pub(crate) fn add(&mut self, label: &str, run: &Run, ended_well: bool) {
        self.passed += run.passed;
        self.failed += run.failed;
        let labelled = |name: &String| format!("{label}: {name}");
        self.failures.extend(
            run.failures
                .iter()
                .map(|name| (labelled(name), String::new())),
        );
        self.skipped.extend(run.skipped.iter().map(labelled));
        if run.unfinished() {
            self.fail(label, "a test program ended without a result");
        } else if !ended_well && run.failed == 0 {
            self.fail(label, "the run failed, though no test did");
        } else if run.results == 0 {
            self.fail(label, "the run ended without a result");
        }
    }

    /// Says what was left out and what failed, and the last line.
    pub(crate) fn conclude(self) -> ExitCode {
        for name in &self.skipped {
            eprintln!("SKIPPED {name}");
        }
        for (name, reason) in &self.failures {
            let reason = in_one_line(reason);
            let separator = if reason.is_empty() { "" } else { ": " };
            eprintln!("FAILED {name}{separator}{reason}");
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// The first few lines of `reason` as one.
fn in_one_line(reason: &str) -> String {
    let mut lines = reason
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let mut line = lines.by_ref().take(8).collect::<Vec<_>>().join(" | ");
    if lines.next().is_some() {
        line.push_str(" | ...");
    }
    line
}

/// What test programs said in one run.
#[derive(Debug, Default)]
pub(crate) struct Run {
    passed: u32,
    failed: u32,
    /// Programs that began and that came to their result.
    started: u32,
    results: u32,
    failures: Vec<String>,
    skipped: Vec<String>,
}

impl Run {
    /// Whether no test program has begun.
    pub(crate) fn is_untouched(&self) -> bool {
        self.started == 0
    }

    fn unfinished(&self) -> bool {
        self.started > self.results
    }

    /// Reads one line of libtest's output.
    fn line(&mut self, line: &str) {
        if is_start(line) {
            self.started += 1;
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.results += 1;
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
        } else if let Some((name, outcome)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ... "))
        {
            if let Some(reason) = outcome.strip_prefix("ignored") {
                self.skipped.push(format!("{name}{reason}"));
            } else if outcome == "FAILED" {
                self.failures.push(name.to_owned());
            }
        }
    }
}

/// `running 12 tests`
fn is_start(line: &str) -> bool {
    let mut words = line.split(' ');
    words.next() == Some("running")
        && words.next().is_some_and(|n| n.parse::<u32>().is_ok())
        && matches!(words.next(), Some("test" | "tests"))
        && words.next().is_none()
}

/// The number before `word` in `ok. 5 passed; 0 failed; …`.
fn count(counts: &str, word: &str) -> u32 {
    let words: Vec<&str> = counts.split([' ', ';']).collect();
    words
        .iter()
        .position(|found| *found == word)
        .and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok())
        .unwrap_or(0)
}

/// Passes output on and reads it on the way.
#[derive(Debug)]
pub(crate) struct Tap<W> {
    to: W,
    line: Vec<u8>,
    run: Arc<Mutex<Run>>,
}

impl<W> Tap<W> {
    /// The tap and what it reads.
    pub(crate) fn new(to: W) -> (Self, Arc<Mutex<Run>>) {
        let run = Arc::default();
        let tap = Self {
            to,
            line: Vec::new(),
            run: Arc::clone(&run),
        };
        (tap, run)
    }
}

impl<W: Write> Write for Tap<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.to.write(bytes)?;
        for byte in &bytes[..size] {
            if *byte == b'\n' {
                let line = String::from_utf8_lossy(&self.line).into_owned();
                self.run
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .line(&line);
                self.line.clear();
            } else {
                self.line.push(*byte);
            }
        }
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_many_lines_is_told_in_one() {
        assert_eq!(in_one_line(""), "");
        assert_eq!(
            in_one_line("left behind:\n\n  /a\n/b\n"),
            "left behind: | /a | /b"
        );
        let long = "x\n".repeat(9);
        assert!(in_one_line(&long).ends_with(" x | ..."));
    }

    fn read(output: &str) -> Run {
        let (mut tap, run) = Tap::new(Vec::new());
        tap.write_all(output.as_bytes()).unwrap();
        assert_eq!(tap.to, output.as_bytes());
        std::mem::take(&mut run.lock().unwrap())
    }

    fn added(output: &str, ended_well: bool) -> Tally {
        let mut tally = Tally::default();
        tally.add("unit", &read(output), ended_well);
        tally
    }

    const GOOD: &str = "\nrunning 3 tests\ntest a ... ok\ntest b ... ignored, needs a moon\n\
        test c ... ok\n\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; \
        0 filtered out; finished in 0.00s\n";

    #[test]
    fn results_are_added_up() {
        let tally = added(&GOOD.repeat(2), true);
        assert_eq!((tally.passed, tally.failed), (4, 0));
        assert_eq!(tally.skipped, ["unit: b, needs a moon"; 2]);
    }

    #[test]
    fn failures_are_named() {
        let output = "running 2 tests\ntest a ... FAILED\ntest b ... ok\n\ntest result: FAILED. \
            1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let tally = added(output, false);
        assert_eq!((tally.passed, tally.failed), (1, 1));
        assert_eq!(tally.failures[0].0, "unit: a");
    }

    #[test]
    fn a_filter_must_match_something() {
        let mut tally = Tally::default();
        tally.expect_some(&[]);
        assert_eq!(tally.failed, 0);
        tally.expect_some(&["typo".to_owned()]);
        assert_eq!(tally.failed, 1);
    }

    #[test]
    fn a_crash_counts_as_a_failure() {
        let crashed = format!("{GOOD}running 2 tests\ntest a ... ok\n");
        assert_eq!(added(&crashed, false).failed, 1);
        assert_eq!(added(&crashed, true).failed, 1);
        assert_eq!(added(GOOD, false).failed, 1);
    }

    #[test]
    fn a_run_without_a_result_counts_as_a_failure() {
        assert_eq!(added("", true).failed, 1);
        assert_eq!(added("error: could not compile\n", false).failed, 1);
    }
}
