//! exec: judged before the point of no return, its arguments compared after it.
//!
//! For a script the kernel calls twice: for the script's own file, then for the
//! interpreter that its first line names. The words of that line and the path the
//! script was called by become the interpreter's arguments, so they are part of
//! the second operation.

use aya_ebpf::{
    helpers::{bpf_probe_read_kernel_buf, bpf_probe_read_kernel_str_bytes},
    macros::lsm,
    programs::LsmContext,
};
use aya_log_ebpf::debug;
use holdpoint_agent_common::{
    Cause, Label, OperationKey, Route, SCRIPT_LINE, SCRIPT_PATH, Script, SipHash,
};

use crate::{
    judge::{Attempt, Caller, REFUSED, judge, tracked},
    kernel::{file_id, offset, read},
    maps::CONTROL,
    observe,
};

/// Judges the file that is about to be executed. Called once for a script and
/// once more for its interpreter.
///
/// Hook since 5.7; works as described on 6.1 and later.
#[lsm(hook = "bprm_check_security")]
pub(crate) fn gate_exec(ctx: LsmContext) -> i32 {
    let mut caller = tracked!();
    let bprm: *const u8 = ctx.arg(0);
    #[expect(clippy::cast_ptr_alignment, reason = "the kernel aligns its fields")]
    let field = bprm.wrapping_add(offset!(bprm_file)).cast::<*mut u8>();
    // SAFETY: a pointer field of a structure the verifier knows, read directly
    // so that it knows the result as a file too.
    let file = unsafe { *field };
    // SAFETY: the address of the path inside the file; not read here.
    let path = unsafe { file.add(offset!(file_path)) };
    let mut operation = OperationKey::default();
    let judged = match file_id(file) {
        Err(_) => Err(Cause::Unreadable),
        Ok(id) => {
            operation = OperationKey::exec(id, 0);
            match ordinary(&caller, file).and_then(|()| script(caller.label, bprm)) {
                Err(cause) => Err(cause),
                Ok((interpreter, script)) => {
                    operation.script = script;
                    let attempt = Attempt {
                        operation: &operation,
                        path,
                        name: core::ptr::null(),
                        socket: 0,
                        interpreter,
                    };
                    judge(&mut caller, &attempt)
                }
            }
        }
    };
    let verdict = match judged {
        Ok(verdict) => verdict,
        Err(cause) => {
            observe::refused_exec(&caller, cause, &operation, path);
            REFUSED
        }
    };
    if verdict != 0 {
        debug!(&ctx, "exec by thread {}: {}", caller.key.tid, verdict);
    }
    verdict
}

/// Refuses files that nobody can look at again: one without a name (memfd,
/// unlinked), and one whose content another process makes up as it is read.
#[inline(always)]
fn ordinary(caller: &Caller<'_>, file: *const u8) -> Result<(), Cause> {
    const FUSE: u64 = 0x6573_5546;

    let unreadable = |_: i32| Cause::Unreadable;
    let inode: *const u8 = read(file, offset!(file_inode)).map_err(unreadable)?;
    let names: u32 = read(inode, offset!(inode_nlink)).map_err(unreadable)?;
    if names == 0 && !caller.permits(Route::UnlinkedExec) {
        return Err(Cause::Unlinked);
    }
    let sb: *const u8 = read(inode, offset!(inode_sb)).map_err(unreadable)?;
    let magic: u64 = read(sb, offset!(sb_magic)).map_err(unreadable)?;
    if magic == FUSE && !caller.permits(Route::FuseExec) {
        return Err(Cause::Fuse);
    }
    Ok(())
}

/// Whether the file is the interpreter of another one, and the hash of what that
/// one adds to its arguments. Keeps the words of a script for the second call.
#[inline(always)]
fn script(label: &mut Label, bprm: *const u8) -> Result<(bool, u64), Cause> {
    let unreadable = |_: i32| Cause::Unreadable;
    let filename: *const u8 = read(bprm, offset!(bprm_filename)).map_err(unreadable)?;
    let interpreter: *const u8 = read(bprm, offset!(bprm_interp)).map_err(unreadable)?;
    let buffer = bprm.wrapping_add(offset!(bprm_buf));
    let begins: [u8; 2] = read(buffer, 0).map_err(unreadable)?;
    let is_script = begins == *b"#!";
    if filename != interpreter {
        // A chain of scripts has arguments nobody could follow.
        if is_script {
            return Err(Cause::Script);
        }
        let key = CONTROL.get(0).ok_or(Cause::Unreadable)?.key;
        return Ok((true, hash(key, &label.script)));
    }
    label.script = Script::NONE;
    if is_script {
        // SAFETY: both sides have SCRIPT_LINE bytes.
        unsafe { bpf_probe_read_kernel_buf(buffer, &mut label.script.line) }.map_err(unreadable)?;
        // SAFETY: the helper stops at the end of the string or of the buffer.
        let path = unsafe { bpf_probe_read_kernel_str_bytes(filename, &mut label.script.path) }
            .map_err(unreadable)?;
        if path.len() >= SCRIPT_PATH - 1 {
            return Err(Cause::Script);
        }
    }
    Ok((false, 0))
}

/// Keyed hash of the words of a script. Never 0, which means none.
#[inline(always)]
fn hash(key: [u64; 2], script: &Script) -> u64 {
    let mut hash = SipHash::new(key);
    let line = script.line.as_ptr();
    let path = script.path.as_ptr();
    for index in 0..SCRIPT_LINE / 8 {
        // SAFETY: within the array; the label is aligned to 8 bytes.
        hash.word(unsafe { line.add(index * 8).cast::<u64>().read_unaligned() });
    }
    for index in 0..SCRIPT_PATH / 8 {
        // SAFETY: as above.
        hash.word(unsafe { path.add(index * 8).cast::<u64>().read_unaligned() });
    }
    hash.finish((SCRIPT_LINE + SCRIPT_PATH) as u64) | 1
}
