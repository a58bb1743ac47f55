//! KVM if it truly works, else emulation. A KVM that opens may still refuse
//! this processor or hang, so a tiny guest is booted once and the answer kept
//! until the machine boots again.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{Kernel, initramfs, qemu};
use crate::{layout::Layout, process::say, scratch::Scratch, setup::Image};

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accelerator {
    Kvm,
    Emulation,
}

/// A working KVM needs one second.
const PROBE_LIMIT: Duration = Duration::from_secs(6);
const PROBE_INIT: &[u8] = b"#!/busybox sh\necho holdpoint-kvm-works\n/busybox poweroff -f\n";

/// The fastest accelerator this machine really has.
pub(crate) fn choose(layout: &Layout, kernel: Kernel) -> Result<Accelerator> {
    let openable = File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok();
    if !openable {
        return Ok(Accelerator::Emulation);
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let kept = layout.cache.join("kvm");
    if let Ok(answer) = fs::read_to_string(&kept)
        && let Some((at, works)) = answer.split_once(' ')
        && at == boot.trim()
    {
        return Ok(if works == "works" {
            Accelerator::Kvm
        } else {
            Accelerator::Emulation
        });
    }
    let works = probe(layout, kernel)?;
    say(if works {
        "KVM works here"
    } else {
        "KVM does not work here: guests are emulated"
    });
    let answer = format!("{} {}", boot.trim(), if works { "works" } else { "fails" });
    let fresh = layout.cache.join(format!(".kvm-{}", std::process::id()));
    fs::write(&fresh, answer)
        .and_then(|()| fs::rename(&fresh, &kept))
        .with_context(|| format!("cannot write {}", kept.display()))?;
    Ok(if works {
        Accelerator::Kvm
    } else {
        Accelerator::Emulation
    })
}

fn probe(layout: &Layout, kernel: Kernel) -> Result<bool> {
    let scratch = Scratch::create()?;
    let image = Image::cached(layout, kernel).context("the kernel is not in the cache")?;
    let initrd = scratch.path().join("initrd");
    let console = scratch.path().join("console");
    fs::write(
        &initrd,
        initramfs::archive(PROBE_INIT, &qemu::busybox()?, &[])?,
    )?;
    let mut child = qemu::base(Accelerator::Kvm, 1, 256)
        .args(qemu::kernel(&image.vmlinux, &initrd, ""))
        .args(qemu::console(&console))
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run qemu")?;
    let deadline = Instant::now() + PROBE_LIMIT;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(said_so(&console))
}

fn said_so(console: &Path) -> bool {
    fs::read(console)
        .is_ok_and(|text| String::from_utf8_lossy(&text).contains("holdpoint-kvm-works"))
}
