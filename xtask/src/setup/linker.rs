//! `bpf-linker`, built against the LLVM inside the Rust toolchain: no other
//! LLVM is needed, and one of another version could not read the compiler's
//! output. It lives in the cache, never among the user's own programs.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    layout::Layout,
    process::{cargo, run, say, text},
};

const VERSION: &str = "0.13";

/// Whether the cached linker starts, which also proves that the LLVM it was
/// linked to is still there.
pub(crate) fn works(layout: &Layout) -> bool {
    // Cargo sets a library path for the programs it runs, which would hide a
    // linker that cannot find its LLVM by itself.
    Command::new(layout.bpf_linker())
        .arg("--version")
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| {
            output.status.success()
                && String::from_utf8_lossy(&output.stdout)
                    .starts_with(&format!("bpf-linker {VERSION}."))
        })
}

/// Builds the linker unless it works.
pub(crate) fn ensure(layout: &Layout) -> Result<()> {
    if works(layout) {
        return Ok(());
    }
    let llvm = Llvm::of_toolchain(layout)?;
    let prefix = layout.tools().join("llvm");
    llvm.link_into(&prefix.join("lib"))?;

    say(format!("building bpf-linker {VERSION} (about a minute)"));
    let build = layout.tools().join("build");
    run(cargo(&layout.root)
        .env("LLVM_PREFIX", &prefix)
        .args(["install", "bpf-linker", "--quiet", "--locked", "--force"])
        .args(["--version", &format!("^{VERSION}")])
        .args(["--no-default-features", "--features"])
        .arg(format!("llvm-{}", llvm.major))
        .arg("--root")
        .arg(layout.tools())
        .arg("--target-dir")
        .arg(&build))?;
    fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
    if !works(layout) {
        bail!(
            "{} was built but does not start: remove {} and try again",
            layout.bpf_linker().display(),
            layout.tools().display()
        );
    }
    Ok(())
}

/// The LLVM library inside the toolchain.
struct Llvm {
    library: PathBuf,
    major: String,
}

impl Llvm {
    fn of_toolchain(layout: &Layout) -> Result<Self> {
        let version = text(Command::new("rustc").arg("-vV").current_dir(&layout.root))?;
        let major = version
            .lines()
            .find_map(|line| line.strip_prefix("LLVM version: "))
            .and_then(|llvm| llvm.split('.').next())
            .context("`rustc -vV` names no LLVM version")?
            .to_owned();
        let folder = sysroot(layout)?.join("lib");
        let library = fs::read_dir(&folder)
            .with_context(|| format!("cannot list {}", folder.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("libLLVM.so."))
            })
            .with_context(|| {
                format!(
                    "no libLLVM.so.* in {}: this needs a toolchain from rustup (a distribution's \
                     own Rust links LLVM another way); install rustup and run this again",
                    folder.display()
                )
            })?;
        Ok(Self { library, major })
    }

    /// Links the library under the name the build looks for and the one the
    /// finished program asks for.
    fn link_into(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let own_name = self
            .library
            .file_name()
            .context("the library has no file name")?;
        for name in ["libLLVM.so".as_ref(), own_name] {
            relink(&self.library, &folder.join(name))?;
        }
        Ok(())
    }
}

/// The folder of the toolchain that this workspace pins.
pub(crate) fn sysroot(layout: &Layout) -> Result<PathBuf> {
    let path = text(
        Command::new("rustc")
            .args(["--print", "sysroot"])
            .current_dir(&layout.root),
    )?;
    Ok(PathBuf::from(path.trim_end()))
}

/// Makes `link` point to `target`, whatever link was there before.
pub(crate) fn relink(target: &Path, link: &Path) -> Result<()> {
    if fs::symlink_metadata(link).is_ok_and(|found| found.is_symlink()) {
        fs::remove_file(link).with_context(|| format!("cannot remove {}", link.display()))?;
    }
    symlink(target, link)
        .with_context(|| format!("cannot link {} to {}", link.display(), target.display()))
}
