//! The end of a system call: whatever was admitted or left unanswered ends with
//! it, so that no answer serves a later call (invariant I3).
//!
//! Attached to the entry points of the calls that can be held and to nothing
//! else: a hook on every system call would slow down the whole host.

use aya_ebpf::{
    helpers::generated::bpf_get_current_task_btf, macros::fexit, programs::FExitContext,
};
use holdpoint_agent_common::{EventKind, LABEL_HELD, OperationKey};

use crate::{
    judge::{Caller, RESTART, clear},
    kernel::{now_ns, task_key},
    maps::{LABELS, PENDING, TICKETS, emit},
};

/// `ERESTARTSYS`, `ERESTARTNOHAND`, `ERESTART_RESTARTBLOCK`: a signal interrupted
/// the call, which may start again.
const INTERRUPTED: [i64; 3] = [-512, -514, -516];

/// How long an interrupted call has to start again as the same one.
const RESTART_NS: u64 = 10_000_000_000;

macro_rules! ends {
    ($($program:ident => $function:literal, exec: $exec:literal);+ $(;)?) => {
        $(
            #[doc = concat!("End of `", $function, "`.")]
            #[fexit(function = $function)]
            pub(crate) fn $program(ctx: FExitContext) -> i32 {
                // The entry points take the registers; their result comes second.
                finish(ctx.arg::<i64>(1), $exec)
            }
        )+
    };
}

ends! {
    end_execve => "__x64_sys_execve", exec: true;
    end_execveat => "__x64_sys_execveat", exec: true;
    end_connect => "__x64_sys_connect", exec: false;
    end_sendto => "__x64_sys_sendto", exec: false;
    end_sendmsg => "__x64_sys_sendmsg", exec: false;
    end_sendmmsg => "__x64_sys_sendmmsg", exec: false;
    end_compat_execve => "__ia32_compat_sys_execve", exec: true;
    end_compat_execveat => "__ia32_compat_sys_execveat", exec: true;
    end_compat_connect => "__ia32_sys_connect", exec: false;
    end_compat_sendto => "__ia32_sys_sendto", exec: false;
    end_compat_sendmsg => "__ia32_compat_sys_sendmsg", exec: false;
    end_compat_sendmmsg => "__ia32_compat_sys_sendmmsg", exec: false;
    end_compat_socketcall => "__ia32_compat_sys_socketcall", exec: false;
}

#[inline(always)]
fn finish(result: i64, exec: bool) -> i32 {
    // SAFETY: no arguments.
    let task = unsafe { bpf_get_current_task_btf() };
    // SAFETY: `task` is the current task.
    let label = unsafe { LABELS.get(task) };
    if label.is_null() || result == i64::from(RESTART) {
        return 0;
    }
    // SAFETY: not null; only the task itself uses its label.
    let label = unsafe { &mut *label };
    let now = now_ns();
    if result == INTERRUPTED[0] || result == INTERRUPTED[1] || result == INTERRUPTED[2] {
        let [first, second] = &mut label.admitted;
        first.until_ns = now + RESTART_NS;
        second.until_ns = now + RESTART_NS;
    } else {
        // Let through, and failed before it was too late to.
        let untold = label.admitted[0].untold_ns | label.admitted[1].untold_ns != 0;
        if untold && let Some(mut caller) = Caller::new(task, label) {
            caller.tell_outcome(EventKind::Abandoned, None);
        }
        clear(label);
    }
    // A thread that executes takes the name of its group's first thread, and with
    // it whatever that one was held with.
    let renamed = exec && result == 0;
    if label.flags & LABEL_HELD == 0 && !renamed {
        return 0;
    }
    label.flags &= !LABEL_HELD;
    let Ok(key) = task_key(task) else {
        return 0;
    };
    let _ = TICKETS.remove(key);
    // SAFETY: only this thread's own hook changes its record.
    let held_ns = unsafe { PENDING.get(key) }.map_or(0, |pending| pending.held_ns);
    if PENDING.remove(key).is_ok() {
        emit(
            EventKind::Abandoned,
            None,
            &key,
            label.session,
            now,
            held_ns,
            &OperationKey::default(),
        );
    }
    0
}
