//! Private folders that go away with their owner, and what is left of those whose
//! owner was killed. Guests must be able to see them.

use std::{
    env,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};

use crate::layout::visible_in_guests;

const PREFIX: &str = "holdpoint-run-";

/// A private folder with a short path, as sockets need it; gone when this value
/// is.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn create() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut folder = env::temp_dir();
        if folder.as_os_str().len() > 50 || !visible_in_guests(&folder) {
            folder = "/tmp".into();
        }
        remove_abandoned(&folder);
        let path = folder.join(format!(
            "{PREFIX}{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        if path.exists() {
            // Left by a process of the same number.
            fs::remove_dir_all(&path)?;
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing to do about it: the system clears its temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what processes left behind that were killed. Someone else's cannot
/// be removed, which is fine.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next())
            .and_then(|pid| pid.parse::<u32>().ok());
        if let Some(owner) = owner
            && !Path::new(&format!("/proc/{owner}")).exists()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_is_private_and_goes_away() {
        use std::os::unix::fs::PermissionsExt as _;
        let (first, second) = (Scratch::create().unwrap(), Scratch::create().unwrap());
        assert_ne!(first.path(), second.path());
        let path = first.path().to_path_buf();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        let current = Scratch::create().unwrap();
        // No process has this number: the kernel's limit is far below.
        let folder = current.path().parent().unwrap();
        let left = folder.join(format!("{PREFIX}4000000000-0"));
        fs::create_dir_all(&left).unwrap();
        let next = Scratch::create().unwrap();
        assert!(!left.exists());
        assert!(current.path().exists() && next.path().exists());
    }
}
