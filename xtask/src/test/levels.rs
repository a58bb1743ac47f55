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
    build::{dashboard, host_cargo, product_cargo},
    layout::Layout,
    process::{find, output, run, say, shown},
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
/// The program that the dashboard is tested before.
const STAGE_PROGRAM: &str = "dashboard-stage";
/// How the dashboard's tests learn of it, of the browser, and of where pictures go.
const STAGE: &str = "HOLDPOINT_STAGE";
const BROWSER: &str = "HOLDPOINT_CHROMIUM";
const ARTIFACTS: &str = "HOLDPOINT_UI_ARTIFACTS";
/// Words that a test's name has to contain one of.
const FILTER: &str = "HOLDPOINT_TEST_FILTER";

pub(crate) fn unit(layout: &Layout, filters: &[String], tally: &mut Tally) {
    let mut product = product_cargo(layout, "test");
    product.args(["--no-fail-fast", "--exclude", TESTS_PACKAGE]);
    cargo_test(product, "unit", filters, tally);
    let mut xtask = host_cargo(layout);
    xtask.args(["test", "--package", "xtask"]);
    cargo_test(xtask, "unit (xtask)", filters, tally);
    match dashboard::script(layout, "test") {
        Ok(script) => dashboard_test(script, "unit (dashboard)", filters, tally),
        Err(error) => tally.fail("unit (dashboard)", &format!("{error:#}")),
    }
}

/// The dashboard in a real browser, before a real approver with a host whose
/// kernel is simulated.
pub(crate) fn ui(layout: &Layout, filters: &[String], tally: &mut Tally) {
    let script = dashboard_stage(layout).and_then(|stage| {
        let mut script = dashboard::script(layout, "test:browser")?;
        script
            .env(STAGE, stage)
            .env(ARTIFACTS, layout.artifacts().join("ui"))
            .env(BROWSER, find("chromium").context("chromium is missing")?);
        Ok(script)
    });
    match script {
        Ok(script) => dashboard_test(script, "ui", filters, tally),
        Err(error) => tally.fail("ui", &format!("{error:#}")),
    }
}

pub(crate) fn e2e(layout: &Layout, filters: &[String], tally: &mut Tally) {
    let mut e2e = product_cargo(layout, "test");
    e2e.env(BIN_DIR, layout.bin_dir(false))
        .args(["--test", "e2e"]);
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
        product_cargo(layout, "test")
            .args(["--test", "vm", "--no-run"])
            .args(["--message-format", "json"])
            .stderr(Stdio::inherit()),
    )?;
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "vm")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .context("cargo built no program for the test target `vm`")
}

/// Builds what the dashboard is tested before.
fn dashboard_stage(layout: &Layout) -> Result<PathBuf> {
    let mut build = product_cargo(layout, "build");
    run(build.args(["--quiet", "--bin", STAGE_PROGRAM]))?;
    Ok(layout.bin_dir(false).join(STAGE_PROGRAM))
}

fn dashboard_test(mut script: Command, label: &str, filters: &[String], tally: &mut Tally) {
    script.env(FILTER, filters.join("\n"));
    finish(&mut script, label, tally);
}

fn cargo_test(mut cargo: Command, label: &str, filters: &[String], tally: &mut Tally) {
    cargo.arg("--").args(filters);
    finish(&mut cargo, label, tally);
}

fn finish(command: &mut Command, label: &str, tally: &mut Tally) {
    match stream(command) {
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
