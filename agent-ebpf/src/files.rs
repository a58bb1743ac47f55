//! Files by which a task would have the kernel, the daemon, or whoever comes later,
//! act for it.
//!
//! Which files are the daemon's is told by inode, in a map that it fills: names
//! can be had anew.

use core::ffi::c_void;

use aya_ebpf::{helpers::bpf_probe_read_kernel_str_bytes, macros::lsm, programs::LsmContext};
use holdpoint_agent_common::{
    InodeKey, LEADS_TO_DAEMON, LEADS_TO_STARTUP, PROTECTION, Protection, Route, StartupKind,
    StartupName,
};

use crate::{
    judge::{Caller, tracked},
    kernel::{offset, read},
    maps::{CONTROL, PROTECTED, STARTUP},
    netlink::by_ioctl,
};

/// `FMODE_WRITE`.
const WRITE: u32 = 2;

const S_IFMT: u16 = 0o170_000;
const S_IFCHR: u16 = 0o020_000;
const S_IFBLK: u16 = 0o060_000;
/// `MINORBITS` of a device number.
const MINOR_BITS: u32 = 20;

const TIOCSTI: u32 = 0x5412;
/// Of a console: among others, pastes what was selected.
const TIOCLINUX: u32 = 0x541c;

/// Folders above a file that are looked at: what is kept lies less deep, and no
/// folder can be made below it.
const DEPTH: usize = 12;

/// `*_MAGIC` of the filesystems that are settings of the kernel.
const PROC: u64 = 0x9fa0;
const SYSFS: u64 = 0x6265_6572;
const DEBUGFS: u64 = 0x6462_6720;
const TRACEFS: u64 = 0x7472_6163;
const SECURITYFS: u64 = 0x7363_6673;
const BINFMT: u64 = 0x4249_4e4d;
const EFIVARS: u64 = 0xde5e_81e4;
const BPFFS: u64 = 0xcafe_4a11;
const CGROUP1: u64 = 0x0027_e0eb;

/// Judges the opening of a file.
///
/// Hook since 5.7.
#[lsm(hook = "file_open")]
pub(crate) fn gate_open(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let file: *const u8 = ctx.arg(0);
    let (Ok(mode), Ok(inode), Ok(dentry)) = (
        read::<u32>(file, offset!(file_mode)),
        read::<*const u8>(file, offset!(file_inode)),
        read::<*const u8>(file, offset!(file_path) + offset!(path_dentry)),
    ) else {
        return caller.bar(Route::KernelSettings, [u64::MAX, 0, 0]);
    };
    if mode & WRITE != 0 && is_setting(inode, dentry).unwrap_or(true) {
        return caller.bar(Route::KernelSettings, about(inode));
    }
    if is_daemons_memory(inode, dentry).unwrap_or(true) {
        return caller.bar(Route::Daemon, about(inode));
    }
    match device(inode) {
        Ok(None) if mode & WRITE == 0 => kept(&caller, dentry, Change::None),
        Ok(None) => kept(&caller, dentry, Change::Content),
        Ok(Some(number)) => caller.bar(
            Route::Device,
            [number.into(), (number >> MINOR_BITS).into(), 0],
        ),
        Err(_) => caller.bar(Route::Device, [u64::MAX, 0, 0]),
    }
}

/// Whether it is a file of /proc that shows the daemon's memory. From 6.16 on the
/// kernel asks nobody about some of them, given `CAP_PERFMON`.
#[inline(always)]
fn is_daemons_memory(inode: *const u8, dentry: *const u8) -> Result<bool, i32> {
    if magic(inode)? != PROC {
        return Ok(false);
    }
    let proc = inode.wrapping_sub(offset!(proc_inode));
    let pid: *const u8 = read(proc, offset!(proc_pid))?;
    if pid.is_null() {
        return Ok(false);
    }
    // As the initial namespace has it; first field of `struct upid`.
    let number: u32 = read(pid, offset!(pid_numbers))?;
    let Some(control) = CONTROL.get(0) else {
        return Ok(true);
    };
    if number != control.daemon_tgid {
        return Ok(false);
    }
    let name: *const u8 = read(dentry, offset!(dentry_name))?;
    let begins: [u8; 4] = read(name, 0)?;
    Ok(matches!(
        &begins,
        b"envi" | b"maps" | b"smap" | b"numa" | b"auxv" | b"mem\0" | b"page" | b"map_"
    ))
}

/// The number of a device that is not among the ordinary ones, none for them and
/// for what is no device.
#[inline(always)]
fn device(inode: *const u8) -> Result<Option<u32>, i32> {
    let mode: u16 = read(inode, offset!(inode_mode))?;
    let kind = mode & S_IFMT;
    if kind != S_IFCHR && kind != S_IFBLK {
        return Ok(None);
    }
    let number: u32 = read(inode, offset!(inode_rdev))?;
    let (major, minor) = (number >> MINOR_BITS, number & ((1 << MINOR_BITS) - 1));
    let ordinary = kind == S_IFCHR
        && match major {
            // null, zero, full, random, urandom.
            1 => matches!(minor, 3 | 5 | 7 | 8 | 9),
            // The process's own terminal, and new ones.
            5 => matches!(minor, 0 | 2),
            // FUSE.
            10 => minor == 229,
            // Terminals of programs; graphics.
            136..=143 | 226 => true,
            _ => false,
        };
    Ok(if ordinary { None } else { Some(number) })
}

/// Judges the removal of a name.
///
/// Hook since 5.7.
#[lsm(hook = "inode_unlink")]
pub(crate) fn gate_unlink(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    gone(&caller, ctx.arg(0), ctx.arg(1))
}

/// Judges the removal of a folder.
///
/// Hook since 5.7.
#[lsm(hook = "inode_rmdir")]
pub(crate) fn gate_rmdir(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    gone(&caller, ctx.arg(0), ctx.arg(1))
}

/// Judges a change of names: neither what goes nor what would be covered.
///
/// Hook since 5.7.
#[lsm(hook = "inode_rename")]
pub(crate) fn gate_rename(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let refused = gone(&caller, ctx.arg(0), ctx.arg(1));
    if refused != 0 {
        return refused;
    }
    kept(&caller, ctx.arg(3), Change::Place)
}

/// Judges a new name for a file.
///
/// Hook since 5.7.
#[lsm(hook = "inode_link")]
pub(crate) fn gate_link(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let refused = daemons(&caller, ctx.arg(0));
    if refused != 0 {
        return refused;
    }
    daemons(&caller, ctx.arg(2))
}

/// Judges a new file.
///
/// Hook since 5.7.
#[lsm(hook = "inode_create")]
pub(crate) fn gate_create(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    daemons(&caller, ctx.arg(1))
}

/// Judges a new symbolic link.
///
/// Hook since 5.7.
#[lsm(hook = "inode_symlink")]
pub(crate) fn gate_symlink(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    kept(&caller, ctx.arg(1), Change::Place)
}

/// Judges a new folder.
///
/// Hook since 5.7.
#[lsm(hook = "inode_mkdir")]
pub(crate) fn gate_mkdir(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    daemons(&caller, ctx.arg(1))
}

/// Judges a new device, pipe or socket.
///
/// Hook since 5.7.
#[lsm(hook = "inode_mknod")]
pub(crate) fn gate_mknod(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    daemons(&caller, ctx.arg(1))
}

/// Judges truncation by path, which opens nothing.
///
/// Hook since 5.7, with `CONFIG_SECURITY_PATH`.
#[lsm(hook = "path_truncate")]
pub(crate) fn gate_truncate(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    by_path(&caller, ctx.arg(0))
}

/// Judges a change of permissions.
///
/// Hook since 5.7, with `CONFIG_SECURITY_PATH`.
#[lsm(hook = "path_chmod")]
pub(crate) fn gate_chmod(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    by_path(&caller, ctx.arg(0))
}

/// Judges a change of owners.
///
/// Hook since 5.7, with `CONFIG_SECURITY_PATH`.
#[lsm(hook = "path_chown")]
pub(crate) fn gate_chown(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    by_path(&caller, ctx.arg(0))
}

#[inline(always)]
fn by_path(caller: &Caller<'_>, path: *const u8) -> i32 {
    match read(path, offset!(path_dentry)) {
        Ok(dentry) => daemons(caller, dentry),
        Err(_) => caller.bar(Route::Daemon, [u64::MAX, 0, 0]),
    }
}

/// Keeps a task from typing for others (what a terminal is given this way its
/// reader, often a shell above the session, takes for typed) and from changing the
/// network.
///
/// Hook since 5.7.
#[lsm(hook = "file_ioctl")]
pub(crate) fn gate_ioctl(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    ioctl(&caller, ctx.arg(0), ctx.arg(1))
}

/// The same for calls through the 32-bit entry.
///
/// Hook since 6.8, and in later point releases of older series; before it they came
/// to the other one.
#[lsm(hook = "file_ioctl_compat")]
pub(crate) fn gate_compat_ioctl(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    ioctl(&caller, ctx.arg(0), ctx.arg(1))
}

#[inline(always)]
fn ioctl(caller: &Caller<'_>, file: *mut c_void, command: u32) -> i32 {
    match command {
        TIOCSTI | TIOCLINUX => caller.bar(Route::TerminalInput, [command.into(), 0, 0]),
        _ => by_ioctl(caller, file, command),
    }
}

/// A name that goes: not one of what is pinned, nor one of the daemon's.
#[inline(always)]
fn gone(caller: &Caller<'_>, directory: *const u8, dentry: *const u8) -> i32 {
    if magic(directory).is_ok_and(|magic| magic != BPFFS) {
        return kept(caller, dentry, Change::Place);
    }
    caller.bar(Route::KernelSettings, about(directory))
}

/// Refuses to change what lies in one of the daemon's folders, or is one of its
/// files.
#[inline(always)]
fn daemons(caller: &Caller<'_>, dentry: *const u8) -> i32 {
    kept(caller, dentry, Change::Content)
}

/// What is done to a file.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Change {
    /// It is read.
    None,
    /// It becomes another one where it is.
    Content,
    /// It leaves its place, or something comes into its place.
    Place,
}

#[inline(always)]
fn kept(caller: &Caller<'_>, dentry: *const u8, change: Change) -> i32 {
    let mut at = dentry;
    // What was looked at before, the nearest first.
    let mut below: [*const u8; 3] = [core::ptr::null(); 3];
    for _ in 0..DEPTH {
        let Ok(inode) = read::<*const u8>(at, offset!(dentry_inode)) else {
            return caller.bar(Route::Daemon, [u64::MAX, 0, 0]);
        };
        // A name that leads nowhere yet has none.
        if !inode.is_null() {
            let Ok(key) = key(inode) else {
                return caller.bar(Route::Daemon, [u64::MAX, 0, 0]);
            };
            // SAFETY: written whole by the daemon.
            let kept = unsafe { PROTECTED.get(key) }.map_or(0, |kept| *kept);
            if kept != 0
                && let Some(route) = barred(kept, change, &below)
            {
                return caller.bar(route, [key.inode, key.device.into(), 0]);
            }
        }
        let Ok(parent) = read::<*const u8>(at, offset!(dentry_parent)) else {
            return caller.bar(Route::Daemon, [u64::MAX, 0, 0]);
        };
        if parent == at {
            return 0;
        }
        below = [at, below[0], below[1]];
        at = parent;
    }
    0
}

/// The route that `change` is of something under a place that is kept as `kept` says,
/// given by its first three entries from there; of the place itself if there are none.
#[inline(always)]
fn barred(kept: u32, change: Change, below: &[*const u8; 3]) -> Option<Route> {
    const WRITE: u32 = Protection::Write as u32;
    const ALL: u32 = Protection::All as u32;
    const STARTUP: u32 = Protection::Startup as u32;
    const HOME: u32 = Protection::Home as u32;
    const ETC: u32 = Protection::Etc as u32;
    let place = kept & PROTECTION;
    let moves_itself = below[0].is_null() && change == Change::Place;
    if moves_itself && kept & LEADS_TO_DAEMON != 0 {
        return Some(Route::Daemon);
    }
    match place {
        ALL => Some(Route::Daemon),
        _ if change == Change::None => None,
        WRITE => Some(Route::Daemon),
        STARTUP => Some(Route::StartupFile),
        HOME | ETC if moves_itself || is_startup(place, below, change) => Some(Route::StartupFile),
        _ if moves_itself && kept & LEADS_TO_STARTUP != 0 => Some(Route::StartupFile),
        _ => None,
    }
}

/// Whether the path below a home or /etc, given by its first three entries, is that
/// of a startup file or leads into a folder of them; or leads to one and loses its
/// place.
#[inline(always)]
fn is_startup(place: u32, path: &[*const u8; 3], change: Change) -> bool {
    let mut name = StartupName {
        place: place.into(),
        ..StartupName::default()
    };
    let mut leads_to_one = false;
    #[expect(
        clippy::needless_range_loop,
        reason = "the verifier looks at a third less without an iterator"
    )]
    for index in 0..3 {
        let entry = path[index];
        if entry.is_null() {
            break;
        }
        let Ok(at) = read::<*const u8>(entry, offset!(dentry_name)) else {
            return true;
        };
        // SAFETY: the helper stops at the end of the string or of the buffer.
        if unsafe { bpf_probe_read_kernel_str_bytes(at, &mut name.names[index]) }.is_err() {
            return true;
        }
        // SAFETY: written whole by the daemon.
        let kind = unsafe { STARTUP.get(name) }.map_or(0, |kind| *kind);
        if kind == StartupKind::Itself as u32 {
            return true;
        }
        leads_to_one = kind == StartupKind::Above as u32;
    }
    leads_to_one && change == Change::Place
}

/// Whether writing to the file sets something in the kernel.
#[inline(always)]
fn is_setting(inode: *const u8, dentry: *const u8) -> Result<bool, i32> {
    Ok(match magic(inode)? {
        SYSFS | DEBUGFS | TRACEFS | SECURITYFS | BINFMT | EFIVARS | BPFFS => true,
        PROC => {
            let proc = inode.wrapping_sub(offset!(proc_inode));
            let process: u64 = read(proc, offset!(proc_pid))?;
            let sysctl: u64 = read(proc, offset!(proc_sysctl))?;
            // What is of a process is that process's affair.
            process == 0 || sysctl != 0
        }
        CGROUP1 => {
            let name: *const u8 = read(dentry, offset!(dentry_name))?;
            let begins: [u8; 8] = read(name, 0)?;
            u64::from_ne_bytes(begins) == u64::from_ne_bytes(*b"release_")
        }
        _ => false,
    })
}

#[inline(always)]
fn magic(inode: *const u8) -> Result<u64, i32> {
    let sb: *const u8 = read(inode, offset!(inode_sb))?;
    read(sb, offset!(sb_magic))
}

#[inline(always)]
fn key(inode: *const u8) -> Result<InodeKey, i32> {
    let sb: *const u8 = read(inode, offset!(inode_sb))?;
    Ok(InodeKey {
        inode: read(inode, offset!(inode_number))?,
        device: read(sb, offset!(sb_dev))?,
        padding: 0,
    })
}

/// For the record.
#[inline(always)]
fn about(inode: *const u8) -> [u64; 3] {
    [
        magic(inode).unwrap_or(0),
        read(inode, offset!(inode_number)).unwrap_or(0),
        0,
    ]
}
