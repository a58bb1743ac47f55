//! A kernel that is played: tasks attempt operations when a test or a script
//! says so, and the same port answers them.
//!
//! Keeps the promises of the real gate that the daemon relies on (nothing passes
//! without a ticket for that hold, a ticket with other arguments kills, events
//! may be lost, holds outlive the daemon), and none of its mechanism. It gates
//! nothing on this machine.

pub mod script;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use holdpoint_agent_common::{ArgumentsMac, OperationKey, Peer};
use tokio::sync::{mpsc, oneshot};

use super::{
    Answer, Attempted, DescribeError, Destination, ExecFacts, ExecMemory, Facts, FileId, Gate,
    GateError, GateEvent, Held, HoldId, ProcessFacts, Session, SessionId, Settled, TaskKey,
    TaskState,
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
    gone: HashSet<TaskKey>,
    events: Option<mpsc::Sender<GateEvent>>,
    lose_events: bool,
    lost_events: u64,
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
        let now = self.now_ns();
        let mut state = self.state();
        state.next_pid += 1;
        let task = TaskKey {
            tid: state.next_pid,
            tgid: state.next_pid,
            start_ns: now,
        };
        state.pids.insert(task.tgid, session);
        let (fate, receiver) = oneshot::channel();
        let (attempted, operation, exec) = played(attempt);
        if let Some(settled) = state.remembered.get(&(session, operation)) {
            let result = match settled {
                Settled::Allow => Fate::Passed,
                Settled::Deny => Fate::Refused,
            };
            // The other half is in hand; it cannot be closed.
            let _ = fate.send(result);
            return (task, receiver);
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
        let facts = Facts {
            caller: ProcessFacts {
                pid: task.tgid,
                tid: task.tid,
                start_ns: task.start_ns,
                uid: 1000,
                gid: 1000,
                executable: b"/usr/bin/sh".to_vec(),
                executable_is_hosts: true,
                cwd: b"/home/agent".to_vec(),
                argv: vec![b"sh".to_vec()],
            },
            ancestry: Vec::new(),
            exec,
        };
        let fate = Some(fate);
        state.waiting.insert(task, Waiting { held, facts, fate });
        state.tell(GateEvent::Held(task));
        (task, receiver)
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
            self.lost_events += 1;
        }
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
                environment_sha256: [0; 32],
                path_is_hosts: true,
                single_link: true,
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
        let mut state = self.state();
        let task = id.task();
        if state
            .waiting
            .get(&task)
            .is_some_and(|waiting| waiting.held.id == id)
        {
            state.waiting.remove(&task);
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

    fn lost_events(&self) -> u64 {
        self.state().lost_events
    }

    fn canary(&self) -> Result<(), String> {
        match &self.state().broken {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }
}
