//! The daemon: ties gate, policy, holds, link and control socket together.
//!
//! One task owns all state and does one thing at a time; what may block (reading
//! a stopped process and its files) runs elsewhere and reports back. Losing this task, or the
//! whole process, opens nothing: the gate is in the kernel and holds by itself.

mod approver;
mod callers;
mod granting;
mod manager;
mod measuring;
mod reading;
mod recording;
mod stopping;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use holdpoint_proto::{control::Answer, v1};
use tokio::{
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};
use tracing::{debug, error, info, warn};

pub use self::callers::Callers;
use self::{reading::Readers, recording::Recording};
use crate::{
    config::Profiles,
    control,
    events::{journal::Journal, recorder::End},
    grants::{Change, Grants, ledger::Ledger},
    holds::{Effect, Holds, Ruling},
    identity::Identity,
    kernel::{
        self, Attempted, CANARY_SESSION, Content, DescribeError, Facts, Gate, GateError, GateEvent,
        Held, HoldId, SessionId,
    },
    link::{LinkEvent, LinkState},
    metrics::Metrics,
    notify::Notifier,
    ruling::{self, Moment},
};

/// How long a ticket lives before its task uses it.
const TICKET_LIFETIME: Duration = Duration::from_secs(10);

/// How often the kernel's holds are compared with ours.
const RECONCILE_EVERY: Duration = Duration::from_millis(500);

/// How often the canary runs.
const CANARY_EVERY: Duration = Duration::from_mins(1);

/// How often sessions without processes are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Whether the kernel refuses what it must (invariant I9): the reason if not.
pub type Enforcement = Result<(), String>;

/// Everything the daemon is made of.
pub struct Parts<G: ?Sized> {
    /// The gate.
    pub gate: Arc<G>,
    /// What sessions may do.
    pub profiles: Profiles,
    /// From the link.
    pub link_events: mpsc::Receiver<LinkEvent>,
    /// How the link is doing.
    pub link_state: watch::Receiver<LinkState>,
    /// What the link tells the approver of this host.
    pub hello: watch::Sender<v1::Hello>,
    /// Reads the identity that decisions are verified with.
    pub identity: Box<dyn Fn() -> Option<Identity> + Send>,
    /// From the control socket.
    pub calls: mpsc::Receiver<control::Request>,
    /// Policies that take the place of those in force.
    pub reloads: mpsc::Receiver<Profiles>,
    /// The service manager.
    pub notifier: Notifier,
    /// Where the names of grants are written down.
    pub ledger: Ledger,
    /// Grants that ended with the daemon before.
    pub ended_grants: Vec<Change>,
    /// Where what happens is written down.
    pub journal: Journal,
}

/// The state of the running daemon.
pub struct Daemon<G: Gate + ?Sized> {
    gate: Arc<G>,
    profiles: Profiles,
    holds: Holds,
    grants: Grants,
    link: Option<mpsc::UnboundedSender<v1::HostMessage>>,
    link_state: watch::Receiver<LinkState>,
    hello: watch::Sender<v1::Hello>,
    identity: Box<dyn Fn() -> Option<Identity> + Send>,
    enforcement: Enforcement,
    readers: Readers,
    canaries: mpsc::UnboundedSender<Enforcement>,
    users: HashMap<u32, String>,
    recording: Recording,
    metrics: Metrics,
    /// When the kernel last refused a canary.
    proved: Option<SystemTime>,
    notifier: Notifier,
    ledger: Ledger,
    ready: bool,
}

/// Runs until `stop` resolves. Holds stay in the kernel for the next daemon.
pub async fn run<G: Gate + ?Sized>(parts: Parts<G>, stop: impl Future<Output = ()>) {
    run_counted(parts, Metrics::off(), stop).await;
}

/// As [`run`], with numbers about it in `metrics`.
pub async fn run_counted<G: Gate + ?Sized>(
    parts: Parts<G>,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) {
    let Parts {
        gate,
        profiles,
        mut link_events,
        link_state,
        hello,
        identity,
        mut calls,
        mut reloads,
        notifier,
        ledger,
        ended_grants,
        journal,
    } = parts;
    let (readers, mut readings) = Readers::new();
    let (canaries, mut canary_reports) = mpsc::unbounded_channel();
    let mut gate_events = match gate.events() {
        Some(events) => events,
        // Holds are then found by reconciling alone.
        None => mpsc::channel(1).1,
    };
    let mut observations = match gate.observations() {
        Some(observations) => observations,
        None => mpsc::channel(1).1,
    };
    let recording = Recording::new(journal, metrics.clone(), gate.boot_secret(), gate.now_ns());
    let mut daemon = Daemon {
        gate,
        profiles,
        holds: Holds::default(),
        grants: Grants::default(),
        link: None,
        link_state,
        hello,
        identity,
        enforcement: Err("the canary has not run yet".to_owned()),
        readers,
        canaries,
        users: HashMap::new(),
        recording,
        metrics,
        proved: None,
        notifier,
        ledger,
        ready: false,
    };
    daemon.hello.send_if_modified(|hello| {
        hello.policies = policies(&daemon.profiles);
        false
    });
    daemon.begin(&mut canary_reports, &ended_grants).await;
    let mut reconcile = tokio::time::interval(RECONCILE_EVERY);
    reconcile.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut canary = tokio::time::interval(CANARY_EVERY);
    canary.set_missed_tick_behavior(MissedTickBehavior::Delay);
    canary.reset();
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alive = daemon
        .notifier
        .watchdog_interval()
        .map(tokio::time::interval);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(event) = gate_events.recv() => daemon.gate_event(event),
            Some(observed) = observations.recv() => daemon.observed(&observed),
            Some(reading) = readings.recv() => daemon.read(reading),
            Some(event) = link_events.recv() => daemon.link_event(event),
            Some(report) = canary_reports.recv() => daemon.canary_reported(report),
            Some(request) = calls.recv() => daemon.call(request),
            Some(profiles) = reloads.recv() => daemon.reload(profiles),
            _ = reconcile.tick() => {
                daemon.reconcile();
                daemon.sweep_grants();
                daemon.tell_status();
                daemon.measure();
            }
            // Only this loop can say that it turns.
            () = next(&mut alive) => daemon.notifier.alive(),
            _ = canary.tick() => daemon.send_canary(),
            _ = sweep.tick() => {
                if let Err(error) = daemon.gate.sweep_sessions() {
                    warn!(%error, "cannot forget sessions that are over");
                }
                daemon.note_sessions();
            }
        }
    }
    daemon.notifier.stopping();
    daemon.stop(gate_events, observations).await;
    info!(
        held = daemon.holds.len(),
        "stopping; what is held stays held"
    );
}

/// The next tick, never without an interval.
async fn next(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

impl<G: Gate + ?Sized> Daemon<G> {
    /// What comes before everything else. The first canary is waited for, so that
    /// the approver hears of its result first.
    async fn begin(
        &mut self,
        canary_reports: &mut mpsc::UnboundedReceiver<Enforcement>,
        ended_grants: &[Change],
    ) {
        self.send_canary();
        if let Some(report) = canary_reports.recv().await {
            self.canary_reported(report);
        }
        self.note_sessions();
        self.recording.policies(&self.profiles);
        for change in ended_grants {
            self.tell_grant(change);
        }
    }

    fn gate_event(&mut self, event: GateEvent) {
        let effects = match event {
            GateEvent::Held(task) => match self.gate.held(task) {
                Ok(Some(held)) => {
                    debug!(hold = %held.id, session = %held.session, "held");
                    self.holds.discovered(held, self.gate.now_ns())
                }
                // It ended before it was looked at.
                Ok(None) => Vec::new(),
                Err(error) => return trouble(&error),
            },
            GateEvent::Released(id) => {
                debug!(hold = %id, "released");
                self.recording.ended(id, &End::Released);
                self.holds.released(id)
            }
            GateEvent::Refused(id) => {
                debug!(hold = %id, "refused");
                self.recording.ended(id, &End::Refused);
                self.holds.refused(id)
            }
            GateEvent::Changed(id) => {
                warn!(hold = %id, "killed: its arguments were not those that were approved");
                self.recording.ended(id, &End::Changed);
                self.holds.changed(id)
            }
            GateEvent::Abandoned(id) => {
                debug!(hold = %id, "given up");
                self.holds.abandoned(id, "the call ended by itself")
            }
            GateEvent::RefusedAlone { session, .. } if session == CANARY_SESSION => Vec::new(),
            GateEvent::RefusedAlone {
                task,
                session,
                cause,
            } => {
                info!(pid = task.tgid, %session, ?cause, "the kernel refused an operation");
                self.refused_alone(task, session, cause);
                Vec::new()
            }
        };
        self.carry_out(effects);
    }

    /// A stopped process was read.
    fn rule(&mut self, held: Box<Held>, facts: &Result<Facts, DescribeError>) {
        let ruling = match (facts, self.session(held.session)) {
            (Err(error), _) => Ruling::Refused {
                reason: error.to_string(),
            },
            (_, Err(error)) => Ruling::Refused {
                reason: error.to_string(),
            },
            (Ok(facts), Ok(session)) => {
                let user = session
                    .as_ref()
                    .map_or_else(String::new, |session| self.user_name(session.uid));
                let context = ruling::seen(&held, facts, session.as_ref(), &user, &self.profiles);
                self.recording.read(held.id, context);
                ruling::rule(
                    &held,
                    facts,
                    session.as_ref(),
                    &user,
                    &self.profiles,
                    self.moment(),
                )
            }
        };
        let is_exec = matches!(held.attempted, Attempted::Exec { .. });
        match ruling {
            // What a person decides about, or decided about before, is more than
            // its name.
            Ruling::Ask(ask) if is_exec => self.readers.content(&self.gate, held, ask),
            Ruling::Ask(ask) => self.ask(&held, ask, Content::Unread),
            ruling => self.ruled(&held, ruling),
        }
    }

    /// A hold was judged.
    fn ruled(&mut self, held: &Held, ruling: Ruling) {
        log_ruling(held, &ruling);
        let recorded = ruling.clone();
        let effects = self.holds.ruled(held.id, ruling, self.gate.now_ns());
        self.recording.ruled(held, &recorded, &effects);
        self.carry_out(effects);
    }

    fn session(&self, id: SessionId) -> Result<Option<crate::kernel::Session>, GateError> {
        Ok(self
            .gate
            .sessions()?
            .into_iter()
            .find(|session| session.id == id))
    }

    fn moment(&self) -> Moment {
        Moment {
            boot_ns: self.gate.now_ns(),
            // A clock before 1970 shows as 1970.
            wall: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
            secret: self.gate.boot_secret(),
        }
    }

    fn user_name(&mut self, uid: u32) -> String {
        self.users
            .entry(uid)
            .or_insert_with(|| {
                nix::unistd::User::from_uid(uid.into())
                    .ok()
                    .flatten()
                    .map_or_else(|| uid.to_string(), |user| user.name)
            })
            .clone()
    }

    fn reconcile(&mut self) {
        self.note_losses();
        match self.gate.all_held() {
            Ok(waiting) => {
                let present: HashSet<HoldId> = waiting.iter().map(|held| held.id).collect();
                let gate = Arc::clone(&self.gate);
                let state = |id: HoldId| gate.task_state(id.task());
                let effects = self.holds.reconcile(waiting, state, self.gate.now_ns());
                self.note_untold(&effects, &present);
                self.carry_out(effects);
            }
            Err(error) => trouble(&error),
        }
    }

    /// Runs the canary elsewhere: whoever keeps it must not keep the answers.
    fn send_canary(&self) {
        let gate = Arc::clone(&self.gate);
        let canaries = self.canaries.clone();
        tokio::task::spawn_blocking(move || {
            // The daemon stops; nobody waits for the report.
            let _ = canaries.send(gate.canary());
        });
    }

    fn canary_reported(&mut self, fresh: Enforcement) {
        match &fresh {
            Ok(()) if self.enforcement.is_err() => {
                info!("enforcing: the kernel refused the canary");
            }
            Ok(()) => debug!("the kernel refused the canary"),
            Err(reason) => error!(%reason, "NOT ENFORCING"),
        }
        self.hello.send_if_modified(|hello| {
            let changed = hello.enforcing != fresh.is_ok();
            hello.enforcing = fresh.is_ok();
            hello.not_enforcing_because = fresh.as_ref().err().cloned().unwrap_or_default();
            changed
        });
        let lifecycle = if self.recording.has_begun() {
            v1::Lifecycle::Changed
        } else {
            v1::Lifecycle::Started
        };
        self.recording
            .enforcement(&self.hello.borrow(), &fresh, lifecycle);
        if fresh.is_ok() {
            self.proved = Some(SystemTime::now());
        }
        self.enforcement = fresh;
        self.tell_readiness();
    }

    fn call(&mut self, request: control::Request) {
        let callers = Callers {
            gate: &*self.gate,
            profiles: &self.profiles,
            enforcement: &self.enforcement,
            held: self.holds.len(),
            link: &self.link_state.borrow().clone(),
            kernel_release: &self.hello.borrow().kernel_release.clone(),
            journal: &self.recording.journal().state(),
        };
        let answer = callers.answer(request.caller, request.call);
        if matches!(answer, Answer::SessionBegun(_)) {
            self.note_sessions();
        }
        // The caller may be gone; then nobody is left to tell.
        let _ = request.answer.send(answer);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let result = match effect {
                Effect::Describe(held) => {
                    self.recording.found(&held);
                    self.readers.describe(&self.gate, held);
                    Ok(())
                }
                Effect::Answer(held, answer) => self.answer(&held, answer),
                Effect::Remember(held, settled) => self.gate.remember(&held, settled),
                Effect::Forget(id) => {
                    self.recording.ended(id, &End::Abandoned);
                    self.gate.forget(id)
                }
                Effect::Tell(message) => {
                    if let Some(link) = &self.link
                        && link.send(*message).is_err()
                    {
                        self.link = None;
                    }
                    Ok(())
                }
            };
            if let Err(error) = result {
                trouble(&error);
            }
        }
    }

    fn answer(&mut self, held: &Held, answer: kernel::Answer) -> Result<(), GateError> {
        self.recording.answering(held.id);
        self.gate.answer(held, answer, TICKET_LIFETIME)?;
        self.measure_answer(held.id);
        Ok(())
    }
}

fn policies(profiles: &Profiles) -> Vec<v1::ProfilePolicy> {
    profiles
        .iter()
        .map(|(name, profile)| v1::ProfilePolicy {
            profile: name.clone(),
            owner: profile.owner.clone(),
            policy_sha256: profile.policy.sha256().to_vec(),
        })
        .collect()
}

fn log_ruling(held: &Held, ruling: &Ruling) {
    let (hold, session) = (held.id, held.session);
    match ruling {
        Ruling::Allow { .. } => debug!(%hold, %session, "allowed by policy"),
        Ruling::Deny { .. } => info!(%hold, %session, "denied by policy"),
        Ruling::Ask(ask) => {
            info!(%hold, %session, request = ask.request_id, "a person must decide");
        }
        Ruling::Granted { grant_id, .. } => {
            info!(%hold, %session, grant = grant_id, "a grant lets it go on");
        }
        Ruling::Refused { reason } => {
            warn!(%hold, %session, reason, "refused without a question");
        }
    }
}

/// The gate could not be used. Nothing passes because of it, and the next look
/// tries again.
fn trouble(error: &GateError) {
    error!(%error, "trouble with the gate");
}
