//! The level that installs the packages on a Debian with systemd, as an
//! administrator would, and takes them off again. One guest, one story: each step
//! is a test of its own, and the first that fails ends it.

mod steps;
mod world;

use std::{fs, process::Command, time::Instant};

use anyhow::{Context as _, Result};

use super::Tally;
use crate::{
    layout::Layout,
    package::{self, Profile},
    process::{output, say},
    scratch::Scratch,
    setup,
    vm::{Folder, Kernel, System},
};
use steps::STEPS;
use world::World;

/// Debian 13's own.
pub(crate) const KERNEL: Kernel = Kernel::V6_12;

pub(crate) fn level(layout: &Layout, filters: &[String], tally: &mut Tally) {
    // A story has no chapters that can be told alone.
    if !filters.is_empty()
        && !filters
            .iter()
            .any(|filter| "install".contains(filter.as_str()))
    {
        return say("the install level has one story and no filters but `install`: 0 tests");
    }
    if let Err(error) = tell(layout, tally) {
        tally.fail("install", &format!("{error:#}"));
    }
}

fn tell(layout: &Layout, tally: &mut Tally) -> Result<()> {
    let scratch = Scratch::create()?;
    let share = scratch.path().join("share");
    fs::create_dir(&share)?;
    package::make(layout, Profile::Dev, Some(&share))?;
    let disk = scratch.path().join("disk");
    let cached =
        setup::system_disk(layout).context("there is no system: run `cargo xtask setup`")?;
    output(
        Command::new("cp")
            .args(["--sparse=always", "--reflink=auto"])
            .args([&cached, &disk]),
    )?;
    let logs = Folder::create(&layout.artifacts(), "install")?;
    let system = System::boot(layout, KERNEL, &disk, &share, &logs);
    let mut world = World::new(system?);
    for (name, step) in STEPS {
        let start = Instant::now();
        match step(&mut world) {
            Ok(()) => {
                let time = start.elapsed().as_secs_f32();
                println!("test install::{name} ... ok ({time:.1} s)");
                tally.pass();
            }
            Err(error) => {
                let journal = world.journal();
                let kept = logs.file("journal.log");
                // What the guest said is for reading; the failure stands without it.
                let _ = fs::write(&kept, journal);
                tally.fail(&format!("install: {name}"), &format!("{error:#}"));
                say(format!("logs of the guest: {}", logs.path().display()));
                return Ok(());
            }
        }
    }
    Ok(())
}
