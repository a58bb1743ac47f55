//! The guest as the steps use it: scripts that must succeed, questions to the
//! programs, and sessions that run in the background.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::vm::{Said, System};

/// Any one thing takes less, even under emulation on a machine that is busy.
const LIMIT: Duration = Duration::from_mins(5);
/// Between two looks at something that should change by itself.
const GLANCE: Duration = Duration::from_millis(200);

/// The guest and what is known of it.
pub(super) struct World<'a> {
    system: System<'a>,
    /// The files there were before anything was installed.
    pub(super) before: Vec<String>,
    /// What setup printed to enrol with.
    pub(super) token: String,
    /// The request that is under way.
    pub(super) request: String,
}

impl<'a> World<'a> {
    pub(super) fn new(system: System<'a>) -> Self {
        Self {
            system,
            before: Vec::new(),
            token: String::new(),
            request: String::new(),
        }
    }

    pub(super) fn reboot(&mut self) -> Result<()> {
        self.system.reboot()
    }

    /// Runs the script, however it ends.
    pub(super) fn attempt(&mut self, script: &str) -> Result<Said> {
        // Not in root's own home, which is looked at in the end.
        let script = format!("export HOLDPOINT_CONFIG_DIR=/home/contexts\n{script}");
        self.system.run(&script, LIMIT)
    }

    /// Runs the script, which must succeed, and gives what it wrote.
    pub(super) fn run(&mut self, script: &str) -> Result<String> {
        let said = self.attempt(script)?;
        if said.code != 0 {
            bail!("`{script}` ended with {}:\n{}", said.code, said.text);
        }
        Ok(said.text)
    }

    /// Runs the script, which must fail, and gives what it wrote.
    pub(super) fn refused(&mut self, script: &str) -> Result<String> {
        let said = self.attempt(script)?;
        if said.code == 0 {
            bail!("`{script}` succeeded:\n{}", said.text);
        }
        Ok(said.text)
    }

    /// The JSON that the script, which must succeed, wrote.
    pub(super) fn json(&mut self, script: &str) -> Result<Value> {
        let text = self.run(script)?;
        serde_json::from_str(&text).with_context(|| format!("`{script}` says {text:?}"))
    }

    /// Asks until the answer is not `None`.
    pub(super) fn until<T>(
        &mut self,
        what: &str,
        mut ask: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(answer) = ask(self)? {
                return Ok(answer);
            }
            if Instant::now() > deadline {
                bail!("waited in vain: {what}");
            }
            thread::sleep(GLANCE);
        }
    }

    /// Whether there is such a file.
    pub(super) fn exists(&mut self, path: &str) -> Result<bool> {
        Ok(self.attempt(&format!("test -e {path}"))?.code == 0)
    }

    /// Starts a session whose agent touches `file`, and waits until it is held.
    /// The request is remembered.
    pub(super) fn hold(&mut self, file: &str) -> Result<()> {
        // Not by `runuser`: it stops itself when it sees its child stop.
        self.run(&format!(
            "setpriv --reuid=agent --regid=agent --init-groups \
             holdpoint run --profile work -- /usr/bin/touch /home/agent/{file} \
             >/tmp/agent-{file}.log 2>&1 & echo $! >/tmp/agent-{file}.pid"
        ))?;
        let wanted = format!("/home/agent/{file}");
        self.request = self.until("a request for what the agent tries", |world| {
            world.pending(&wanted)
        })?;
        if self.exists(&wanted)? {
            bail!("held, and it happened all the same");
        }
        Ok(())
    }

    /// The pending request that has this word among its arguments.
    pub(super) fn pending(&mut self, word: &str) -> Result<Option<String>> {
        let list = self.json("holdpoint requests list --state pending --json")?;
        let found = list["requests"].as_array().and_then(|requests| {
            requests
                .iter()
                .find(|request| request["operation"].to_string().contains(word))
        });
        Ok(found.and_then(|request| Some(request["id"].as_str()?.to_owned())))
    }

    /// Everything there is to read after a failure.
    pub(super) fn journal(&mut self) -> String {
        self.attempt("journalctl --no-pager --boot; systemctl --no-pager status")
            .map_or_else(|error| format!("{error:#}"), |said| said.text)
    }
}
