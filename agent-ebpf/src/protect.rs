//! What a tracked task must not do to this host, to the gate and to processes
//! outside its session, whoever it runs as.
//!
//! Must never depend on who the task runs as: root in a session is a tracked task
//! like any other.

use aya_ebpf::{bindings::task_struct, macros::lsm, programs::LsmContext};
use holdpoint_agent_common::Route;

use crate::{
    judge::{Caller, tracked},
    kernel::{offset, read},
    maps::{CONTROL, LABELS},
};

/// `PTRACE_MODE_ATTACH`: to take over, not only to look.
const ATTACH: u32 = 2;
/// `READING_FIRMWARE`, `LOADING_FIRMWARE`: what a device asks for as it is opened.
const FIRMWARE: i32 = 1;
const PR_SET_MM: i32 = 35;
const PR_SET_MM_EXE_FILE: u64 = 13;
const PR_SET_MM_MAP: u64 = 14;
/// The name of the files of `io_uring`, in whole words and with its NUL.
const IO_URING: [u8; 11] = *b"[io_uring]\0";

/// Keeps signals from the daemon. Others are the business of the system.
///
/// Hook since 5.7. Signals that the kernel sends by itself do not come here.
#[lsm(hook = "task_kill")]
pub(crate) fn gate_signal(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let target: *const u8 = ctx.arg(0);
    let signal: i32 = ctx.arg(2);
    if !is_daemon(target) {
        return 0;
    }
    caller.bar(
        Route::Daemon,
        [u64::from(tgid_of(target)), signal.cast_unsigned().into(), 0],
    )
}

/// Keeps a session from taking over processes outside of it, and from looking
/// into the daemon. ptrace, `/proc/PID/mem`, `process_vm_writev` and `pidfd_getfd`
/// all
/// come here.
///
/// Hook since 5.7.
#[lsm(hook = "ptrace_access_check")]
pub(crate) fn gate_trace(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let target: *mut task_struct = ctx.arg(0);
    let mode: u32 = ctx.arg(1);
    let about = [u64::from(tgid_of(target.cast())), mode.into(), 0];
    if is_daemon(target.cast()) {
        return caller.bar(Route::Daemon, about);
    }
    if mode & ATTACH == 0 {
        return 0;
    }
    // SAFETY: the hook's own argument, a task.
    let label = unsafe { LABELS.get(target) };
    // SAFETY: not null; a session number never changes.
    if !label.is_null() && unsafe { (*label).session } == caller.label.session {
        return 0;
    }
    caller.bar(Route::Trace, about)
}

/// Keeps bpf(2) from tracked tasks: with it goes everything else.
///
/// Hook since 5.7.
#[lsm(hook = "bpf")]
pub(crate) fn gate_bpf(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let command: i32 = ctx.arg(0);
    caller.bar(Route::Bpf, [command.cast_unsigned().into(), 0, 0])
}

/// Keeps performance events from them: a probe is code in other programs.
///
/// Hook since 5.7.
#[lsm(hook = "perf_event_open")]
pub(crate) fn gate_perf(_ctx: LsmContext) -> i32 {
    let caller = tracked!();
    caller.bar(Route::Bpf, [u64::MAX, 0, 0])
}

/// Keeps kernel modules and other kernels from being loaded from files.
///
/// Hook since 5.7.
#[lsm(hook = "kernel_read_file")]
pub(crate) fn gate_kernel_file(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    module(&caller, ctx.arg(1))
}

/// The same, from memory.
///
/// Hook since 5.7.
#[lsm(hook = "kernel_load_data")]
pub(crate) fn gate_kernel_data(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    module(&caller, ctx.arg(0))
}

#[inline(always)]
fn module(caller: &Caller<'_>, what: i32) -> i32 {
    if what == FIRMWARE {
        return 0;
    }
    caller.bar(Route::Module, [what.cast_unsigned().into(), 0, 0])
}

/// Keeps them from all that lockdown is about: /dev/mem, ports, registers,
/// hibernation, probes.
///
/// Hook since 5.7; called whether or not the kernel is locked down.
#[lsm(hook = "locked_down")]
pub(crate) fn gate_lockdown(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let what: i32 = ctx.arg(0);
    caller.bar(Route::KernelMemory, [what.cast_unsigned().into(), 0, 0])
}

/// Keeps the host's mounts as they are: a mount can connect, and can cover what
/// the gate is pinned in.
///
/// Hook since 5.7.
#[lsm(hook = "sb_mount")]
pub(crate) fn gate_mount(_ctx: LsmContext) -> i32 {
    let caller = tracked!();
    mount(&caller, 1)
}

/// The same for the newer calls. Hook since 5.7.
#[lsm(hook = "move_mount")]
pub(crate) fn gate_move_mount(_ctx: LsmContext) -> i32 {
    let caller = tracked!();
    mount(&caller, 2)
}

/// The same for what is there. Hook since 5.7.
#[lsm(hook = "sb_umount")]
pub(crate) fn gate_umount(_ctx: LsmContext) -> i32 {
    let caller = tracked!();
    mount(&caller, 3)
}

/// The same for the root. Hook since 5.7.
#[lsm(hook = "sb_pivotroot")]
pub(crate) fn gate_pivot(_ctx: LsmContext) -> i32 {
    let caller = tracked!();
    mount(&caller, 4)
}

/// The same for a filesystem that is configured step by step (fsconfig): a network
/// filesystem connects before it is mounted. 0 lets the kernel go on as if nobody
/// knew the parameter.
///
/// Hook since 5.7.
#[lsm(hook = "fs_context_parse_param")]
pub(crate) fn gate_fs_parameter(_ctx: LsmContext) -> i32 {
    let caller = tracked!();
    mount(&caller, 5)
}

/// In a user namespace of its own a task mounts only what is made for that, in a
/// mount namespace of its own.
#[inline(always)]
fn mount(caller: &Caller<'_>, how: u64) -> i32 {
    match user_namespace_level(caller.task) {
        Ok(level) if level > 0 => 0,
        _ => caller.bar(Route::Mount, [how, 0, 0]),
    }
}

/// Keeps rings from being made. What reaches one otherwise is judged by the gates
/// of what it does, and refused there where it would be held.
///
/// Hook since 5.12.
#[lsm(hook = "inode_init_security_anon")]
pub(crate) fn gate_anonymous(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let name: *const u8 = ctx.arg(1);
    let is_ring = read::<*const u8>(name, offset!(qstr_name))
        .and_then(|text| read::<[u8; 11]>(text, 0))
        .is_ok_and(|text| {
            let mut same = true;
            for (left, right) in text.iter().zip(&IO_URING) {
                same &= left == right;
            }
            same
        });
    if !is_ring {
        return 0;
    }
    caller.bar(Route::IoUring, [0, 0, 0])
}

/// The same by the kernel's own hook for it, which only newer ones have.
///
/// Hook since 6.15.
#[lsm(hook = "uring_allowed")]
pub(crate) fn gate_ring(_ctx: LsmContext) -> i32 {
    let caller = tracked!();
    caller.bar(Route::IoUring, [1, 0, 0])
}

/// Keeps the kernel from starting a helper for a key: it would run outside of
/// every session with what the task gave it. The kernel makes a key of this type
/// for each.
///
/// Hook since 5.7.
#[lsm(hook = "key_alloc")]
pub(crate) fn gate_key(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let key: *const u8 = ctx.arg(0);
    let begins = read::<*const u8>(key, offset!(key_type))
        .and_then(|kind| read::<*const u8>(kind, offset!(key_type_name)))
        .and_then(|name| read::<[u8; 8]>(name, 0));
    match begins {
        Ok(begins) if u64::from_ne_bytes(begins) != u64::from_ne_bytes(*b".request") => 0,
        _ => caller.bar(Route::KernelHelper, [0, 0, 0]),
    }
}

/// Keeps a task from naming another file as its program. Negative errors other
/// than `ENOSYS` refuse; 0 lets the kernel go on as if nobody knew the option.
///
/// Hook since 5.7.
#[lsm(hook = "task_prctl")]
pub(crate) fn gate_prctl(ctx: LsmContext) -> i32 {
    let caller = tracked!();
    let option: i32 = ctx.arg(0);
    let what: u64 = ctx.arg(1);
    match (option, what) {
        (PR_SET_MM, PR_SET_MM_EXE_FILE | PR_SET_MM_MAP) => {
            caller.bar(Route::Disguise, [what, 0, 0])
        }
        _ => 0,
    }
}

#[inline(always)]
fn tgid_of(task: *const u8) -> u32 {
    read(task, offset!(task_tgid)).unwrap_or(0)
}

/// Whether `task` is the daemon. One that cannot be told is.
#[inline(always)]
fn is_daemon(task: *const u8) -> bool {
    let daemon = CONTROL.get(0).map_or(0, |control| control.daemon_tgid);
    let tgid = tgid_of(task);
    tgid == 0 || tgid == daemon
}

/// How deep the task's user namespace is; 0 is the initial one.
#[inline(always)]
fn user_namespace_level(task: *mut task_struct) -> Result<i32, i32> {
    let cred: *const u8 = read(task.cast(), offset!(task_cred))?;
    let namespace: *const u8 = read(cred, offset!(cred_user_ns))?;
    read(namespace, offset!(userns_level))
}
