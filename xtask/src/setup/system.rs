//! A small Debian with systemd, on a disk that guests boot from: what the
//! packages are installed on. Made once from the machine's own Debian mirror and
//! kept; a cached disk is whole or not there at all.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::apt::Archive;
use crate::{
    layout::Layout,
    process::{output, say},
    scratch::Scratch,
};

/// The suite: programs that were built on an older system run on it.
const SUITE: &str = "trixie";
/// Besides what every Debian has: an init, and what the packages depend on, for
/// guests have no mirror.
const PACKAGES: [&str; 5] = ["adduser", "libgcc-s1", "passwd", "procps", "systemd-sysv"];
/// Units that would do something by themselves while the guest runs: what is found
/// on the disk afterwards must not depend on the hour.
const MASKED: [&str; 9] = [
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
    "logrotate.timer",
    "systemd-modules-load.service",
    "systemd-tmpfiles-clean.timer",
];
/// Bytes of the disk, of which only what is used takes room.
const SIZE: &str = "3G";

/// The cached disk.
pub(crate) fn cached(layout: &Layout) -> Option<PathBuf> {
    let folder = folder(layout);
    let made = fs::read_to_string(folder.join("recipe")).ok()?;
    let disk = folder.join("disk");
    (made == recipe() && disk.is_file()).then_some(disk)
}

/// Makes the disk unless it is there; with `update` anew.
pub(crate) fn ensure(layout: &Layout, update: bool) -> Result<()> {
    if cached(layout).is_some() && !update {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("a system to install packages on is made by root: run this once as root");
    }
    say(format!(
        "making a Debian {SUITE} to install packages on; it is kept"
    ));
    let fresh = layout.cache.join(".new-system");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh).with_context(|| format!("cannot make {}", fresh.display()))?;
    build(&fresh.join("disk"))?;
    fs::write(fresh.join("recipe"), recipe())?;
    let target = folder(layout);
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::rename(&fresh, &target).with_context(|| format!("cannot move to {}", target.display()))
}

fn folder(layout: &Layout) -> PathBuf {
    layout.cache.join("system")
}

/// What a cached disk was made by; another recipe makes it anew.
fn recipe() -> String {
    format!(
        "recipe 2: {SUITE} {SIZE} {}, without {}",
        PACKAGES.join(" "),
        MASKED.join(" ")
    )
}

fn build(disk: &Path) -> Result<()> {
    let scratch = Scratch::create()?;
    let root = scratch.path().join("root");
    output(
        Command::new("mmdebstrap")
            .args(["--quiet", "--mode=root", "--variant=apt"])
            .arg(format!("--include={}", PACKAGES.join(",")))
            .arg("--aptopt=Acquire::Languages \"none\"")
            .arg(SUITE)
            .arg(&root)
            .arg(Archive::source(SUITE)?),
    )
    .context("cannot make a Debian to install packages on")?;
    prepare(&root)?;
    output(
        Command::new("mke2fs")
            .args(["-q", "-F", "-t", "ext4", "-m", "0", "-d"])
            .arg(&root)
            .arg(disk)
            .arg(SIZE),
    )
    .map(drop)
}

/// What would otherwise be asked for, or made up anew, at the first boot.
fn prepare(root: &Path) -> Result<()> {
    let put = |name: &str, text: &str| {
        let path = root.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    put("etc/machine-id", "0123456789abcdef0123456789abcdef\n")?;
    put("etc/hostname", "guest\n")?;
    put(
        "etc/hosts",
        "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 guest\n",
    )?;
    // There is no mirror in a guest, and nobody to log in.
    put("etc/apt/sources.list", "")?;
    for unit in MASKED {
        let path = root.join("etc/systemd/system").join(unit);
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path)?;
        }
        std::os::unix::fs::symlink("/dev/null", &path)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
