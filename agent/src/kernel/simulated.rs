//! A kernel that is played: tasks attempt operations when a test or a script
//! says so, and the same port answers them.
//!
//! Keeps the promises of the real gate that the daemon relies on (nothing passes
//! without a ticket for that hold, a ticket with other arguments kills, events
//! may be lost, holds outlive the daemon), and none of its mechanism. It gates
//! nothing on this machine.

pub mod script;
mod surroundings;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use holdpoint_agent_common::{ArgumentsMac, OperationKey, Peer};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

pub use self::surroundings::Surroundings;
use super::{
    Answer, Attempted, Cause, Content, DescribeError, Destination, ExecFacts, ExecMemory, Facts,
    FileId, Gate, GateError, GateEvent, Held, HoldId, Listener, Losses, Observed, ObservedEnd,
    ObservedOperation, Permits, ProcessFacts, Session, SessionId, Settled, TaskKey, TaskState,
};

/// What became of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It was carried out.
    Passed,
    /// The program saw `EPERM`.
    Refused,
    /// The process was killed, by an answer or by [`SimulatedGate::exit`].
    Died,
}

/// What a played task attempts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attempt {
    /// Runs `argv[0]`, an absolute path, with these arguments.
    Exec(Vec<Vec<u8>>),
    /// Connects.
    Connect {
        /// Destination.
        address: std::net::IpAddr,
        /// Port.
        port: u16,
        /// IP protocol number.
        protocol: u16,
    },
}

struct Waiting {
    held: Held,
    facts: Facts,
    /// Gone once the process is.
    fate: Option<oneshot::Sender<Fate>>,
}

impl Waiting {
    fn over(&mut self, fate: Fate) {
        if let Some(sender) = self.fate.take() {
            // Nobody may be interested any more.
            let _ = sender.send(fate);
        }
    }
}

#[derive(Default)]
struct State {
    sessions: HashMap<SessionId, Session>,
    pids: HashMap<u32, SessionId>,
    waiting: HashMap<TaskKey, Waiting>,
    remembered: HashMap<(SessionId, OperationKey), Settled>,
    /// By path; what is not in it is as it was from the beginning.
    contents: HashMap<Vec<u8>, Content>,
    gone: HashSet<TaskKey>,
    events: Option<mpsc::Sender<GateEvent>>,
    observations: Option<mpsc::Sender<Observed>>,
    lose_events: bool,
    lost: Losses,
    next_pid: u32,
    next_session: u64,
    broken: Option<String>,
}

/// See the module.
pub struct SimulatedGate {
    state: Mutex<State>,
    started: Instant,
}

impl SimulatedGate {
    /// A kernel without sessions.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                next_pid: 100_000,
                next_session: 0x5e55_0000_0000_0001,
                ..State::default()
            }),
            started: Instant::now(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every event from now on get lost, or not.
    pub fn lose_events(&self, lose: bool) {
        self.state().lose_events = lose;
    }

    /// Makes the canary fail for `reason`, or succeed again.
    pub fn set_broken(&self, reason: Option<&str>) {
        self.state().broken = reason.map(str::to_owned);
    }

    /// A new process of `session` attempts something. Resolves when it is over.
    pub fn attempt(
        &self,
        session: SessionId,
        attempt: &Attempt,
    ) -> (TaskKey, oneshot::Receiver<Fate>) {
        let task = self.spawn(session);
        let fate = self.attempt_by(task, session, attempt, &Surroundings::default());
        (task, fate)
    }

    /// A new process of `session`.
    pub fn spawn(&self, session: SessionId) -> TaskKey {
        let start_ns = self.now_ns();
        let mut state = self.state();
        state.next_pid += 1;
        let task = TaskKey {
            tid: state.next_pid,
            tgid: state.next_pid,
            start_ns,
        };
        state.pids.insert(task.tgid, session);
        task
    }

    /// Process `task` of `session` attempts something where it is.
    pub fn attempt_by(
        &self,
        task: TaskKey,
        session: SessionId,
        attempt: &Attempt,
        surroundings: &Surroundings,
    ) -> oneshot::Receiver<Fate> {
        let now = self.now_ns();
        let mut state = self.state();
        let (fate, receiver) = oneshot::channel();
        let (attempted, operation, exec) = played(attempt);
        if let Some(settled) = state.remembered.get(&(session, operation)).copied() {
            let (result, end) = match settled {
                Settled::Allow => (Fate::Passed, ObservedEnd::Allowed),
                Settled::Deny => (Fate::Refused, ObservedEnd::Refused(Cause::Cached)),
            };
            let allowed = end == ObservedEnd::Allowed;
            let observed = Observed {
                task,
                parent: (1, 0),
                session,
                at_ns: now,
                uid: 1000,
                gid: 1000,
                executable: Vec::new(),
                operation: observed(attempt, &attempted, allowed),
                settled: end,
            };
            state.observe(observed);
            // The other half is in hand; it cannot be closed.
            let _ = fate.send(result);
            return receiver;
        }
        let held = Held {
            id: HoldId::new(task, now),
            session,
            attempted,
            operation,
            uid: 1000,
            gid: 1000,
            evaluations: 1,
        };
        let facts = surroundings.facts(task, exec);
        let fate = Some(fate);
        state.waiting.insert(task, Waiting { held, facts, fate });
        state.tell(GateEvent::Held(task));
        receiver
    }

    /// The process of `task` exits. Its record stays until the daemon removes it,
    /// as in the kernel: a killed task never ends its call.
    pub fn exit(&self, task: TaskKey) {
        let mut state = self.state();
        state.gone.insert(task);
        state.pids.remove(&task.tgid);
        if let Some(waiting) = state.waiting.get_mut(&task) {
            waiting.over(Fate::Died);
        }
    }

    /// Another thread changes the arguments while the task waits.
    pub fn swap_arguments(&self, task: TaskKey) {
        if let Some(exec) = self
            .state()
            .waiting
            .get_mut(&task)
            .and_then(|waiting| waiting.facts.exec.as_mut())
        {
            exec.arguments.rest ^= 1;
        }
    }

    /// From now on reading the file at `path` gives `content`, while its identity
    /// is what it was.
    pub fn set_content(&self, path: &[u8], content: Content) {
        self.state().contents.insert(path.to_vec(), content);
    }

    /// The session is over: no process of it is left.
    pub fn end_session(&self, session: SessionId) {
        self.state().sessions.remove(&session);
    }

    /// Tasks that wait now.
    pub fn waiting(&self) -> Vec<TaskKey> {
        self.state().waiting.keys().copied().collect()
    }
}

impl State {
    fn tell(&mut self, event: GateEvent) {
        let delivered = !self.lose_events
            && self
                .events
                .as_ref()
                .is_some_and(|events| events.try_send(event).is_ok());
        if !delivered {
            self.lost.holds += 1;
        }
    }

    /// Tells of an operation that was settled without a hold.
    fn observe(&mut self, observed: Observed) {
        let delivered = !self.lose_events
            && self
                .observations
                .as_ref()
                .is_some_and(|observations| observations.try_send(observed).is_ok());
        if !delivered {
            self.lost.room += 1;
        }
    }
}

/// What the gate tells of an attempt that it settled alone.
fn observed(attempt: &Attempt, attempted: &Attempted, allowed: bool) -> ObservedOperation {
    match (attempt, attempted) {
        (Attempt::Exec(argv), Attempted::Exec { file, path, .. }) => ObservedOperation::Exec {
            file: *file,
            path: path.clone(),
            argv: if allowed { argv.clone() } else { Vec::new() },
            argv_cut: !allowed,
        },
        (_, Attempted::Connect(to)) => ObservedOperation::Connect(*to),
        _ => ObservedOperation::Unknown,
    }
}

/// The kernel's and the reviewer's view of an attempt.
fn played(attempt: &Attempt) -> (Attempted, OperationKey, Option<ExecFacts>) {
    match attempt {
        Attempt::Exec(argv) => {
            let path = argv.first().cloned().unwrap_or_default();
            let number = |text: &[u8]| holdpoint_agent_common::SipHash::of([0, 0], text);
            let file = FileId {
                inode: number(&path),
                ..FileId::default()
            };
            let rest = argv.get(1..).unwrap_or_default().join(&0);
            let facts = ExecFacts {
                arguments: ArgumentsMac {
                    present: 1,
                    rest: number(&rest),
                    ..ArgumentsMac::default()
                },
                argv: argv.clone(),
                path_is_hosts: true,
                single_link: true,
                ..ExecFacts::default()
            };
            let attempted = Attempted::Exec {
                file,
                path,
                memory: ExecMemory::default(),
                interprets: None,
            };
            (attempted, OperationKey::exec(file, 0), Some(facts))
        }
        Attempt::Connect {
            address,
            port,
            protocol,
        } => {
            let mut bytes = [0; 16];
            let family = match address {
                std::net::IpAddr::V4(address) => {
                    bytes[..4].copy_from_slice(&address.octets());
                    2
                }
                std::net::IpAddr::V6(address) => {
                    bytes = address.octets();
                    10
                }
            };
            let peer = Peer {
                address: bytes,
                port: *port,
                family,
                protocol: *protocol,
                netns: 1,
                ..Peer::default()
            };
            let attempted = Attempted::Connect(Destination {
                address: *address,
                port: *port,
                protocol: *protocol,
                netns: 1,
                scope_id: 0,
            });
            (attempted, OperationKey::connect(peer), None)
        }
    }
}

impl Gate for SimulatedGate {
    fn events(&self) -> Option<mpsc::Receiver<GateEvent>> {
        // Each daemon that comes gets its own; the one before is gone.
        let (sender, receiver) = mpsc::channel(1024);
        self.state().events = Some(sender);
        Some(receiver)
    }

    fn all_held(&self) -> Result<Vec<Held>, GateError> {
        Ok(self
            .state()
            .waiting
            .values()
            .map(|waiting| waiting.held.clone())
            .collect())
    }

    fn held(&self, task: TaskKey) -> Result<Option<Held>, GateError> {
        Ok(self
            .state()
            .waiting
            .get(&task)
            .map(|waiting| waiting.held.clone()))
    }

    fn describe(&self, held: &Held) -> Result<Facts, DescribeError> {
        self.state()
            .waiting
            .get(&held.id.task())
            .map(|waiting| waiting.facts.clone())
            .ok_or(DescribeError::Gone)
    }

    fn caller(&self, held: &Held) -> Result<ProcessFacts, DescribeError> {
        self.describe(held).map(|facts| facts.caller)
    }

    fn listener(&self, held: &Held) -> Option<Listener> {
        self.describe(held).ok()?.listener
    }

    fn content(&self, held: &Held, _patience: Duration) -> Content {
        let Attempted::Exec { path, .. } = &held.attempted else {
            return Content::Unread;
        };
        let state = self.state();
        let changed = state.contents.get(path).copied();
        changed.unwrap_or_else(|| Content::Read(Sha256::digest(path).into()))
    }

    fn answer(&self, held: &Held, answer: Answer, _lifetime: Duration) -> Result<(), GateError> {
        let mut state = self.state();
        let task = held.id.task();
        let fits = state.waiting.get(&task).is_some_and(|waiting| {
            waiting.held.id == held.id && waiting.held.operation == held.operation
        });
        if !fits {
            return Ok(());
        }
        // A task that is gone uses no ticket.
        if state.gone.contains(&task) {
            return Ok(());
        }
        let Some(mut waiting) = state.waiting.remove(&task) else {
            return Ok(());
        };
        let actual = waiting.facts.exec.as_ref().map(|exec| exec.arguments);
        let (fate, event) = match answer {
            Answer::Release(approved)
                if approved.present == 1 && actual.is_some_and(|actual| actual != approved) =>
            {
                (Fate::Died, GateEvent::Changed(held.id))
            }
            Answer::Release(_) => (Fate::Passed, GateEvent::Released(held.id)),
            Answer::Refuse => (Fate::Refused, GateEvent::Refused(held.id)),
            Answer::Kill => (Fate::Died, GateEvent::Refused(held.id)),
        };
        state.tell(event);
        waiting.over(fate);
        Ok(())
    }

    fn forget(&self, id: HoldId) -> Result<(), GateError> {
        let now = self.now_ns();
        let mut state = self.state();
        let task = id.task();
        let gone = state.gone.contains(&task);
        match state.waiting.get_mut(&task) {
            Some(waiting) if waiting.held.id == id && gone => {
                state.waiting.remove(&task);
            }
            // It tries again and is stopped again.
            Some(waiting) if waiting.held.id == id => {
                waiting.held.id = HoldId::new(task, now.max(id.held_ns + 1));
                waiting.held.evaluations = 1;
                state.tell(GateEvent::Held(task));
            }
            _ => {}
        }
        Ok(())
    }

    fn remember(&self, held: &Held, settled: Settled) -> Result<(), GateError> {
        self.state()
            .remembered
            .insert((held.session, held.operation), settled);
        Ok(())
    }

    fn policy_changed(&self) -> Result<(), GateError> {
        self.state().remembered.clear();
        Ok(())
    }

    fn begin_session(
        &self,
        pid: u32,
        profile: &str,
        owner: &str,
        uid: u32,
        _permits: Permits,
    ) -> Result<Session, GateError> {
        let start_ns = self.now_ns();
        let mut state = self.state();
        let id = SessionId(state.next_session);
        state.next_session += 1;
        let session = Session {
            id,
            profile: profile.to_owned(),
            owner: owner.to_owned(),
            root: TaskKey {
                tid: pid,
                tgid: pid,
                start_ns,
            },
            uid,
        };
        state.pids.insert(pid, id);
        state.sessions.insert(id, session.clone());
        Ok(session)
    }

    fn session_of(&self, pid: u32) -> Result<Option<SessionId>, GateError> {
        Ok(self.state().pids.get(&pid).copied())
    }

    fn sessions(&self) -> Result<Vec<Session>, GateError> {
        Ok(self.state().sessions.values().cloned().collect())
    }

    fn sweep_sessions(&self) -> Result<(), GateError> {
        Ok(())
    }

    fn process_lives(&self, pid: u32, start_ns: u64) -> bool {
        let gone = &self.state().gone;
        !gone
            .iter()
            .any(|task| task.tgid == pid && task.start_ns == start_ns)
    }

    fn task_state(&self, task: TaskKey) -> TaskState {
        let state = self.state();
        if state.gone.contains(&task) {
            TaskState::Gone
        } else if state.waiting.contains_key(&task) {
            TaskState::Stopped
        } else {
            TaskState::Running
        }
    }

    fn now_ns(&self) -> u64 {
        // Never 0, which would be a hold that is not ready.
        1 + u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }

    fn boot_secret(&self) -> [u64; 2] {
        // Distinct for each played boot, the same for its whole length.
        [
            std::ptr::from_ref(self).addr() as u64,
            std::process::id().into(),
        ]
    }

    fn observations(&self) -> Option<mpsc::Receiver<Observed>> {
        let (sender, receiver) = mpsc::channel(1024);
        self.state().observations = Some(sender);
        Some(receiver)
    }

    fn tell_at_most(&self, _per_second: u32) -> Result<(), GateError> {
        Ok(())
    }

    fn losses(&self) -> Result<Losses, GateError> {
        Ok(self.state().lost)
    }

    fn declared(&self, losses: Losses) -> Result<(), GateError> {
        let mut state = self.state();
        state.lost = state.lost.beyond(losses);
        Ok(())
    }

    fn canary(&self) -> Result<(), String> {
        match &self.state().broken {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }
}
