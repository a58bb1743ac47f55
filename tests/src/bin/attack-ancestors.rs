//! Runs a program below ancestors with very large command lines.
//!
//! `attack-ancestors LEVELS PROGRAM WITNESS`: LEVELS processes, each the child of
//! the one before and with as many arguments as fit, then PROGRAM WITNESS. Each
//! ends as its child does. Says `errno N` if it is refused.
#![expect(unsafe_code, reason = "system calls")]
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

#[path = "../attack/raw.rs"]
mod raw;

use std::{env, ffi::OsString, process::exit};

use raw::{Exec, errno};

/// Below what the kernel takes for one argument, 128 KiB.
const PIECE: usize = 120_000;
/// Together below a quarter of the usual stack, 2 MiB.
const PIECES: usize = 15;

fn main() {
    let words: Vec<_> = env::args_os().take(4).collect();
    let [this, levels, program, witness] = words.as_slice() else {
        exit(2);
    };
    let levels: usize = levels.to_str().expect("digits").parse().expect("a number");
    let exec = if levels == 0 {
        Exec::of([program, witness])
    } else {
        let next = OsString::from((levels - 1).to_string());
        let piece = OsString::from("a".repeat(PIECE));
        let argv = [this, &next, program, witness].into_iter();
        Exec::of(argv.chain(std::iter::repeat_n(&piece, PIECES)))
    };
    // SAFETY: this program has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        println!("errno {}", exec.execve());
        exit(1);
    }
    assert!(child > 0, "no child: errno {}", errno());
    let mut status = 0;
    // SAFETY: the status is a place to write to.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    exit(libc::WEXITSTATUS(status));
}
