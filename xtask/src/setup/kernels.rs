//! Debian's kernels in the cache: for each series the newest one of its suite,
//! reduced to what a guest boots with. A cached kernel is complete and
//! unharmed or not there at all.

use std::{
    cmp::Reverse,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{apt::Archive, modules, vmlinux};
use crate::{layout::Layout, process::say, vm::Kernel};

/// Written last: its presence says that all the others are whole.
const MANIFEST: &str = "manifest";

/// A kernel that is ready to boot.
#[derive(Debug)]
pub(crate) struct Image {
    /// The uncompressed kernel.
    pub(crate) vmlinux: PathBuf,
    /// Modules in the order in which they are to be loaded.
    pub(crate) modules: Vec<PathBuf>,
}

impl Image {
    /// The cached kernel of this series, if it is there and unharmed.
    pub(crate) fn cached(layout: &Layout, kernel: Kernel) -> Option<Self> {
        let folder = folder(layout, kernel);
        let manifest = fs::read_to_string(folder.join(MANIFEST)).ok()?;
        let mut lines = manifest.lines();
        if lines.next() != Some(&recipe()) {
            return None;
        }
        let mut modules = Vec::new();
        for line in lines {
            let (size, name) = line.split_once(' ')?;
            let path = folder.join(name);
            if path.metadata().ok()?.len() != size.parse::<u64>().ok()? {
                return None;
            }
            if name.starts_with("modules/") {
                modules.push(path);
            }
        }
        modules.sort();
        Some(Self {
            vmlinux: folder.join("vmlinux"),
            modules,
        })
    }
}

/// Fetches the kernel unless it is there; with `update` also if there is a
/// newer one.
pub(crate) fn ensure(layout: &Layout, kernel: Kernel, update: bool) -> Result<()> {
    let cached = Image::cached(layout, kernel).is_some();
    if cached && !update {
        return Ok(());
    }
    if !cfg!(target_arch = "x86_64") {
        bail!("guests run on x86_64 machines only");
    }
    let archive = Archive::open(&layout.cache)?;
    if update {
        archive.update()?;
    }
    let target = folder(layout, kernel);
    let package = newest(&archive, kernel)?;
    if cached && fs::read_to_string(target.join("package")).is_ok_and(|had| had == package) {
        return Ok(());
    }
    // Lists that are hours old may name a file that is gone from the mirror.
    if let Err(error) = fetch(&archive, kernel, &package, &target) {
        say(format!(
            "{error:#}\nxtask: trying once more with fresh lists"
        ));
        archive.update()?;
        fetch(&archive, kernel, &newest(&archive, kernel)?, &target)?;
    }
    Ok(())
}

fn folder(layout: &Layout, kernel: Kernel) -> PathBuf {
    layout.cache.join("kernels").join(kernel.series())
}

/// What a cached kernel was made for; another recipe makes it anew.
fn recipe() -> String {
    format!("recipe 1: {}", modules::WANTED.join(" "))
}

/// The newest image package of the series.
fn newest(archive: &Archive, kernel: Kernel) -> Result<String> {
    let prefix = format!("linux-image-{}.", kernel.series());
    archive
        .names(&prefix)?
        .into_iter()
        .filter(|name| is_generic(name))
        .max_by_key(|name| version_of(name))
        .with_context(|| {
            format!(
                "Debian's {} suite has no kernel {} for amd64 any more",
                kernel.suite(),
                kernel.series()
            )
        })
}

/// Whether this is an ordinary kernel: no debug symbols, nothing unsigned, and
/// not the cloud or real-time flavour.
fn is_generic(name: &str) -> bool {
    name.ends_with("-amd64") && !["-cloud-", "-rt-"].iter().any(|part| name.contains(part))
}

/// The numbers in a package name, as versions compare.
fn version_of(name: &str) -> Vec<u32> {
    let name = name.trim_end_matches("-amd64");
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

fn fetch(archive: &Archive, kernel: Kernel, package: &str, target: &Path) -> Result<()> {
    let packages = archive.closure(kernel.suite(), package, "linux-")?;
    let unpacked = archive.unpack(&packages)?;
    let (vmlinuz, tree) = parts(unpacked.path())?;

    let parent = target.parent().context("the cache has no folder")?;
    let fresh = parent.join(format!(".new-{}", kernel.series()));
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(fresh.join("modules"))
        .with_context(|| format!("cannot make {}", fresh.display()))?;
    fs::write(fresh.join("package"), package)?;
    fs::write(fresh.join("vmlinux"), vmlinux::extract(&vmlinuz)?)?;
    for (index, module) in modules::in_load_order(&tree)?.iter().enumerate() {
        let name = format!("modules/{index:02}-{}.ko", module.name);
        fs::write(fresh.join(name), &module.code)?;
    }
    fs::write(fresh.join(MANIFEST), manifest(&fresh)?)?;

    if target.exists() {
        fs::remove_dir_all(target)?;
    }
    fs::rename(&fresh, target).with_context(|| format!("cannot move to {}", target.display()))?;
    say(format!("kernel {}: {package}", kernel.series()));
    Ok(())
}

/// The kernel and its modules, wherever the packages of this series have them.
fn parts(unpacked: &Path) -> Result<(PathBuf, PathBuf)> {
    let only = |folder: &str, start: &str| -> Option<PathBuf> {
        let mut found: Vec<_> = fs::read_dir(unpacked.join(folder))
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(start))
            })
            .collect();
        found.sort_by_key(|path| Reverse(path.clone()));
        found.into_iter().next()
    };
    let tree = only("usr/lib/modules", "")
        .or_else(|| only("lib/modules", ""))
        .context("the kernel's packages have no modules")?;
    let vmlinuz = Some(tree.join("vmlinuz"))
        .filter(|path| path.is_file())
        .or_else(|| only("boot", "vmlinuz-"))
        .context("the kernel's packages have no vmlinuz")?;
    Ok((vmlinuz, tree))
}

fn manifest(folder: &Path) -> Result<String> {
    let mut names = vec!["package".to_owned(), "vmlinux".to_owned()];
    for entry in fs::read_dir(folder.join("modules"))? {
        names.push(format!("modules/{}", entry?.file_name().display()));
    }
    let mut lines = vec![recipe()];
    for name in names {
        let size = folder.join(&name).metadata()?.len();
        lines.push(format!("{size} {name}"));
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version_of("linux-image-6.1.0-50-amd64") > version_of("linux-image-6.1.0-9-amd64"));
        assert!(
            version_of("linux-image-7.3.4+deb13-amd64")
                < version_of("linux-image-7.3.12+deb13-amd64")
        );
    }

    #[test]
    fn flavours_are_left_out() {
        assert!(is_generic("linux-image-6.12.107+deb13-amd64"));
        assert!(!is_generic("linux-image-6.12.107+deb13-cloud-amd64"));
        assert!(!is_generic("linux-image-6.12.107+deb13-rt-amd64"));
        assert!(!is_generic("linux-image-6.12.107+deb13-amd64-unsigned"));
        assert!(!is_generic("linux-image-6.12.107+deb13-amd64-dbg"));
    }
}
