//! The arguments that run are the arguments that were approved (invariant I4).
//!
//! While an exec is held its strings are in memory that others may write, and the
//! restarted call reads them again. They are therefore hashed once more after the
//! exec is committed, from the new stack, where nobody else can reach them, and
//! before the first instruction of the new program. A mismatch kills.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::{bpf_copy_from_user, bpf_get_current_task_btf, bpf_loop, bpf_send_signal},
    macros::lsm,
    programs::LsmContext,
};
use holdpoint_agent_common::{ArgumentsMac, Cause, EventKind, OperationKey, SipHash};

use crate::{
    judge::Caller,
    kernel::{file_id, offset, read},
    maps::{CONTROL, LABELS},
    observe,
};

const SIGKILL: u32 = 9;

/// Compares the strings on the new stack with the ticket's.
///
/// Called at the end of `begin_new_exec`: the new memory is the task's own, and
/// the strings still lie where they were copied. Hook since 5.7.
#[lsm(sleepable, hook = "bprm_committed_creds")]
pub(crate) fn compare_arguments(ctx: LsmContext) -> i32 {
    // SAFETY: no arguments.
    let task = unsafe { bpf_get_current_task_btf() };
    // SAFETY: `task` is the current task.
    let label = unsafe { LABELS.get(task) };
    if label.is_null() {
        return 0;
    }
    // SAFETY: not null; only the task itself uses its label.
    let label = unsafe { &mut *label };
    let bprm: *const u8 = ctx.arg(0);
    if label.arguments.present == 0 {
        if label.admitted[0].operation.kind | label.admitted[1].operation.kind == 0
            && let Some(caller) = Caller::new(task, label)
        {
            tell(&caller, bprm);
        }
        return 0;
    }
    let approved = label.arguments;
    label.arguments.present = 0;
    let (kind, cause) = if same(bprm, &approved).unwrap_or(false) {
        (EventKind::Released, None)
    } else {
        // SAFETY: no pointers. The task cannot have begun to exit in the middle of
        // its own exec, which is the one case in which the helper fails for it.
        unsafe { bpf_send_signal(SIGKILL) };
        (EventKind::Refused, Some(Cause::ArgumentsChanged))
    };
    if let Some(mut caller) = Caller::new(task, label) {
        caller.tell_outcome(kind, cause);
    }
    0
}

/// Tells of an exec that went on without a ticket.
#[inline(always)]
fn tell(caller: &Caller<'_>, bprm: *const u8) {
    #[expect(clippy::cast_ptr_alignment, reason = "the kernel aligns its fields")]
    let field = bprm.wrapping_add(offset!(bprm_file)).cast::<*mut u8>();
    // SAFETY: a pointer field of a structure the verifier knows, read directly
    // so that it knows the result as a file too.
    let file = unsafe { *field };
    let operation =
        file_id(file).map_or_else(|_| OperationKey::default(), |id| OperationKey::exec(id, 0));
    // SAFETY: the address of the path inside the file; not read here.
    let path = unsafe { file.add(offset!(file_path)) };
    observe::allowed_exec(caller, &operation, path, bprm);
}

/// Whether the strings are those of `approved`; `None` if they cannot be read.
#[inline(always)]
fn same(bprm: *const u8, approved: &ArgumentsMac) -> Option<bool> {
    // From `p` upwards: arguments, environment, and at `exec` the file name.
    let bottom: u64 = read(bprm, offset!(bprm_p)).ok()?;
    let top: u64 = read(bprm, offset!(bprm_exec)).ok()?;
    let filename: u64 = read(bprm, offset!(bprm_filename)).ok()?;
    let interpreter: u64 = read(bprm, offset!(bprm_interp)).ok()?;
    let rest_len = u64::from(approved.rest_len);
    let first_len = u64::from(approved.first_len);
    let len = top.checked_sub(bottom)?;
    let key = CONTROL.get(0)?.key;
    if filename == interpreter {
        if len != rest_len + first_len || hash(key, bottom, first_len)? != approved.first {
            return Some(false);
        }
    } else if len < rest_len {
        // A script: the kernel put the interpreter's words, taken from the file
        // that was judged, in the place of argv[0].
        return Some(false);
    }
    Some(hash(key, top - rest_len, rest_len)? == approved.rest)
}

/// A hash under way, shared with the steps of the loop.
struct Progress {
    hash: SipHash,
    at: u64,
    failed: u64,
}

/// Keyed hash of `len` bytes of user memory, of which up to 7 more behind it can
/// be read: the file name and a null word lie above the strings.
#[inline(always)]
fn hash(key: [u64; 2], at: u64, len: u64) -> Option<u64> {
    let mut progress = Progress {
        hash: SipHash::new(key),
        at,
        failed: 0,
    };
    // SAFETY: the callback has the signature the helper wants, and its context
    // lives on this stack until the helper returns.
    let done = unsafe {
        bpf_loop(
            (len / 8) as u32,
            step as *mut c_void,
            (&raw mut progress).cast(),
            0,
        )
    };
    if progress.failed != 0 || done < 0 {
        return None;
    }
    let over = len % 8;
    if over != 0 {
        let word = user_word(progress.at)?;
        progress.hash.word(word & (u64::MAX >> (64 - 8 * over)));
    }
    Some(progress.hash.finish(len))
}

/// Hashes one word; 1 ends the loop. No branch depends on how much is left, so
/// that the verifier sees one step and not a million.
unsafe extern "C" fn step(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: the context is the one `hash` passed.
    let progress = unsafe { &mut *context.cast::<Progress>() };
    let Some(word) = user_word(progress.at) else {
        progress.failed = 1;
        return 1;
    };
    progress.hash.word(word);
    progress.at += 8;
    0
}

#[inline(always)]
fn user_word(at: u64) -> Option<u64> {
    let mut word = 0_u64;
    // SAFETY: the buffer has 8 bytes; the helper checks the address.
    let result = unsafe { bpf_copy_from_user((&raw mut word).cast(), 8, at as *const c_void) };
    (result == 0).then_some(word)
}
