//! The guest's side of `cargo xtask vm`: the first process of the guest. It
//! starts what is asked for, runs the command and reports how it ended; it must
//! never end itself, because the kernel would panic.

mod host;
mod ports;
mod stack;

use std::{
    ffi::{OsStr, OsString},
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::{Pid, setsid},
};

use crate::vm::BROKEN;
use ports::{Port, Ports};

/// The other half of `vm`; not for people
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Where the command runs
    #[arg(long)]
    cwd: PathBuf,

    /// Where the programs are
    #[arg(long)]
    bin_dir: PathBuf,

    /// Start approver and daemon with this policy
    #[arg(long)]
    policy: Option<PathBuf>,

    /// Start no approver: the daemon enrols with this token
    #[arg(long, requires = "policy")]
    token_file: Option<PathBuf>,

    /// The command reads what the other side sends
    #[arg(long)]
    stdin: bool,

    /// NAME=VALUE for the command
    #[arg(long)]
    env: Vec<OsString>,

    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    anyhow::ensure!(
        std::process::id() == 1,
        "`guest` is what `cargo xtask vm` runs inside a guest: run that instead"
    );
    // A session of its own, so that the command's process group is one of an
    // ordinary session.
    setsid().context("cannot start a session")?;
    let mut ports = Ports::open()?;
    let code = match serve(args, &ports) {
        Ok(code) => code,
        Err(error) => {
            // This text is the only trace of what went wrong.
            let _ = writeln!(&ports.stderr, "error: in the guest: {error:#}");
            BROKEN
        }
    };
    ports.report_end(code)?;
    // The other side ends this guest now.
    loop {
        thread::sleep(Duration::from_mins(1));
    }
}

fn serve(args: &Args, ports: &Ports) -> Result<u8> {
    host::prepare()?;
    let environment = environment(args);
    match (&args.policy, &args.token_file) {
        (None, _) => {}
        (Some(policy), None) => stack::start_all(&args.bin_dir, policy, &ports.logs)?,
        (Some(policy), Some(token)) => {
            stack::start_daemon(&args.bin_dir, policy, token, &ports.logs)?;
        }
    }
    ports.report_ready()?;

    let program = &args.command[0];
    let mut command = Command::new(program);
    command
        .args(&args.command[1..])
        .current_dir(&args.cwd)
        .env_clear()
        .envs(environment)
        .stdin(if args.stdin {
            ports::stdin()?.into()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            writeln!(
                &ports.stderr,
                "error: cannot run {}: {error}",
                program.display()
            )?;
            return Ok(match error.kind() {
                std::io::ErrorKind::NotFound => 127,
                _ => 126,
            });
        }
    };
    let pumps = [
        child.stdout.take().map(|out| pump(out, &ports.stdout)),
        child.stderr.take().map(|err| pump(err, &ports.stderr)),
    ];
    let code = wait(&child)?;
    // Whoever still holds the other ends of the pipes would keep them open for
    // good. There may be nobody left, which is no error.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    for pump in pumps.into_iter().flatten() {
        let _ = pump.join();
    }
    Ok(code)
}

fn environment(args: &Args) -> Vec<(OsString, OsString)> {
    let mut path = args.bin_dir.clone().into_os_string();
    path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut all: Vec<(OsString, OsString)> = [
        ("HOME", "/root"),
        ("LOGNAME", "root"),
        ("USER", "root"),
        ("SHELL", "/bin/sh"),
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .to_vec();
    all.push(("PATH".into(), path));
    all.push(("HOLDPOINT_BIN_DIR".into(), args.bin_dir.clone().into()));
    for pair in &args.env {
        let bytes = pair.as_bytes();
        if let Some(at) = bytes.iter().position(|byte| *byte == b'=') {
            let part = |bytes| OsStr::from_bytes(bytes).to_owned();
            all.push((part(&bytes[..at]), part(&bytes[at + 1..])));
        }
    }
    all
}

fn pump<R: std::io::Read + Send + 'static>(mut from: R, to: &Port) -> thread::JoinHandle<()> {
    let to = to.clone();
    thread::spawn(move || {
        // If the port is gone, so is this guest.
        let _ = std::io::copy(&mut from, &mut &to);
    })
}

/// Waits for the child and takes in every orphan on the way: the first process
/// is the parent of all that have lost theirs.
fn wait(child: &Child) -> Result<u8> {
    let wanted = Pid::from_raw(i32::try_from(child.id())?);
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == wanted => return Ok(u8::try_from(code)?),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == wanted => {
                return Ok(128 + signal as u8);
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for the command"),
        }
    }
}
