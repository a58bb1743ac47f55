//! A guest of `cargo xtask vm --bare` with a Holdpoint of its own: approver and
//! daemon as processes that a test may kill, sessions of the user `agent`, and
//! what it takes to see the effects of what they do.
//!
//! One stack for all tests, one test at a time: there is one kernel. Must never
//! run outside a throw-away guest, where it would gate somebody's machine.

pub mod listener;
pub mod place;
pub mod reviews;
pub mod service;
pub mod session;
pub mod sniffer;
pub mod stack;

use std::{
    fs,
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
};

pub use place::Place;
pub use stack::{SOCKET, Stack};

/// The guest's stack for one test. If that fails, the log of what happened on
/// the host meanwhile is part of its output.
pub struct Guest {
    stack: MutexGuard<'static, Stack>,
    log_begins: usize,
}

/// The guest's stack, up and enforcing, for this test alone.
pub fn guest() -> Guest {
    static STACK: OnceLock<Mutex<Stack>> = OnceLock::new();
    let init = fs::read_to_string("/proc/1/comm").unwrap_or_default();
    assert_eq!(
        init.trim(),
        "xtask",
        "this is no guest: run `cargo xtask test --only vm`"
    );
    let mut stack = STACK
        .get_or_init(|| Mutex::new(Stack::start()))
        .lock()
        // A test that failed before says so itself.
        .unwrap_or_else(PoisonError::into_inner);
    stack.recover();
    Guest {
        log_begins: stack.daemon.log().len(),
        stack,
    }
}

impl Deref for Guest {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.stack
    }
}

impl DerefMut for Guest {
    fn deref_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.stack.daemon.log();
            let log = log.get(self.log_begins..).unwrap_or(&log);
            eprintln!("log of holdpointd during this test:\n{log}");
        }
    }
}
