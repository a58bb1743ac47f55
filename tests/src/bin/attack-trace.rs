//! Runs a program under a tracer that follows it as `strace -f` does: attached
//! with `PTRACE_SEIZE`, every system call looked at, stops left in effect.
//!
//! `attack-trace PROGRAM [ARGUMENT...]`: ends as PROGRAM does.
#![expect(unsafe_code, reason = "system calls")]
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

#[path = "../attack/raw.rs"]
mod raw;

use std::{env, process::exit, ptr};

use raw::{Exec, errno};

/// A stop for a system call is told from one for a signal by this bit.
const SYSCALL: i32 = 0x80;

fn ptrace(request: libc::c_uint, pid: i32, data: usize) {
    // SAFETY: none of the requests used here takes a pointer.
    let result = unsafe { libc::ptrace(request, pid, ptr::null_mut::<u8>(), data) };
    // One that was killed meanwhile says so when it is waited for.
    assert!(result >= 0 || errno() == libc::ESRCH, "errno {}", errno());
}

fn main() {
    let exec = Exec::of(env::args_os().skip(1));
    let mut gate = [0; 2];
    // SAFETY: room for two descriptors.
    assert_eq!(unsafe { libc::pipe(gate.as_mut_ptr()) }, 0);
    // SAFETY: this program has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let mut byte = 0_u8;
        // SAFETY: room for one byte.
        let read = unsafe { libc::read(gate[0], (&raw mut byte).cast(), 1) };
        assert_eq!(read, 1);
        println!("errno {}", exec.execve());
        exit(1);
    }
    assert!(child > 0, "no child: errno {}", errno());
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE;
    ptrace(
        libc::PTRACE_SEIZE,
        child,
        usize::try_from(options).expect("it is positive"),
    );
    // SAFETY: one byte of a text.
    assert_eq!(unsafe { libc::write(gate[1], b"!".as_ptr().cast(), 1) }, 1);
    loop {
        let mut status = 0;
        // SAFETY: the status is a place to write to.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
        assert!(pid > 0, "wait: errno {}", errno());
        if libc::WIFSTOPPED(status) {
            follow(pid, libc::WSTOPSIG(status), status >> 16);
        } else if pid == child && libc::WIFEXITED(status) {
            exit(libc::WEXITSTATUS(status));
        } else if pid == child {
            exit(128 + libc::WTERMSIG(status));
        }
    }
}

/// Lets a process that stopped go on as it would without a tracer.
fn follow(pid: i32, signal: i32, event: i32) {
    let stops = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    if event == libc::PTRACE_EVENT_STOP && stops.contains(&signal) {
        // It stays stopped until somebody continues it.
        ptrace(libc::PTRACE_LISTEN, pid, 0);
    } else if event != 0 || signal == libc::SIGTRAP | SYSCALL {
        ptrace(libc::PTRACE_SYSCALL, pid, 0);
    } else {
        let signal = usize::try_from(signal).expect("it is positive");
        ptrace(libc::PTRACE_SYSCALL, pid, signal);
    }
}
