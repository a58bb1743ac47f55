//! /proc, read with the care it needs: every number may have been reused since
//! it was learned, so identity is always number and start time together.

use std::{
    fs, io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd},
        unix::ffi::OsStringExt as _,
    },
    path::Path,
    sync::OnceLock,
};

use holdpoint_agent_common::{InodeKey, TaskKey};
use rustix::{
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
    time::{ClockId, clock_gettime},
};

use crate::kernel::{ProcessFacts, TaskState};

/// Nanoseconds since boot, suspend included: the clock of the gate.
pub(crate) fn boot_time_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + nanos
}

/// The fields of /proc/PID/stat that identify and place a task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stat {
    state: u8,
    parent: u32,
    /// In clock ticks since boot.
    start_ticks: u64,
}

fn stat(path: &Path) -> Option<Stat> {
    parse_stat(&fs::read(path).ok()?)
}

/// The command name may hold anything, parentheses and spaces included: fields
/// count from the last closing one.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of the file, the 20th behind the name; two are read.
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        state,
        parent,
        start_ticks,
    })
}

fn tick_ns() -> u64 {
    static TICK: OnceLock<u64> = OnceLock::new();
    *TICK.get_or_init(|| 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

fn task_stat(tgid: u32, tid: u32) -> Option<Stat> {
    stat(Path::new(&format!("/proc/{tgid}/task/{tid}/stat")))
}

/// The task's stat, if the number still belongs to it.
fn stat_of(task: TaskKey) -> Option<Stat> {
    task_stat(task.tgid, task.tid).filter(|stat| stat.start_ticks == task.start_ns / tick_ns())
}

/// When process `pid` started, to the resolution of /proc: names it together with
/// its number, whichever of its threads is looked at.
pub(crate) fn start_ns(pid: u32) -> Option<u64> {
    Some(task_stat(pid, pid)?.start_ticks * tick_ns())
}

/// Where `task` is.
pub(crate) fn state(task: TaskKey) -> TaskState {
    match stat_of(task).map(|stat| stat.state) {
        None | Some(b'Z' | b'X' | b'x') => TaskState::Gone,
        // `t`: stopped under a tracer, which a seizing one sees the stop as.
        Some(b'T' | b't') => TaskState::Stopped,
        Some(_) => TaskState::Running,
    }
}

/// Whether process `pid` is stopped by a signal.
pub(crate) fn is_stopped(pid: u32) -> bool {
    task_stat(pid, pid).is_some_and(|stat| stat.state == b'T')
}

/// The identity of process `pid` of user `uid`, if it has one thread only: a label
/// reaches the first thread alone, and later ones inherit it. To the resolution
/// of /proc: good to compare with other looks at /proc, never with the kernel's
/// maps.
pub(crate) fn sole_thread(pid: u32, uid: u32) -> io::Result<TaskKey> {
    let facts = process(pid, pid).ok_or(io::ErrorKind::NotFound)?;
    if facts.uid != uid {
        return Err(io::Error::other(format!(
            "it runs as user {}, the caller was user {uid}",
            facts.uid
        )));
    }
    let threads = fs::read_dir(format!("/proc/{pid}/task"))?.count();
    if threads != 1 {
        return Err(io::Error::other(format!(
            "it has {threads} threads; a session begins with a process of one"
        )));
    }
    Ok(TaskKey {
        tid: pid,
        tgid: pid,
        start_ns: facts.start_ns,
    })
}

/// Parents of process `pid`, nearest first, without the process itself.
pub(crate) fn ancestors(pid: u32) -> Vec<u32> {
    let mut chain = Vec::new();
    let mut at = pid;
    while let Some(stat) = task_stat(at, at) {
        if stat.parent == 0 || chain.contains(&stat.parent) {
            break;
        }
        chain.push(stat.parent);
        at = stat.parent;
    }
    chain
}

/// Numbers of all processes.
pub(crate) fn all_pids() -> Vec<u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// What there is to say about a thread's process. `None` if it is gone.
pub(crate) fn process(pid: u32, tid: u32) -> Option<ProcessFacts> {
    // The thread's own folder: that of a process whose first thread has exited
    // has neither program nor arguments.
    let base = format!("/proc/{pid}/task/{tid}");
    let stat = task_stat(pid, tid)?;
    let status = fs::read_to_string(format!("{base}/status")).ok()?;
    let id = |name: &str| -> Option<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    let link = |name: &str| {
        fs::read_link(format!("{base}/{name}"))
            .map(|path| path.into_os_string().into_vec())
            .unwrap_or_default()
    };
    let executable = program(&base);
    let (command, argv_cut) = start_of(Path::new(&format!("{base}/cmdline")));
    Some(ProcessFacts {
        pid,
        tid,
        start_ns: stat.start_ticks * tick_ns(),
        uid: id("Uid:")?,
        gid: id("Gid:")?,
        executable_is_hosts: same_file(
            Path::new(&format!("{base}/exe")),
            Path::new(super::bytes_as_path(&executable)),
        ),
        executable,
        cwd: link("cwd"),
        argv: command_line(&command),
        argv_cut,
    })
}

/// The path of the program that runs in the thread of the folder `base`, empty if
/// it cannot be read. It is that under which the program was started, also when
/// the file was replaced or removed since: an upgrade makes no other question of
/// a hold, and nobody gets out of a rule by removing their own program.
pub(crate) fn program(base: &str) -> Vec<u8> {
    let exe = format!("{base}/exe");
    let Ok(path) = fs::read_link(&exe) else {
        return Vec::new();
    };
    // Unless that is really its name.
    let removed = !same_file(Path::new(&exe), &path);
    let mut path = path.into_os_string().into_vec();
    if removed && path.ends_with(REMOVED) {
        path.truncate(path.len() - REMOVED.len());
    }
    path
}

/// What the kernel appends to the path of a file that was removed (`d_path`).
const REMOVED: &[u8] = b" (deleted)";

/// Bytes of a process's command line that are worth showing. What decides (the
/// arguments of a held exec) is read whole, elsewhere.
const COMMAND_LINE: u64 = 4096;

/// The beginning of a file, empty if it cannot be read, and whether there is more.
fn start_of(path: &Path) -> (Vec<u8>, bool) {
    use std::io::Read as _;
    let mut text = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(COMMAND_LINE + 1).read_to_end(&mut text));
    let more = read.is_ok() && text.len() as u64 > COMMAND_LINE;
    text.truncate(COMMAND_LINE as usize);
    (text, more)
}

/// Kernel device number of the filesystem that `path` is on, as its superblock
/// has it: overlayfs and btrfs show another one in `stat`.
pub(crate) fn device_of(path: &Path) -> Option<u32> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID).ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    device_of_mount(&mounts, found.stx_mnt_id)
}

/// The file at `path` as the kernel names it; `follow` goes through a symbolic link
/// at its end.
pub(crate) fn inode_of(path: &Path, follow: bool) -> io::Result<InodeKey> {
    use rustix::fs::{Mode, OFlags, open};
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !follow);
    let found = open(path, flags, Mode::empty())?;
    let unknown = || io::Error::other("its filesystem is not known");
    let mount = fd_info(found.as_fd(), "mnt_id:").ok_or_else(unknown)?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(InodeKey {
        inode: inode_number(found.as_fd()).ok_or_else(unknown)?,
        device: device_of_mount(&mounts, mount).ok_or_else(unknown)?,
        padding: 0,
    })
}

/// The inode number as the kernel has it: overlayfs shows another one in `stat`.
pub(super) fn inode_number(found: BorrowedFd<'_>) -> Option<u64> {
    fd_info(found, "ino:")
}

fn fd_info(fd: BorrowedFd<'_>, field: &str) -> Option<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    let value = info.lines().find_map(|line| line.strip_prefix(field))?;
    value.trim().parse().ok()
}

/// Kernel device number of mount `wanted`, from the text of a `mountinfo`.
pub(super) fn device_of_mount(mounts: &str, wanted: u64) -> Option<u32> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let id: u64 = fields.next()?.parse().ok()?;
        let (major, minor) = fields.nth(1)?.split_once(':')?;
        let device = major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?;
        (id == wanted).then_some(device)
    })
}

fn command_line(text: &[u8]) -> Vec<Vec<u8>> {
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

fn same_file(left: &Path, right: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (fs::metadata(left), fs::metadata(right)) {
        (Ok(left), Ok(right)) => (left.dev(), left.ino()) == (right.dev(), right.ino()),
        _ => false,
    }
}

/// Whether no thread of process `pid` runs any more, though its parent may not
/// have asked for its status yet.
pub(crate) fn has_ended(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return true;
    };
    threads
        .filter_map(|entry| stat(&entry.ok()?.path().join("stat")))
        .all(|stat| matches!(stat.state, b'Z' | b'X' | b'x'))
}

fn signal(pid: u32, signal: Signal, still_it: impl FnOnce() -> bool) -> io::Result<()> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(io::ErrorKind::NotFound)?;
    let gone = |error: rustix::io::Errno| match error {
        rustix::io::Errno::SRCH => io::ErrorKind::NotFound.into(),
        other => io::Error::from(other),
    };
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(gone)?;
    // Looked at after the descriptor pinned the process: now it cannot change.
    if !still_it() {
        return Err(io::ErrorKind::NotFound.into());
    }
    pidfd_send_signal(&pidfd, signal).map_err(gone)
}

/// Continues the process of `task`, if it is still that task.
pub(crate) fn resume_task(task: TaskKey) -> io::Result<()> {
    signal(task.tgid, Signal::CONT, || state(task) != TaskState::Gone)
}

/// Continues process `pid`.
pub(crate) fn resume(pid: u32) -> io::Result<()> {
    signal(pid, Signal::CONT, || true)
}

/// Kills process `pid`, if it is `still_it` once nothing else can have its number.
pub(crate) fn end(pid: u32, still_it: impl FnOnce() -> bool) -> io::Result<()> {
    signal(pid, Signal::KILL, still_it)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hostile_command_name_does_not_shift_the_fields() {
        let text = b"7 (a) R (b) S 3 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        assert_eq!(
            parse_stat(text),
            Some(Stat {
                state: b'S',
                parent: 3,
                start_ticks: 4242
            })
        );
    }

    #[test]
    fn this_process_is_found_and_another_start_time_is_gone() {
        let pid = std::process::id();
        let task = TaskKey {
            tid: pid,
            tgid: pid,
            start_ns: task_stat(pid, pid).unwrap().start_ticks * tick_ns(),
        };
        assert_ne!(state(task), TaskState::Gone);
        // The test runner has threads.
        let refused = sole_thread(pid, rustix::process::getuid().as_raw()).unwrap_err();
        assert!(refused.to_string().contains("threads"), "{refused}");
        assert!(sole_thread(pid, u32::MAX - 1).is_err());
        let other = TaskKey {
            start_ns: task.start_ns + 2 * tick_ns(),
            ..task
        };
        assert_eq!(state(other), TaskState::Gone);
        let facts = process(pid, pid).unwrap();
        assert!(facts.executable_is_hosts);
        assert!(!facts.argv.is_empty());
    }

    #[test]
    fn a_program_keeps_its_path_when_its_file_is_replaced_or_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["sleep", "sleep (deleted)"] {
            let path = folder.path().join(name);
            fs::copy("/bin/sleep", &path).unwrap();
            let mut child = std::process::Command::new(&path).arg("60").spawn().unwrap();
            let shown = || program(&format!("/proc/{0}/task/{0}", child.id()));
            let expected = path.as_os_str().as_encoded_bytes();
            let as_started = shown();
            fs::copy("/bin/sleep", folder.path().join("new")).unwrap();
            fs::rename(folder.path().join("new"), &path).unwrap();
            let replaced = shown();
            fs::remove_file(&path).unwrap();
            let removed = shown();
            child.kill().unwrap();
            child.wait().unwrap();
            for found in [as_started, replaced, removed] {
                assert_eq!(
                    String::from_utf8_lossy(&found),
                    String::from_utf8_lossy(expected)
                );
            }
        }
    }

    #[test]
    fn a_killed_process_has_ended_before_anybody_asks() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = child.id();
        assert!(end(pid, || false).is_err());
        assert!(!has_ended(pid));
        end(pid, || true).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !has_ended(pid) {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(has_ended(pid));
    }

    #[test]
    fn empty_arguments_are_kept() {
        assert_eq!(command_line(b"a\0\0b\0"), [&b"a"[..], b"", b"b"]);
        assert_eq!(command_line(b""), Vec::<Vec<u8>>::new());
    }

    proptest! {
        #[test]
        fn reading_a_stat_never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_stat(&text);
        }
    }
}
