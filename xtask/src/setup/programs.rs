//! The programs of the system that building, guests and the demo use: which are
//! missing, and installing them where that is possible. It installs only from
//! the machine's own package sources.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::process::{self, find, say};

/// What a program is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Compiling.
    Build,
    /// Booting guests.
    Guests,
    /// The demo and its scripted agent.
    Demo,
    /// Making packages.
    Packages,
    /// Making a system to install them on.
    System,
    /// Looking at the dashboard.
    Browser,
}

/// A program and where Debian and Ubuntu have it.
#[derive(Debug)]
pub(crate) struct Program {
    part: Part,
    name: &'static str,
    packages: &'static str,
}

const fn program(part: Part, name: &'static str, packages: &'static str) -> Program {
    Program {
        part,
        name,
        packages,
    }
}

static PROGRAMS: [Program; 29] = [
    program(Part::Build, "cc", "gcc libc6-dev"),
    program(Part::Build, "git", "git"),
    program(Part::Build, NODE, "nodejs"),
    program(Part::Build, "npm", "npm"),
    program(Part::Guests, "qemu-system-x86_64", "qemu-system-x86"),
    program(Part::Guests, STATIC_BUSYBOX, "busybox-static"),
    program(Part::Guests, "xz", "xz-utils"),
    program(Part::Guests, "zstd", "zstd"),
    program(Part::Guests, "setpriv", "util-linux"),
    program(Part::Guests, "apt-get", "apt"),
    program(Part::Guests, "dpkg-deb", "dpkg"),
    program(Part::Guests, "su", "util-linux"),
    program(Part::Demo, "bash", "bash"),
    program(Part::Demo, "curl", "curl"),
    program(Part::Demo, "tar", "tar"),
    program(Part::Demo, "gzip", "gzip"),
    program(Part::Demo, "git", "git"),
    program(Part::Demo, "setpriv", "util-linux"),
    program(Part::Demo, "timeout", "coreutils"),
    program(Part::Demo, "useradd", "passwd"),
    program(Part::Packages, "dpkg-deb", "dpkg"),
    program(Part::Packages, "objdump", "binutils"),
    program(Part::Packages, "strip", "binutils"),
    program(Part::Packages, "gzip", "gzip"),
    program(Part::Packages, "md5sum", "coreutils"),
    program(Part::System, "mmdebstrap", "mmdebstrap"),
    program(Part::System, "mke2fs", "e2fsprogs"),
    program(Part::System, "cp", "coreutils"),
    program(Part::Browser, "chromium", "chromium"),
];

const STATIC_BUSYBOX: &str = "busybox (statically linked)";
const NODE: &str = "node (18 or newer)";
/// Oldest that builds the dashboard.
const NODE_MIN: u32 = 18;

impl Program {
    fn is_present(&self) -> bool {
        match self.name {
            STATIC_BUSYBOX => busybox().is_some(),
            NODE => node_major().is_some_and(|major| major >= NODE_MIN),
            name => find(name).is_some(),
        }
    }
}

fn node_major() -> Option<u32> {
    let version = process::text(Command::new(find("node")?).arg("--version")).ok()?;
    major(&version)
}

/// `v20.19.2`: 20.
fn major(version: &str) -> Option<u32> {
    let (major, _) = version.trim().strip_prefix('v')?.split_once('.')?;
    major.parse().ok()
}

/// The busybox that needs no library: there is none where it starts.
pub(crate) fn busybox() -> Option<PathBuf> {
    ["busybox", "busybox.static", "busybox-static"]
        .iter()
        .filter_map(|name| find(name))
        .find(|path| is_static(path).unwrap_or(false))
}

/// Whether a 64-bit ELF program names no interpreter.
fn is_static(path: &Path) -> Result<bool> {
    const INTERPRETER: u32 = 3;
    let mut head = Vec::new();
    File::open(path)?.take(4096).read_to_end(&mut head)?;
    let number = |at: usize, size: usize| -> Result<u64> {
        let bytes = head.get(at..at + size).context("the file is too short")?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |all, b| all << 8 | u64::from(*b)))
    };
    if head.get(..5) != Some(b"\x7fELF\x02".as_slice()) {
        return Ok(false);
    }
    let (table, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    for index in 0..count {
        if number(usize::try_from(table + index * size)?, 4)? == u64::from(INTERPRETER) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The programs of these parts that the machine lacks.
pub(crate) fn missing(parts: &[Part]) -> Vec<&'static Program> {
    PROGRAMS
        .iter()
        .filter(|program| parts.contains(&program.part) && !program.is_present())
        .collect()
}

/// Installs what is missing, or says what that is and how to get it.
pub(crate) fn ensure(parts: &[Part]) -> Result<()> {
    let lacking = missing(parts);
    if lacking.is_empty() {
        return Ok(());
    }
    let names = joined(lacking.iter().map(|program| program.name), ", ");
    let packages = joined(
        lacking
            .iter()
            .flat_map(|program| program.packages.split(' ')),
        " ",
    );
    if !is_debian() {
        bail!(
            "programs are missing: {names}\nget them with the package manager of this system \
             (Debian and Ubuntu call the packages: {packages})"
        );
    }
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "programs are missing: {names}\nget them with: \
             sudo apt-get update && sudo apt-get install --no-install-recommends {packages}"
        );
    }
    install(&packages)?;
    let still = missing(parts);
    if !still.is_empty() {
        bail!(
            "installed {packages}, but still missing: {}",
            joined(still.iter().map(|program| program.name), ", ")
        );
    }
    Ok(())
}

/// Installs packages from the machine's own sources.
pub(crate) fn install(packages: &str) -> Result<()> {
    say(format!("installing {packages}"));
    if package_lists_present() && process::output(&mut apt_install(packages)).is_ok() {
        return Ok(());
    }
    // Missing lists, or stale ones that name files the mirror has dropped.
    update_lists()?;
    process::output(&mut apt_install(packages)).map(drop)
}

/// Fetches the machine's package lists.
pub(crate) fn update_lists() -> Result<()> {
    process::output(Command::new("apt-get").args(["update", "--quiet"]))
        .map(drop)
        .context("cannot fetch the package lists of this machine")
}

fn apt_install(packages: &str) -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "--yes", "--quiet", "--no-install-recommends"])
        .args(packages.split(' '));
    apt
}

/// Whether apt has fetched its lists: fresh containers come without any.
pub(crate) fn package_lists_present() -> bool {
    fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    })
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists() && find("apt-get").is_some()
}

fn joined<'a>(words: impl Iterator<Item = &'a str>, separator: &str) -> String {
    let mut unique: Vec<&str> = words.collect();
    unique.sort_unstable();
    unique.dedup();
    unique.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_dynamic_and_a_text_is_no_program() {
        let this = std::env::current_exe().unwrap();
        assert!(!is_static(&this).unwrap());
        assert!(!is_static(Path::new("/etc/passwd")).unwrap());
    }

    #[test]
    fn versions_of_node_are_read() {
        assert_eq!(major("v18.20.4\n"), Some(18));
        assert_eq!(major("v4.2"), Some(4));
        assert_eq!(major("18.20.4"), None);
        assert_eq!(major(""), None);
    }

    #[test]
    fn names_are_listed_once() {
        assert_eq!(
            joined(["git", "curl", "git"].into_iter(), ", "),
            "curl, git"
        );
    }
}
