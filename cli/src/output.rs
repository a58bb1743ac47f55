//! Standard output: text or JSON, as wide as the terminal.

use std::io::{IsTerminal as _, Stdout, Write as _};

use rustix::{fd::AsFd as _, termios};
use serde::Serialize;

use crate::{failure::Failure, render::json};

/// Where a command writes its data.
pub(crate) struct Output {
    stdout: Stdout,
    /// JSON is wanted.
    pub(crate) json: bool,
    /// Columns of the terminal, none if it isn't one.
    pub(crate) width: Option<usize>,
}

impl Output {
    pub(crate) fn stdout(json: bool) -> Self {
        let stdout = std::io::stdout();
        let width = stdout.is_terminal().then(|| {
            let columns = termios::tcgetwinsize(stdout.as_fd()).map_or(0, |size| size.ws_col);
            // A terminal that does not know its size says 0.
            if columns == 0 { 80 } else { columns.into() }
        });
        Self {
            stdout,
            json,
            width,
        }
    }

    /// Writes `text` as it is; it ends with a line feed.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.stdout
            .write_all(text.as_bytes())
            .and_then(|()| self.stdout.flush())
            .map_err(Failure::Output)
    }

    /// Writes `value` as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let mut line = json::line(value).map_err(|error| Failure::Output(error.into()))?;
        line.push('\n');
        self.text(&line)
    }
}
