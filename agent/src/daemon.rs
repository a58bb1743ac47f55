//! The daemon: ties gate, policy, holds, link and control socket together.
//!
//! One task owns all state and does one thing at a time; what may block (reading
//! a stopped process) runs elsewhere and reports back. Losing this task, or the
//! whole process, opens nothing: the gate is in the kernel and holds by itself.

mod callers;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use holdpoint_proto::v1::{self, approver_message::Message};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::MissedTickBehavior,
};
use tracing::{debug, error, info, warn};

pub use self::callers::Callers;
use crate::{
    config::Profiles,
    control,
    holds::{Decided, Effect, Holds, Ruling},
    identity::Identity,
    kernel::{
        CANARY_SESSION, DescribeError, Facts, Gate, GateError, GateEvent, Held, HoldId, SessionId,
    },
    link::{LinkEvent, LinkState},
    ruling::{self, Moment},
};

/// How long a ticket lives before its task uses it.
const TICKET_LIFETIME: Duration = Duration::from_secs(10);

/// How often the kernel's holds are compared with ours.
const RECONCILE_EVERY: Duration = Duration::from_millis(500);

/// How often the canary runs, and sessions without processes are forgotten.
const CANARY_EVERY: Duration = Duration::from_mins(1);

/// Stopped processes read at once.
const READERS: usize = 32;

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
}

/// The state of the running daemon.
pub struct Daemon<G: Gate + ?Sized> {
    gate: Arc<G>,
    profiles: Profiles,
    holds: Holds,
    link: Option<mpsc::UnboundedSender<v1::HostMessage>>,
    link_state: watch::Receiver<LinkState>,
    hello: watch::Sender<v1::Hello>,
    identity: Box<dyn Fn() -> Option<Identity> + Send>,
    enforcement: Enforcement,
    readers: Arc<Semaphore>,
    described: mpsc::UnboundedSender<Described>,
    canaries: mpsc::UnboundedSender<Enforcement>,
    users: HashMap<u32, String>,
    lost_events: u64,
}

/// A stopped process was read.
struct Described {
    held: Box<Held>,
    facts: Result<Facts, DescribeError>,
}

/// Runs until `stop` resolves. Holds stay in the kernel for the next daemon.
pub async fn run<G: Gate + ?Sized>(parts: Parts<G>, stop: impl Future<Output = ()>) {
    let Parts {
        gate,
        profiles,
        mut link_events,
        link_state,
        hello,
        identity,
        mut calls,
    } = parts;
    let (described, mut descriptions) = mpsc::unbounded_channel();
    let (canaries, mut canary_reports) = mpsc::unbounded_channel();
    let mut gate_events = match gate.events() {
        Some(events) => events,
        // Holds are then found by reconciling alone.
        None => mpsc::channel(1).1,
    };
    let mut daemon = Daemon {
        gate,
        profiles,
        holds: Holds::default(),
        link: None,
        link_state,
        hello,
        identity,
        enforcement: Err("the canary has not run yet".to_owned()),
        readers: Arc::new(Semaphore::new(READERS)),
        described,
        canaries,
        users: HashMap::new(),
        lost_events: 0,
    };
    // The first one is waited for, so that the approver hears of its result first.
    daemon.send_canary();
    if let Some(report) = canary_reports.recv().await {
        daemon.canary_reported(report);
    }
    let mut reconcile = tokio::time::interval(RECONCILE_EVERY);
    reconcile.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut canary = tokio::time::interval(CANARY_EVERY);
    canary.set_missed_tick_behavior(MissedTickBehavior::Delay);
    canary.reset();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(event) = gate_events.recv() => daemon.gate_event(event),
            Some(described) = descriptions.recv() => daemon.rule(&described),
            Some(event) = link_events.recv() => daemon.link_event(event),
            Some(report) = canary_reports.recv() => daemon.canary_reported(report),
            Some(request) = calls.recv() => daemon.call(request),
            _ = reconcile.tick() => daemon.reconcile(),
            _ = canary.tick() => {
                daemon.send_canary();
                if let Err(error) = daemon.gate.sweep_sessions() {
                    warn!(%error, "cannot forget sessions that are over");
                }
            }
        }
    }
    info!(
        held = daemon.holds.len(),
        "stopping; what is held stays held"
    );
}

impl<G: Gate + ?Sized> Daemon<G> {
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
                self.holds.released(id)
            }
            GateEvent::Refused(id) => {
                debug!(hold = %id, "refused");
                self.holds.refused(id)
            }
            GateEvent::Changed(id) => {
                warn!(hold = %id, "killed: its arguments were not those that were approved");
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
                Vec::new()
            }
        };
        self.carry_out(effects);
    }

    fn rule(&mut self, described: &Described) {
        let held = &described.held;
        let ruling = match &described.facts {
            Err(error) => Ruling::Unreadable {
                reason: error.to_string(),
            },
            Ok(facts) => match self.session(held.session) {
                Err(error) => Ruling::Unreadable {
                    reason: error.to_string(),
                },
                Ok(session) => {
                    let user = session
                        .as_ref()
                        .map_or_else(String::new, |session| self.user_name(session.uid));
                    ruling::rule(
                        held,
                        facts,
                        session.as_ref(),
                        &user,
                        &self.profiles,
                        self.moment(),
                    )
                }
            },
        };
        log_ruling(held, &ruling);
        let effects = self.holds.ruled(held.id, ruling, self.gate.now_ns());
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

    fn link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up(sender) => {
                for message in self.holds.unsettled(self.gate.now_ns()) {
                    if sender.send(message).is_err() {
                        return;
                    }
                }
                self.link = Some(sender);
            }
            LinkEvent::Down => self.link = None,
            LinkEvent::Message(message) => self.approver_said(message),
        }
    }

    fn approver_said(&mut self, message: Message) {
        let now = self.gate.now_ns();
        match message {
            Message::Welcome(_) => {}
            Message::Accepted(accepted) => {
                debug!(
                    request = accepted.request_id,
                    "a person can see the request"
                );
            }
            Message::Acknowledged(acknowledged) => {
                self.holds.acknowledged(&acknowledged.request_id);
            }
            Message::Rejected(rejected) => {
                warn!(
                    request = rejected.request_id,
                    reason = rejected.reason,
                    "the approver rejected a request; the operation is refused"
                );
                let effects = self
                    .holds
                    .rejected(&rejected.request_id, &rejected.reason, now);
                self.carry_out(effects);
            }
            Message::Decision(decision) => self.decision(decision),
        }
    }

    fn decision(&mut self, decision: v1::Decision) {
        let verdict = decision.verdict();
        if !(self.identity)().is_some_and(|identity| identity.signed(&decision)) {
            error!(
                request = decision.request_id,
                "a decision without a valid signature was ignored"
            );
            return;
        }
        let decided = Decided {
            request_id: decision.request_id,
            digest: decision.digest,
            approved: verdict == v1::Verdict::Approve,
            reviewer: decision.reviewer,
        };
        info!(
            request = decided.request_id,
            approved = decided.approved,
            reviewer = decided.reviewer,
            "decided"
        );
        match self.holds.decided(&decided, self.gate.now_ns()) {
            Ok(effects) => self.carry_out(effects),
            Err(reason) => warn!(request = decided.request_id, %reason, "decision not applied"),
        }
    }

    fn reconcile(&mut self) {
        let lost = self.gate.lost_events();
        if lost > self.lost_events {
            warn!(
                lost = lost - self.lost_events,
                "the gate's event buffer was full; holds are found by scanning"
            );
            self.lost_events = lost;
        }
        match self.gate.all_held() {
            Ok(waiting) => {
                let gate = Arc::clone(&self.gate);
                let state = |id: HoldId| gate.task_state(id.task());
                let effects = self.holds.reconcile(waiting, state, self.gate.now_ns());
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
            changed
        });
        self.enforcement = fresh;
    }

    fn call(&mut self, request: control::Request) {
        let callers = Callers {
            gate: &*self.gate,
            profiles: &self.profiles,
            enforcement: &self.enforcement,
            held: self.holds.len(),
            link: &self.link_state.borrow().clone(),
            kernel_release: &self.hello.borrow().kernel_release.clone(),
        };
        let answer = callers.answer(request.caller, request.call);
        // The caller may be gone; then nobody is left to tell.
        let _ = request.answer.send(answer);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let result = match effect {
                Effect::Describe(held) => {
                    self.describe(held);
                    Ok(())
                }
                Effect::Answer(held, answer) => self.gate.answer(&held, answer, TICKET_LIFETIME),
                Effect::Remember(held, settled) => self.gate.remember(&held, settled),
                Effect::Forget(id) => self.gate.forget(id),
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

    fn describe(&self, held: Box<Held>) {
        let gate = Arc::clone(&self.gate);
        let readers = Arc::clone(&self.readers);
        let described = self.described.clone();
        tokio::spawn(async move {
            let Ok(place) = readers.acquire_owned().await else {
                return;
            };
            let read = tokio::task::spawn_blocking(move || {
                let facts = gate.describe(&held);
                drop(place);
                Described { held, facts }
            });
            if let Ok(result) = read.await {
                // The daemon stops; the next one reads it again.
                let _ = described.send(result);
            }
        });
    }
}

fn log_ruling(held: &Held, ruling: &Ruling) {
    let (hold, session) = (held.id, held.session);
    match ruling {
        Ruling::Allow { .. } => debug!(%hold, %session, "allowed by policy"),
        Ruling::Deny { .. } => info!(%hold, %session, "denied by policy"),
        Ruling::Ask(ask) => {
            info!(%hold, %session, request = ask.request_id, "a person must decide");
        }
        Ruling::Unreadable { reason } => {
            warn!(%hold, %session, reason, "refused: it cannot be judged");
        }
    }
}

/// The gate could not be used. Nothing passes because of it, and the next look
/// tries again.
fn trouble(error: &GateError) {
    error!(%error, "trouble with the gate");
}
