//! `cargo xtask test`: all levels, one run, one verdict. A level that fails
//! does not keep the others from running, and nothing that was left out goes
//! unsaid.

mod install;
mod levels;
mod tally;

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    build,
    layout::Layout,
    lint,
    process::say,
    setup::{self, Needs},
    vm::Kernel,
};
pub(crate) use tally::Tally;

/// Run the tests of all levels, or of some
///
/// lint: formatting, clippy, generated code, house rules.
/// unit: beside the code, no root.
/// e2e: the real programs with a simulated kernel, no root.
/// vm: real kernels in guests.
/// install: the packages on a Debian with systemd.
/// ui: the dashboard in a real browser.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: cargo xtask test --only vm --kernel 6.1 ticket")]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Only this level; may be given several times
    #[arg(long, value_name = "LEVEL")]
    only: Vec<Level>,

    /// Only this kernel; may be given several times
    #[arg(long, value_name = "KERNEL")]
    kernel: Vec<Kernel>,

    /// Only tests whose name contains one of these words
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

/// A level of tests, from the cheapest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    Lint,
    Unit,
    E2e,
    Vm,
    Install,
    Ui,
}

impl Level {
    const ALL: [Self; 6] = [
        Self::Lint,
        Self::Unit,
        Self::E2e,
        Self::Vm,
        Self::Install,
        Self::Ui,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Unit => "unit",
            Self::E2e => "e2e",
            Self::Vm => "vm",
            Self::Install => "install",
            Self::Ui => "ui",
        }
    }
}

pub(crate) fn main(layout: &Layout, args: &Args) -> Result<ExitCode> {
    let chosen = |level| args.only.is_empty() || args.only.contains(&level);
    let mut kernels = Kernel::ALL.to_vec();
    kernels.retain(|kernel| args.kernel.is_empty() || args.kernel.contains(kernel));

    let mut needs = Needs::build();
    if chosen(Level::Vm) {
        needs = needs.and(Needs::guests(&kernels));
    }
    if chosen(Level::Ui) {
        needs = needs.and(Needs::browser());
    }
    if chosen(Level::Install) {
        needs = needs
            .and(Needs::packages())
            .and(Needs::system(install::KERNEL));
    }
    setup::ensure(layout, &needs)?;

    let mut tally = Tally::default();
    let mut times = Vec::new();
    if let Err(error) = build_for(layout, args) {
        // Whatever still compiles is tested all the same.
        tally.fail("build", &format!("{error:#}"));
    }
    for level in Level::ALL.into_iter().filter(|level| chosen(*level)) {
        say(format!("=== {}", level.name()));
        let start = Instant::now();
        match level {
            Level::Lint => lint::checks(layout, &args.filters, &mut tally),
            Level::Unit => levels::unit(layout, &args.filters, &mut tally),
            Level::E2e => levels::e2e(layout, &args.filters, &mut tally),
            Level::Vm => levels::vm(layout, &kernels, &args.filters, &mut tally),
            Level::Install => install::level(layout, &args.filters, &mut tally),
            Level::Ui => levels::ui(layout, &args.filters, &mut tally),
        }
        times.push((level, start.elapsed()));
    }
    for (level, time) in times {
        say(format!("{:>7}: {:.1} s", level.name(), time.as_secs_f32()));
    }
    tally.expect_some(&args.filters);
    Ok(tally.conclude())
}

fn build_for(layout: &Layout, args: &Args) -> Result<()> {
    let programs =
        |level: &Level| matches!(level, Level::E2e | Level::Vm | Level::Ui | Level::Install);
    if args.only.is_empty() || args.only.iter().any(programs) {
        build::programs(layout, false).map(drop)
    } else {
        build::gate(layout)
    }
}
