//! One setup at a time: two that fetch into the same cache would trample on
//! each other's half-made folders. The system drops the lock with the process,
//! however that ends.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use anyhow::{Context as _, Result};

use crate::process::say;

/// Held for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let failed = || format!("cannot lock {}", path.display());
        let file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                say("another xtask is setting things up; waiting for it");
                file.lock().with_context(failed)?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        Ok(Self { _file: file })
    }
}
