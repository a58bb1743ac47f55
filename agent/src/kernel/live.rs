//! The live gate: eBPF programs in the running kernel.
//!
//! Links and maps are pinned, so that nothing opens when the daemon dies
//! (invariant I7). Every start loads the programs anew onto the pinned maps and
//! replaces the pinned links one by one; for a moment both judge, never none.

mod canary;
mod load;
mod maps;
mod observations;
mod offsets;
mod protect;
mod pump;
mod removal;
mod startup;

use std::{collections::HashSet, time::Duration};

use aya::programs::links::PinnedLink;
use holdpoint_agent_common::{self as raw, Label, TaskKey};
use tokio::sync::mpsc;

pub use self::{canary::run_as_child as canary_child, protect::Protect, removal::remove};
use super::{
    Answer, CANARY_SESSION, Content, DescribeError, Facts, Gate, GateError, GateEvent, Held,
    HoldId, Listener, Losses, Observed, Permits, ProcessFacts, Route, Session, SessionId, Settled,
    TaskState,
};
use crate::process;

/// The gate of this machine.
pub struct LiveGate {
    maps: maps::Maps,
    events: std::sync::Mutex<Option<mpsc::Receiver<GateEvent>>>,
    observations: std::sync::Mutex<Option<mpsc::Receiver<Observed>>>,
    unread: pump::Unread,
    boot_secret: [u64; 2],
    /// Held open: while the daemon lives, removing the pins detaches nothing.
    _links: Vec<PinnedLink>,
}

impl LiveGate {
    /// Loads the programs, attaches and pins them. Must run inside a tokio runtime.
    ///
    /// Needs root, a kernel from 6.1 with BTF and `bpf` among its active LSMs, and
    /// bpffs on `/sys/fs/bpf`; the error says what is missing and how to mend it.
    /// `protect` are files and folders that no tracked task may change.
    pub fn load(protect: &Protect) -> Result<Self, GateError> {
        let loaded = load::load()?;
        protect.apply(&loaded.maps)?;
        // Short: what is not taken stays in the kernel, for the next daemon too.
        let (sender, receiver) = mpsc::channel(64);
        let unread = pump::Unread::default();
        tokio::spawn(pump::run(
            loaded.events,
            sender,
            unread.clone(),
            maps::event,
            "holds are found by scanning alone",
        ));
        let (observer, observations) = mpsc::channel(64);
        tokio::spawn(pump::run(
            loaded.observations,
            observer,
            unread.clone(),
            observations::read,
            "operations that it settles alone are not recorded",
        ));
        Ok(Self {
            maps: loaded.maps,
            events: std::sync::Mutex::new(Some(receiver)),
            observations: std::sync::Mutex::new(Some(observations)),
            unread,
            boot_secret: loaded.boot_secret,
            _links: loaded.links,
        })
    }

    fn ticket(&self, held: &Held, answer: Answer, lifetime: Duration) -> raw::Ticket {
        let (answer, arguments) = match answer {
            Answer::Release(arguments) => (raw::Answer::Release, arguments),
            Answer::Refuse => (raw::Answer::Refuse, raw::ArgumentsMac::default()),
            Answer::Kill => (raw::Answer::Kill, raw::ArgumentsMac::default()),
        };
        let lifetime = u64::try_from(lifetime.as_nanos()).unwrap_or(u64::MAX);
        raw::Ticket {
            operation: held.operation,
            held_ns: held.id.held_ns,
            until_ns: self.now_ns().saturating_add(lifetime),
            answer: answer as u32,
            padding: 0,
            arguments,
        }
    }

    /// Tracked ancestors that stopped because this task was seen to stop (sudo,
    /// script and the like) wait for a SIGCONT that nobody else will send.
    fn resume_mirrors(&self, task: TaskKey) {
        for ancestor in process::ancestors(task.tgid) {
            let tracked = matches!(self.session_of(ancestor), Ok(Some(_)));
            if !tracked {
                return;
            }
            let waits = self.maps.process_waits(ancestor).unwrap_or(true);
            if !waits && process::is_stopped(ancestor) {
                // The process may be gone by now; then there is nothing to resume.
                let _ = process::resume(ancestor);
            }
        }
    }
}

impl Gate for LiveGate {
    fn events(&self) -> Option<mpsc::Receiver<GateEvent>> {
        self.events.lock().ok()?.take()
    }

    fn all_held(&self) -> Result<Vec<Held>, GateError> {
        Ok(self
            .maps
            .all_pending()?
            .iter()
            .filter_map(|(task, pending)| Held::from_raw(*task, pending))
            .collect())
    }

    fn held(&self, task: TaskKey) -> Result<Option<Held>, GateError> {
        Ok(self
            .maps
            .pending(task)?
            .and_then(|pending| Held::from_raw(task, &pending)))
    }

    fn describe(&self, held: &Held) -> Result<Facts, DescribeError> {
        process::describe(
            held,
            self.boot_secret,
            |pid| matches!(self.session_of(pid), Ok(Some(session)) if session == held.session),
        )
    }

    fn caller(&self, held: &Held) -> Result<ProcessFacts, DescribeError> {
        process::caller(held)
    }

    fn listener(&self, held: &Held) -> Option<Listener> {
        process::listener(held)
    }

    fn content(&self, held: &Held, patience: Duration) -> Content {
        process::content(held, patience)
    }

    fn answer(&self, held: &Held, answer: Answer, lifetime: Duration) -> Result<(), GateError> {
        let task = held.id.task();
        self.maps
            .write_ticket(task, &self.ticket(held, answer, lifetime))?;
        let waits = self.maps.pending(task)?;
        if waits.is_none_or(|pending| pending.held_ns != held.id.held_ns) {
            // It gave up meanwhile: nobody would use the ticket or throw it away.
            return self.maps.remove_ticket(task);
        }
        match process::resume_task(task) {
            Ok(()) => self.resume_mirrors(task),
            // Gone: the sweep finds out and withdraws.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(GateError::System {
                    action: format!("resume process {}", task.tgid),
                    source,
                });
            }
        }
        Ok(())
    }

    fn forget(&self, id: HoldId) -> Result<(), GateError> {
        let task = id.task();
        if self
            .maps
            .pending(task)?
            .is_some_and(|pending| pending.held_ns == id.held_ns)
        {
            self.maps.remove_pending(task)?;
        }
        self.maps.remove_ticket(task)?;
        // Should the task have stopped anew between the two calls, its record is
        // gone too. Let it try again; the worst is one more judgement.
        if process::is_stopped(task.tgid) && !self.maps.process_waits(task.tgid)? {
            match process::resume_task(task) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(GateError::System {
                        action: format!("resume process {}", task.tgid),
                        source,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn remember(&self, held: &Held, settled: Settled) -> Result<(), GateError> {
        let answer = match settled {
            Settled::Allow => raw::Answer::Release,
            Settled::Deny => raw::Answer::Refuse,
        };
        self.maps.remember(held.session.0, held.operation, answer)
    }

    fn policy_changed(&self) -> Result<(), GateError> {
        self.maps.raise_epoch()
    }

    fn begin_session(
        &self,
        pid: u32,
        profile: &str,
        owner: &str,
        uid: u32,
        permits: Permits,
    ) -> Result<Session, GateError> {
        let name = |text: &str, what| {
            raw::SessionName::new(text).ok_or_else(|| {
                GateError::Unsupported(format!("the {what} {text:?} is longer than 64 bytes"))
            })
        };
        let root = process::sole_thread(pid, uid).map_err(|source| GateError::System {
            action: format!("track process {pid}"),
            source,
        })?;
        let sockets = process::reaching_out(pid).map_err(|source| GateError::System {
            action: format!("look at the descriptors of process {pid}"),
            source,
        })?;
        if !sockets.is_empty() && permits.bits() & Route::ForeignSocket.bit() == 0 {
            let list: Vec<_> = sockets.iter().map(ToString::to_string).collect();
            return Err(GateError::Unsupported(format!(
                "process {pid} has a socket that was opened before the session (descriptor {}), and \
                 could send by it unjudged; close it first (in a shell: `exec {}>&-`), or permit \
                 \"{}\" in the profile",
                list.join(", "),
                list.first().map_or("N", String::as_str),
                Route::ForeignSocket.name(),
            )));
        }
        let session = raw::Session {
            profile: name(profile, "profile name")?,
            owner: name(owner, "owner name")?,
            root,
            uid,
            padding: 0,
        };
        let id = SessionId(process::random_u64()?.max(CANARY_SESSION.0 + 1));
        self.maps.add_session(id.0, &session)?;
        if let Err(error) = self.maps.label(pid, &Label::new(id.0, 0, permits.bits())) {
            // The label is what counts; a session without one is only a leftover.
            let _ = self.maps.remove_session(id.0);
            return Err(error);
        }
        Ok(Session {
            id,
            profile: profile.to_owned(),
            owner: owner.to_owned(),
            root,
            uid,
        })
    }

    fn session_of(&self, pid: u32) -> Result<Option<SessionId>, GateError> {
        Ok(self
            .maps
            .label_of(pid)?
            .map(|label| SessionId(label.session)))
    }

    fn sessions(&self) -> Result<Vec<Session>, GateError> {
        Ok(self
            .maps
            .sessions()?
            .into_iter()
            .filter_map(|(id, session)| {
                Some(Session {
                    id: SessionId(id),
                    profile: session.profile.as_str()?.to_owned(),
                    owner: session.owner.as_str()?.to_owned(),
                    root: session.root,
                    uid: session.uid,
                })
            })
            .collect())
    }

    fn sweep_sessions(&self) -> Result<(), GateError> {
        // Sessions first: one that begins meanwhile is then not in the list.
        let known = self.maps.sessions()?;
        let mut alive = HashSet::new();
        for pid in process::all_pids() {
            if let Some(session) = self.session_of(pid)? {
                alive.insert(session.0);
            }
        }
        for (id, session) in known {
            let starting = self.task_state(session.root) != TaskState::Gone;
            if !alive.contains(&id) && !starting {
                self.maps.remove_session(id)?;
            }
        }
        Ok(())
    }

    fn process_lives(&self, pid: u32, start_ns: u64) -> bool {
        process::start_ns(pid) == Some(start_ns)
    }

    fn task_state(&self, task: TaskKey) -> TaskState {
        process::state(task)
    }

    fn now_ns(&self) -> u64 {
        process::boot_time_ns()
    }

    fn boot_secret(&self) -> [u64; 2] {
        self.boot_secret
    }

    fn observations(&self) -> Option<mpsc::Receiver<Observed>> {
        self.observations.lock().ok()?.take()
    }

    fn tell_at_most(&self, per_second: u32) -> Result<(), GateError> {
        let telling = raw::Telling {
            per_second: per_second.into(),
            ..self.maps.telling()?
        };
        self.maps.set_telling(telling)
    }

    fn losses(&self) -> Result<Losses, GateError> {
        let telling = self.maps.telling()?;
        let declared = Losses {
            holds: telling.declared_holds,
            room: telling.declared_room,
            rate: telling.declared_rate,
            unread: 0,
        };
        Ok(Losses {
            unread: self.unread.count(),
            ..self.maps.lost()?.beyond(declared)
        })
    }

    fn declared(&self, losses: Losses) -> Result<(), GateError> {
        let telling = self.maps.telling()?;
        self.maps.set_telling(raw::Telling {
            declared_holds: telling.declared_holds + losses.holds,
            declared_room: telling.declared_room + losses.room,
            declared_rate: telling.declared_rate + losses.rate,
            ..telling
        })?;
        self.unread.declared(losses.unread);
        Ok(())
    }

    fn canary(&self) -> Result<(), String> {
        canary::run(&self.maps)
    }
}
