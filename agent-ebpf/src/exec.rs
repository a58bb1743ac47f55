//! exec: judged before the point of no return, its arguments compared after it.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use aya_log_ebpf::debug;
use holdpoint_agent_common::{Cause, OperationKey};

use crate::{
    judge::{Caller, judge},
    kernel::{file_id, offset},
};

/// Judges the file that is about to be executed. Called once for a script and
/// once more for its interpreter.
///
/// Hook since 5.7; works as described on 6.1 and later.
#[lsm(hook = "bprm_check_security")]
pub(crate) fn gate_exec(ctx: LsmContext) -> i32 {
    let mut caller = match Caller::current() {
        Ok(Some(caller)) => caller,
        Ok(None) => return 0,
        Err(refused) => return refused,
    };
    let bprm: *const u8 = ctx.arg(0);
    #[expect(clippy::cast_ptr_alignment, reason = "the kernel aligns its fields")]
    let field = bprm.wrapping_add(offset!(bprm_file)).cast::<*mut u8>();
    // SAFETY: a pointer field of a structure the verifier knows, read directly
    // so that it knows the result as a file too.
    let file = unsafe { *field };
    let Ok(id) = file_id(file) else {
        return caller.refuse(&OperationKey::default(), Cause::Unreadable, 0);
    };
    // SAFETY: the address of the path inside the file; not read here.
    let path = unsafe { file.add(offset!(file_path)) };
    let verdict = judge(&mut caller, &OperationKey::exec(id), path);
    if verdict != 0 {
        debug!(&ctx, "exec by thread {}: {}", caller.key.tid, verdict);
    }
    verdict
}
