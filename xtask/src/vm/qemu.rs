//! QEMU's command line. Guests get only the devices named here, and QEMU ends
//! when this program does, however that happens.

use std::{
    env,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};

use super::{accel::Accelerator, initramfs::ROOT_TAG};
use crate::setup;

/// A panic ends the guest at once, and a kernel that went wrong must not look
/// like one that passed a test. The others save boot time: guests run on an
/// emulated clock that needs no calibration, and attack nobody through caches.
const KERNEL_OPTIONS: &str = "console=ttyS0 quiet panic=-1 oops=panic \
                              tsc=reliable no_timer_check mitigations=off";

/// QEMU with a bare machine.
pub(crate) fn base(accelerator: Accelerator, cpus: u8, memory_mb: u32) -> Command {
    // Without this a guest would outlive an xtask that is killed.
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
        .args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none", "-machine", "pc"])
        .args(match accelerator {
            Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accelerator::Emulation => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        })
        .args(["-smp", &cpus.to_string(), "-m", &memory_mb.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    qemu
}

pub(crate) fn kernel(vmlinux: &Path, initrd: &Path) -> Vec<String> {
    vec![
        "-kernel".to_owned(),
        vmlinux.display().to_string(),
        "-initrd".to_owned(),
        initrd.display().to_string(),
        "-append".to_owned(),
        KERNEL_OPTIONS.to_owned(),
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

/// A private folder with a short path, as sockets need it; gone when this value
/// is.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn create() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        remove_abandoned(&env::temp_dir());
        let name = format!(
            "{SCRATCH}{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let mut path = env::temp_dir().join(&name);
        if path.as_os_str().len() > 80 {
            path = Path::new("/tmp").join(&name);
        }
        if path.exists() {
            // Left by a process of the same number.
            fs::remove_dir_all(&path)?;
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing to do about it: the system clears its temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SCRATCH: &str = "holdpoint-vm-";

/// Removes what processes left behind that were killed. Someone else's cannot
/// be removed, which is fine.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let owner = name
            .strip_prefix(SCRATCH)
            .and_then(|rest| rest.split('-').next())
            .and_then(|pid| pid.parse::<u32>().ok());
        if let Some(owner) = owner
            && !Path::new(&format!("/proc/{owner}")).exists()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_paths_do_not_end_the_option() {
        let options = console(Path::new("/a,b/console"));
        assert_eq!(options[1], "file,id=console,path=/a,,b/console");
    }

    #[test]
    fn a_scratch_folder_is_private_and_goes_away() {
        use std::os::unix::fs::PermissionsExt as _;
        let (first, second) = (Scratch::create().unwrap(), Scratch::create().unwrap());
        assert_ne!(first.path(), second.path());
        let path = first.path().to_path_buf();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        // No process has this number: the kernel's limit is far below.
        let left = env::temp_dir().join(format!("{SCRATCH}4000000000-0"));
        fs::create_dir_all(&left).unwrap();
        let current = Scratch::create().unwrap();
        assert!(!left.exists());
        assert!(current.path().exists());
    }
}
