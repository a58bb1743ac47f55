//! Has an approval for one process used by another that got its number.
//!
//! `attack-number PROGRAM [ARGUMENT...]`: runs PROGRAM in a child and says `child
//! PID`; at the next line of input kills it, runs PROGRAM again in a new child with
//! the same number and says `again PID`. Ends as that one does. Needs root: it
//! chooses the number. Who cannot has to fork until it comes around.
#![expect(unsafe_code, reason = "system calls")]
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

#[path = "../attack/raw.rs"]
mod raw;

use std::{env, io::stdin, process::exit};

use raw::{Exec, errno};

fn start(exec: &Exec, number: Option<i32>) -> i32 {
    // SAFETY: all zeros are a call with no options.
    let mut call: libc::clone_args = unsafe { std::mem::zeroed() };
    call.exit_signal = u64::try_from(libc::SIGCHLD).expect("it is positive");
    if let Some(number) = &number {
        call.set_tid = std::ptr::from_ref(number) as u64;
        call.set_tid_size = 1;
    }
    let size = size_of::<libc::clone_args>();
    // SAFETY: this program has one thread; the structure is as long as said.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const call, size) };
    if pid == 0 {
        let errno = exec.execve();
        println!("errno {errno}");
        exit(1);
    }
    assert!(pid > 0, "no child: errno {}", errno());
    i32::try_from(pid).expect("a process")
}

fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the status is a place to write to.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}

fn main() {
    let exec = Exec::of(env::args_os().skip(1));
    let pid = start(&exec, None);
    println!("child {pid}");
    stdin().read_line(&mut String::new()).expect("a line");
    // SAFETY: no pointers; it was not waited for, so it is still this child.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    wait(pid);
    let again = start(&exec, Some(pid));
    println!("again {again}");
    exit(libc::WEXITSTATUS(wait(again)));
}
