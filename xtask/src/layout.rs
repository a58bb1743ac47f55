//! Where things are: the workspace, cargo's target folder and the cache. It
//! only computes paths and must never create or delete anything.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};

/// The folders everything else is found in.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The workspace's root folder.
    pub(crate) root: PathBuf,
    /// Cargo's target folder, the one this program was built into.
    pub(crate) target: PathBuf,
    /// What is fetched or built once and kept: tools and kernels.
    pub(crate) cache: PathBuf,
    /// This very program, which guests run too.
    pub(crate) exe: PathBuf,
}

impl Layout {
    pub(crate) fn discover() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .context("the xtask package has no folder above it")?
            .to_path_buf();
        // Derived from this program's own place instead of asking cargo, which
        // would cost a run of `cargo metadata` at every start.
        let exe = env::current_exe().context("cannot find this program's own path")?;
        let target = exe
            .ancestors()
            .nth(2)
            .with_context(|| format!("{} is not in a target folder", exe.display()))?
            .to_path_buf();
        Ok(Self {
            root,
            target,
            cache: cache_folder()?,
            exe,
        })
    }

    /// The folder with `holdpointd`, `holdpoint-approver` and `holdpoint`.
    pub(crate) fn bin_dir(&self, release: bool) -> PathBuf {
        self.target.join(if release { "release" } else { "debug" })
    }

    /// Target folder of the eBPF build. Its flags differ from the host's, and
    /// in one folder the two would throw away each other's work.
    pub(crate) fn ebpf_target(&self) -> PathBuf {
        self.target.join("ebpf")
    }

    /// The eBPF object that `holdpointd` embeds.
    pub(crate) fn gate_object(&self) -> PathBuf {
        self.ebpf_target()
            .join("bpfel-unknown-none/ebpf/holdpoint-gate")
    }

    /// The linker for eBPF objects.
    pub(crate) fn bpf_linker(&self) -> PathBuf {
        self.tools().join("bin/bpf-linker")
    }

    pub(crate) fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    /// The sources of the dashboard.
    pub(crate) fn dashboard(&self) -> PathBuf {
        self.root.join("approver/ui")
    }

    /// Logs of guests, one folder for each run, and pictures of the dashboard.
    pub(crate) fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }
}

fn cache_folder() -> Result<PathBuf> {
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if let Some(given) = env::var_os("HOLDPOINT_CACHE").filter(|value| !value.is_empty()) {
        let given = PathBuf::from(given);
        return if given.is_absolute() {
            Ok(given)
        } else {
            Err(anyhow!(
                "HOLDPOINT_CACHE is {}: give it an absolute path",
                given.display()
            ))
        };
    }
    if let Some(base) = absolute("XDG_CACHE_HOME") {
        return Ok(base.join("holdpoint"));
    }
    absolute("HOME")
        .map(|home| home.join(".cache/holdpoint"))
        .context("no place for the cache: set HOLDPOINT_CACHE to a folder")
}

/// Guests have their own of these folders, so nothing of the host's is seen
/// there.
pub(crate) fn visible_in_guests(path: &Path) -> bool {
    !["/dev", "/proc", "/run", "/sys"]
        .iter()
        .any(|own| path.starts_with(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_the_guest_has_its_own_of_are_not_visible() {
        assert!(visible_in_guests(Path::new("/home/ada/holdpoint")));
        assert!(visible_in_guests(Path::new("/tmp/clone")));
        assert!(visible_in_guests(Path::new("/running")));
        assert!(!visible_in_guests(Path::new("/run/user/1000/clone")));
        assert!(!visible_in_guests(Path::new("/dev/shm/clone")));
    }
}
