//! `cargo xtask vm`: one command as root under a real kernel. This machine's
//! files are there read-only with all changes thrown away, and the command's
//! output and exit status come through as if it had run here.

mod accel;
mod artifacts;
mod cpio;
mod initramfs;
mod machine;
mod qemu;
mod system;

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::{
    build,
    layout::{Layout, visible_in_guests},
    process::say,
    setup::{self, Needs},
};
pub(crate) use artifacts::Folder;
pub(crate) use initramfs::BIN_DIR as PROGRAMS_IN_GUESTS;
pub(crate) use machine::{Ending, Ends, Stop};
pub(crate) use system::{SHARE, Said, System};

/// Ports between a guest and this program, the names both sides use.
pub(crate) mod ports {
    /// What the command reads from stdin; only there if it reads anything.
    pub(crate) const STDIN: &str = "holdpoint.stdin";
    /// What the command writes to stdout.
    pub(crate) const STDOUT: &str = "holdpoint.stdout";
    /// What the command writes to stderr.
    pub(crate) const STDERR: &str = "holdpoint.stderr";
    /// What the approver and the daemon in the guest log.
    pub(crate) const LOGS: &str = "holdpoint.logs";
    /// One line when the guest is up and one when the command has ended.
    pub(crate) const CONTROL: &str = "holdpoint.control";
    /// All that are always there.
    pub(crate) const ALL: [&str; 4] = [STDOUT, STDERR, LOGS, CONTROL];
}

/// The exit status of a guest that was ended at its limit, as `timeout` has it.
pub(crate) const TIMED_OUT: u8 = 124;
/// The exit status when something other than the command failed.
pub(crate) const BROKEN: u8 = 125;

/// The daemon's control socket in guests.
pub(crate) const SOCKET_IN_GUESTS: &str = "/run/holdpoint/control.sock";

/// The sample policy, in the workspace.
pub(crate) const SAMPLE_POLICY: &str = "packaging/policies/demo.toml";

/// A series of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kernel {
    /// Debian 12's kernel
    #[value(name = "6.1")]
    V6_1,
    /// Debian 13's kernel
    #[value(name = "6.12")]
    V6_12,
    /// The newest kernel of Debian 13's backports
    #[value(name = "7.3")]
    V7_3,
}

impl Kernel {
    pub(crate) const ALL: [Self; 3] = [Self::V6_1, Self::V6_12, Self::V7_3];

    pub(crate) fn series(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V7_3 => "7.3",
        }
    }

    /// The Debian suite that has it.
    pub(crate) fn suite(self) -> &'static str {
        match self {
            Self::V6_1 => "bookworm",
            Self::V6_12 => "trixie",
            Self::V7_3 => "trixie-backports",
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.series())
    }
}

/// Run a command as root under a real kernel
///
/// The guest sees this machine's files; what it writes is thrown away. Unless
/// --bare, an approver and holdpointd are up in it, the policy is that of
/// profile `demo`, the unprivileged user `agent` is there to run sessions, and
/// the contexts `reviewer1`, `reviewer2` and `owner` are logged in.
///
/// The exit status is the command's; 124 if the guest was ended at its limit,
/// 125 if something else went wrong. 10.0.2.2 in the guest is the loopback
/// address of this machine.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: cargo xtask vm --kernel 6.1 --bare -- sh -c 'uname -r; exit 7'")]
pub(crate) struct Args {
    /// Which kernel
    #[arg(long, default_value = "6.12")]
    kernel: Kernel,

    /// Start neither approver nor daemon
    #[arg(long)]
    bare: bool,

    /// Policy of profile `demo` [default: packaging/policies/demo.toml]
    #[arg(long, value_name = "FILE", conflicts_with = "bare")]
    policy: Option<PathBuf>,

    /// End the guest with an error after so long
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,

    #[command(flatten)]
    size: Size,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// How big a guest is.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Processors of the guest
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) cpus: u8,

    /// Memory of the guest, in MiB
    #[arg(long, value_name = "MB", default_value_t = 2048,
          value_parser = clap::value_parser!(u32).range(256..=262_144))]
    pub(crate) memory: u32,
}

/// What is to run in a guest.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) kernel: Kernel,
    pub(crate) size: Size,
    pub(crate) timeout: Duration,
    pub(crate) parts: Parts,
    /// More words for the kernel's command line.
    pub(crate) kernel_options: &'static str,
    pub(crate) command: Vec<OsString>,
}

/// What of Holdpoint runs in a guest.
#[derive(Debug)]
pub(crate) enum Parts {
    /// Nothing.
    None,
    /// An approver, and a daemon with this policy.
    All { policy: PathBuf },
    /// A daemon with this policy, enrolled with the token in a file.
    Daemon { policy: PathBuf, token: PathBuf },
}

impl Parts {
    fn files(&self) -> Vec<&PathBuf> {
        match self {
            Self::None => Vec::new(),
            Self::All { policy } => vec![policy],
            Self::Daemon { policy, token } => vec![policy, token],
        }
    }
}

pub(crate) fn main(layout: &Layout, args: Args) -> ExitCode {
    run_args(layout, args).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(BROKEN)
    })
}

fn run_args(layout: &Layout, args: Args) -> Result<ExitCode> {
    let needs = Needs::guests(&[args.kernel]);
    let parts = if args.bare {
        setup::ensure(layout, &needs)?;
        Parts::None
    } else {
        let given = args
            .policy
            .unwrap_or_else(|| layout.root.join(SAMPLE_POLICY));
        let policy = fs::canonicalize(&given)
            .with_context(|| format!("cannot find the policy {}", given.display()))?;
        setup::ensure(layout, &needs.and(Needs::build()))?;
        build::programs(layout, false)?;
        Parts::All { policy }
    };
    let job = Job {
        kernel: args.kernel,
        size: args.size,
        timeout: Duration::from_secs(args.timeout),
        parts,
        kernel_options: "",
        command: args.command,
    };
    let logs = Folder::create(&layout.artifacts(), job.kernel.series())?;
    let ends = Ends::outputs(io::stdout(), io::stderr());
    Ok(ExitCode::from(match run(layout, &job, &logs, ends)? {
        Ending::Exited(code) => code,
        Ending::TimedOut => TIMED_OUT,
        Ending::Died | Ending::Stopped => BROKEN,
    }))
}

/// Whether guests are slow here: nothing runs their instructions but QEMU. Setup
/// has been done.
pub(crate) fn is_emulated(layout: &Layout, kernel: Kernel) -> Result<bool> {
    Ok(accel::choose(layout, kernel)? == accel::Accelerator::Emulation)
}

/// Boots a guest, runs the job in it and says on stderr what went wrong, if
/// anything but the command did. Setup has been done.
pub(crate) fn run(layout: &Layout, job: &Job, logs: &Folder, ends: Ends) -> Result<Ending> {
    let cwd = env::current_dir().context("cannot tell the current folder")?;
    let told = [&cwd, &layout.exe, &layout.target]
        .into_iter()
        .chain(job.parts.files());
    for path in told {
        if !visible_in_guests(path) {
            bail!(
                "{} is in a folder that guests have their own of: use another place",
                path.display()
            );
        }
    }
    let entry = guest_command(layout, job, &cwd, ends.stdin.is_some());
    let accelerator = accel::choose(layout, job.kernel)?;
    let ending = machine::run(layout, job, accelerator, &entry, logs, ends)?;
    match &ending {
        Ending::Stopped => {}
        // How the command ended is its own business: nothing is added to it.
        Ending::Exited(code) if *code != BROKEN => {}
        Ending::Exited(_) => say(format!("logs of the guest: {}", logs.path().display())),
        Ending::TimedOut => eprintln!(
            "error: the guest was ended after {} s (--timeout); its logs: {}",
            job.timeout.as_secs(),
            logs.path().display()
        ),
        Ending::Died => eprintln!(
            "error: the guest ended before the command did; its logs: {}\n{}",
            logs.path().display(),
            logs.end_of_console()
        ),
    }
    Ok(ending)
}

/// What the guest's first process is told to run: this program's other side.
fn guest_command(layout: &Layout, job: &Job, cwd: &Path, reads: bool) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec![layout.exe.clone().into(), "guest".into()];
    words.extend(["--cwd".into(), cwd.into()]);
    words.extend(["--bin-dir".into(), PROGRAMS_IN_GUESTS.into()]);
    match &job.parts {
        Parts::None => {}
        Parts::All { policy } => words.extend(["--policy".into(), policy.into()]),
        Parts::Daemon { policy, token } => words.extend([
            "--policy".into(),
            policy.into(),
            "--token-file".into(),
            token.into(),
        ]),
    }
    if reads {
        words.push("--stdin".into());
    }
    // The contexts of this machine's user lead nowhere in a guest, which has
    // its own in the usual place.
    let passed_on = |name: &OsStr| {
        let name = name.to_string_lossy();
        (name.starts_with("HOLDPOINT_") && name != "HOLDPOINT_CONFIG_DIR")
            || name == "RUST_LOG"
            || name == "RUST_BACKTRACE"
    };
    for (name, value) in env::vars_os().filter(|(name, _)| passed_on(name)) {
        let mut pair = name;
        pair.push("=");
        pair.push(value);
        words.extend(["--env".into(), pair]);
    }
    words.push("--".into());
    words.extend(job.command.iter().cloned());
    words
}
