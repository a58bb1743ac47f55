//! Logs of guests: one folder for each run under `artifacts/`, the oldest
//! removed. They are for reading after something failed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};

/// So many runs are kept.
const KEPT: usize = 30;
const CONSOLE_LINES: usize = 25;

/// Where one run's logs go.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn create(artifacts: &Path, label: &str) -> Result<Self> {
        let runs = artifacts.join("vm");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        // Names sort by time.
        let path = runs.join(format!("{now}-{label}-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        remove_oldest(&runs);
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The kernel's console.
    pub(crate) fn console(&self) -> PathBuf {
        self.0.join("console.log")
    }

    /// What approver and daemon in the guest wrote.
    pub(crate) fn programs(&self) -> PathBuf {
        self.0.join("programs.log")
    }

    /// What anything else wrote.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What QEMU complains about.
    pub(crate) fn qemu(&self) -> PathBuf {
        self.0.join("qemu.log")
    }

    /// What QEMU and the console say last, or from where the kernel gave up.
    pub(crate) fn end_of_console(&self) -> String {
        let mut lines = Vec::new();
        for file in [self.qemu(), self.console()] {
            let bytes = fs::read(file).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            lines.extend(
                text.lines()
                    .map(|line| line.trim_end().to_owned())
                    .filter(|line| !line.is_empty()),
            );
        }
        tail(&lines).join("\n")
    }
}

fn tail(lines: &[String]) -> &[String] {
    let gave_up = lines.iter().position(|line| {
        ["Kernel panic", "Oops:", "BUG:"]
            .iter()
            .any(|sign| line.contains(sign))
    });
    let start = gave_up.unwrap_or(lines.len().saturating_sub(CONSOLE_LINES));
    let end = lines.len().min(start + CONSOLE_LINES);
    &lines[start..end]
}

/// Another run may remove the same ones: what is gone is gone.
fn remove_oldest(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else {
        return;
    };
    let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    for old in folders.iter().rev().skip(KEPT) {
        let _ = fs::remove_dir_all(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_shown_from_its_first_line() {
        let mut lines: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        assert_eq!(tail(&lines)[0], "line 75");
        lines[10] = "[    1.0] Kernel panic - not syncing: Attempted to kill init!".to_owned();
        assert!(tail(&lines)[0].contains("Kernel panic"));
        assert_eq!(tail(&lines).len(), CONSOLE_LINES);
        assert!(tail(&[]).is_empty());
    }

    #[test]
    fn only_the_newest_runs_are_kept() {
        let base = std::env::temp_dir().join(format!("holdpoint-artifacts-{}", std::process::id()));
        for n in 0..KEPT + 5 {
            fs::create_dir_all(base.join("vm").join(format!("{n:03}-6.1-1"))).unwrap();
        }
        let newest = Folder::create(&base, "6.1").unwrap();
        assert!(newest.path().exists());
        assert!(!base.join("vm/000-6.1-1").exists());
        assert_eq!(fs::read_dir(base.join("vm")).unwrap().count(), KEPT);
        fs::remove_dir_all(&base).unwrap();
    }
}
