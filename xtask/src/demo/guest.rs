//! The demo's host as a guest: a real kernel in QEMU that enrols over the network.

use std::{
    fs::File,
    io::pipe,
    path::Path,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

use super::{STAGE_LOG, link::Link, stage_words};
use crate::{
    layout::Layout,
    vm::{self, Ending, Ends, Folder, Job, Kernel, Parts, Size, Stop},
};

/// This machine, as guests see it.
pub(crate) const THIS_MACHINE: &str = "10.0.2.2";
/// The user that guests have for sessions.
const USER: &str = "agent";
/// So long a guest may take to end by itself.
const GRACE: Duration = Duration::from_secs(20);

/// Boots a guest, tells the story with it and ends it.
pub(crate) fn run(
    layout: &Layout,
    kernel: Kernel,
    limit: Duration,
    parts: Parts,
    logs: &Folder,
    stop: &Stop,
    story: impl FnOnce(Link) -> Result<()>,
) -> Result<()> {
    let job = Job {
        kernel,
        size: Size {
            cpus: 2,
            memory: 2048,
        },
        timeout: limit,
        parts,
        kernel_options: "",
        command: stage_words(
            layout,
            USER,
            "/home/agent/work".as_ref(),
            &Path::new(vm::PROGRAMS_IN_GUESTS).join("holdpoint"),
            vm::SOCKET_IN_GUESTS.as_ref(),
        ),
    };
    let errors = logs.file(STAGE_LOG);
    let (orders, to_orders) = pipe().context("cannot make a pipe")?;
    let (link, reports) = Link::new(to_orders);
    // The guest's own end; the interruption of the whole demo is another thing.
    let end = Stop::default();
    let ends = Ends {
        stdin: Some(Box::new(orders)),
        stdout: Box::new(reports),
        stderr: Box::new(
            File::create(&errors).with_context(|| format!("cannot write {}", errors.display()))?,
        ),
        stop: Stop::clone(&end),
    };
    thread::scope(|scope| {
        let guest = scope.spawn(|| vm::run(layout, &job, logs, ends));
        let told = story(link);
        if told.is_ok() && !stop.load(Ordering::Relaxed) {
            // The link is gone, and with it the stage's reason to stay.
            let deadline = Instant::now() + GRACE;
            while !guest.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
            }
        }
        end.store(true, Ordering::Relaxed);
        let ended = guest
            .join()
            .map_err(|_| anyhow!("a thread of this program panicked"))?;
        // Without a guest there is nothing to tell.
        let ended = ended?;
        told?;
        match ended {
            Ending::Exited(0) => Ok(()),
            other => Err(anyhow!("expected the guest to end well; found {other:?}")),
        }
    })
}
