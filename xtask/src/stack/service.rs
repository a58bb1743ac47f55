//! A program in the background: its log in a file, its end with its owner.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

/// So long a program may take to be up.
const LIMIT: Duration = Duration::from_mins(1);
/// So much of a log is shown in an error.
const LINES: usize = 30;

/// Where a program's log goes besides the file, each line with its name.
pub(crate) type Echo = Box<dyn Write + Send>;

/// A program that runs until this value is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts it. In a process group of its own: what a terminal sends to this
    /// program is not for that one.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        log: &Path,
        echo: Option<Echo>,
    ) -> Result<Self> {
        let mut file =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0);
        let started = || format!("cannot start {name}");
        let child = if let Some(mut echo) = echo {
            let mut child = command
                .stderr(Stdio::piped())
                .spawn()
                .with_context(started)?;
            let lines = child.stderr.take().context("the child has no stderr")?;
            thread::spawn(move || {
                for line in BufReader::new(lines).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line);
                    // Logs are best effort: no command's own output is here.
                    let _ = writeln!(file, "{line}");
                    let _ = echo.write_all(format!("{name}: {line}\n").as_bytes());
                }
            });
            child
        } else {
            command.stderr(file).spawn().with_context(started)?
        };
        Ok(Self {
            name,
            child,
            log: log.to_owned(),
        })
    }

    /// Tries until it works, the program ends or the time is up.
    pub(crate) fn until(&mut self, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let Err(error) = attempt() else {
                return Ok(());
            };
            if let Some(status) = self.child.try_wait()? {
                // Its last words may still be on their way into the log.
                thread::sleep(Duration::from_millis(200));
                return Err(self.with_log(&anyhow!("{} ended: {status}", self.name)));
            }
            if Instant::now() > deadline {
                let error = error.context(format!("{} was not up after {LIMIT:?}", self.name));
                return Err(self.with_log(&error));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn with_log(&self, error: &anyhow::Error) -> anyhow::Error {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(LINES)..].join("\n");
        anyhow!("{error:#}\n--- log of {}\n{end}", self.name)
    }

    /// Leaves it running for good.
    pub(crate) fn detach(self) {
        std::mem::forget(self);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
