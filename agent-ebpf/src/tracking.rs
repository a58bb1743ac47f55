//! The label follows the task, whatever becomes of parents, namespaces and users.

use aya_ebpf::{
    bindings::task_struct, helpers::generated::bpf_get_current_task_btf, macros::lsm,
    programs::LsmContext,
};
use holdpoint_agent_common::{Cause, EventKind, LABEL_CUT, OperationKey, TaskKey};

use crate::{
    kernel::{now_ns, task_key},
    maps::{LABELS, emit},
};

/// `ENOMEM`: what fork and clone say when a child cannot be born.
const NO_MEMORY: i32 = -12;

/// Gives a new task the label of the one that makes it. A child that cannot get
/// it is not born.
///
/// Called by `copy_process` for every kind of task, also threads and `io_uring`
/// workers. Hook since 5.7.
#[lsm(hook = "task_alloc")]
pub(crate) fn inherit_label(ctx: LsmContext) -> i32 {
    // SAFETY: no arguments.
    let current = unsafe { bpf_get_current_task_btf() };
    // SAFETY: `current` is the current task.
    let label = unsafe { LABELS.get(current) };
    if label.is_null() {
        return 0;
    }
    let child: *mut task_struct = ctx.arg(0);
    // SAFETY: `child` is the hook's own argument, a task.
    let inherited = unsafe { LABELS.get_or_create(child) };
    // SAFETY: not null; only the task itself uses its label.
    let (session, flags, permits) = unsafe { ((*label).session, (*label).flags, (*label).permits) };
    if inherited.is_null() {
        emit(
            EventKind::Refused,
            Some(Cause::NoLabel),
            &task_key(current).unwrap_or(TaskKey {
                tid: 0,
                tgid: 0,
                start_ns: 0,
            }),
            session,
            now_ns(),
            0,
            &OperationKey::default(),
        );
        return NO_MEMORY;
    }
    // SAFETY: not null; the child does not run yet.
    unsafe {
        (*inherited).session = session;
        (*inherited).flags = flags & LABEL_CUT;
        (*inherited).permits = permits;
    }
    0
}
