//! The package file itself, made by `dpkg-deb`.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{Profile, recipe::Recipe};
use crate::process::output as run_quietly;

/// Makes a package of the folder and gives its path.
pub(super) fn build(
    recipe: &Recipe,
    staged: &Path,
    profile: Profile,
    epoch: u64,
    output: &Path,
) -> Result<PathBuf> {
    folders_readable(staged)?;
    let name = format!("{}_{}_amd64.deb", recipe.name, env!("CARGO_PKG_VERSION"));
    let target = output.join(&name);
    let fresh = output.join(format!(".{name}.new"));
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.env("SOURCE_DATE_EPOCH", epoch.to_string())
        .args(["--root-owner-group", "--uniform-compression"])
        // Packing thoroughly takes longer than all else that a test does.
        .arg(match profile {
            Profile::Dev => "-Znone",
            Profile::Release => "-Zxz",
        })
        .arg("--build")
        .arg(staged)
        .arg(&fresh);
    run_quietly(&mut dpkg)?;
    fs::rename(&fresh, &target).with_context(|| format!("cannot write {}", target.display()))?;
    Ok(target)
}

/// Whatever this process's umask was when they were made.
fn folders_readable(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            folders_readable(&path)?;
        }
    }
    Ok(())
}
