//! What the daemon reads of other processes, from /proc and their memory.
//!
//! Everything here is a look at something that may change or vanish at any
//! moment; no answer given here may open the gate. What matters is compared again
//! in the kernel: the file's identity at every judgement, the arguments after the
//! exec.

mod content;
mod environment;
mod listeners;
mod memory;
mod procfs;
mod sockets;

pub(crate) use procfs::{
    all_pids, ancestors, boot_time_ns, end, has_ended, inode_of, is_stopped, program, resume,
    resume_task, sole_thread, start_ns, state,
};

pub(crate) use sockets::reaching_out;

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use holdpoint_agent_common::{ArgumentsMac, FileId, SipHash};
use sha2::{Digest as _, Sha256};

use crate::kernel::{
    Attempted, Content, DescribeError, ExecFacts, Facts, GateError, Held, Listener, ProcessFacts,
    TaskState,
};

/// Most ancestors a request carries.
const MAX_ANCESTRY: usize = 32;

/// `OVERLAYFS_SUPER_MAGIC`: its inode numbers in the kernel differ from those it
/// shows.
const OVERLAYFS_MAGIC: i64 = 0x794c_7630;

/// Random bits from the kernel.
pub(crate) fn random_u64() -> Result<u64, GateError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| GateError::System {
        action: "get random numbers".to_owned(),
        source: error.into(),
    })?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Reads what a reviewer must see of `held`. `same_session` says whether a
/// process belongs to its session.
pub(crate) fn describe(
    held: &Held,
    boot_secret: [u64; 2],
    same_session: impl Fn(u32) -> bool,
) -> Result<Facts, DescribeError> {
    let task = held.id.task();
    let caller = caller(held)?;
    let (listener, name_is_hosts) = match &held.attempted {
        Attempted::Exec { .. } | Attempted::Connect(_) => (listener(held), false),
        Attempted::Local { peer, name } => listeners::of_local(peer, name),
    };
    let exec = match &held.attempted {
        Attempted::Connect(_) | Attempted::Local { .. } => None,
        Attempted::Exec {
            file,
            path,
            memory,
            interprets,
        } => {
            let strings = memory::read_exec(task, *memory)?;
            let mac = mac(&strings, boot_secret);
            let argv = match interprets {
                None => strings.argv,
                Some(interpreted) => {
                    let mut argv = interpreted.arguments().ok_or(DescribeError::Interpreter)?;
                    argv.extend(strings.argv.into_iter().skip(1));
                    argv
                }
            };
            let (path_is_hosts, single_link) = host_file(Path::new(bytes_as_path(path)), file);
            Some(ExecFacts {
                arguments: mac,
                environment_sha256: environment_digest(&strings.environment),
                environment: environment::of_interest(&strings.environment),
                argv,
                path_is_hosts,
                single_link,
            })
        }
    };
    // The memory may have been another process's if the thread id was reused
    // between the two looks.
    if procfs::state(task) == TaskState::Gone {
        return Err(DescribeError::Gone);
    }
    let ancestry = procfs::ancestors(task.tgid)
        .into_iter()
        .take(MAX_ANCESTRY)
        .take_while(|pid| same_session(*pid))
        .filter_map(|pid| procfs::process(pid, pid))
        .collect();
    Ok(Facts {
        caller,
        process_start_ns: procfs::start_ns(task.tgid).ok_or(DescribeError::Gone)?,
        ancestry,
        exec,
        listener,
        name_is_hosts,
    })
}

/// Who answers the internet connect `held` as it is now. A local socket needs no
/// second look: the kernel compares it.
pub(crate) fn listener(held: &Held) -> Option<Listener> {
    match &held.attempted {
        Attempted::Connect(to) => listeners::of_destination(held.id.tgid, to),
        Attempted::Exec { .. } | Attempted::Local { .. } => None,
    }
}

/// The calling process as it is now.
pub(crate) fn caller(held: &Held) -> Result<ProcessFacts, DescribeError> {
    let task = held.id.task();
    let seen = procfs::process(task.tgid, task.tid).ok_or(DescribeError::Gone)?;
    if seen.executable.is_empty() {
        return Err(DescribeError::Caller);
    }
    if procfs::state(task) == TaskState::Gone {
        return Err(DescribeError::Gone);
    }
    Ok(ProcessFacts {
        start_ns: task.start_ns,
        uid: held.uid,
        gid: held.gid,
        ..seen
    })
}

/// The content of the file that `held` would run, read for at most about
/// `patience`. Of a connect there is none.
pub(crate) fn content(held: &Held, patience: Duration) -> Content {
    match &held.attempted {
        Attempted::Connect(_) | Attempted::Local { .. } => Content::Unread,
        Attempted::Exec { file, path, .. } => content::read(
            held.id.task(),
            Path::new(bytes_as_path(path)),
            file,
            patience,
        ),
    }
}

fn bytes_as_path(bytes: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

/// Whether the host's own file at `path` is the one the kernel saw, and whether
/// that is its only name.
fn host_file(path: &Path, file: &FileId) -> (bool, bool) {
    let Ok(found) = fs::symlink_metadata(path) else {
        return (false, false);
    };
    let overlay =
        rustix::fs::statfs(path).is_ok_and(|filesystem| filesystem.f_type == OVERLAYFS_MAGIC);
    let same = (found.ino() == file.inode || overlay)
        && procfs::device_of(path) == Some(file.device)
        && found.size() == file.size
        && found.ctime() == file.ctime_sec
        && u32::try_from(found.ctime_nsec()) == Ok(file.ctime_nsec);
    (same, same && found.nlink() == 1)
}

/// Keyed hashes over exactly the bytes the kernel puts on the new stack.
fn mac(strings: &memory::ExecStrings, key: [u64; 2]) -> ArgumentsMac {
    let with_nul = |out: &mut Vec<u8>, text: &[u8]| {
        out.extend_from_slice(text);
        out.push(0);
    };
    // The kernel gives a program without arguments one empty argument (5.18).
    let (first, others): (&[u8], &[Vec<u8>]) = match strings.argv.split_first() {
        Some((first, others)) => (first, others),
        None => (b"", &[]),
    };
    let mut head = Vec::with_capacity(first.len() + 1);
    with_nul(&mut head, first);
    let mut rest = Vec::new();
    for text in others.iter().chain(&strings.environment) {
        with_nul(&mut rest, text);
    }
    ArgumentsMac {
        present: 1,
        // Both are bounded by `memory::LIMIT`.
        first_len: head.len() as u32,
        rest_len: rest.len() as u32,
        padding: 0,
        first: SipHash::of(key, &head),
        rest: SipHash::of(key, &rest),
    }
}

fn environment_digest(environment: &[Vec<u8>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for text in environment {
        digest.update(text);
        digest.update([0]);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_covers_the_strings_as_they_lie_on_the_stack() {
        let strings = memory::ExecStrings {
            argv: vec![b"a".to_vec(), b"bc".to_vec()],
            environment: vec![b"X=1".to_vec()],
        };
        let key = [1, 2];
        let mac = mac(&strings, key);
        assert_eq!((mac.first_len, mac.rest_len), (2, 7));
        assert_eq!(mac.first, SipHash::of(key, b"a\0"));
        assert_eq!(mac.rest, SipHash::of(key, b"bc\0X=1\0"));
    }

    #[test]
    fn no_arguments_are_one_empty_argument() {
        let strings = memory::ExecStrings {
            argv: vec![],
            environment: vec![],
        };
        let mac = mac(&strings, [0, 0]);
        assert_eq!((mac.first_len, mac.rest_len), (1, 0));
    }

    #[test]
    fn a_changed_file_is_not_the_hosts() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let found = fs::metadata(file.path()).unwrap();
        let id = FileId {
            device: procfs::device_of(file.path()).unwrap(),
            inode: found.ino(),
            size: found.size(),
            ctime_sec: found.ctime(),
            ctime_nsec: u32::try_from(found.ctime_nsec()).unwrap(),
            ..FileId::default()
        };
        assert_eq!(host_file(file.path(), &id), (true, true));
        for other in [
            FileId { size: 1, ..id },
            FileId {
                device: id.device ^ 1,
                ..id
            },
        ] {
            assert_eq!(host_file(file.path(), &other), (false, false));
        }
    }
}
