//! QEMU's command line. Guests get only the devices named here, and QEMU ends
//! when this program does, however that happens.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::{accel::Accelerator, initramfs::ROOT_TAG};
use crate::{process::mortal, setup};

/// A panic ends the guest at once, and a kernel that went wrong must not look
/// like one that passed a test. The others save boot time: guests run on an
/// emulated clock that needs no calibration, and attack nobody through caches.
const KERNEL_OPTIONS: &str = "console=ttyS0 quiet panic=-1 oops=panic \
                              tsc=reliable no_timer_check mitigations=off";

/// QEMU with a bare machine.
pub(crate) fn base(accelerator: Accelerator, cpus: u8, memory_mb: u32) -> Command {
    let mut qemu = mortal("qemu-system-x86_64");
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none", "-machine", "pc"])
        .args(match accelerator {
            Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accelerator::Emulation => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        })
        .args(["-smp", &cpus.to_string(), "-m", &memory_mb.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // What a terminal sends is for this program, which ends its guests.
        .process_group(0);
    qemu
}

pub(crate) fn kernel(vmlinux: &Path, initrd: &Path, options: &str) -> Vec<String> {
    vec![
        "-kernel".to_owned(),
        vmlinux.display().to_string(),
        "-initrd".to_owned(),
        initrd.display().to_string(),
        "-append".to_owned(),
        format!("{KERNEL_OPTIONS} {options}"),
    ]
}

/// The kernel's console goes to a file.
pub(crate) fn console(file: &Path) -> Vec<String> {
    vec![
        "-chardev".to_owned(),
        format!("file,id=console,path={}", value(file)),
        "-serial".to_owned(),
        "chardev:console".to_owned(),
    ]
}

/// This machine's files, read-only.
pub(crate) fn host_files() -> Vec<String> {
    vec![
        "-fsdev".to_owned(),
        "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap".to_owned(),
        "-device".to_owned(),
        format!("virtio-9p-pci,fsdev=root,mount_tag={ROOT_TAG}"),
    ]
}

/// A disk of its own, whose changes stay: the file is thrown away in the end, so
/// nothing has to reach this machine's disk.
pub(crate) fn disk(file: &Path) -> Vec<String> {
    vec![
        "-drive".to_owned(),
        format!("file={},format=raw,if=virtio,cache=unsafe", value(file)),
    ]
}

/// A folder of this machine, read-only.
pub(crate) fn share(folder: &Path, tag: &str) -> Vec<String> {
    vec![
        "-fsdev".to_owned(),
        format!(
            "local,id=share,path={},security_model=none,readonly=on",
            value(folder)
        ),
        "-device".to_owned(),
        format!("virtio-9p-pci,fsdev=share,mount_tag={tag}"),
    ]
}

/// A network behind this machine, which is 10.0.2.2 in it.
pub(crate) fn network() -> Vec<String> {
    vec![
        "-netdev".to_owned(),
        "user,id=net".to_owned(),
        "-device".to_owned(),
        "virtio-net-pci,netdev=net,romfile=".to_owned(),
    ]
}

/// One port for each name, connected to the socket of that name in the folder.
pub(crate) fn ports(names: &[&str], folder: &Path) -> Vec<String> {
    let mut options = vec!["-device".to_owned(), "virtio-serial-pci".to_owned()];
    for name in names {
        options.extend([
            "-chardev".to_owned(),
            format!("socket,id={name},path={}", value(&folder.join(name))),
            "-device".to_owned(),
            format!("virtserialport,chardev={name},name={name}"),
        ]);
    }
    options
}

/// A comma would begin the next option.
fn value(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// The busybox that guests start with.
pub(crate) fn busybox() -> Result<PathBuf> {
    setup::busybox().context("no statically linked busybox: run `cargo xtask setup`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_paths_do_not_end_the_option() {
        let options = console(Path::new("/a,b/console"));
        assert_eq!(options[1], "file,id=console,path=/a,,b/console");
    }
}
