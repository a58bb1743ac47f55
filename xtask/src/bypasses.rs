//! `cargo xtask bypasses`: counts the known ways around the gate in the document
//! that lists them, and checks that it keeps its word. Owns where things are read
//! from; must never change them.

mod proof;
mod rules;
mod table;
/// What `holdpointd check` tells, from its own source, so that no second reading
/// of it can differ.
#[path = "../../agent/src/check/open_routes/table.rs"]
mod told;

use std::{fs, process::ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::layout::Layout;
use rules::Told;
use table::{Document, KERNELS};

const DOCUMENT: &str = "docs/security/bypasses.md";

/// Count the known ways around the gate, and check that each is proved or explained
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Fail, naming line and mend, where the document does not keep its word
    #[arg(long)]
    check: bool,
    /// Fail too if fewer than this many of a hundred rows are closed
    #[arg(long, value_name = "PERCENT", requires = "check")]
    #[arg(value_parser = clap::value_parser!(u8).range(..=100))]
    at_least: Option<u8>,
}

pub(crate) fn main(layout: &Layout, args: &Args) -> Result<ExitCode> {
    let document = read(layout)?;
    if args.check {
        examine(layout, &document)?;
    } else {
        complain(&document.faults)?;
    }
    let count = rules::count(&document.rows);
    println!("{count}");
    if let Some(percent) = args.at_least
        && !count.is_at_least(percent)
    {
        bail!("fewer than {percent} of a hundred rows are closed: close more, or ask for less");
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the document keeps its word.
pub(crate) fn check(layout: &Layout) -> Result<()> {
    examine(layout, &read(layout)?)
}

fn read(layout: &Layout) -> Result<Document> {
    let path = layout.root.join(DOCUMENT);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(table::parse(&text))
}

fn examine(layout: &Layout, document: &Document) -> Result<()> {
    let told: Vec<Told<'_>> = told::ROUTES
        .iter()
        .map(|route| Told {
            id: route.id,
            what: route.what,
            open: KERNELS.map(|(_, series)| route.kernels.contains(&series)),
        })
        .collect();
    complain(&rules::faults(document, &told, &|proof| {
        proof::look_up(&layout.root, proof)
    }))
}

fn complain(faults: &[table::Fault]) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = faults
        .iter()
        .map(|fault| format!("{DOCUMENT}:{}: {}", fault.line, fault.what))
        .collect();
    bail!("{}", lines.join("\n"));
}
