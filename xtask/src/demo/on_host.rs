//! The demo's host as this very machine: its own kernel is gated while the demo
//! runs. It must never touch a gate that is not the demo's, and leaves none.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::unistd::{User, geteuid};

use super::{STAGE_LOG, link::Link, stage_words};
use crate::{layout::Layout, process::mortal, scratch::Scratch, stack::Daemon, vm::Folder};

/// Where `holdpointd` pins its gate.
const PINS: &str = "/sys/fs/bpf/holdpoint";
const LSM_LIST: &str = "/sys/kernel/security/lsm";
const BPFFS_MAGIC: i64 = 0xcafe_4a11;
/// So long the stage may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// Fails with everything that keeps this machine from being the demo's host.
pub(crate) fn check() -> Result<()> {
    let mut problems = Vec::new();
    if !geteuid().is_root() {
        problems.push("only root can gate a kernel: run it as root".to_owned());
    }
    problems.extend(lsm_problem());
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        problems.push(
            "this kernel has no type information (CONFIG_DEBUG_INFO_BTF): boot one that has, as \
             the kernels of Debian and Ubuntu do"
                .to_owned(),
        );
    }
    match nix::sys::statfs::statfs("/sys/fs/bpf") {
        Ok(found) if found.filesystem_type().0 == BPFFS_MAGIC => {}
        _ => problems.push(
            "there is no bpffs on /sys/fs/bpf: run `mount -t bpf bpf /sys/fs/bpf`".to_owned(),
        ),
    }
    if Path::new(PINS).exists() {
        problems.push(format!(
            "a gate is pinned in {PINS}, which the demo would replace: stop holdpointd and run \
             `rm -r {PINS}`, which ends all gating"
        ));
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!(
        "this machine cannot be the demo's host:\n  - {}\nwithout --on-host the demo brings a \
         kernel of its own",
        problems.join("\n  - ")
    );
}

fn lsm_problem() -> Option<String> {
    let list = match fs::read_to_string(LSM_LIST) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Some(format!(
                "there is no {LSM_LIST}: run `mount -t securityfs securityfs /sys/kernel/security`; \
                 if that fails this is a container, or a kernel without security modules"
            ));
        }
        Err(error) => return Some(format!("cannot read {LSM_LIST}: {error}")),
    };
    let list = list.trim();
    (!list.split(',').any(|name| name == "bpf")).then(|| {
        format!(
            "`bpf` is not among the active security modules ({list}): add lsm={list},bpf to the \
             kernel's command line and reboot"
        )
    })
}

/// Gates this machine, tells the story with it and removes the gate.
pub(crate) fn run(
    layout: &Layout,
    policy: &Path,
    private: &Path,
    token: &Path,
    logs: &Folder,
    story: impl FnOnce(Link) -> Result<()>,
) -> Result<()> {
    let user = unprivileged_user()?;
    // Unlike the private folder, the agent can enter this one.
    let shared = Scratch::create()?;
    fs::set_permissions(shared.path(), Permissions::from_mode(0o755))?;
    let holdpoint = shared.path().join("holdpoint");
    fs::copy(layout.bin_dir(false).join("holdpoint"), &holdpoint)
        .with_context(|| format!("cannot write {}", holdpoint.display()))?;
    let socket = shared.path().join("run/control.sock");
    let daemon = Daemon::configure(&layout.bin_dir(false), private, &socket, &[&user], policy)?;
    daemon.enrol(token)?;
    // Dropped last: until nothing runs any more, nothing is let go.
    let pins = Pins;
    let mut gating = daemon.run(&logs.file("holdpointd.log"), None)?;
    let told = daemon.wait_until_up(&mut gating).and_then(|()| {
        let words = stage_words(
            layout,
            &user,
            &shared.path().join("work"),
            &holdpoint,
            &socket,
        );
        let (stage, link) = Stage::start(&words, &logs.file(STAGE_LOG))?;
        let told = story(link);
        stage.end()?;
        told
    });
    drop(gating);
    pins.remove()?;
    told
}

/// Who called `sudo`, or else nobody.
fn unprivileged_user() -> Result<String> {
    let name = std::env::var("SUDO_USER")
        .ok()
        .filter(|name| name != "root")
        .unwrap_or_else(|| "nobody".to_owned());
    match User::from_name(&name) {
        Ok(Some(user)) if !user.uid.is_root() => Ok(name),
        _ => bail!("there is no unprivileged user {name} to run the agent: call it through sudo"),
    }
}

/// The gate in the kernel, which outlives its daemon.
struct Pins;

impl Pins {
    fn remove(self) -> Result<()> {
        std::mem::forget(self);
        remove_pins().with_context(|| {
            format!("cannot remove the gate: run `rm -r {PINS}`, or it stays until the next boot")
        })
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if let Err(error) = remove_pins() {
            let _ = writeln!(io::stderr(), "error: cannot remove {PINS}: {error}");
        }
    }
}

fn remove_pins() -> io::Result<()> {
    match fs::remove_dir_all(PINS) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The stage as a process of this machine.
struct Stage(Child);

impl Stage {
    fn start(words: &[std::ffi::OsString], errors: &Path) -> Result<(Self, Link)> {
        let mut child = mortal(&words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(
                File::create(errors)
                    .with_context(|| format!("cannot write {}", errors.display()))?,
            )
            .process_group(0)
            .spawn()
            .context("cannot run this program's other side")?;
        let orders = child.stdin.take().context("the child has no stdin")?;
        let mut output = child.stdout.take().context("the child has no stdout")?;
        let (link, mut reports) = Link::new(orders);
        thread::spawn(move || io::copy(&mut output, &mut reports));
        Ok((Self(child), link))
    }

    /// Waits for it: the link is gone, and with it its reason to stay.
    fn end(mut self) -> Result<()> {
        let deadline = Instant::now() + GRACE;
        while self.0.try_wait()?.is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
