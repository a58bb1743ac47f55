//! The levels that run test programs: on this machine through cargo, and in
//! guests, where each kernel is booted once for all tests.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    Tally,
    tally::{Run, Tap},
};
use crate::{
    build::{EBPF_PACKAGE, host_cargo},
    layout::Layout,
    process::{output, say, shown},
    vm::{self, Ending, Ends, Folder, Job, Kernel, Parts, Size},
};

/// End-to-end and real-kernel tests.
const TESTS_PACKAGE: &str = "holdpoint-tests";
/// All tests of one kernel take minutes; more than this, and they hang.
const GUEST_LIMIT: Duration = Duration::from_mins(20);
/// The one test that wants a kernel of its own, and what makes the kernel so.
const WITHOUT_BPF: &str = "without_the_bpf_module";
const NO_BPF: &str = "lsm=lockdown,yama,apparmor";
/// How often a guest may try to come up.
const BOOTS: u32 = 3;
const BIN_DIR: &str = "HOLDPOINT_BIN_DIR";

pub(crate) fn unit(layout: &Layout, filters: &[String], tally: &mut Tally) {
    let mut product = host_cargo(layout);
    product.args(["test", "--no-fail-fast", "--workspace"]);
    // xtask goes apart: built along with the others it would share their
    // features, and `cargo xtask` would be built anew each time it is called.
    for package in [EBPF_PACKAGE, TESTS_PACKAGE, "xtask", "xtask-codegen"] {
        product.args(["--exclude", package]);
    }
    cargo_test(product, "unit", filters, tally);
    let mut xtask = host_cargo(layout);
    xtask.args(["test", "--package", "xtask"]);
    cargo_test(xtask, "unit (xtask)", filters, tally);
}

pub(crate) fn e2e(layout: &Layout, filters: &[String], tally: &mut Tally) {
    let mut e2e = host_cargo(layout);
    e2e.env(BIN_DIR, layout.bin_dir(false)).args([
        "test",
        "--package",
        TESTS_PACKAGE,
        "--test",
        "e2e",
    ]);
    cargo_test(e2e, "e2e", filters, tally);
}

pub(crate) fn vm(layout: &Layout, kernels: &[Kernel], filters: &[String], tally: &mut Tally) {
    let program = match vm_program(layout) {
        Ok(program) => program,
        Err(error) => return tally.fail("vm", &format!("{error:#}")),
    };
    for kernel in kernels {
        say(format!("--- kernel {kernel}"));
        let mut words: Vec<&str> = vec!["--skip", WITHOUT_BPF];
        words.extend(filters.iter().map(String::as_str));
        boot(layout, *kernel, &program, "", &words, tally);
        if filters.is_empty()
            || filters
                .iter()
                .any(|filter| WITHOUT_BPF.contains(filter.as_str()))
        {
            boot(layout, *kernel, &program, NO_BPF, &[WITHOUT_BPF], tally);
        }
    }
}

/// Boots `kernel` once and runs the tests that `words` choose in it.
fn boot(
    layout: &Layout,
    kernel: Kernel,
    program: &Path,
    kernel_options: &'static str,
    words: &[&str],
    tally: &mut Tally,
) {
    // They are marked as ignored for everybody who is not in a guest.
    let mut command: Vec<OsString> = vec![
        program.into(),
        "--include-ignored".into(),
        "--test-threads=1".into(),
    ];
    command.extend(words.iter().map(OsString::from));
    let job = Job {
        kernel,
        size: Size {
            cpus: 2,
            memory: 2048,
        },
        timeout: GUEST_LIMIT,
        parts: Parts::None,
        kernel_options,
        command,
    };
    let label = match kernel_options {
        "" => format!("vm ({kernel})"),
        options => format!("vm ({kernel}, {options})"),
    };
    let mut boots = 1;
    let (ended, run) = loop {
        let (tap, run) = Tap::new(io::stdout());
        let ended = Folder::create(&layout.artifacts(), kernel.series()).and_then(|logs| {
            let ending = vm::run(layout, &job, &logs, Ends::outputs(tap, io::stderr()))?;
            Ok((ending, logs))
        });
        // An emulated processor sometimes trips over the kernel's patching of its
        // own code while it boots. No test had begun then, so none is repeated.
        let died_booting = matches!(&ended, Ok((Ending::Died, _)))
            && run
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_untouched();
        if !died_booting || boots == BOOTS {
            break (ended, run);
        }
        boots += 1;
        say(format!(
            "the guest died before any test began; boot {boots} of {BOOTS}"
        ));
    };
    match ended {
        Ok((ending, logs)) => {
            let ended_well = ending == Ending::Exited(0);
            if !ended_well {
                say(format!("logs of the guest: {}", logs.path().display()));
            }
            add(tally, &label, &run, ended_well);
        }
        Err(error) => tally.fail(&label, &format!("{error:#}")),
    }
}

/// Builds the tests for guests and gives the program they are in.
fn vm_program(layout: &Layout) -> Result<PathBuf> {
    let messages = output(
        host_cargo(layout)
            .args(["test", "--package", TESTS_PACKAGE, "--test", "vm"])
            .args(["--no-run", "--message-format", "json"])
            .stderr(Stdio::inherit()),
    )?;
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "vm")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .context("cargo built no program for the test target `vm`")
}

fn cargo_test(mut cargo: Command, label: &str, filters: &[String], tally: &mut Tally) {
    cargo.arg("--").args(filters);
    match stream(&mut cargo) {
        Ok((run, ended_well)) => add(tally, label, &run, ended_well),
        Err(error) => tally.fail(label, &format!("{error:#}")),
    }
}

fn add(tally: &mut Tally, label: &str, run: &Mutex<Run>, ended_well: bool) {
    let run = run.lock().unwrap_or_else(PoisonError::into_inner);
    tally.add(label, &run, ended_well);
}

/// Runs the command, its stdout passed on and read on the way.
fn stream(command: &mut Command) -> Result<(std::sync::Arc<Mutex<Run>>, bool)> {
    let name = shown(command);
    let failed = || format!("cannot run `{name}`");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(failed)?;
    let mut from = child.stdout.take().context("the child has no stdout")?;
    let (mut tap, run) = Tap::new(io::stdout());
    io::copy(&mut from, &mut tap).with_context(failed)?;
    tap.flush()?;
    Ok((run, child.wait().with_context(failed)?.success()))
}
