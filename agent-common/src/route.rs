//! Routes: ways of a tracked task to act that no rule judges one by one. Each is
//! barred unless the profile of its session permits it.

use crate::event::UnknownValue;

/// One route. Its number is its bit in [`crate::Label::permits`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Route {
    /// Sockets that carry whole packets: raw IP, `AF_PACKET`.
    RawSocket = 0,
    /// Sockets of a family or protocol that the gate does not judge.
    SocketKind = 1,
    /// Echo requests through an unprivileged ping socket.
    Ping = 2,
    /// Netlink beyond asking: routes, filters, kernel services.
    Netlink = 3,
    /// `AF_VSOCK`: to the hypervisor and other machines on it.
    Vsock = 4,
    /// Listening on an address that others than this host reach.
    Listen = 5,
    /// A socket that no task of the session made.
    ForeignSocket = 6,
    /// A path that the sender chooses (IP options, IPv6 routing header, also that
    /// of a flow label).
    SourceRoute = 7,
    /// Making an `io_uring`: what it does cannot be stopped and started again.
    IoUring = 8,
    /// Taking over a process outside the session.
    Trace = 9,
    /// Touching `holdpointd`. Cannot be permitted.
    Daemon = 10,
    /// bpf(2), perf and probes.
    Bpf = 11,
    /// Kernel modules, and another kernel (kexec).
    Module = 12,
    /// The kernel's own memory and the hardware behind it.
    KernelMemory = 13,
    /// Mounts of the host.
    Mount = 14,
    /// Settings of the kernel: sysctls, sysfs, `binfmt_misc`, `release_agent`, bpffs.
    KernelSettings = 15,
    /// Executing a file without a name: memfd, unlinked.
    UnlinkedExec = 16,
    /// Executing a file whose content another process makes up as it is read.
    FuseExec = 17,
    /// Typing into a terminal for whoever reads it.
    TerminalInput = 18,
    /// Devices beyond the ordinary: disks, tunnels, other buses.
    Device = 19,
    /// Having the kernel start a helper (request-key), which nobody tracks.
    KernelHelper = 20,
    /// Passing for another program (`PR_SET_MM_EXE_FILE`).
    Disguise = 21,
    /// Changing what others run later: schedules, units, what shells read as they
    /// start.
    StartupFile = 22,
    /// Choosing the interface or the own address that packets leave by: the same
    /// destination may be another machine there.
    Interface = 23,
    /// Joining a multicast group, which the kernel tells the network.
    Multicast = 24,
}

impl Route {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 25] = [
        Self::RawSocket,
        Self::SocketKind,
        Self::Ping,
        Self::Netlink,
        Self::Vsock,
        Self::Listen,
        Self::ForeignSocket,
        Self::SourceRoute,
        Self::IoUring,
        Self::Trace,
        Self::Daemon,
        Self::Bpf,
        Self::Module,
        Self::KernelMemory,
        Self::Mount,
        Self::KernelSettings,
        Self::UnlinkedExec,
        Self::FuseExec,
        Self::TerminalInput,
        Self::Device,
        Self::KernelHelper,
        Self::Disguise,
        Self::StartupFile,
        Self::Interface,
        Self::Multicast,
    ];

    /// Its bit in [`crate::Label::permits`].
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// What it is called in configuration, events and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RawSocket => "raw-socket",
            Self::SocketKind => "socket-kind",
            Self::Ping => "ping",
            Self::Netlink => "netlink",
            Self::Vsock => "vsock",
            Self::Listen => "listen",
            Self::ForeignSocket => "foreign-socket",
            Self::SourceRoute => "source-route",
            Self::IoUring => "io-uring",
            Self::Trace => "trace",
            Self::Daemon => "holdpointd",
            Self::Bpf => "bpf",
            Self::Module => "module",
            Self::KernelMemory => "kernel-memory",
            Self::Mount => "mount",
            Self::KernelSettings => "kernel-settings",
            Self::UnlinkedExec => "unlinked-exec",
            Self::FuseExec => "fuse-exec",
            Self::TerminalInput => "terminal-input",
            Self::Device => "device",
            Self::KernelHelper => "kernel-helper",
            Self::Disguise => "disguise",
            Self::StartupFile => "startup-file",
            Self::Interface => "interface",
            Self::Multicast => "multicast",
        }
    }

    /// Whether a profile may permit it.
    pub const fn may_be_permitted(self) -> bool {
        !matches!(self, Self::Daemon)
    }
}

impl TryFrom<u32> for Route {
    type Error = UnknownValue;

    fn try_from(value: u32) -> Result<Self, UnknownValue> {
        Self::ALL.get(value as usize).copied().ok_or(UnknownValue {
            what: "route",
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_order_agree() {
        for (index, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, index);
            assert_eq!(Route::try_from(route as u32), Ok(route));
        }
        assert!(Route::try_from(Route::ALL.len() as u32).is_err());
    }

    #[test]
    fn names_are_unique() {
        for (index, route) in Route::ALL.into_iter().enumerate() {
            assert!(
                Route::ALL[..index]
                    .iter()
                    .all(|one| one.name() != route.name())
            );
        }
    }
}
