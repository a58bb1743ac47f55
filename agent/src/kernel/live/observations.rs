//! What the gate tells of operations it settled without a hold, as its records
//! have it.

use holdpoint_agent_common::{ExecObservation, Observation, OperationKey, PATH_CAPACITY, TaskKey};

use super::pump::NotUnderstood;
use crate::{
    kernel::{Observed, ObservedOperation},
    process,
};

/// Reads a record, and which program did what is no exec.
pub(super) fn read(record: &[u8]) -> Result<Observed, NotUnderstood> {
    let mut observed = parse(record)?;
    if matches!(
        observed.operation,
        ObservedOperation::Connect(_)
            | ObservedOperation::Local(_)
            | ObservedOperation::Route { .. }
    ) {
        let task = observed.task;
        observed.executable = process::program(&format!("/proc/{}/task/{}", task.tgid, task.tid));
    }
    Ok(observed)
}

/// Reads the fields of a record by their offsets in [`Observation`].
fn parse(record: &[u8]) -> Result<Observed, NotUnderstood> {
    let (head, path, strings) = parts(record).ok_or(NotUnderstood::Size)?;
    Ok(Observed::from_raw(&head, path, strings)?)
}

/// The head of a record, and the path and the strings behind it.
fn parts(record: &[u8]) -> Option<(Observation, &[u8], &[u8])> {
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
    Some((
        head,
        path.get(..head.path_len as usize)?,
        strings.get(..head.strings_len as usize)?,
    ))
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
        assert!(parse(&long).is_err());
        assert!(parse(&whole[..whole.len() - 8]).is_err());
        assert!(parse(&[]).is_err());
    }
}
