//! `cargo xtask package`: the Debian packages. What is in them and what they do
//! when installed stands under `packaging/debian`; here it is put together. The
//! same sources make the same bytes, and nothing of this machine gets in.

mod deb;
mod depends;
mod recipe;
mod sections;
mod toml_page;
mod tree;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::{
    build,
    layout::Layout,
    process::{say, text},
    scratch::Scratch,
    setup::{self, Needs},
};
use recipe::{PACKAGES, Recipe};

/// How the programs in the packages are built.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Profile {
    /// Quick to build and to pack, for tests
    Dev,
    /// With optimisations, for installing
    Release,
}

/// Make the Debian packages
///
/// Prints the path of each. The time in them is that of the last commit, or
/// `SOURCE_DATE_EPOCH`: built twice, they are the same.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How to build the programs
    #[arg(long, default_value = "release")]
    profile: Profile,

    /// Put the packages here [default: `packages` in the target folder]
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

pub(crate) fn main(layout: &Layout, args: &Args) -> Result<ExitCode> {
    setup::ensure(layout, &Needs::build().and(Needs::packages()))?;
    for package in make(layout, args.profile, args.output.as_deref())? {
        println!("{}", package.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the programs and makes a package of each. Setup has been done.
pub(crate) fn make(
    layout: &Layout,
    profile: Profile,
    output: Option<&Path>,
) -> Result<Vec<PathBuf>> {
    if !cfg!(target_arch = "x86_64") {
        bail!("packages are made for x86-64, on such a machine");
    }
    let programs = build::programs(layout, profile == Profile::Release)?;
    let output = output.map_or_else(|| layout.target.join("packages"), Path::to_path_buf);
    fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
    let epoch = epoch(layout)?;
    let scratch = Scratch::create()?;
    let mut made = Vec::new();
    for name in PACKAGES {
        let recipe = Recipe::read(layout, name)?;
        say(format!("packing {name}"));
        let staged = tree::stage(layout, &recipe, &programs, &scratch.path().join(name))?;
        made.push(deb::build(&recipe, &staged, profile, epoch, &output)?);
    }
    Ok(made)
}

/// The time that stands in the packages, in seconds since 1970.
fn epoch(layout: &Layout) -> Result<u64> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    if let Some(given) = env::var_os(NAME) {
        return given
            .to_str()
            .and_then(|given| given.parse().ok())
            .with_context(|| format!("{NAME} is no number of seconds"));
    }
    let committed =
        text(
            Command::new("git")
                .current_dir(&layout.root)
                .args(["log", "-1", "--format=%ct"]),
        );
    // Not every copy of the sources is a repository.
    Ok(committed
        .ok()
        .and_then(|seconds| seconds.trim().parse().ok())
        .unwrap_or(0))
}
