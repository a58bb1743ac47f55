//! `cargo xtask build`: the eBPF object and the dashboard first, then the host
//! programs, which embed them. It must never leave a host program with an older
//! object or dashboard than the one just built.

pub(crate) mod dashboard;

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
/// What is no part of the product's own build. xtask among the others would
/// share their features, and `cargo xtask` be built anew each time it is called.
const APART: [&str; 3] = [EBPF_PACKAGE, "xtask", "xtask-codegen"];
/// Where the agent's build script finds the eBPF object.
const GATE_OBJECT: &str = "HOLDPOINT_GATE_OBJECT";

/// Build the eBPF object, the dashboard and the programs
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
    dashboard::build(layout)?;
    let mut build = product_cargo(layout, "build");
    build.arg("--bins");
    if release {
        build.arg("--release");
    }
    run(quiet_in_files(&mut build))?;
    Ok(layout.bin_dir(release))
}

/// Cargo for the product. Always the same packages: with others cargo would
/// choose other features, and build all that stands on them once more.
pub(crate) fn product_cargo(layout: &Layout, command: &str) -> Command {
    let mut cargo = host_cargo(layout);
    cargo.args([command, "--workspace"]);
    for package in APART {
        cargo.args(["--exclude", package]);
    }
    cargo
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
