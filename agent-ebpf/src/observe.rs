//! What the daemon is told of operations that were settled without a hold.
//!
//! Decides nothing: an operation that could not be told is counted, and goes on
//! or is refused as it was judged. A session that does more in a second than is
//! told of it pays for no more than the counting.

use core::ffi::c_void;

use aya_ebpf::helpers::{
    bpf_get_current_uid_gid,
    generated::{bpf_copy_from_user, bpf_d_path},
};
use holdpoint_agent_common::{
    Cause, ExecObservation, LOST_RATE, LOST_ROOM, Observation, ObservationKind, OperationKey,
    PATH_CAPACITY, TOLD_ARGUMENTS, TOLD_PER_SECOND, Told,
};

use crate::{
    judge::Caller,
    kernel::{now_ns, offset, read},
    maps::{OBSERVATIONS, TELLING, TOLD, UNTOLD},
};

const SECOND_NS: u64 = 1_000_000_000;

/// Tells of an operation that is no exec: refused for `cause`, or let go on.
#[inline(always)]
pub(crate) fn operation(caller: &Caller<'_>, cause: Option<Cause>, operation: &OperationKey) {
    let now = now_ns();
    if !may_tell(caller.label.session, now) {
        return untold(LOST_RATE);
    }
    let Some(mut entry) = OBSERVATIONS.reserve_untyped::<Observation>(0) else {
        return untold(LOST_ROOM);
    };
    // SAFETY: the reserved memory is as large as the type.
    head(
        unsafe { &mut *entry.as_mut_ptr() },
        caller,
        cause,
        operation,
        now,
    );
    entry.submit(0);
}

/// Tells of an exec that was refused. `path` is the `struct path` of its file.
#[inline(always)]
pub(crate) fn refused_exec(
    caller: &Caller<'_>,
    cause: Cause,
    operation: &OperationKey,
    path: *mut u8,
) {
    exec(caller, Some(cause), operation, path, None);
}

/// Tells of an exec that went on, whose strings lie on the new stack.
#[inline(always)]
pub(crate) fn allowed_exec(
    caller: &Caller<'_>,
    operation: &OperationKey,
    path: *mut u8,
    bprm: *const u8,
) {
    exec(caller, None, operation, path, Some(bprm));
}

#[inline(always)]
fn exec(
    caller: &Caller<'_>,
    cause: Option<Cause>,
    operation: &OperationKey,
    path: *mut u8,
    bprm: Option<*const u8>,
) {
    let now = now_ns();
    if !may_tell(caller.label.session, now) {
        return untold(LOST_RATE);
    }
    let Some(mut entry) = OBSERVATIONS.reserve_untyped::<ExecObservation>(0) else {
        return untold(LOST_ROOM);
    };
    // SAFETY: the reserved memory is as large as the type.
    let told = unsafe { &mut *entry.as_mut_ptr() };
    head(&mut told.head, caller, cause, operation, now);
    // SAFETY: it is a `struct path` the verifier knows; the buffer is as long as
    // said.
    let len = unsafe {
        bpf_d_path(
            path.cast(),
            told.path.as_mut_ptr().cast(),
            PATH_CAPACITY as u32,
        )
    };
    told.head.path_len = if len > 0 {
        len.cast_unsigned() as u32 - 1
    } else {
        0
    };
    told.head.argc = 0;
    told.head.strings_len = 0;
    if let Some(bprm) = bprm {
        told.head.argc = read(bprm, offset!(bprm_argc)).unwrap_or(0);
        let bottom: u64 = read(bprm, offset!(bprm_p)).unwrap_or(0);
        let top: u64 = read(bprm, offset!(bprm_exec)).unwrap_or(0);
        let mut len = top.wrapping_sub(bottom);
        if len > TOLD_ARGUMENTS as u64 {
            len = TOLD_ARGUMENTS as u64;
        }
        // SAFETY: `len` is bounded by the buffer; the helper checks the address.
        let copied = unsafe {
            bpf_copy_from_user(
                told.strings.as_mut_ptr().cast(),
                len as u32,
                bottom as *const c_void,
            )
        };
        if copied == 0 {
            told.head.strings_len = len as u32;
        }
    }
    entry.submit(0);
}

#[inline(always)]
fn head(
    told: &mut Observation,
    caller: &Caller<'_>,
    cause: Option<Cause>,
    operation: &OperationKey,
    now: u64,
) {
    let (kind, cause) = match cause {
        None => (ObservationKind::Allowed, 0),
        Some(cause) => (ObservationKind::Refused, cause as u32),
    };
    told.kind = kind as u32;
    told.cause = cause;
    told.task = caller.key;
    told.session = caller.label.session;
    told.at_ns = now;
    let uid_gid = bpf_get_current_uid_gid();
    told.uid = uid_gid as u32;
    told.gid = (uid_gid >> 32) as u32;
    told.operation = *operation;
    told.argc = 0;
    told.path_len = 0;
    told.strings_len = 0;
    told.parent_tgid = 0;
    told.parent_start_ns = 0;
    let parent = read::<*const u8>(caller.task.cast(), offset!(task_real_parent));
    if let Ok(parent) = parent
        && let Ok(leader) = read::<*const u8>(parent, offset!(task_group_leader))
    {
        told.parent_tgid = read(parent, offset!(task_tgid)).unwrap_or(0);
        told.parent_start_ns = read(leader, offset!(task_start_boottime)).unwrap_or(0);
    }
}

/// Whether there is still something to be told of `session` in this second. Two
/// processors may both think so: the bound is one of effort, not of truth.
#[inline(always)]
fn may_tell(session: u64, now: u64) -> bool {
    let most = match TELLING.get(0) {
        Some(telling) if telling.per_second != 0 => telling.per_second,
        _ => u64::from(TOLD_PER_SECOND),
    };
    let second = now / SECOND_NS;
    if let Some(told) = TOLD.get_ptr_mut(session) {
        // SAFETY: a map value lives as long as the program runs.
        let told = unsafe { &mut *told };
        if told.second != second {
            told.second = second;
            told.count = 0;
        }
        told.count += 1;
        return told.count <= most;
    }
    // Should there be no room, it is told of without a bound.
    let _ = TOLD.insert(session, Told { second, count: 1 }, 0);
    true
}

#[inline(always)]
fn untold(reason: u32) {
    if let Some(lost) = UNTOLD.get_ptr_mut(reason) {
        // SAFETY: this CPU's own element. A kernel that preempts itself between
        // reading and writing loses one, so there the number is a lower bound;
        // that it is not zero is certain.
        unsafe { *lost += 1 };
    }
}
