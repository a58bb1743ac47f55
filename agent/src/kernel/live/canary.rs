//! The canary: proof that a known deny denies (invariant I9).
//!
//! A child that is labelled with a cut session tries what every session is
//! judged for, itself and through a child of its own. Loading and attaching
//! prove nothing: with `bpf` missing from the LSM list both succeed and nothing
//! is ever judged.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use holdpoint_agent_common::{LABEL_CUT, Label};

use super::maps::Maps;
use crate::kernel::CANARY_SESSION;

/// Where the child connects to: loopback, the discard port. Whether anybody
/// listens does not matter, only whether the kernel says EPERM.
const TARGET: ([u8; 4], u16) = ([127, 0, 0, 1], 9);

/// Longest wait for one line of the child: somebody may stop it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Hidden first argument that makes `holdpointd` the canary's child.
pub(super) const CHILD_ARGUMENT: &str = "canary";

/// Runs the canary once; takes some milliseconds.
pub(super) fn run(maps: &Maps) -> Result<(), String> {
    let mut child = Command::new("/proc/self/exe")
        .arg(CHILD_ARGUMENT)
        // What the service manager told the daemon is for the daemon alone.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start the canary: {error}"))?;
    let result = watch(maps, &mut child);
    // Whatever it said, it must not stay. Both fail only if it is gone already.
    let _ = child.kill();
    let _ = child.wait();
    result
}

fn watch(maps: &Maps, child: &mut Child) -> Result<(), String> {
    let lost = |error: std::io::Error| format!("lost the canary: {error}");
    let mut input = child.stdin.take().ok_or("the canary has no input")?;
    let lines = lines(child.stdout.take().ok_or("the canary has no output")?);
    let next = || {
        lines
            .recv_timeout(PATIENCE)
            .map_err(|_| "the canary died, or was kept, before it could report".to_owned())
    };
    let line = next()?;
    if line.trim() != "free connect passed exec passed" {
        return Err(format!(
            "the canary could not do before it was labelled what it must fail to do after: {}",
            line.trim()
        ));
    }
    maps.label(child.id(), &Label::new(CANARY_SESSION.0, LABEL_CUT, 0))
        .map_err(|error| format!("cannot label the canary: {error}"))?;
    input.write_all(b"\n").map_err(lost)?;
    match next()?.trim() {
        "cut connect refused exec refused" => Ok(()),
        other => Err(format!(
            "the kernel let pass what it must refuse ({other}); is `bpf` among the active security \
             modules in /sys/kernel/security/lsm?"
        )),
    }
}

/// The child's lines as they come. The thread ends when the child does.
fn lines(output: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What the child does: tries, waits to be labelled, tries again.
pub fn run_as_child() -> ExitCode {
    let mut stdout = std::io::stdout();
    let report = |stdout: &mut std::io::Stdout, phase: &str| {
        writeln!(stdout, "{phase} connect {} exec {}", connect(), exec())
            .and_then(|()| stdout.flush())
            .is_ok()
    };
    if !report(&mut stdout, "free") {
        return ExitCode::FAILURE;
    }
    let mut go = [0];
    if std::io::stdin().read_exact(&mut go).is_err() || !report(&mut stdout, "cut") {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Anything but EPERM counts as passed: the call got as far as the network.
fn connect() -> &'static str {
    let address = SocketAddr::from(TARGET);
    match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => "refused",
        _ => "passed",
    }
}

/// An exec by a child of the child, which proves that the label is inherited.
fn exec() -> &'static str {
    let child = Command::new("/proc/self/exe")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match child {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => "refused",
        _ => "passed",
    }
}
