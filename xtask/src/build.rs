//! `cargo xtask build`: the eBPF object first, then the host programs, one of
//! which embeds it. It must never leave a host program with an older object
//! than the one just built.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::Result;

use crate::{
    layout::Layout,
    process::{cargo, run},
    setup::{self, Needs},
};

/// The package that compiles for the kernel.
pub(crate) const EBPF_PACKAGE: &str = "holdpoint-agent-ebpf";
/// The packages with a program that is installed.
const PROGRAMS: [&str; 3] = ["holdpoint-agent", "holdpoint-approver", "holdpoint-cli"];
/// Where the agent's build script finds the eBPF object.
const GATE_OBJECT: &str = "HOLDPOINT_GATE_OBJECT";

/// Build the eBPF object and the programs
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Build with optimisations, for installing
    #[arg(long)]
    release: bool,
}

pub(crate) fn main(layout: &Layout, args: &Args) -> Result<ExitCode> {
    setup::ensure(layout, &Needs::build())?;
    let folder = programs(layout, args.release)?;
    println!("{}", folder.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds everything that gets installed and gives the folder it is in.
pub(crate) fn programs(layout: &Layout, release: bool) -> Result<PathBuf> {
    gate(layout)?;
    let mut build = host_cargo(layout);
    build.args(["build", "--bins"]);
    for package in PROGRAMS {
        build.args(["--package", package]);
    }
    if release {
        build.arg("--release");
    }
    run(quiet_in_files(&mut build))?;
    Ok(layout.bin_dir(release))
}

/// Builds the eBPF object.
pub(crate) fn gate(layout: &Layout) -> Result<()> {
    let mut build = ebpf_cargo(layout, "build");
    build.env("CARGO_ENCODED_RUSTFLAGS", gate_flags());
    run(quiet_in_files(&mut build))
}

/// Progress is for people; in a file it would only stand between what the
/// command of a guest wrote there.
fn quiet_in_files(build: &mut Command) -> &mut Command {
    if io::stderr().is_terminal() {
        build
    } else {
        build.arg("--quiet")
    }
}

/// A cargo command for the eBPF package. Stable Rust compiles `core` for the
/// target only when told that it may use what is unstable.
pub(crate) fn ebpf_cargo(layout: &Layout, subcommand: &str) -> Command {
    let mut ebpf = cargo(&layout.root);
    ebpf.env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", layout.ebpf_target())
        .env(
            "CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER",
            layout.bpf_linker(),
        )
        .args([subcommand, "--package", EBPF_PACKAGE])
        .args(["--profile", "ebpf", "--target", "bpfel-unknown-none"])
        .args(["-Z", "build-std=core"]);
    ebpf
}

/// A cargo command for the host packages, the object given to the one that
/// embeds it.
pub(crate) fn host_cargo(layout: &Layout) -> Command {
    let mut host = cargo(&layout.root);
    host.env(GATE_OBJECT, layout.gate_object());
    host
}

/// Type information for the kernel: without it neither field offsets nor maps
/// are found when the object is loaded.
fn gate_flags() -> String {
    ["-C", "debuginfo=2", "-C", "link-arg=--btf"].join("\x1f")
}
