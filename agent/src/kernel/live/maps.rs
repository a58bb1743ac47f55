//! The gate's maps as the daemon uses them. One method a use; raw types in and
//! out, meaning is given to them elsewhere.

use std::os::fd::OwnedFd;

use aya::maps::{Array, HashMap, InodeStorage, MapData, MapError, PerCpuArray};
use holdpoint_agent_common::{
    Answer, CachedVerdict, Control, Event, InodeKey, LOST_RATE, LOST_ROOM, Label, OperationKey,
    PENDING_CAPACITY, Pending, Session, StartupKind, StartupName, TaskKey, Telling, Ticket,
    VerdictKey,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::pump::NotUnderstood;
use crate::kernel::{GateError, GateEvent, Losses};

/// Handles to all pinned maps. Each has its own lock: aya wants exclusive access
/// for writing although the kernel does not.
pub(super) struct Maps {
    /// Task storage. aya has no type of that name; inode storage has the same
    /// interface, a descriptor as the key, here a pidfd.
    pub(super) labels: std::sync::Mutex<InodeStorage<MapData, Label>>,
    pub(super) pending: std::sync::Mutex<HashMap<MapData, TaskKey, Pending>>,
    pub(super) tickets: std::sync::Mutex<HashMap<MapData, TaskKey, Ticket>>,
    pub(super) verdicts: std::sync::Mutex<HashMap<MapData, VerdictKey, CachedVerdict>>,
    pub(super) sessions: std::sync::Mutex<HashMap<MapData, u64, Session>>,
    pub(super) control: std::sync::Mutex<Array<MapData, Control>>,
    pub(super) protected: std::sync::Mutex<HashMap<MapData, InodeKey, u32>>,
    pub(super) startup: std::sync::Mutex<HashMap<MapData, StartupName, u32>>,
    pub(super) lost: PerCpuArray<MapData, u64>,
    pub(super) untold: PerCpuArray<MapData, u64>,
    pub(super) telling: std::sync::Mutex<Array<MapData, Telling>>,
}

fn at(action: &'static str, map: &'static str) -> impl FnOnce(MapError) -> GateError {
    move |source| GateError::Map {
        action,
        map,
        source,
    }
}

/// A poisoned lock only says that another thread panicked between two calls to
/// the kernel; the map itself is always consistent.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Absence is an answer, not an error.
fn found<T>(result: Result<T, MapError>) -> Result<Option<T>, MapError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(rustix::io::Errno::NOENT.raw_os_error()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn pidfd(pid: u32) -> std::io::Result<OwnedFd> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// The label of process `pid`, if it has one.
pub(super) fn label_in(
    labels: &InodeStorage<MapData, Label>,
    pid: u32,
) -> Result<Option<Label>, GateError> {
    let Ok(pidfd) = pidfd(pid) else {
        return Ok(None);
    };
    match found(labels.get(&pidfd, 0)) {
        // It exited after its descriptor was opened.
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            Ok(None)
        }
        other => other.map_err(at("look up a process", "LABELS")),
    }
}

impl Maps {
    pub(super) fn all_pending(&self) -> Result<Vec<(TaskKey, Pending)>, GateError> {
        let map = lock(&self.pending);
        let mut all = Vec::new();
        // A key that is removed meanwhile sends the kernel's iteration back to its
        // beginning: bounded, and a task seen twice is the same task.
        for key in map.keys().take(2 * PENDING_CAPACITY) {
            let key = key.map_err(at("list", "PENDING"))?;
            // Gone between the two calls: it does not wait any more.
            if let Some(pending) =
                found(map.get(&key, 0)).map_err(at("look up a task", "PENDING"))?
            {
                all.push((key, pending));
            }
        }
        Ok(all)
    }

    pub(super) fn pending(&self, task: TaskKey) -> Result<Option<Pending>, GateError> {
        found(lock(&self.pending).get(&task, 0)).map_err(at("look up a task", "PENDING"))
    }

    /// Whether any thread of process `pid` waits.
    pub(super) fn process_waits(&self, pid: u32) -> Result<bool, GateError> {
        let map = lock(&self.pending);
        for key in map.keys().take(2 * PENDING_CAPACITY) {
            if key.map_err(at("list", "PENDING"))?.tgid == pid {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn remove_pending(&self, task: TaskKey) -> Result<(), GateError> {
        found(lock(&self.pending).remove(&task))
            .map(drop)
            .map_err(at("remove a task", "PENDING"))
    }

    pub(super) fn write_ticket(&self, task: TaskKey, ticket: &Ticket) -> Result<(), GateError> {
        lock(&self.tickets)
            .insert(task, ticket, 0)
            .map_err(at("write a ticket", "TICKETS"))
    }

    pub(super) fn remove_ticket(&self, task: TaskKey) -> Result<(), GateError> {
        found(lock(&self.tickets).remove(&task))
            .map(drop)
            .map_err(at("remove a ticket", "TICKETS"))
    }

    pub(super) fn remember(
        &self,
        session: u64,
        operation: OperationKey,
        answer: Answer,
    ) -> Result<(), GateError> {
        let key = VerdictKey {
            session,
            epoch: self.control()?.epoch,
            operation,
        };
        let verdict = CachedVerdict {
            answer: answer as u32,
            padding: 0,
        };
        lock(&self.verdicts)
            .insert(key, verdict, 0)
            .map_err(at("write a verdict", "VERDICTS"))
    }

    pub(super) fn control(&self) -> Result<Control, GateError> {
        lock(&self.control)
            .get(&0, 0)
            .map_err(at("read the settings", "CONTROL"))
    }

    pub(super) fn set_control(&self, control: Control) -> Result<(), GateError> {
        lock(&self.control)
            .set(0, control, 0)
            .map_err(at("write the settings", "CONTROL"))
    }

    pub(super) fn raise_epoch(&self) -> Result<(), GateError> {
        let mut control = self.control()?;
        control.epoch += 1;
        self.set_control(control)
    }

    pub(super) fn add_session(&self, id: u64, session: &Session) -> Result<(), GateError> {
        lock(&self.sessions)
            .insert(id, session, 0)
            .map_err(at("add a session", "SESSIONS"))
    }

    pub(super) fn remove_session(&self, id: u64) -> Result<(), GateError> {
        found(lock(&self.sessions).remove(&id))
            .map(drop)
            .map_err(at("remove a session", "SESSIONS"))
    }

    pub(super) fn sessions(&self) -> Result<Vec<(u64, Session)>, GateError> {
        lock(&self.sessions)
            .iter()
            .collect::<Result<_, _>>()
            .map_err(at("list", "SESSIONS"))
    }

    /// Gives process `pid` the label.
    pub(super) fn label(&self, pid: u32, label: &Label) -> Result<(), GateError> {
        let pidfd = pidfd(pid).map_err(|source| GateError::System {
            action: format!("open process {pid}"),
            source,
        })?;
        lock(&self.labels)
            .insert(&pidfd, label, 0)
            .map_err(at("label a process", "LABELS"))
    }

    pub(super) fn label_of(&self, pid: u32) -> Result<Option<Label>, GateError> {
        label_in(&lock(&self.labels), pid)
    }

    /// Takes paths below homes for those of startup files.
    pub(super) fn name_startup_files(
        &self,
        names: &[(StartupName, StartupKind)],
    ) -> Result<(), GateError> {
        let mut map = lock(&self.startup);
        for (name, kind) in names {
            map.insert(name, *kind as u32, 0)
                .map_err(at("name a startup file", "STARTUP"))?;
        }
        let known: Vec<StartupName> = map
            .keys()
            .collect::<Result<_, _>>()
            .map_err(at("list", "STARTUP"))?;
        for stale in known {
            if names.iter().all(|(name, _)| *name != stale) {
                found(map.remove(&stale)).map_err(at("remove a name", "STARTUP"))?;
            }
        }
        Ok(())
    }

    /// Keeps exactly `inodes` from tracked tasks.
    pub(super) fn protect(
        &self,
        inodes: &std::collections::HashMap<InodeKey, u32>,
    ) -> Result<(), GateError> {
        let mut map = lock(&self.protected);
        for (inode, kept) in inodes {
            map.insert(inode, kept, 0)
                .map_err(at("protect a file", "PROTECTED"))?;
        }
        let known: Vec<InodeKey> = map
            .keys()
            .collect::<Result<_, _>>()
            .map_err(at("list", "PROTECTED"))?;
        for stale in known {
            if !inodes.contains_key(&stale) {
                found(map.remove(&stale)).map_err(at("remove a file", "PROTECTED"))?;
            }
        }
        Ok(())
    }

    /// Everything that could not be told since the machine started.
    pub(super) fn lost(&self) -> Result<Losses, GateError> {
        let sum = |map: &PerCpuArray<MapData, u64>, index, name| {
            let values = map.get(&index, 0).map_err(at("read the counter", name))?;
            Ok(values.iter().sum())
        };
        Ok(Losses {
            holds: sum(&self.lost, 0, "LOST")?,
            room: sum(&self.untold, LOST_ROOM, "UNTOLD")?,
            rate: sum(&self.untold, LOST_RATE, "UNTOLD")?,
            unread: 0,
        })
    }

    pub(super) fn telling(&self) -> Result<Telling, GateError> {
        lock(&self.telling)
            .get(&0, 0)
            .map_err(at("read the settings", "TELLING"))
    }

    pub(super) fn set_telling(&self, telling: Telling) -> Result<(), GateError> {
        lock(&self.telling)
            .set(0, telling, 0)
            .map_err(at("write the settings", "TELLING"))
    }
}

/// Reads a record of the ring buffer of holds.
pub(super) fn event(record: &[u8]) -> Result<GateEvent, NotUnderstood> {
    let event = parse(record).ok_or(NotUnderstood::Size)?;
    Ok(GateEvent::from_raw(&event)?)
}

/// Reads the fields of a record by their offsets in [`Event`].
fn parse(record: &[u8]) -> Option<Event> {
    if record.len() != size_of::<Event>() {
        return None;
    }
    let word = |index: usize| -> Option<u64> {
        let bytes = record.get(index * 8..index * 8 + 8)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    };
    let halves = |index: usize| -> Option<(u32, u32)> {
        let value = word(index)?;
        Some((value as u32, (value >> 32) as u32))
    };
    let (kind, cause) = halves(0)?;
    let (tid, tgid) = halves(1)?;
    let (operation_kind, pad) = halves(6)?;
    Some(Event {
        kind,
        cause,
        task: TaskKey {
            tid,
            tgid,
            start_ns: word(2)?,
        },
        session: word(3)?,
        at_ns: word(4)?,
        held_ns: word(5)?,
        operation: OperationKey {
            kind: operation_kind,
            padding: pad,
            subject: [word(7)?, word(8)?, word(9)?, word(10)?, word(11)?],
            script: word(12)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_field_by_field() {
        let mut record = Vec::new();
        for word in 0..13_u64 {
            record.extend_from_slice(&(word | (word + 100) << 32).to_ne_bytes());
        }
        let event = parse(&record).unwrap();
        assert_eq!((event.kind, event.cause), (0, 100));
        assert_eq!((event.task.tid, event.task.tgid), (1, 101));
        assert_eq!(event.held_ns, 5 + (105 << 32));
        assert_eq!(event.operation.subject[4], 11 + (111 << 32));
        assert!(parse(&record[1..]).is_none());
        let unknown = super::event(&record).unwrap_err();
        assert!(matches!(unknown, NotUnderstood::Value(_)), "{unknown}");
        let short = super::event(&record[1..]).unwrap_err();
        assert!(matches!(short, NotUnderstood::Size), "{short}");
    }
}
