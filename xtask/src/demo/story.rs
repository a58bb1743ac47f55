//! The story of the demo, step by step. Each step is told only after it was
//! observed: at the approver, in what the agent says and in what really happened
//! on the host. The first that is not ends the story.

mod asked;
mod deciding;
mod proved;
mod scenes;
mod turn;

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _},
    path::PathBuf,
    sync::{
        atomic::Ordering,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    browser::Browser,
    link::{Link, Look, News},
    page,
    people::{Request, listed},
    records::Record,
};
use crate::{stack::Approver, vm::Stop};
use scenes::{End, SCENES, Scene};

/// So long things may take that wait for no person: a guest is slow.
const SOON: Duration = Duration::from_mins(1);
/// So long a person may take: the longest deadline of the policy, and a bit.
const A_WHILE: Duration = Duration::from_mins(6);
/// How often something is looked at again.
const GLANCE: Duration = Duration::from_millis(100);

/// Who decides.
#[derive(Debug)]
pub(crate) enum Deciders {
    /// The demo, as the reviewers.
    Demo,
    /// Whoever is there, with this `holdpoint` and these contexts.
    Person {
        holdpoint: PathBuf,
        contexts: PathBuf,
    },
}

/// The story so far.
pub(crate) struct Story<'a> {
    pub(crate) link: Link,
    pub(crate) approver: &'a Approver,
    pub(crate) deciders: &'a Deciders,
    /// What is approved must be on its way within a second.
    must_be_prompt: bool,
    pub(crate) stop: Stop,
    /// What the agent has said since its task began.
    said: Vec<String>,
    /// How its task ended, if it has.
    done: Option<i32>,
    ready: bool,
    seen: Option<Look>,
    /// The requests of the earlier steps.
    requests: Vec<Request>,
    /// How they were closed, as the log has it.
    closings: Vec<Record>,
    /// Those who have logged in to the dashboard.
    browsers: BTreeMap<String, Browser>,
}

impl<'a> Story<'a> {
    pub(crate) fn new(
        link: Link,
        approver: &'a Approver,
        deciders: &'a Deciders,
        must_be_prompt: bool,
        stop: Stop,
    ) -> Self {
        Self {
            link,
            approver,
            deciders,
            must_be_prompt,
            stop,
            said: Vec::new(),
            done: None,
            ready: false,
            seen: None,
            requests: Vec::new(),
            closings: Vec::new(),
            browsers: BTreeMap::new(),
        }
    }

    /// Waits until the host is up and the agent waits for its first task. Gives
    /// the release of its kernel.
    pub(crate) fn begin(&mut self, limit: Duration) -> Result<String> {
        self.wait("the host is up", limit, |story| {
            Ok(story.ready.then_some(()))
        })?;
        Ok(self.look()?.kernel)
    }

    /// Tells it to its end.
    pub(crate) fn tell(mut self) -> Result<()> {
        self.step(1, "What the policy allows happens at once", Self::allowed)?;
        for (number, scene) in (2..).zip(&SCENES) {
            self.step(number, scene.title, |story| story.held(scene))?;
        }
        self.step(5, "What is decided stays decided", Self::decided_once)?;
        self.step(6, "What happened can be asked", Self::asked)?;
        self.step(7, "What was decided can be proved", Self::proved)?;
        self.linger()
    }

    /// Leaves a person time to look around in the dashboard.
    fn linger(&mut self) -> Result<()> {
        if matches!(self.deciders, Deciders::Demo) || !io::stdin().is_terminal() {
            return Ok(());
        }
        page::heading(&format!(
            "Look around in the dashboard; the demo ends when you press Enter, or in {} minutes:",
            A_WHILE.as_secs() / 60
        ));
        page::verbatim(&turn::places(&self.approver.dashboard(), &self.requests));
        let (sender, pressed) = mpsc::channel();
        thread::spawn(move || {
            let read = io::stdin().read_line(&mut String::new());
            // Nobody waits for it any more once the time is up.
            let _ = sender.send(read);
        });
        let deadline = Instant::now() + A_WHILE;
        while pressed.try_recv().is_err() && Instant::now() < deadline {
            self.listen()?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        number: usize,
        title: &str,
        tell: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        page::heading(&format!("{number}. {title}"));
        tell(self).with_context(|| format!("step {number} ({title}) was not observed"))
    }

    fn allowed(&mut self) -> Result<()> {
        self.act("work")?;
        let end = self.end(SOON)?;
        let look = self.look()?;
        observe(
            end.status == 0 && look.archive.is_some_and(|size| size > 0),
            "git and tar did their work",
            || format!("status {}, and {look:?}", end.status),
        )?;
        let requests = self.approver.requests()?;
        observe(
            requests.is_empty(),
            "nobody was asked: the approver has no request",
            || listed(&requests),
        )
    }

    fn held(&mut self, scene: &Scene) -> Result<()> {
        self.act(scene.task)?;
        let request = self.new_request()?;
        if request.state() != "pending"
            || request.operation() != scene.operation
            || request.rule() != scene.rule
        {
            bail!(
                "expected: a pending request about {}, by the rule {}\nfound: {request}",
                scene.operation,
                scene.rule
            );
        }
        page::line(
            "approver",
            &format!(
                "request {}: {} (rule {}: {})",
                request.short(),
                scene.operation,
                scene.rule,
                request.justification()
            ),
        );
        self.nothing_happened(scene)?;
        if scene.owner_tries {
            self.owner_tries(scene, &request)?;
        }
        let limit = match self.deciders {
            Deciders::Demo => {
                self.answer(scene.answer, &request)?;
                SOON
            }
            Deciders::Person {
                holdpoint,
                contexts,
            } => {
                page::heading(&turn::title(&request, scene.answer));
                page::verbatim(&turn::page(&self.approver.dashboard(), &request));
                page::heading("Or in another terminal of this machine, as the same user:");
                page::verbatim(&turn::instructions(holdpoint, contexts, request.short()));
                A_WHILE
            }
        };
        let closed = self.closed(&request, limit)?;
        observe(
            matches!(self.deciders, Deciders::Person { .. })
                || closed.state() == scene.answer.state(),
            &conclusion(&closed),
            || closed.to_string(),
        )?;
        self.consequence(scene, &closed)?;
        self.requests.push(closed);
        Ok(())
    }

    /// The host is as it was, and the agent still waits.
    fn nothing_happened(&mut self, scene: &Scene) -> Result<()> {
        let look = self.look()?;
        let done = self.done;
        observe(
            (scene.untouched)(&look) && done.is_none(),
            &format!("held, and not happened: {}", scene.untouched_means),
            || format!("{look:?}, the agent's task {done:?}"),
        )
    }

    /// What the decision led to: all of the operation, or nothing of it.
    fn consequence(&mut self, scene: &Scene, request: &Request) -> Result<()> {
        let end = self.end(SOON)?;
        let look = self.look()?;
        let found = || format!("{end:?}, and {look:?}");
        let outcome = if request.state() == "approved" {
            observe(
                (scene.happened)(&look, &end),
                &format!("happened: {}", scene.happened_means),
                found,
            )?;
            "released"
        } else {
            observe(
                end.is_eperm() && (scene.untouched)(&look),
                &format!("EPERM, and not happened: {}", scene.untouched_means),
                found,
            )?;
            "refused"
        };
        // The approver learns it from the host.
        let (approver, id) = (self.approver, request.id());
        self.wait(
            &format!("the host reports that it {outcome} the operation"),
            SOON,
            |_| Ok((approver.request(id)?.outcome() == outcome).then_some(())),
        )?;
        if request.state() == "approved" {
            self.was_prompt(request)?;
        }
        Ok(())
    }

    /// Gives the agent its next task.
    fn act(&mut self, task: &str) -> Result<()> {
        self.said.clear();
        self.done = None;
        self.link.order(&format!("act {task}"))
    }

    /// Waits until the agent's task has ended.
    fn end(&mut self, limit: Duration) -> Result<End> {
        let status = self.wait("the agent's task ends", limit, |story| Ok(story.done))?;
        Ok(End {
            status,
            said: self.said.clone(),
        })
    }

    fn look(&mut self) -> Result<Look> {
        self.seen = None;
        self.link.order("look")?;
        self.wait("the host says how it looks", SOON, |story| {
            Ok(story.seen.take())
        })
    }

    /// Waits for a request that no earlier step has seen.
    fn new_request(&mut self) -> Result<Request> {
        self.wait("the operation is held", SOON, |story| {
            if let Some(status) = story.done {
                bail!("expected: the operation is held\nfound: the agent's task ended with status {status}");
            }
            let mut requests = story.approver.requests()?;
            requests.retain(|one| !story.requests.iter().any(|known| known.id() == one.id()));
            match requests.len() {
                0 | 1 => Ok(requests.pop()),
                _ => bail!("expected: one new request\nfound: {}", listed(&requests)),
            }
        })
    }

    /// Waits until the request waits no more.
    fn closed(&mut self, request: &Request, limit: Duration) -> Result<Request> {
        self.wait("the request is decided or expires", limit, |story| {
            let now = story.approver.request(request.id())?;
            Ok((now.state() != "pending").then_some(now))
        })
    }

    /// Waits for something, and meanwhile passes on what the host reports.
    fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            self.listen()?;
            if let Some(found) = attempt(self)? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                bail!(
                    "expected: {what}\nfound: nothing of it in {} s",
                    limit.as_secs()
                );
            }
        }
    }

    /// Takes in what the host reports until it is silent for a moment.
    fn listen(&mut self) -> Result<()> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            match self.link.news.recv_timeout(GLANCE) {
                Ok(news) => self.take_in(news)?,
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => bail!("the host is gone"),
            }
        }
    }

    fn take_in(&mut self, news: News) -> Result<()> {
        match news {
            News::Ready => self.ready = true,
            News::Agent(line) => {
                page::line("agent", &line);
                self.said.push(line);
            }
            News::Done(status) => self.done = Some(status),
            News::Seen(look) => self.seen = Some(look),
            News::Ended => {
                let said = self.said.last().cloned().unwrap_or_default();
                return Err(anyhow::anyhow!(said)).context("the agent has ended");
            }
            News::Garbled(line) => bail!("the host reports {line:?}, which makes no sense"),
        }
        Ok(())
    }
}

/// Tells what was seen, or fails with what was expected and found instead.
fn observe(so: bool, what: &str, found: impl FnOnce() -> String) -> Result<()> {
    if !so {
        bail!("expected: {what}\nfound: {}", found());
    }
    page::line("seen", what);
    Ok(())
}

fn conclusion(request: &Request) -> String {
    match request.state() {
        "expired" => "expired: nobody answered in time".to_owned(),
        state => format!("{state} by {}: {:?}", request.reviewer(), request.reason()),
    }
}
