//! The sources of `core` inside the toolchain, which the eBPF object is
//! compiled with. They must be of exactly the compiler's version: another one
//! uses language items this compiler does not know.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    apt::Archive,
    linker::{relink, sysroot},
};
use crate::{
    layout::Layout,
    process::{find, say, text},
};

/// How long rustup may take: where its server cannot be reached it would try
/// for minutes.
const RUSTUP_LIMIT: Duration = Duration::from_mins(1);

/// Whether the toolchain has the sources.
pub(crate) fn present(layout: &Layout) -> Result<bool> {
    Ok(usable(&library(layout)?))
}

fn library(layout: &Layout) -> Result<PathBuf> {
    Ok(sysroot(layout)?.join("lib/rustlib/src/rust/library"))
}

fn usable(library: &Path) -> bool {
    library.join("core/src/lib.rs").is_file() && library.join("Cargo.lock").is_file()
}

/// Brings the sources: from rustup, or else from Debian.
pub(crate) fn ensure(layout: &Layout) -> Result<()> {
    let library = library(layout)?;
    if usable(&library) {
        return Ok(());
    }
    say("fetching the sources of core with rustup");
    let by_rustup = rustup(layout);
    if by_rustup.is_ok() && usable(&library) {
        return Ok(());
    }
    say("rustup could not; fetching Debian's package of them");
    from_debian(layout, &library).with_context(|| {
        let rustup = by_rustup.err().map_or_else(
            || "it succeeded but left none".to_owned(),
            |error| format!("{error:#}"),
        );
        format!(
            "the toolchain lacks the sources of core: run `rustup component add rust-src` \
             (tried: {rustup}); Debian's package is no way out either"
        )
    })
}

fn rustup(layout: &Layout) -> Result<()> {
    let rustup = find("rustup").context("rustup is not installed")?;
    let mut child = Command::new(rustup)
        .args(["component", "add", "rust-src"])
        .env("RUSTUP_MAX_RETRIES", "0")
        .current_dir(&layout.root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run rustup")?;
    let deadline = Instant::now() + RUSTUP_LIMIT;
    loop {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(());
            }
            bail!("`rustup component add rust-src` failed: {status}");
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("rustup did not finish within {RUSTUP_LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Debian's `rust-src` of the compiler's version, its library folder kept in
/// the cache and linked into the toolchain.
fn from_debian(layout: &Layout, library: &Path) -> Result<()> {
    let version = compiler_version(layout)?;
    let kept = layout.cache.join("core-sources").join(&version);
    if !usable(&kept.join("library")) {
        let archive = Archive::open(&layout.cache)?;
        let package = archive
            .versions("rust-src")?
            .into_iter()
            .find(|candidate| is_of(candidate, &version))
            .with_context(|| format!("Debian has no rust-src {version} any more"))?;
        let unpacked = archive.unpack(&[format!("rust-src={package}")])?;
        let found = unpacked
            .path()
            .join(format!("usr/src/rustc-{version}/library"));
        if !usable(&found) {
            bail!("rust-src {package} has no usr/src/rustc-{version}/library");
        }
        if kept.exists() {
            fs::remove_dir_all(&kept)?;
        }
        fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
        fs::rename(&found, kept.join("library"))
            .with_context(|| format!("cannot move the sources to {}", kept.display()))?;
    }
    if let Some(parent) = library.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    relink(&kept.join("library"), library)
}

/// Whether a Debian version such as `1.95.0+dfsg1-2` is of this release.
fn is_of(package: &str, release: &str) -> bool {
    package
        .strip_prefix(release)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
}

fn compiler_version(layout: &Layout) -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = text(
        Command::new(rustc)
            .arg("--version")
            .current_dir(&layout.root),
    )?;
    version
        .split(' ')
        .nth(1)
        .map(ToOwned::to_owned)
        .with_context(|| format!("cannot read the compiler's version from {version:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_release_counts() {
        assert!(is_of("1.95.0+dfsg1-2~bpo13+1", "1.95.0"));
        assert!(is_of("1.95.0-1", "1.95.0"));
        assert!(!is_of("1.95.01-1", "1.95.0"));
        assert!(!is_of("1.94.1+dfsg1-1", "1.95.0"));
    }
}
