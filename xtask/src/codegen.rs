//! `cargo xtask codegen`: Rust code from the contract's proto files. The
//! generator is a package of its own, because building it takes several times
//! as long as building everything else here.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{
    layout::Layout,
    process::{cargo, run},
};

/// Write the Rust code of the proto files anew
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Write nothing; fail if what is checked in is stale
    #[arg(long)]
    check: bool,
}

pub(crate) fn main(layout: &Layout, args: &Args) -> Result<ExitCode> {
    run(&mut command(layout, args.check))?;
    Ok(ExitCode::SUCCESS)
}

/// The command that runs the generator.
pub(crate) fn command(layout: &Layout, check: bool) -> Command {
    let mut generator = cargo(&layout.root);
    generator.args(["run", "--quiet", "--package", "xtask-codegen", "--"]);
    generator.arg(layout.root.join("proto"));
    if check {
        generator.arg("--check");
    }
    generator
}
