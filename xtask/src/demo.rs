//! `cargo xtask demo`: the whole product on real input, told step by step. The
//! approver runs on this machine; the host that is gated is a guest, or this
//! machine itself. Nothing of it stays but the logs.

mod browser;
mod guest;
mod introduction;
mod link;
mod on_host;
mod page;
mod people;
mod records;
pub(crate) mod stage;
mod story;

use std::{
    ffi::OsString,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    build,
    layout::Layout,
    process::say,
    scratch::Scratch,
    setup::{self, Needs},
    stack::{Approver, Ports},
    vm::{self, Folder, Kernel, Parts, SAMPLE_POLICY, Stop},
};
use story::{Deciders, Story};

/// What the gated side complains about, among the logs.
const STAGE_LOG: &str = "stage.log";

/// The exit status after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

/// See Holdpoint at work: hold, ask, go on or refuse
///
/// An approver runs on this machine, and an AI agent, played by a shell script
/// with real programs, works on a host that has enrolled with it. What the agent
/// does is held where the policy says so, and you decide in the dashboard, whose
/// address and logins are printed. In the end what happened is asked for, and
/// what was decided is proved.
///
/// The exit status is 0 only if every step was observed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Decide everything as the reviewers, without a person, and check every answer
    #[arg(long)]
    unattended: bool,

    /// Kernel of the guest that is the host
    #[arg(long, default_value = "6.12")]
    kernel: Kernel,

    /// Let this machine be the host, gated by its own kernel (needs root)
    #[arg(long, conflicts_with = "kernel")]
    on_host: bool,
}

pub(crate) fn main(layout: &Layout, args: &Args) -> Result<ExitCode> {
    let needs = Needs::build().and(Needs::demo());
    if args.on_host {
        on_host::check()?;
        setup::ensure(layout, &needs)?;
    } else {
        setup::ensure(layout, &needs.and(Needs::guests(&[args.kernel])))?;
    }
    build::programs(layout, false)?;

    let label = if args.on_host {
        "host"
    } else {
        args.kernel.series()
    };
    let folder = Folder::create(&layout.artifacts(), label)?;
    let stop = watch_for_signals()?;
    let start = Instant::now();
    let told = run(layout, args, &folder, &stop);
    let logs = folder.path();
    let logs = logs.strip_prefix(&layout.root).unwrap_or(logs);
    if stop.load(Ordering::Relaxed) {
        say(format!(
            "interrupted: everything that was started has been ended; logs: {}",
            logs.display()
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    if let Err(error) = told {
        eprintln!("\nerror: {}", in_lines(&error));
        let host = fs::read_to_string(folder.file(STAGE_LOG)).unwrap_or_default();
        if !host.is_empty() {
            eprintln!(
                "the host says:\n  {}",
                host.trim_end().replace('\n', "\n  ")
            );
        }
        say(format!("logs of all programs: {}", logs.display()));
        return Ok(ExitCode::FAILURE);
    }
    println!(
        "\nAll steps were observed, in {} s. Logs of all programs: {}",
        start.elapsed().as_secs(),
        logs.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn run(layout: &Layout, args: &Args, logs: &Folder, stop: &Stop) -> Result<()> {
    let scratch = Scratch::create()?;
    let private = scratch.path();
    let contexts = private.join("contexts");
    let bin_dir = layout.bin_dir(false);
    let address = if args.on_host {
        "127.0.0.1"
    } else {
        guest::THIS_MACHINE
    };
    let approver = Approver::configure(&bin_dir, private, &contexts, free_ports()?, address)?;
    approver.add_people()?;
    if !args.unattended {
        approver.add_administrator()?;
    }
    let _serving = approver.serve(&logs.file("approver.log"), None)?;
    let token = private.join("token");
    fs::write(&token, approver.token()?).context("cannot write the token")?;

    let deciders = if args.unattended {
        Deciders::Demo
    } else {
        Deciders::Person {
            holdpoint: bin_dir.join("holdpoint"),
            contexts,
        }
    };
    // How long a person's machine takes is theirs to judge, and an emulated guest
    // is many times slower than any host.
    let emulated = !args.on_host && vm::is_emulated(layout, args.kernel)?;
    let must_be_prompt = args.unattended && !emulated;
    let policy = layout.root.join(SAMPLE_POLICY);
    let tell = |link| {
        let mut story = Story::new(
            link,
            &approver,
            &deciders,
            must_be_prompt,
            Stop::clone(stop),
        );
        approver.log_in_people()?;
        let kernel = story.begin(Duration::from_mins(2))?;
        introduction::cast(args, &approver, &kernel);
        if !args.unattended {
            introduction::logins(&approver)?;
        }
        story.tell()
    };
    if args.on_host {
        return on_host::run(layout, &policy, private, &token, logs, tell);
    }
    say(format!("booting a guest with kernel {}", args.kernel));
    let limit = Duration::from_mins(if args.unattended { 8 } else { 30 });
    let parts = Parts::Daemon { policy, token };
    guest::run(layout, args.kernel, limit, parts, logs, stop, tell)
}

/// Each cause on lines of its own.
fn in_lines(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join("\n").replace('\n', "\n  ")
}

/// Set by Ctrl-C and the like; everything that waits looks at it.
fn watch_for_signals() -> Result<Stop> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let stop = Stop::default();
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Stop::clone(&stop))
            .context("cannot watch for signals")?;
    }
    Ok(stop)
}

/// Ports that nobody has now. Whoever takes one meanwhile makes the approver say
/// so.
fn free_ports() -> Result<Ports> {
    let free = || TcpListener::bind(("127.0.0.1", 0)).context("this machine has no free port");
    // Both at a time, or they could be the same.
    let (listen, web) = (free()?, free()?);
    Ok(Ports {
        listen: listen.local_addr()?.port(),
        web: web.local_addr()?.port(),
    })
}

/// This program's side on the host.
fn stage_words(
    layout: &Layout,
    user: &str,
    folder: &Path,
    holdpoint: &Path,
    socket: &Path,
) -> Vec<OsString> {
    let path = |path: &Path| PathBuf::from(path).into_os_string();
    vec![
        path(&layout.exe),
        "stage".into(),
        "--user".into(),
        user.into(),
        "--folder".into(),
        path(folder),
        "--holdpoint".into(),
        path(holdpoint),
        "--socket".into(),
        path(socket),
    ]
}
