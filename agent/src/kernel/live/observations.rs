//! What the gate tells of operations it settled without a hold, out of its ring
//! buffer.
//!
//! Takes no more than somebody waits for: what is left there is counted by the
//! kernel if it overflows, and is there for the next daemon if this one dies.

use std::{fs, os::unix::ffi::OsStringExt as _};

use aya::maps::{MapData, RingBuf};
use holdpoint_agent_common::{ExecObservation, Observation, OperationKey, PATH_CAPACITY, TaskKey};
use tokio::{io::unix::AsyncFd, sync::mpsc};
use tracing::{error, warn};

use crate::kernel::{Observed, ObservedOperation};

/// Turns records into observations until nobody listens.
#[expect(unsafe_code, reason = "waiting on a descriptor that aya owns")]
pub(super) async fn pump(ring: RingBuf<MapData>, sender: mpsc::Sender<Observed>) {
    // SAFETY: the ring buffer owns its descriptor and closes it when dropped,
    // which AsyncFd delays until it has stopped watching it.
    let mut ring = match unsafe { AsyncFd::register(ring) } {
        Ok(ring) => ring,
        Err(error) => {
            error!(%error, "cannot wait for what the gate tells; operations that it settles alone are not recorded");
            return;
        }
    };
    loop {
        let Ok(mut guard) = ring.readable_mut().await else {
            return;
        };
        while let Some(observed) = guard.get_inner_mut().next().map(|record| parse(&record)) {
            let Some(mut observed) = observed else {
                warn!("a record of the gate was not understood");
                continue;
            };
            if matches!(observed.operation, ObservedOperation::Connect(_)) {
                observed.executable = executable(observed.task);
            }
            if sender.send(observed).await.is_err() {
                return;
            }
        }
        guard.clear_ready();
    }
}

/// The program that runs in `task` now, for display.
fn executable(task: TaskKey) -> Vec<u8> {
    fs::read_link(format!("/proc/{}/task/{}/exe", task.tgid, task.tid))
        .map(|path| path.into_os_string().into_vec())
        .unwrap_or_default()
}

/// Reads the fields of a record by their offsets in [`Observation`].
fn parse(record: &[u8]) -> Option<Observed> {
    let head = head(record)?;
    let behind = record.get(size_of::<Observation>()..)?;
    let (path, strings) = match behind.len() {
        0 => (&[][..], &[][..]),
        // The ring buffer hands records out in whole words.
        len if len == size_of::<ExecObservation>() - size_of::<Observation>() => {
            behind.split_at_checked(PATH_CAPACITY)?
        }
        _ => return None,
    };
    Observed::from_raw(
        &head,
        path.get(..head.path_len as usize)?,
        strings.get(..head.strings_len as usize)?,
    )
    .ok()
}

fn head(record: &[u8]) -> Option<Observation> {
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
    let (parent_tgid, uid) = halves(6)?;
    let (gid, argc) = halves(7)?;
    let (path_len, strings_len) = halves(8)?;
    let (operation_kind, padding) = halves(9)?;
    Some(Observation {
        kind,
        cause,
        task: TaskKey {
            tid,
            tgid,
            start_ns: word(2)?,
        },
        session: word(3)?,
        at_ns: word(4)?,
        parent_start_ns: word(5)?,
        parent_tgid,
        uid,
        gid,
        argc,
        path_len,
        strings_len,
        operation: OperationKey {
            kind: operation_kind,
            padding,
            subject: [word(10)?, word(11)?, word(12)?, word(13)?, word(14)?],
            script: word(15)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use holdpoint_agent_common::{FileId, ObservationKind, TOLD_ARGUMENTS};

    use super::*;
    use crate::kernel::ObservedEnd;

    fn pair(low: u32, high: u32) -> u64 {
        u64::from(low) + (u64::from(high) << 32)
    }

    fn record(argc: u32, path: &[u8], strings: &[u8]) -> Vec<u8> {
        let file = FileId {
            inode: 77,
            ..FileId::default()
        };
        let operation = OperationKey::exec(file, 5);
        let mut words = vec![
            ObservationKind::Allowed as u64,
            pair(11, 12),
            13,
            14,
            15,
            16,
            pair(17, 1000),
            pair(1001, argc),
            pair(path.len() as u32, strings.len() as u32),
            u64::from(operation.kind),
        ];
        words.extend(operation.subject);
        words.push(operation.script);
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        bytes.extend_from_slice(path);
        bytes.resize(size_of::<Observation>() + PATH_CAPACITY, 0xff);
        bytes.extend_from_slice(strings);
        bytes.resize(
            size_of::<Observation>() + PATH_CAPACITY + TOLD_ARGUMENTS,
            0xff,
        );
        bytes
    }

    #[test]
    fn a_record_is_read_field_by_field() {
        let observed = parse(&record(2, b"/bin/ls", b"ls\0-l\0A=b\0")).unwrap();
        assert_eq!((observed.task.tid, observed.task.tgid), (11, 12));
        assert_eq!((observed.task.start_ns, observed.session.0), (13, 14));
        assert_eq!((observed.at_ns, observed.parent), (15, (17, 16)));
        assert_eq!((observed.uid, observed.gid), (1000, 1001));
        assert_eq!(observed.settled, ObservedEnd::Allowed);
        let ObservedOperation::Exec {
            file,
            path,
            argv,
            argv_cut,
        } = observed.operation
        else {
            panic!("no exec");
        };
        assert_eq!((file.inode, &*path), (77, &b"/bin/ls"[..]));
        assert_eq!(
            (argv, argv_cut),
            (vec![b"ls".to_vec(), b"-l".to_vec()], false)
        );
    }

    #[test]
    fn a_record_that_lies_about_its_lengths_is_not_understood() {
        let whole = record(1, b"/x", b"x\0");
        let mut long = whole.clone();
        long[64..68].copy_from_slice(&(PATH_CAPACITY as u32 + 1).to_ne_bytes());
        assert!(parse(&long).is_none());
        assert!(parse(&whole[..whole.len() - 8]).is_none());
        assert!(parse(&[]).is_none());
    }
}
