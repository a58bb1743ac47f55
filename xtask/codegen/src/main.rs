//! Writes `proto/src/gen/` from the files under `proto/proto/`. The result is
//! checked in, so that nobody needs this to build; it must never write anywhere
//! else.
#![expect(
    clippy::print_stderr,
    reason = "a program for a terminal: its one line says what it did"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let (package, check) = match arguments.as_slice() {
        [package] => (Path::new(package), false),
        [package, flag] if flag == "--check" => (Path::new(package), true),
        _ => bail!("usage: xtask-codegen PROTO-PACKAGE [--check]; run `cargo xtask codegen`"),
    };
    let include = package.join("proto");
    let descriptors = protox::compile(proto_files(&include)?, [&include])
        .with_context(|| format!("cannot compile the files under {}", include.display()))?;

    let fresh = Scratch::new()?;
    tonic_prost_build::configure()
        .out_dir(&fresh.0)
        .compile_fds(descriptors)
        .context("cannot generate code")?;
    let checked_in = package.join("src/gen");
    if check {
        compare(&fresh.0, &checked_in)
    } else {
        replace(&fresh.0, &checked_in)
    }
}

/// Every proto file below the folder, relative to it, in a fixed order.
fn proto_files(include: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![include.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "proto")
            {
                found.push(path.strip_prefix(include)?.to_path_buf());
            }
        }
    }
    found.sort();
    if found.is_empty() {
        bail!("no proto files under {}", include.display());
    }
    Ok(found)
}

fn compare(fresh: &Path, checked_in: &Path) -> Result<()> {
    let names = |folder: &Path| -> Result<Vec<_>> {
        let mut names: Vec<_> = entries(folder)?
            .into_iter()
            .filter_map(|path| path.file_name().map(ToOwned::to_owned))
            .collect();
        names.sort();
        Ok(names)
    };
    let expected = names(fresh)?;
    if expected != names(checked_in).unwrap_or_default() {
        return stale(checked_in);
    }
    for name in expected {
        let path = checked_in.join(&name);
        if fs::read(fresh.join(&name))? != fs::read(&path)? {
            return stale(&path);
        }
    }
    Ok(())
}

fn stale(path: &Path) -> Result<()> {
    bail!(
        "{} is stale: run `cargo xtask codegen` and commit the result",
        path.display()
    )
}

fn replace(fresh: &Path, checked_in: &Path) -> Result<()> {
    fs::create_dir_all(checked_in)
        .with_context(|| format!("cannot make {}", checked_in.display()))?;
    for old in entries(checked_in)? {
        if !fresh.join(old.file_name().unwrap_or_default()).exists() {
            fs::remove_file(&old).with_context(|| format!("cannot remove {}", old.display()))?;
            eprintln!("removed {}", old.display());
        }
    }
    for new in entries(fresh)? {
        let path = checked_in.join(new.file_name().unwrap_or_default());
        let code = fs::read(&new)?;
        // Left alone if equal: a new time stamp would make cargo build anew.
        if fs::read(&path).is_ok_and(|current| current == code) {
            eprintln!("up to date: {}", path.display());
        } else {
            fs::write(&path, code).with_context(|| format!("cannot write {}", path.display()))?;
            eprintln!("wrote {}", path.display());
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(|| format!("cannot list {}", folder.display()))
}

/// A folder for the fresh code, gone when this value is.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = env::temp_dir().join(format!("holdpoint-codegen-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing to do about it: the system clears its temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}
