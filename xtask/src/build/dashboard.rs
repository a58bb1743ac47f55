//! The dashboard: its packages, its build and its own checks, each done only
//! when something changed. It must never write outside the dashboard's folder.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash as _, Hasher as _},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    layout::Layout,
    process::{output, say},
};

/// What the build reads, beside the packages.
const SOURCES: [&str; 6] = [
    "src",
    "public",
    "index.html",
    "package.json",
    "svelte.config.js",
    "vite.config.ts",
];
const LOCK: &str = "package-lock.json";
/// In the folder of packages, so that whoever removes them starts anew.
const INSTALLED: &str = "node_modules/.holdpoint-installed";
const BUILT: &str = "node_modules/.holdpoint-built";

/// Builds the dashboard that the approver embeds.
pub(crate) fn build(layout: &Layout) -> Result<()> {
    let folder = layout.dashboard();
    packages(&folder)?;
    let sources = fingerprint(&folder)?;
    let stamp = folder.join(BUILT);
    let built = fs::read_to_string(&stamp).unwrap_or_default();
    if built == sources && folder.join("dist/index.html").exists() {
        return Ok(());
    }
    say("building the dashboard");
    output(npm(&folder).args(["run", "build"]))?;
    fs::write(&stamp, sources).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Checks its types.
pub(crate) fn check(layout: &Layout) -> Result<()> {
    let folder = layout.dashboard();
    packages(&folder)?;
    output(npm(&folder).args(["run", "check"])).map(drop)
}

/// A command that runs a script of the dashboard, its packages being there.
pub(crate) fn script(layout: &Layout, name: &str) -> Result<Command> {
    let folder = layout.dashboard();
    packages(&folder)?;
    let mut npm = npm(&folder);
    npm.args(["run", "--silent", name]);
    Ok(npm)
}

/// Installs exactly the packages that the lock file names. None of them may run
/// a script of its own.
fn packages(folder: &Path) -> Result<()> {
    let lock = folder.join(LOCK);
    let wanted = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let stamp = folder.join(INSTALLED);
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    say("installing the packages of the dashboard");
    output(npm(folder).args(["ci", "--ignore-scripts"])).context(
        "npm cannot install the packages of the dashboard; it needs its registry \
         (`npm config get registry`) the first time",
    )?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

fn npm(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(folder);
    npm
}

/// Something that changes whenever the sources do.
fn fingerprint(folder: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for name in SOURCES.iter().chain([&LOCK]) {
        hash(&folder.join(name), &mut hasher)
            .with_context(|| format!("cannot read {name} of the dashboard"))?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn hash(path: &Path, hasher: &mut DefaultHasher) -> io::Result<()> {
    path.hash(hasher);
    match fs::read_dir(path) {
        Ok(entries) => {
            let mut below: Vec<PathBuf> = entries
                .map(|entry| Ok(entry?.path()))
                .collect::<io::Result<_>>()?;
            below.sort();
            below.iter().try_for_each(|path| hash(path, hasher))
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            fs::read(path)?.hash(hasher);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_follows_the_sources() {
        let scratch = crate::scratch::Scratch::create().unwrap();
        let folder = scratch.path();
        for name in ["src", "public"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        for name in SOURCES.iter().skip(2).chain([&LOCK, &"src/main.ts"]) {
            fs::write(folder.join(name), name).unwrap();
        }
        let before = fingerprint(folder).unwrap();
        assert_eq!(fingerprint(folder).unwrap(), before);
        fs::write(folder.join("src/main.ts"), "changed").unwrap();
        let changed = fingerprint(folder).unwrap();
        assert_ne!(changed, before);
        fs::rename(folder.join("src/main.ts"), folder.join("src/other.ts")).unwrap();
        assert_ne!(fingerprint(folder).unwrap(), changed);
        fs::remove_file(folder.join(LOCK)).unwrap();
        assert!(fingerprint(folder).is_err());
    }
}
