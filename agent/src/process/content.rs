//! The content of the file that a held exec would run, as its SHA-256.
//!
//! Must never hash another file than the one the kernel judged: the path leads
//! to it only as long as nobody swaps anything on the way, so the file is opened
//! without being read, compared with the kernel's identity, and read through that
//! descriptor alone. Must never be called where waiting hurts: files may be on a
//! filesystem that never answers.

use std::{
    fs::{self, File},
    io::Read as _,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use aws_lc_rs::digest::{Context, SHA256};
use holdpoint_agent_common::{FileId, TaskKey};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};

use super::procfs;
use crate::kernel::Content;

/// Largest file that is read.
const LARGEST: u64 = 1 << 30;

/// Change times move in ticks: a write in the tick of the one before leaves no
/// trace. The slowest kernel ticks every 10 ms.
const TICK: Duration = Duration::from_millis(20);

/// The tick of filesystems that keep whole seconds, or every other one.
const COARSE_TICK: Duration = Duration::from_millis(2_050);

const PIECE: usize = 1024 * 1024;

/// `FUSE_SUPER_MAGIC`: what such a filesystem shows one reader it need not show
/// the next, and it may never answer.
const FUSE_MAGIC: i64 = 0x6573_5546;

/// Reads the file at `path` as `task` sees it, for at most about `patience`.
pub(super) fn read(task: TaskKey, path: &Path, file: &FileId, patience: Duration) -> Content {
    let until = Instant::now() + patience;
    let Some(found) = open_unread(task, path) else {
        return Content::Elsewhere;
    };
    if !is(task, found.as_fd(), file) {
        return Content::Elsewhere;
    }
    let fuse = rustix::fs::fstatfs(&found).is_ok_and(|system| system.f_type == FUSE_MAGIC);
    if fuse || file.size > LARGEST {
        return Content::Unread;
    }
    // The same file: a descriptor's own link in /proc leads nowhere else.
    let readable = rustix::fs::open(
        format!("/proc/self/fd/{}", found.as_raw_fd()),
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let Ok(mut readable) = readable.map(File::from) else {
        return Content::Unread;
    };
    let settles = until_settled(file);
    if Instant::now() + settles >= until {
        return Content::Unread;
    }
    std::thread::sleep(settles);
    let Some(digest) = digest(&mut readable, file.size, until) else {
        return Content::Unread;
    };
    // Written to meanwhile: neither the old content nor the new.
    if is(task, found.as_fd(), file) {
        Content::Read(digest)
    } else {
        Content::Elsewhere
    }
}

/// Opens without reading: a pipe or a device must not notice.
fn open_unread(task: TaskKey, path: &Path) -> Option<OwnedFd> {
    let root = rustix::fs::open(
        format!("/proc/{}/task/{}/root", task.tgid, task.tid),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    // The kernel's path has no links in it any more.
    rustix::fs::openat2(
        &root,
        path.strip_prefix("/").ok()?,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )
    .ok()
}

/// Whether `found` is the file the kernel judged, unchanged.
fn is(task: TaskKey, found: BorrowedFd<'_>, file: &FileId) -> bool {
    let Ok(seen) = rustix::fs::fstat(found) else {
        return false;
    };
    let same_inode = procfs::inode_number(found) == Some(file.inode);
    FileType::from_raw_mode(seen.st_mode) == FileType::RegularFile
        && same_inode
        && u64::try_from(seen.st_size) == Ok(file.size)
        && seen.st_ctime == file.ctime_sec
        && u32::try_from(seen.st_ctime_nsec) == Ok(file.ctime_nsec)
        && device(task, found) == Some(file.device)
}

fn device(task: TaskKey, found: BorrowedFd<'_>) -> Option<u32> {
    let seen = rustix::fs::statx(found, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    // Mounts are numbered alike everywhere and listed where they are mounted.
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", task.tgid)).ok()?;
    procfs::device_of_mount(&mounts, seen.stx_mnt_id)
}

/// How long until a write would show in the change time.
fn until_settled(file: &FileId) -> Duration {
    let changed = u64::try_from(file.ctime_sec)
        .map(|seconds| Duration::new(seconds, file.ctime_nsec))
        .unwrap_or_default();
    let tick = if file.ctime_nsec == 0 {
        COARSE_TICK
    } else {
        TICK
    };
    SystemTime::UNIX_EPOCH
        .elapsed()
        .ok()
        .and_then(|now| now.checked_sub(changed))
        .map_or(Duration::ZERO, |age| tick.saturating_sub(age))
}

/// SHA-256 of exactly `size` bytes; none if there are more or fewer, or if it
/// takes too long.
fn digest(file: &mut File, size: u64, until: Instant) -> Option<[u8; 32]> {
    let mut hash = Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    let mut left = size;
    loop {
        if Instant::now() >= until {
            return None;
        }
        let read = file.read(&mut piece).ok()?;
        if read == 0 {
            break;
        }
        left = left.checked_sub(read as u64)?;
        hash.update(piece.get(..read)?);
    }
    if left != 0 {
        return None;
    }
    hash.finish().as_ref().try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        os::unix::fs::{MetadataExt as _, symlink},
    };

    use sha2::{Digest as _, Sha256};

    use super::*;

    fn this_task() -> TaskKey {
        let pid = std::process::id();
        TaskKey {
            tid: pid,
            tgid: pid,
            start_ns: 0,
        }
    }

    /// The file's identity as the kernel would give it.
    fn identity(path: &Path) -> FileId {
        let found = open_unread(this_task(), path).unwrap();
        let seen = fs::metadata(path).unwrap();
        FileId {
            device: device(this_task(), found.as_fd()).unwrap(),
            inode: procfs::inode_number(found.as_fd()).unwrap(),
            size: seen.size(),
            ctime_sec: seen.ctime(),
            ctime_nsec: u32::try_from(seen.ctime_nsec()).unwrap(),
            ..FileId::default()
        }
    }

    fn look(path: &Path, file: &FileId) -> Content {
        read(this_task(), path, file, Duration::from_secs(10))
    }

    fn place() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        // Without links on the way, as the kernel would name it.
        let path = directory.path().canonicalize().unwrap();
        (directory, path)
    }

    #[test]
    fn the_content_is_that_of_the_file() {
        let (_directory, place) = place();
        let path = place.join("program");
        let content = vec![7; 3 * PIECE + 5];
        fs::write(&path, &content).unwrap();
        let expected: [u8; 32] = Sha256::digest(&content).into();
        assert_eq!(look(&path, &identity(&path)), Content::Read(expected));
    }

    #[test]
    fn a_file_that_changed_or_is_another_is_not_read() {
        let (_directory, place) = place();
        let path = place.join("program");
        fs::write(&path, "good").unwrap();
        let file = identity(&path);
        for other in [
            FileId {
                inode: file.inode + 1,
                ..file
            },
            FileId {
                device: file.device ^ 1,
                ..file
            },
            FileId { size: 5, ..file },
            FileId {
                ctime_sec: file.ctime_sec - 1,
                ..file
            },
        ] {
            assert_eq!(look(&path, &other), Content::Elsewhere);
        }
        assert!(matches!(look(&path, &file), Content::Read(_)));
        let mut again = fs::OpenOptions::new().write(true).open(&path).unwrap();
        again.write_all(b"evil").unwrap();
        drop(again);
        assert_eq!(look(&path, &file), Content::Elsewhere);
        assert_eq!(look(&place.join("gone"), &file), Content::Elsewhere);
    }

    #[test]
    fn links_are_not_followed_and_pipes_not_opened() {
        let (_directory, place) = place();
        let path = place.join("program");
        fs::write(&path, "good").unwrap();
        let file = identity(&path);
        symlink(&path, place.join("link")).unwrap();
        symlink(&place, place.join("folder")).unwrap();
        assert_eq!(look(&place.join("link"), &file), Content::Elsewhere);
        assert_eq!(
            look(&place.join("folder/program"), &file),
            Content::Elsewhere
        );
        let pipe = place.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        // Opening it for reading would wait for a writer.
        assert_eq!(look(&pipe, &file), Content::Elsewhere);
    }

    #[test]
    fn what_takes_too_long_is_given_up() {
        let (_directory, place) = place();
        let path = place.join("program");
        fs::write(&path, "good").unwrap();
        let file = identity(&path);
        let at_once = read(this_task(), &path, &file, Duration::ZERO);
        assert_eq!(at_once, Content::Unread);
    }

    #[test]
    fn a_file_changed_just_now_is_waited_for() {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let changed = |at: Duration| FileId {
            ctime_sec: i64::try_from(at.as_secs()).unwrap(),
            ctime_nsec: at.subsec_nanos(),
            ..FileId::default()
        };
        let whole = Duration::from_secs(now.as_secs());
        assert!(
            until_settled(&changed(whole)) > TICK,
            "it may be kept in seconds"
        );
        let now = now.max(whole + Duration::from_nanos(1));
        assert!(until_settled(&changed(now)) > Duration::ZERO);
        assert_eq!(
            until_settled(&changed(now.saturating_sub(TICK))),
            Duration::ZERO
        );
        // A clock that was set back: another write shows another time.
        assert_eq!(until_settled(&changed(now + TICK * 100)), Duration::ZERO);
    }
}
