//! `cargo xtask lint`: everything that can be said about the code without
//! running it. Each check is named, and counts as one passed or failed.

mod tidy;

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{
    build::{self, EBPF_PACKAGE, ebpf_cargo, host_cargo},
    bypasses, codegen,
    layout::Layout,
    process::{cargo, run, say},
    setup::{self, Needs},
    test::Tally,
};

/// Check formatting, lints, generated code and house rules
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only checks whose name contains one of these words
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

pub(crate) fn main(layout: &Layout, args: &Args) -> Result<ExitCode> {
    setup::ensure(layout, &Needs::build())?;
    build::gate(layout)?;
    let mut tally = Tally::default();
    checks(layout, &args.filters, &mut tally);
    tally.expect_some(&args.filters);
    Ok(tally.conclude())
}

/// Runs the checks. The eBPF object has been built.
pub(crate) fn checks(layout: &Layout, filters: &[String], tally: &mut Tally) {
    type Check = fn(&Layout) -> Result<()>;
    let all: [(&str, Check); 7] = [
        ("format", |layout| run(&mut format(layout))),
        ("clippy", |layout| run(&mut clippy(layout))),
        ("clippy-ebpf", |layout| run(&mut clippy_ebpf(layout))),
        ("codegen", |layout| run(&mut codegen::command(layout, true))),
        ("tidy", tidy::check),
        ("bypasses", bypasses::check),
        ("dashboard", build::dashboard::check),
    ];
    for (name, check) in all {
        let wanted = |word: &String| format!("lint::{name}").contains(word.as_str());
        if !filters.is_empty() && !filters.iter().any(wanted) {
            continue;
        }
        say(format!("lint: {name}"));
        match check(layout) {
            Ok(()) => tally.pass(),
            Err(error) => tally.fail(&format!("lint::{name}"), &format!("{error:#}")),
        }
    }
}

fn format(layout: &Layout) -> Command {
    let mut format = cargo(&layout.root);
    format.args(["fmt", "--all", "--check"]);
    format
}

fn clippy(layout: &Layout) -> Command {
    let mut clippy = host_cargo(layout);
    clippy
        .args(["clippy", "--workspace", "--exclude", EBPF_PACKAGE])
        .args(["--all-targets", "--", "-D", "warnings"]);
    clippy
}

/// Apart from the others: in one run cargo would unify the features of what
/// both use, and the kernel's side has no standard library.
fn clippy_ebpf(layout: &Layout) -> Command {
    let mut clippy = ebpf_cargo(layout, "clippy");
    clippy.args(["--", "-D", "warnings"]);
    clippy
}
