//! The decision. Everything that may let a tracked task's operation pass is in
//! [`judge`]; everything else refuses or holds.
//!
//! Order: a cut session is refused; an operation of this very system call that
//! was already let through passes; a ticket for this exact operation and hold
//! answers it; then the verdict cache; else it is held. A ticket that answers
//! something else is thrown away. What is refused without a hold is told by the
//! entry points, which know more of it.

use aya_ebpf::{
    bindings::task_struct,
    helpers::{
        bpf_get_current_uid_gid, bpf_probe_read_kernel_buf,
        generated::{
            bpf_d_path, bpf_get_current_task_btf, bpf_send_signal, bpf_send_signal_thread,
            bpf_task_pt_regs,
        },
    },
};
use holdpoint_agent_common::{
    Answer, Cause, EventKind, LABEL_CUT, LABEL_HELD, Label, OperationKey, OperationKind,
    PATH_CAPACITY, PENDING_COMPAT, PENDING_INTERPRETER, Pending, Route, TaskKey, VerdictKey,
};

use crate::{
    kernel::{now_ns, offset, read, task_key},
    maps::{CONTROL, LABELS, PENDING, TICKETS, VERDICTS, emit},
    observe,
};

/// `EPERM`: what a refused program sees.
pub(crate) const REFUSED: i32 = -1;
/// `ERESTARTNOINTR`: the system call starts again once the stop is over. Must
/// only be returned with a signal pending, or user space sees it (invariant I2).
pub(crate) const RESTART: i32 = -513;

const SIGKILL: u32 = 9;
const SIGSTOP: u32 = 19;

/// `PF_EXITING | PF_IO_WORKER | PF_USER_WORKER | PF_KTHREAD`: tasks that do not
/// return to user space the ordinary way, so that no call can be restarted.
const UNRESTARTABLE_TASK: u32 = 0x4 | 0x10 | 0x4000 | 0x0020_0000;
/// `TS_COMPAT`: the call came through the 32-bit entry.
const TS_COMPAT: u32 = 2;

/// How long an admitted operation stays admitted if the end of its call is missed.
const ADMITTED_NS: u64 = 60_000_000_000;

/// The calling task, if it is tracked; else the hook is over. For the first line
/// of every hook but those of tracking itself.
macro_rules! tracked {
    () => {
        match $crate::judge::Caller::current() {
            Ok(Some(caller)) => caller,
            Ok(None) => return 0,
            Err(refused) => return refused,
        }
    };
}
pub(crate) use tracked;

/// The tracked task that calls, with its label.
pub(crate) struct Caller<'a> {
    pub(crate) task: *mut task_struct,
    pub(crate) key: TaskKey,
    pub(crate) label: &'a mut Label,
}

impl<'a> Caller<'a> {
    /// The calling task, `None` if it is not tracked. `Err` is what to answer if
    /// the kernel's record of it is unreadable.
    #[inline(always)]
    pub(crate) fn current() -> Result<Option<Self>, i32> {
        // SAFETY: no arguments.
        let task = unsafe { bpf_get_current_task_btf() };
        // SAFETY: `task` is the current task.
        let label = unsafe { LABELS.get(task) };
        if label.is_null() {
            return Ok(None);
        }
        // SAFETY: not null; only the task itself uses its label.
        Self::new(task, unsafe { &mut *label })
            .map(Some)
            .ok_or(REFUSED)
    }

    /// Names `task`; `None` if the kernel's record of it is unreadable.
    #[inline(always)]
    pub(crate) fn new(task: *mut task_struct, label: &'a mut Label) -> Option<Self> {
        Some(Self {
            task,
            key: task_key(task).ok()?,
            label,
        })
    }

    /// Refuses an attempt on `route`, with what is known of it, unless the session
    /// may. Tells the daemon.
    #[inline(always)]
    pub(crate) fn bar(&self, route: Route, about: [u64; 3]) -> i32 {
        if self.permits(route) {
            return 0;
        }
        let operation = OperationKey::route(route, about);
        observe::operation(self, Some(Cause::Barred), &operation);
        REFUSED
    }

    /// Whether the session may act by `route`.
    #[inline(always)]
    pub(crate) fn permits(&self, route: Route) -> bool {
        self.label.flags & LABEL_CUT == 0 && self.label.permits & route.bit() != 0
    }

    /// Refuses `operation`, which was held, and tells the daemon why.
    #[inline(always)]
    pub(crate) fn refuse(&self, operation: &OperationKey, cause: Cause, held_ns: u64) -> i32 {
        self.tell(EventKind::Refused, Some(cause), held_ns, operation);
        REFUSED
    }

    /// Tells the daemon.
    #[inline(always)]
    pub(crate) fn tell(
        &self,
        kind: EventKind,
        cause: Option<Cause>,
        held_ns: u64,
        operation: &OperationKey,
    ) {
        emit(
            kind,
            cause,
            &self.key,
            self.label.session,
            now_ns(),
            held_ns,
            operation,
        );
    }

    /// Tells what became of everything that was let through and not told yet.
    #[inline(always)]
    pub(crate) fn tell_outcome(&mut self, kind: EventKind, cause: Option<Cause>) {
        for index in 0..2 {
            let slot = self.label.admitted[index];
            if slot.untold_ns != 0 {
                self.label.admitted[index].untold_ns = 0;
                emit(
                    kind,
                    cause,
                    &self.label.known_as,
                    self.label.session,
                    now_ns(),
                    slot.untold_ns,
                    &slot.operation,
                );
            }
        }
    }
}

/// One operation, as a hook sees it.
pub(crate) struct Attempt<'a> {
    /// Apart from the rest: helpers write into it, and the rest must stay what the
    /// verifier and the compiler know of it.
    pub(crate) operation: &'a OperationKey,
    /// The executable's `struct path` for an exec, else null.
    pub(crate) path: *mut u8,
    /// What a local socket is bound to, its `struct unix_address`; else null.
    pub(crate) name: *const u8,
    /// See [`holdpoint_agent_common::Admitted::socket`].
    pub(crate) socket: u64,
    /// The file is the interpreter of another one.
    pub(crate) interpreter: bool,
}

/// Judges one operation of a tracked task: 0, [`REFUSED`] or [`RESTART`]. `Err` is
/// a refusal without a hold, which is still to be told.
#[inline(always)]
pub(crate) fn judge(caller: &mut Caller<'_>, attempt: &Attempt<'_>) -> Result<i32, Cause> {
    let now = now_ns();
    let operation = attempt.operation;
    if caller.label.flags & LABEL_CUT != 0 {
        return Err(Cause::Cut);
    }
    if admitted(caller.label, attempt, now) {
        return Ok(0);
    }
    if operation.kind == OperationKind::Exec as u32 && !attempt.interpreter {
        // Another exec than the one the slots are left of, if any is: one that a
        // signal handler jumped out of must not lend them to this one.
        clear(caller.label);
    }
    if let Some(result) = answered(caller, attempt, now) {
        return Ok(result);
    }
    match cached(caller, operation) {
        Some(Answer::Release) => {
            // An exec is told of once it is carried out.
            if operation.kind != OperationKind::Exec as u32 {
                observe::operation(caller, None, operation);
            }
            Ok(0)
        }
        Some(Answer::Refuse | Answer::Kill) => Err(Cause::Cached),
        None => hold(caller, attempt, now),
    }
}

/// Forgets what the task's current call was allowed.
#[inline(always)]
pub(crate) fn clear(label: &mut Label) {
    let [first, second] = &mut label.admitted;
    for slot in [first, second] {
        slot.operation.kind = 0;
        slot.until_ns = 0;
    }
    label.arguments.present = 0;
}

#[inline(always)]
fn admitted(label: &mut Label, attempt: &Attempt<'_>, now: u64) -> bool {
    let [first, second] = &mut label.admitted;
    for slot in [first, second] {
        if slot.operation.same(attempt.operation)
            && slot.socket == attempt.socket
            && now < slot.until_ns
        {
            return true;
        }
    }
    false
}

/// The ticket's answer, if there is one for this hold of this operation.
#[inline(always)]
fn answered(caller: &mut Caller<'_>, attempt: &Attempt<'_>, now: u64) -> Option<i32> {
    let operation = attempt.operation;
    // SAFETY: a ticket is written whole by the daemon and read by its task alone.
    let ticket = unsafe { TICKETS.get(caller.key) }?;
    let held_ns = ticket.held_ns;
    let answer = ticket.answer;
    let arguments = ticket.arguments;
    // SAFETY: only this thread's own hook changes its record.
    let waits = unsafe { PENDING.get(caller.key) }
        .is_some_and(|pending| pending.held_ns == held_ns && pending.operation.same(operation));
    let fits = waits && ticket.operation.same(operation) && now < ticket.until_ns;
    let _ = TICKETS.remove(caller.key);
    if !fits {
        return None;
    }
    let _ = PENDING.remove(caller.key);
    caller.label.flags &= !LABEL_HELD;
    if answer == Answer::Release as u32 {
        // A script and its interpreter are answered one after the other and have
        // the same arguments. An answer that depends on none leaves the other's.
        if arguments.present == 1 {
            let expected = &mut caller.label.arguments;
            if expected.present == 1
                && (expected.rest != arguments.rest || expected.rest_len != arguments.rest_len)
            {
                return Some(caller.refuse(operation, Cause::ArgumentsChanged, held_ns));
            }
            *expected = arguments;
        }
        let [first, second] = &mut caller.label.admitted;
        let slot = if first.operation.kind == 0 {
            first
        } else {
            second
        };
        slot.operation = *operation;
        slot.until_ns = now + ADMITTED_NS;
        slot.socket = attempt.socket;
        slot.untold_ns = 0;
        if caller.label.arguments.present == 1 {
            // It may still be killed for its arguments: told once they are seen.
            slot.untold_ns = held_ns;
            caller.label.known_as = caller.key;
        } else {
            caller.tell(EventKind::Released, None, held_ns, operation);
        }
        return Some(0);
    }
    if answer == Answer::Kill as u32 {
        // SAFETY: no pointers. Should it fail, the refusal below stands alone.
        unsafe { bpf_send_signal(SIGKILL) };
    }
    Some(caller.refuse(operation, Cause::Ticket, held_ns))
}

#[inline(always)]
fn cached(caller: &Caller<'_>, operation: &OperationKey) -> Option<Answer> {
    let epoch = CONTROL.get(0)?.epoch;
    let key = VerdictKey {
        session: caller.label.session,
        epoch,
        operation: *operation,
    };
    // SAFETY: verdicts are written whole by the daemon.
    let answer = unsafe { VERDICTS.get(key) }?.answer;
    if answer == Answer::Release as u32 {
        Some(Answer::Release)
    } else {
        Some(Answer::Refuse)
    }
}

/// Stops the task before the operation. The operation is written down before the
/// task is stopped, so whatever is stopped can be found.
#[inline(always)]
fn hold(caller: &mut Caller<'_>, attempt: &Attempt<'_>, now: u64) -> Result<i32, Cause> {
    let operation = attempt.operation;
    let call = Call::of(caller.task, operation.kind)?;
    let same = PENDING.get_ptr_mut(caller.key).is_some_and(|pending| {
        // SAFETY: only this thread's own hook changes its record.
        let pending = unsafe { &mut *pending };
        let same = pending.held_ns != 0
            && pending.operation.same(operation)
            && pending.session == caller.label.session
            && pending.argv == call.argv
            && pending.envp == call.envp;
        if same {
            pending.evaluations += 1;
        }
        same
    });
    if !same && let Err(cause) = record(caller, attempt, &call, now) {
        let _ = PENDING.remove(caller.key);
        return Err(cause);
    }
    // To this very thread: of two signals to the process the second is dropped,
    // and its thread would return with nothing pending and show the restart to
    // its program. The stop reaches the whole process all the same.
    // SAFETY: no pointers.
    if unsafe { bpf_send_signal_thread(SIGSTOP) } != 0 {
        let _ = PENDING.remove(caller.key);
        return Err(Cause::NotStoppable);
    }
    caller.label.flags |= LABEL_HELD;
    // Whatever this call already got admitted (the script, when its interpreter
    // is held) waits with it.
    let [first, second] = &mut caller.label.admitted;
    first.until_ns = u64::MAX;
    second.until_ns = u64::MAX;
    if !same {
        emit(
            EventKind::Held,
            None,
            &caller.key,
            caller.label.session,
            now,
            now,
            operation,
        );
    }
    Ok(RESTART)
}

/// Writes the operation into the pending map.
#[inline(always)]
fn record(caller: &Caller<'_>, attempt: &Attempt<'_>, call: &Call, now: u64) -> Result<(), Cause> {
    static EMPTY: Pending = Pending::EMPTY;
    // Borrowed: a copy would not fit on the stack.
    let empty: &Pending = &EMPTY;

    PENDING
        .insert(caller.key, empty, 0)
        .map_err(|_| Cause::PendingFull)?;
    let pending = PENDING.get_ptr_mut(caller.key).ok_or(Cause::PendingFull)?;
    // SAFETY: only this thread's own hook changes its record; the daemon waits
    // for `held_ns`, which is written last.
    let pending = unsafe { &mut *pending };
    pending.operation = *attempt.operation;
    pending.session = caller.label.session;
    pending.argv = call.argv;
    pending.envp = call.envp;
    pending.flags = call.flags;
    if attempt.interpreter {
        pending.flags |= PENDING_INTERPRETER;
        pending.script = caller.label.script;
    }
    let uid_gid = bpf_get_current_uid_gid();
    pending.uid = uid_gid as u32;
    pending.gid = (uid_gid >> 32) as u32;
    if !attempt.path.is_null() {
        // SAFETY: it is a `struct path` the verifier knows; the buffer is
        // as long as said.
        let len = unsafe {
            bpf_d_path(
                attempt.path.cast(),
                pending.path.as_mut_ptr().cast(),
                PATH_CAPACITY as u32,
            )
        };
        if len <= 0 {
            return Err(Cause::PathTooLong);
        }
        pending.path_len = len.cast_unsigned() as u32 - 1;
    }
    if !attempt.name.is_null() {
        let len = local_name(attempt.name, &mut pending.path).map_err(|_| Cause::Unreadable)?;
        pending.path_len = len;
    }
    // SAFETY: a plain field. Volatile keeps it behind the others.
    unsafe { core::ptr::write_volatile(&raw mut pending.held_ns, now) };
    Ok(())
}

/// Copies the name in a `struct unix_address`, gives its length.
#[inline(always)]
fn local_name(address: *const u8, to: &mut [u8; PATH_CAPACITY]) -> Result<u32, i32> {
    /// Bytes of `sun_path`.
    const LONGEST: u32 = 108;
    /// Bytes before it: the family.
    const FAMILY: u32 = 2;
    let len: i32 = read(address, offset!(address_len))?;
    let mut len = len.cast_unsigned().wrapping_sub(FAMILY);
    if len > LONGEST {
        len = LONGEST;
    }
    let Some(to) = to.get_mut(..len as usize) else {
        return Err(REFUSED);
    };
    let name = address.wrapping_add(offset!(address_name) + FAMILY as usize);
    // SAFETY: the helper checks the address; the buffer is as long as said.
    unsafe { bpf_probe_read_kernel_buf(name, to)? };
    Ok(len)
}

/// The system call under way, if it is one that can be stopped and started again.
struct Call {
    argv: u64,
    envp: u64,
    flags: u32,
}

impl Call {
    #[inline(always)]
    fn of(task: *mut task_struct, kind: u32) -> Result<Self, Cause> {
        let unreadable = |_: i32| Cause::Unreadable;
        let flags: u32 = read(task.cast(), offset!(task_flags)).map_err(unreadable)?;
        if flags & UNRESTARTABLE_TASK != 0 {
            return Err(Cause::NotRestartable);
        }
        let status: u32 =
            read(task.cast(), offset!(task_thread_info_status)).map_err(unreadable)?;
        // SAFETY: `task` is the current task.
        let regs = unsafe { bpf_task_pt_regs(task) } as *const u8;
        let number: u64 = read(regs, offset!(regs_orig_ax)).map_err(unreadable)?;
        let register = |offset: usize| read::<u64>(regs, offset).map_err(unreadable);
        let exec = kind == OperationKind::Exec as u32;
        let compat = status & TS_COMPAT != 0;
        let (argv, envp) = match (compat, exec, number) {
            // execve(path, argv, envp), execveat(fd, path, argv, envp, flags)
            (false, true, 59) => (register(offset!(regs_si))?, register(offset!(regs_dx))?),
            (false, true, 322) => (register(offset!(regs_dx))?, register(offset!(regs_r10))?),
            (true, true, 11) => (register(offset!(regs_cx))?, register(offset!(regs_dx))?),
            (true, true, 358) => (register(offset!(regs_dx))?, register(offset!(regs_si))?),
            // connect, sendto, sendmsg, sendmmsg; for 32-bit programs also
            // socketcall, which is any of these
            (false, false, 42 | 44 | 46 | 307) | (true, false, 362 | 369 | 370 | 345 | 102) => {
                (0, 0)
            }
            _ => return Err(Cause::NotRestartable),
        };
        if !compat {
            return Ok(Self {
                argv,
                envp,
                flags: 0,
            });
        }
        // Such a call takes the lower half of each register.
        Ok(Self {
            argv: argv & u64::from(u32::MAX),
            envp: envp & u64::from(u32::MAX),
            flags: PENDING_COMPAT,
        })
    }
}
