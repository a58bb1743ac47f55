//! `cargo xtask setup`: everything a build or a guest needs, found or fetched.
//! Present things are recognised without touching the network; it must never
//! change the machine beyond installing packages, the cache folder and the
//! toolchain's own `core` sources.

mod apt;
mod core_sources;
mod kernels;
mod linker;
mod lock;
mod modules;
mod programs;
mod system;
mod vmlinux;

use std::{fs, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result};

use crate::{layout::Layout, process::say, vm::Kernel};

pub(crate) use kernels::Image;
use programs::Part;
pub(crate) use programs::busybox;
pub(crate) use system::cached as system_disk;

/// Find or install everything that building and testing need
///
/// On Debian and Ubuntu as root it installs what is missing; elsewhere it says
/// what that is. All else goes to a cache folder: `HOLDPOINT_CACHE`,
/// `XDG_CACHE_HOME/holdpoint` or `~/.cache/holdpoint`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Look for newer kernels, too
    #[arg(long)]
    update: bool,
}

/// What a command is about to use.
#[derive(Debug)]
pub(crate) struct Needs {
    parts: Vec<Part>,
    kernels: Vec<Kernel>,
    system: bool,
    update: bool,
}

impl Needs {
    /// Compiling, and nothing else.
    pub(crate) fn build() -> Self {
        Self {
            parts: vec![Part::Build],
            kernels: Vec::new(),
            system: false,
            update: false,
        }
    }

    /// Guests with these kernels.
    pub(crate) fn guests(kernels: &[Kernel]) -> Self {
        Self {
            parts: vec![Part::Guests],
            kernels: kernels.to_vec(),
            system: false,
            update: false,
        }
    }

    /// The demo's agent.
    pub(crate) fn demo() -> Self {
        Self {
            parts: vec![Part::Demo],
            kernels: Vec::new(),
            system: false,
            update: false,
        }
    }

    /// Making packages.
    pub(crate) fn packages() -> Self {
        Self {
            parts: vec![Part::Packages],
            kernels: Vec::new(),
            system: false,
            update: false,
        }
    }

    /// A guest with a system of its own to install packages on.
    pub(crate) fn system(kernel: Kernel) -> Self {
        Self {
            parts: vec![Part::Guests, Part::System],
            kernels: vec![kernel],
            system: true,
            update: false,
        }
    }

    /// The dashboard in a browser.
    pub(crate) fn browser() -> Self {
        Self {
            parts: vec![Part::Browser],
            kernels: Vec::new(),
            system: false,
            update: false,
        }
    }

    /// Both at once.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self.kernels.extend(other.kernels);
        self.system |= other.system;
        self.update |= other.update;
        self
    }

    /// Everything there is.
    fn all(update: bool) -> Self {
        Self {
            parts: vec![
                Part::Build,
                Part::Guests,
                Part::Demo,
                Part::Packages,
                Part::System,
                Part::Browser,
            ],
            kernels: Kernel::ALL.to_vec(),
            system: true,
            update,
        }
    }

    fn builds(&self) -> bool {
        self.parts.contains(&Part::Build)
    }
}

pub(crate) fn main(layout: &Layout, args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    ensure(layout, &Needs::all(args.update))?;
    say(format!(
        "everything is in place ({:.1} s); the cache is {}",
        start.elapsed().as_secs_f32(),
        layout.cache.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Makes sure that all of it is there.
pub(crate) fn ensure(layout: &Layout, needs: &Needs) -> Result<()> {
    if !needs.update && complete(layout, needs)? {
        return Ok(());
    }
    fs::create_dir_all(&layout.cache)
        .with_context(|| format!("cannot make the cache {}", layout.cache.display()))?;
    // Whoever waited here finds the work done: each step looks again.
    let _lock = lock::Lock::take(&layout.cache.join("setup.lock"))?;
    programs::ensure(&needs.parts)?;
    if needs.builds() {
        linker::ensure(layout)?;
        core_sources::ensure(layout)?;
    }
    for kernel in &needs.kernels {
        kernels::ensure(layout, *kernel, needs.update)?;
    }
    if needs.system {
        system::ensure(layout, needs.update)?;
    }
    Ok(())
}

fn complete(layout: &Layout, needs: &Needs) -> Result<bool> {
    if !programs::missing(&needs.parts).is_empty() {
        return Ok(false);
    }
    if needs.builds() && !(linker::works(layout) && core_sources::present(layout)?) {
        return Ok(false);
    }
    if needs.system && system::cached(layout).is_none() {
        return Ok(false);
    }
    Ok(needs
        .kernels
        .iter()
        .all(|kernel| Image::cached(layout, *kernel).is_some()))
}
