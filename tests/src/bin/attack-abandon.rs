//! Leaves a held connect from a signal handler, as `siglongjmp` does, and tries
//! to use up its approval elsewhere.
//!
//! `attack-abandon FIRST SECOND`: connects to FIRST; whenever that is interrupted
//! it connects to SECOND instead, and then to FIRST again. Says `WHICH errno N`
//! for each call that returned. Interrupts itself if started outside a session.
#![expect(unsafe_code, reason = "system calls")]
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

#[path = "../attack/raw.rs"]
mod raw;

use std::{env, net::SocketAddr, process::exit, ptr, sync::OnceLock};

use raw::try_connect;

static ADDRESSES: OnceLock<(SocketAddr, SocketAddr)> = OnceLock::new();

/// The interrupted call never goes on: this does not return.
extern "C" fn abandon(_: libc::c_int) {
    let Some((first, second)) = ADDRESSES.get() else {
        return;
    };
    println!("abandoned");
    let (_there, errno) = try_connect(*second);
    println!("second errno {errno}");
    let (_here, errno) = try_connect(*first);
    println!("first errno {errno}");
    exit(0);
}

fn main() {
    let mut arguments = env::args().skip(1);
    let mut address = || -> SocketAddr {
        let word = arguments.next().expect("two addresses");
        word.parse().expect("an address with a port")
    };
    let (first, second) = (address(), address());
    ADDRESSES.set((first, second)).expect("once");
    // SAFETY: the action is complete; the handler interrupts nothing that is
    // used again, because it never returns.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = abandon as *const () as usize;
        assert_eq!(
            libc::sigaction(libc::SIGCONT, &raw const action, ptr::null_mut()),
            0
        );
    }
    if arguments.next().is_some() {
        // SAFETY: no pointers.
        unsafe { libc::raise(libc::SIGCONT) };
    }
    let (_socket, errno) = try_connect(first);
    println!("first errno {errno}");
}
