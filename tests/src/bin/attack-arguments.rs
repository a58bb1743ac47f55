//! Runs a program with very many bytes of arguments.
//!
//! `attack-arguments BYTES PROGRAM WITNESS`: runs PROGRAM with the arguments
//! WITNESS and as many more as make BYTES bytes, none of them UTF-8. Says
//! `errno N` if it is refused.
#![expect(unsafe_code, reason = "system calls")]
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

#[path = "../attack/raw.rs"]
mod raw;

use std::{env, ffi::OsString, os::unix::ffi::OsStringExt as _, process::exit};

use raw::Exec;

/// Below what the kernel takes for one argument, 128 KiB.
const PIECE: usize = 100_000;

fn main() {
    let words: Vec<_> = env::args_os().skip(1).collect();
    let [bytes, program, witness] = words.as_slice() else {
        exit(2);
    };
    let bytes: usize = bytes.to_str().expect("digits").parse().expect("a number");
    // The kernel allows a quarter of the stack's limit, and 6 MiB at the most.
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the limit is complete.
    let raised = unsafe { libc::setrlimit(libc::RLIMIT_STACK, &raw const limit) };
    assert_eq!(raised, 0, "the hard limit of the stack is in the way");
    let pieces = (0..bytes.div_ceil(PIECE)).map(|piece| {
        let mut text = vec![b'a' + (piece % 26) as u8; PIECE.min(bytes - piece * PIECE)];
        text[0] = 0xff;
        OsString::from_vec(text)
    });
    let argv = [program.clone(), witness.clone()].into_iter().chain(pieces);
    println!("errno {}", Exec::of(argv).execve());
    exit(1);
}
