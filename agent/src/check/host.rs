//! What the machine must be able to do, judged from what it says of itself.
//!
//! The judgements are pure; [`look`] alone reads files. What makes the gate
//! impossible is refused at start in the same words.

use std::{ffi::OsStr, fs, path::Path};

use nix::sys::utsname::{UtsName, uname};

use super::Finding;

const LSM_LIST: &str = "/sys/kernel/security/lsm";
pub(crate) const BPFFS: &str = "/sys/fs/bpf";
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// `BPF_FS_MAGIC`.
const BPFFS_MAGIC: u32 = 0xcafe_4a11;

/// The oldest kernel the gate was proved on.
const OLDEST: (u32, u32) = (6, 1);

/// What a kernel must be built with, and why.
const OPTIONS: &[(&str, &str)] = &[
    ("CONFIG_BPF_SYSCALL", "programs can be loaded at all"),
    ("CONFIG_BPF_JIT", "programs can be attached to functions"),
    ("CONFIG_BPF_LSM", "programs can refuse an operation"),
    (
        "CONFIG_DEBUG_INFO_BTF",
        "programs know the kernel's structures",
    ),
    (
        "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
        "the end of a system call can be seen",
    ),
    ("CONFIG_SECURITYFS", "the active security modules are told"),
];

/// How this machine's boot loader is told what to give the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BootLoader {
    /// GRUB with a folder for additions: Debian, Ubuntu.
    GrubFolder,
    /// GRUB with `grubby`: Fedora, RHEL.
    Grubby,
    /// GRUB with one file.
    Grub,
    /// systemd-boot and unified kernel images.
    KernelInstall,
    /// Something else, for example a cloud's or a virtual machine's own.
    Other,
}

impl BootLoader {
    fn of_this_host() -> Self {
        let there = |path: &str| Path::new(path).exists();
        if there("/etc/default/grub.d") && there("/usr/sbin/update-grub") {
            Self::GrubFolder
        } else if there("/usr/sbin/grubby") || there("/sbin/grubby") {
            Self::Grubby
        } else if there("/etc/default/grub") {
            Self::Grub
        } else if there("/etc/kernel/cmdline") {
            Self::KernelInstall
        } else {
            Self::Other
        }
    }

    /// How to add `argument` to the kernel's command line, to be typed as it is.
    fn add(self, argument: &str) -> String {
        let how = match self {
            Self::GrubFolder => format!(
                "echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {argument}\"' > \
                 /etc/default/grub.d/holdpoint.cfg && update-grub"
            ),
            Self::Grubby => format!("grubby --update-kernel=ALL --args=\"{argument}\""),
            Self::Grub => format!(
                "add {argument} to GRUB_CMDLINE_LINUX in /etc/default/grub, then: \
                 grub-mkconfig -o /boot/grub/grub.cfg"
            ),
            Self::KernelInstall => format!(
                "add {argument} to the line in /etc/kernel/cmdline, then: kernel-install add-all"
            ),
            Self::Other => format!("add {argument} to the kernel's command line"),
        };
        format!("{how}\nthen reboot")
    }
}

/// Whether `bpf` is among the active security modules: without it programs load
/// and attach, and never run. `modules` is what the kernel says they are.
fn lsm(modules: Option<&str>, loader: BootLoader) -> Finding {
    const NAME: &str = "security modules";
    let Some(modules) = modules.map(str::trim) else {
        return Finding::lacking(
            NAME,
            format!("{LSM_LIST} cannot be read"),
            "mount -t securityfs securityfs /sys/kernel/security",
        );
    };
    if modules.split(',').any(|name| name == "bpf") {
        return Finding::good(NAME, modules);
    }
    Finding::lacking(
        NAME,
        format!("`bpf` is not among the active security modules ({modules})"),
        loader.add(&format!("lsm={modules},bpf")),
    )
}

/// [`lsm`] of this machine.
pub(crate) fn active_lsms() -> Finding {
    lsm(
        fs::read_to_string(LSM_LIST).ok().as_deref(),
        BootLoader::of_this_host(),
    )
}

/// Whether the kernel is new enough. Up to 6.1 a task-storage lookup that is
/// preempted on its CPU makes another task's lookup there fail, which reads as
/// *untracked*; it cannot happen while the kernel does not preempt itself.
pub(crate) fn kernel(release: &str, version: &str, command_line: &str) -> Finding {
    const NAME: &str = "kernel";
    let series = series(release);
    if series < OLDEST {
        return Finding::lacking(
            NAME,
            format!("{release} is older than {}.{}", OLDEST.0, OLDEST.1),
            "install a newer kernel and reboot",
        );
    }
    let words: Vec<&str> = version.split_whitespace().collect();
    let always = words.contains(&"PREEMPT") || words.contains(&"PREEMPT_RT");
    let asked = command_line
        .split_whitespace()
        .any(|word| word == "preempt=full");
    if series < (6, 2) && (always || asked) {
        return Finding::lacking(
            NAME,
            format!("{release} preempts itself and can lose sight of tracked tasks while it does"),
            if always {
                "use a kernel from 6.2, or one that is not built to preempt itself, and reboot"
            } else {
                "remove preempt=full from the kernel's command line, or use a kernel from 6.2, and reboot"
            },
        );
    }
    Finding::good(NAME, release)
}

/// The series of the kernel that runs, 0.0 if it does not say.
pub(super) fn running() -> (u32, u32) {
    uname().map_or((0, 0), |names| series(&names.release().to_string_lossy()))
}

fn series(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(['.', '-', '+'])
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Whether the machine's processor is one the gate knows the system calls of.
fn architecture(machine: &str) -> Finding {
    const NAME: &str = "architecture";
    if machine == "x86_64" {
        Finding::good(NAME, machine)
    } else {
        Finding::lacking(
            NAME,
            format!("{machine} is not supported"),
            "use a machine with x86_64",
        )
    }
}

fn root(uid: u32) -> Finding {
    const NAME: &str = "root";
    if uid == 0 {
        Finding::good(NAME, "yes")
    } else {
        Finding::lacking(
            NAME,
            format!("this is user {uid}, and only root can load the gate"),
            "run it as root, or as the service: systemctl start holdpointd",
        )
    }
}

fn btf(there: bool, release: &str) -> Finding {
    const NAME: &str = "type information";
    if there {
        Finding::good(NAME, BTF)
    } else {
        Finding::lacking(
            NAME,
            format!("kernel {release} says nothing of its structures ({BTF} is not there)"),
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' own kernels are",
        )
    }
}

/// `magic` is the type of the filesystem that is mounted there.
pub(crate) fn bpffs(magic: Option<u32>) -> Finding {
    const NAME: &str = "bpf filesystem";
    if magic == Some(BPFFS_MAGIC) {
        Finding::good(NAME, BPFFS)
    } else {
        Finding::lacking(
            NAME,
            format!("no bpffs on {BPFFS}"),
            format!("mount -t bpf bpf {BPFFS}"),
        )
    }
}

/// `config` is how the kernel was built, none if nobody says.
fn options(config: Option<&str>, path: &str) -> Finding {
    const NAME: &str = "kernel options";
    let Some(config) = config else {
        return Finding::doubtful(
            NAME,
            format!("{path} is not there, so how the kernel was built cannot be told"),
            "nothing has to be done: what is missing shows when the gate is loaded",
        );
    };
    let set = |option: &str| {
        config
            .lines()
            .any(|line| line.strip_prefix(option) == Some("=y"))
    };
    let missing: Vec<String> = OPTIONS
        .iter()
        .filter(|(option, _)| !set(option))
        .map(|(option, why)| format!("{option} (so that {why})"))
        .collect();
    if missing.is_empty() {
        Finding::good(NAME, format!("all {} in {path}", OPTIONS.len()))
    } else {
        Finding::lacking(
            NAME,
            format!("the kernel was built without {}", missing.join(", ")),
            "use a kernel built with them and reboot",
        )
    }
}

/// Memory of maps is charged to a control group since 5.11, and limited there;
/// before, a process limit was in the way. `limit` is the group's, in bytes.
fn memory(limit: Option<&str>) -> Finding {
    const NAME: &str = "memory for maps";
    /// What the maps take when full, with some room.
    const NEEDED: u64 = 256 * 1024 * 1024;
    match limit.map(str::trim).map(str::parse::<u64>) {
        Some(Ok(limit)) if limit < NEEDED => Finding::doubtful(
            NAME,
            format!("its control group may use {limit} bytes"),
            format!("give it {NEEDED} bytes or more (MemoryMax= of the service)"),
        ),
        _ => Finding::good(NAME, "charged to a control group without a tight limit"),
    }
}

/// What is known of the clock being set from elsewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Clock {
    /// A service says it is.
    Synchronised,
    /// A service that would do it runs.
    Served,
    /// Nobody does, as far as can be told.
    Unknown,
}

fn clock(clock: Clock) -> Finding {
    const NAME: &str = "clock";
    match clock {
        Clock::Synchronised => Finding::good(NAME, "synchronised"),
        Clock::Served => Finding::good(NAME, "a time service runs"),
        Clock::Unknown => Finding::doubtful(
            NAME,
            "nothing seems to set it; a wrong clock spoils certificates, grants and records",
            "timedatectl set-ntp true, or install chrony",
        ),
    }
}

fn clock_of_this_host() -> Clock {
    const SERVICES: [&str; 6] = [
        "systemd-timesyn",
        "chronyd",
        "ntpd",
        "ntp-daemon",
        "openntpd",
        "ptp4l",
    ];
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Clock::Synchronised;
    }
    let served = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok())
        .any(|name| SERVICES.contains(&name.trim()));
    if served {
        Clock::Served
    } else {
        Clock::Unknown
    }
}

/// Reads what the machine says and judges it.
pub(super) fn look() -> Vec<Finding> {
    let names = uname().ok();
    let name = |part: fn(&UtsName) -> &OsStr| {
        names
            .as_ref()
            .map(|names| part(names).to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let release = name(UtsName::release);
    let config = format!("/boot/config-{release}");
    vec![
        root(rustix::process::geteuid().as_raw()),
        architecture(&name(UtsName::machine)),
        kernel(
            &release,
            &name(UtsName::version),
            &fs::read_to_string("/proc/cmdline").unwrap_or_default(),
        ),
        options(fs::read_to_string(&config).ok().as_deref(), &config),
        btf(Path::new(BTF).exists(), &release),
        active_lsms(),
        bpffs(magic_of(Path::new(BPFFS))),
        memory(memory_limit().as_deref()),
        clock(clock_of_this_host()),
    ]
}

/// Type of the filesystem at `path`.
pub(crate) fn magic_of(path: &Path) -> Option<u32> {
    let filesystem = rustix::fs::statfs(path).ok()?;
    u32::try_from(filesystem.f_type).ok()
}

/// The tightest word of this process's own control group.
fn memory_limit() -> Option<String> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    fs::read_to_string(format!("/sys/fs/cgroup{own}/memory.max")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    const DEBIAN: &str = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-05-04)";

    #[test]
    fn only_an_old_kernel_that_preempts_itself_loses_labels() {
        let outcome = |release, version, line| kernel(release, version, line).outcome;
        for (release, version, line) in [
            ("6.1.0-50-amd64", DEBIAN, "quiet"),
            ("6.12.107+deb13-amd64", DEBIAN, "preempt=full"),
            ("7.3.4", "#1 SMP PREEMPT_RT", ""),
        ] {
            assert_eq!(outcome(release, version, line), Outcome::Good, "{release}");
        }
        for (release, version, line) in [
            ("6.1.0-50-amd64", DEBIAN, "quiet preempt=full"),
            ("6.1.0-50-rt-amd64", "#1 SMP PREEMPT_RT Debian", ""),
            ("5.15.0", "#1 SMP", ""),
            ("", "", ""),
        ] {
            assert_eq!(
                outcome(release, version, line),
                Outcome::Lacking,
                "{release}"
            );
        }
    }

    #[test]
    fn a_missing_bpf_module_names_the_line_to_type() {
        let modules = "lockdown,capability,landlock,yama,apparmor\n";
        for (loader, line) in [
            (
                BootLoader::GrubFolder,
                "echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX \
                 lsm=lockdown,capability,landlock,yama,apparmor,bpf\"' > \
                 /etc/default/grub.d/holdpoint.cfg && update-grub\nthen reboot",
            ),
            (
                BootLoader::Grubby,
                "grubby --update-kernel=ALL \
                 --args=\"lsm=lockdown,capability,landlock,yama,apparmor,bpf\"\nthen reboot",
            ),
        ] {
            let finding = lsm(Some(modules), loader);
            assert_eq!(finding.outcome, Outcome::Lacking);
            assert_eq!(finding.mend.as_deref(), Some(line));
        }
        for loader in [
            BootLoader::Grub,
            BootLoader::KernelInstall,
            BootLoader::Other,
        ] {
            let mend = lsm(Some(modules), loader).mend.unwrap();
            assert!(mend.contains("yama,apparmor,bpf") && mend.ends_with("then reboot"));
        }
        assert_eq!(
            lsm(Some("yama,bpf\n"), BootLoader::Other).outcome,
            Outcome::Good
        );
        // Not a module of that name.
        assert_eq!(
            lsm(Some("yama,bpfx"), BootLoader::Other).outcome,
            Outcome::Lacking
        );
        assert!(
            lsm(None, BootLoader::Other)
                .mend
                .unwrap()
                .contains("securityfs")
        );
    }

    #[test]
    fn a_kernel_says_what_it_was_built_without() {
        let all: Vec<String> = OPTIONS
            .iter()
            .map(|(option, _)| format!("{option}=y"))
            .collect();
        let all = all.join("\n");
        assert_eq!(options(Some(&all), "/boot/config").outcome, Outcome::Good);
        let without = all.replace("CONFIG_BPF_LSM=y", "# CONFIG_BPF_LSM is not set");
        let finding = options(Some(&without), "/boot/config");
        assert_eq!(finding.outcome, Outcome::Lacking);
        assert!(
            finding.found.contains("CONFIG_BPF_LSM (so that"),
            "{finding:?}"
        );
        assert!(!finding.found.contains("CONFIG_BPF_JIT"), "{finding:?}");
        assert_eq!(options(None, "/boot/config").outcome, Outcome::Doubtful);
    }

    #[test]
    fn everything_else_is_good_or_says_how_to_mend_it() {
        let good = [
            root(0),
            architecture("x86_64"),
            btf(true, "6.12"),
            bpffs(Some(BPFFS_MAGIC)),
            memory(Some("max\n")),
            memory(None),
            memory(Some("1073741824\n")),
            clock(Clock::Synchronised),
            clock(Clock::Served),
        ];
        assert!(
            good.iter()
                .all(|finding| finding.outcome == Outcome::Good && finding.mend.is_none())
        );
        let bad = [
            root(1000),
            architecture("aarch64"),
            btf(false, "6.12"),
            bpffs(None),
            bpffs(Some(1)),
            memory(Some("1048576")),
            clock(Clock::Unknown),
        ];
        assert!(
            bad.iter()
                .all(|finding| finding.outcome != Outcome::Good && finding.mend.is_some())
        );
    }

    #[test]
    fn this_host_can_be_looked_at() {
        assert_eq!(look().len(), 9);
    }
}
