//! What the programs log when they run inside the test process.

use std::{
    io::{self, Write},
    sync::{Mutex, MutexGuard, Once, PoisonError},
};

static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn written() -> MutexGuard<'static, Vec<u8>> {
    WRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to collect, once for all tests of a process.
pub fn collect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new("info"))
            .with_ansi(false)
            .with_writer(|| Writer)
            .init();
    });
}

/// The lines so far that contain all of `parts`. Tests run side by side, so one
/// of the parts must be the test's own.
pub fn lines_with(parts: &[&str]) -> Vec<String> {
    String::from_utf8_lossy(&written())
        .lines()
        .filter(|line| parts.iter().all(|part| line.contains(part)))
        .map(str::to_owned)
        .collect()
}

struct Writer;

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        written().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
