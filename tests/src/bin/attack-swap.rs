//! Shows one set of arguments and runs with another: they are in memory that a
//! process outside the exec can write to while the exec waits.
//!
//! `attack-swap child|sibling argument|environment PROGRAM WITNESS TRIGGER`: runs
//! PROGRAM with the arguments WITNESS and `harmless`, the latter also alone in the
//! environment; when the file TRIGGER is there one of the two becomes `evil=...`.
//! A child shares only that text, a sibling all memory. Says `swapped` then, and
//! ends as PROGRAM does.
#![expect(unsafe_code, reason = "system calls")]
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

#[path = "../attack/raw.rs"]
mod raw;

use std::{env, ffi::CString, path::Path, process::exit, ptr, thread, time::Duration};

use raw::{c, errno};

const SHOWN: &[u8; 9] = b"harmless\0";
const RUN: &[u8; 9] = b"evil=...\0";
/// Where in the shared memory the environment is.
const ENVIRONMENT: usize = 64;

const STACK: usize = 64 * 1024;

/// What the other process executes.
struct Call {
    program: CString,
    argv: [*const libc::c_char; 4],
    envp: [*const libc::c_char; 2],
}

extern "C" fn execute(call: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the argument outlives this; all strings and arrays end with a null.
    unsafe {
        let call = &*call.cast::<Call>();
        libc::execve(
            call.program.as_ptr(),
            call.argv.as_ptr(),
            call.envp.as_ptr(),
        );
        libc::_exit(errno())
    }
}

fn main() {
    let words: Vec<_> = env::args_os().skip(1).collect();
    let [how, what, program, witness, trigger] = words.as_slice() else {
        exit(2);
    };
    let offset = if what == "argument" { 0 } else { ENVIRONMENT };
    let memory = if how == "sibling" { libc::CLONE_VM } else { 0 };
    let (program, witness) = (c(program), c(witness));
    let mut stack = vec![0_u8; STACK];
    // SAFETY: new memory, shared with the process to come and large enough; the
    // stack grows down from its end and outlives that process's use of it.
    unsafe {
        let shared = libc::mmap(
            ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(shared, libc::MAP_FAILED);
        let text = shared.cast::<u8>();
        let environment = text.add(ENVIRONMENT);
        for place in [text, environment] {
            ptr::copy_nonoverlapping(SHOWN.as_ptr(), place, SHOWN.len());
        }
        let call = Call {
            argv: [program.as_ptr(), witness.as_ptr(), text.cast(), ptr::null()],
            envp: [environment.cast(), ptr::null()],
            program,
        };
        let child = libc::clone(
            execute,
            stack.as_mut_ptr().add(STACK).cast(),
            memory | libc::SIGCHLD,
            ptr::from_ref(&call).cast_mut().cast(),
        );
        assert!(child > 0, "clone: errno {}", errno());
        while !Path::new(trigger).exists() {
            thread::sleep(Duration::from_millis(5));
        }
        ptr::copy_nonoverlapping(RUN.as_ptr(), text.add(offset), RUN.len());
        println!("swapped");
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        if libc::WIFSIGNALED(status) {
            println!("signal {}", libc::WTERMSIG(status));
            exit(128 + libc::WTERMSIG(status));
        }
        exit(libc::WEXITSTATUS(status));
    }
}
