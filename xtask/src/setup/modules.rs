//! The kernel modules a guest boots with, found with all they depend on. What
//! a kernel has built in has no file, and nothing here needs to know which
//! those are.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::process::output;

/// Loaded in every guest, in this order: devices, network, the host's files, a
/// disk with a file system, of which the kernel only says the last that it needs
/// the checksums.
pub(crate) const WANTED: [&str; 9] = [
    "virtio_pci",
    "virtio_console",
    "virtio_net",
    "9pnet_virtio",
    "9p",
    "overlay",
    "virtio_blk",
    "crc32c_generic",
    "ext4",
];

/// A module, uncompressed.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) code: Vec<u8>,
}

/// The wanted modules of a kernel, each after those it depends on.
pub(crate) fn in_load_order(tree: &Path) -> Result<Vec<Module>> {
    let mut files = HashMap::new();
    collect(tree, &mut files)?;
    let mut ordered = Vec::new();
    for name in WANTED {
        visit(name, &files, &mut ordered)?;
    }
    Ok(ordered)
}

fn collect(folder: &Path, files: &mut HashMap<String, PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else if let Some(name) = module_name(&entry.file_name().to_string_lossy()) {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// `virtio-net.ko.xz` is the module `virtio_net`.
fn module_name(file: &str) -> Option<String> {
    let (stem, extension) = file.split_once(".ko")?;
    ["", ".xz", ".zst"]
        .contains(&extension)
        .then(|| stem.replace('-', "_"))
}

fn visit(name: &str, files: &HashMap<String, PathBuf>, ordered: &mut Vec<Module>) -> Result<()> {
    if ordered.iter().any(|module| module.name == name) {
        return Ok(());
    }
    let Some(path) = files.get(name) else {
        return Ok(());
    };
    let code = uncompressed(path)?;
    for dependency in dependencies(&code) {
        visit(&dependency, files, ordered)?;
    }
    ordered.push(Module {
        name: name.to_owned(),
        code,
    });
    Ok(())
}

/// busybox loads only uncompressed modules.
fn uncompressed(path: &Path) -> Result<Vec<u8>> {
    let decompressor = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(path).with_context(|| format!("cannot read {}", path.display())),
    };
    output(Command::new(decompressor).arg("-dc").arg(path))
}

/// The names in the module's own `depends=` entry.
fn dependencies(code: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = code
        .windows(KEY.len())
        .position(|window| window == KEY)
        .map(|at| at + KEY.len())
    else {
        return Vec::new();
    };
    let value: Vec<u8> = code[start..]
        .iter()
        .copied()
        .take_while(|b| *b != 0)
        .collect();
    String::from_utf8_lossy(&value)
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_from_the_module_itself() {
        assert_eq!(
            dependencies(b"...\0license=GPL\0depends=net_failover,virtio-ring\0name=x\0"),
            ["net_failover", "virtio_ring"]
        );
        assert!(dependencies(b"\0depends=\0name=x\0").is_empty());
        assert!(dependencies(b"nothing").is_empty());
    }

    #[test]
    fn files_are_known_by_the_name_of_their_module() {
        assert_eq!(
            module_name("virtio-net.ko.xz").as_deref(),
            Some("virtio_net")
        );
        assert_eq!(module_name("9p.ko").as_deref(), Some("9p"));
        assert_eq!(module_name("modules.order"), None);
    }
}
