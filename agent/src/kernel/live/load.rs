//! Loading, attaching and pinning the programs.
//!
//! Must never leave a moment without an attached gate once there was one: a new
//! link is attached and pinned beside the old one, then renamed over it.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Mutex,
};

use aya::{
    Btf, BtfError, Ebpf, EbpfLoader,
    maps::{Map, MapData, RingBuf},
    programs::{
        FExit, Lsm, ProgramError,
        links::{FdLink, PinnedLink},
    },
};
use holdpoint_agent_common::{ABI, PINNED_MAPS};
use tokio::io::{Interest, unix::AsyncFd};
use tracing::{debug, info};

use super::{maps::Maps, offsets};
use crate::{
    check::{
        Outcome,
        host::{self, BPFFS},
    },
    kernel::GateError,
    process,
};

/// The eBPF object, empty in a build without one.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("HOLDPOINT_GATE_EMBEDDED"));

/// Everything of the gate is pinned here, in a folder for each [`ABI`].
pub(super) const PINS: &str = "/sys/fs/bpf/holdpoint";

/// The end of a call first, then inheritance, then the gates: when a gate begins
/// to hold, everything it relies on is there.
const ENDS: [(&str, &str, Required); 13] = [
    ("end_execve", "__x64_sys_execve", Required::Yes),
    ("end_execveat", "__x64_sys_execveat", Required::Yes),
    ("end_connect", "__x64_sys_connect", Required::Yes),
    ("end_sendto", "__x64_sys_sendto", Required::Yes),
    ("end_sendmsg", "__x64_sys_sendmsg", Required::Yes),
    ("end_sendmmsg", "__x64_sys_sendmmsg", Required::Yes),
    (
        "end_compat_execve",
        "__ia32_compat_sys_execve",
        Required::IfThere,
    ),
    (
        "end_compat_execveat",
        "__ia32_compat_sys_execveat",
        Required::IfThere,
    ),
    (
        "end_compat_connect",
        "__ia32_sys_connect",
        Required::IfThere,
    ),
    ("end_compat_sendto", "__ia32_sys_sendto", Required::IfThere),
    (
        "end_compat_sendmsg",
        "__ia32_compat_sys_sendmsg",
        Required::IfThere,
    ),
    (
        "end_compat_sendmmsg",
        "__ia32_compat_sys_sendmmsg",
        Required::IfThere,
    ),
    (
        "end_compat_socketcall",
        "__ia32_compat_sys_socketcall",
        Required::IfThere,
    ),
];
const HOOKS: [(&str, &str, Required); 44] = [
    ("inherit_label", "task_alloc", Required::Yes),
    ("compare_arguments", "bprm_committed_creds", Required::Yes),
    ("tag_socket", "socket_post_create", Required::Yes),
    ("gate_exec", "bprm_check_security", Required::Yes),
    ("gate_connect", "socket_connect", Required::Yes),
    ("gate_controls", "socket_sendmsg", Required::Yes),
    ("gate_send", "socket_sendmsg", Required::Yes),
    ("gate_local_connect", "unix_stream_connect", Required::Yes),
    ("gate_local_send", "unix_may_send", Required::Yes),
    ("gate_socket", "socket_create", Required::Yes),
    ("gate_listen", "socket_listen", Required::Yes),
    ("gate_option", "socket_setsockopt", Required::Yes),
    ("gate_received", "file_receive", Required::Yes),
    ("gate_netlink", "netlink_send", Required::Yes),
    ("gate_signal", "task_kill", Required::Yes),
    ("gate_trace", "ptrace_access_check", Required::Yes),
    ("gate_bpf", "bpf", Required::Yes),
    ("gate_perf", "perf_event_open", Required::Yes),
    ("gate_kernel_file", "kernel_read_file", Required::Yes),
    ("gate_kernel_data", "kernel_load_data", Required::Yes),
    ("gate_lockdown", "locked_down", Required::Yes),
    ("gate_mount", "sb_mount", Required::Yes),
    ("gate_move_mount", "move_mount", Required::Yes),
    ("gate_umount", "sb_umount", Required::Yes),
    ("gate_pivot", "sb_pivotroot", Required::Yes),
    ("gate_fs_parameter", "fs_context_parse_param", Required::Yes),
    ("gate_anonymous", "inode_init_security_anon", Required::Yes),
    ("gate_ring", "uring_allowed", Required::IfThere),
    ("gate_open", "file_open", Required::Yes),
    ("gate_unlink", "inode_unlink", Required::Yes),
    ("gate_rmdir", "inode_rmdir", Required::Yes),
    ("gate_rename", "inode_rename", Required::Yes),
    ("gate_link", "inode_link", Required::Yes),
    ("gate_create", "inode_create", Required::Yes),
    ("gate_symlink", "inode_symlink", Required::Yes),
    ("gate_mkdir", "inode_mkdir", Required::Yes),
    ("gate_mknod", "inode_mknod", Required::Yes),
    ("gate_truncate", "path_truncate", Required::Yes),
    ("gate_chmod", "path_chmod", Required::Yes),
    ("gate_chown", "path_chown", Required::Yes),
    ("gate_key", "key_alloc", Required::Yes),
    ("gate_prctl", "task_prctl", Required::Yes),
    ("gate_ioctl", "file_ioctl", Required::Yes),
    ("gate_compat_ioctl", "file_ioctl_compat", Required::IfThere),
];

/// Whether a kernel may lack the function.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Required {
    Yes,
    /// 32-bit entry points: a kernel built without them has no such calls. Hooks
    /// of newer kernels: what they are for is refused by others too.
    IfThere,
}

/// What [`load`] gives.
pub(super) struct Loaded {
    pub(super) maps: Maps,
    pub(super) events: RingBuf<MapData>,
    pub(super) observations: RingBuf<MapData>,
    pub(super) boot_secret: [u64; 2],
    pub(super) links: Vec<PinnedLink>,
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> GateError {
    GateError::Load(Box::new(error))
}

fn system(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> GateError {
    let action = action.into();
    move |source| GateError::System { action, source }
}

/// Checks what can be checked beforehand, so that the error names the mend.
fn check_host() -> Result<(), GateError> {
    if OBJECT.is_empty() {
        return Err(GateError::Unsupported(
            "this holdpointd was built without its eBPF object; build it with `cargo xtask build`"
                .into(),
        ));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(GateError::Unsupported(
            "the gate can only be loaded by root; start holdpointd as a system service".into(),
        ));
    }
    let name = nix::sys::utsname::uname()
        .map_err(|error| system("ask for the kernel's version")(error.into()))?;
    let command_line = fs::read_to_string("/proc/cmdline").map_err(system("read /proc/cmdline"))?;
    for finding in [
        host::kernel(
            &name.release().to_string_lossy(),
            &name.version().to_string_lossy(),
            &command_line,
        ),
        host::active_lsms(),
        host::bpffs(host::magic_of(Path::new(BPFFS))),
    ] {
        if finding.outcome == Outcome::Lacking {
            let mend = finding.mend.unwrap_or_default().replace('\n', "; ");
            return Err(GateError::Unsupported(format!("{}; {mend}", finding.found)));
        }
    }
    Ok(())
}

/// Loads everything onto the pinned maps and takes over from an earlier daemon.
pub(super) fn load() -> Result<Loaded, GateError> {
    check_host()?;
    let root = Path::new(PINS).join(format!("v{ABI}"));
    let (map_directory, link_directory) = (root.join("maps"), root.join("links"));
    for directory in [&map_directory, &link_directory] {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(system(format!("make {}", directory.display())))?;
    }
    let offsets = offsets::read()?;
    let btf = Btf::from_sys_fs().map_err(failed)?;
    let mut loader = EbpfLoader::new();
    loader
        .btf(Some(&btf))
        .allow_unsupported_maps()
        .override_global("OFFSETS", &offsets, true);
    for name in PINNED_MAPS {
        loader.map_pin_path(name, map_directory.join(name));
    }
    let mut ebpf = loader.load(OBJECT).map_err(|error| {
        GateError::Unsupported(format!(
            "cannot load the gate's maps and programs: {}",
            chain(&error)
        ))
    })?;
    match aya_log::EbpfLogger::init(&mut ebpf) {
        Ok(logger) => spawn_logger(logger),
        Err(error) => debug!(%error, "the gate's own log is not available"),
    }
    let (maps, events, observations) = take_maps(&mut ebpf)?;
    let boot_secret = initialise(&maps)?;
    let mut links = Vec::new();
    for (program, function, required) in ENDS {
        let link = match attach_end(&mut ebpf, program, function, &btf) {
            Err(ProgramError::Btf(BtfError::UnknownBtfTypeName { .. }))
                if required == Required::IfThere =>
            {
                debug!(function, "this kernel has no such entry point");
                continue;
            }
            result => result.map_err(|error| refused(program, &error))?,
        };
        links.push(replace(link, &link_directory, program)?);
    }
    for (program, hook, required) in HOOKS {
        let link = match attach_hook(&mut ebpf, program, hook, &btf) {
            Err(ProgramError::Btf(BtfError::UnknownBtfTypeName { .. }))
                if required == Required::IfThere =>
            {
                debug!(hook, "this kernel has no such hook");
                continue;
            }
            result => result.map_err(|error| refused(program, &error))?,
        };
        links.push(replace(link, &link_directory, program)?);
    }
    info!(pins = %root.display(), "gate attached");
    Ok(Loaded {
        maps,
        events,
        observations,
        boot_secret,
        links,
    })
}

/// The error with all its causes: the kernel's reason is the innermost.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn refused(program: &str, error: &ProgramError) -> GateError {
    GateError::Unsupported(format!(
        "the kernel refuses the program {program}: {}",
        chain(error)
    ))
}

fn missing(program: &str) -> ProgramError {
    ProgramError::IOError(std::io::Error::other(format!(
        "the eBPF object has no program {program}"
    )))
}

fn attach_end(
    ebpf: &mut Ebpf,
    program: &str,
    function: &str,
    btf: &Btf,
) -> Result<FdLink, ProgramError> {
    let loaded: &mut FExit = ebpf
        .program_mut(program)
        .ok_or_else(|| missing(program))?
        .try_into()?;
    loaded.load(function, btf)?;
    let id = loaded.attach()?;
    Ok(loaded.take_link(id)?.into())
}

fn attach_hook(
    ebpf: &mut Ebpf,
    program: &str,
    hook: &str,
    btf: &Btf,
) -> Result<FdLink, ProgramError> {
    let loaded: &mut Lsm = ebpf
        .program_mut(program)
        .ok_or_else(|| missing(program))?
        .try_into()?;
    loaded.load(hook, btf)?;
    let id = loaded.attach()?;
    Ok(loaded.take_link(id)?.into())
}

/// Pins `link` under `name`, in the place of an earlier daemon's. What comes back
/// keeps it attached even if somebody removes the pin.
fn replace(link: FdLink, directory: &Path, name: &str) -> Result<PinnedLink, GateError> {
    let fresh: PathBuf = directory.join(format!("new_{name}"));
    let path = directory.join(name);
    // bpffs takes no dots in names. Left behind by a daemon killed right here.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(system(format!("remove {}", fresh.display()))(error));
        }
        _ => {}
    }
    let pinned = link.pin(&fresh).map_err(failed)?;
    fs::rename(&fresh, &path).map_err(system(format!("put {} in place", path.display())))?;
    Ok(pinned)
}

/// Moves the maps out of the loaded object.
fn take_maps(ebpf: &mut Ebpf) -> Result<(Maps, RingBuf<MapData>, RingBuf<MapData>), GateError> {
    fn unfit(error: impl std::error::Error + Send + Sync + 'static) -> GateError {
        failed(error)
    }
    let mut take = |name: &str| {
        ebpf.take_map(name)
            .ok_or_else(|| GateError::Unsupported(format!("the eBPF object has no map {name}")))
    };
    let labels = match take("LABELS")? {
        // aya does not know task storage; its inode storage speaks the same.
        Map::Unsupported(data) => Map::InodeStorage(data),
        other => other,
    };
    let maps = Maps {
        labels: Mutex::new(labels.try_into().map_err(unfit)?),
        pending: Mutex::new(take("PENDING")?.try_into().map_err(unfit)?),
        tickets: Mutex::new(take("TICKETS")?.try_into().map_err(unfit)?),
        verdicts: Mutex::new(take("VERDICTS")?.try_into().map_err(unfit)?),
        sessions: Mutex::new(take("SESSIONS")?.try_into().map_err(unfit)?),
        control: Mutex::new(take("CONTROL")?.try_into().map_err(unfit)?),
        protected: Mutex::new(take("PROTECTED")?.try_into().map_err(unfit)?),
        startup: Mutex::new(take("STARTUP")?.try_into().map_err(unfit)?),
        lost: take("LOST")?.try_into().map_err(unfit)?,
        untold: take("UNTOLD")?.try_into().map_err(unfit)?,
        telling: Mutex::new(take("TELLING")?.try_into().map_err(unfit)?),
    };
    Ok((
        maps,
        take("EVENTS")?.try_into().map_err(unfit)?,
        take("OBSERVATIONS")?.try_into().map_err(unfit)?,
    ))
}

/// Makes the secret of this boot if there is none yet, and voids the verdicts an
/// earlier daemon remembered: its policy may have been another.
fn initialise(maps: &Maps) -> Result<[u64; 2], GateError> {
    let mut control = maps.control()?;
    if control.key == [0, 0] {
        control.key = [process::random_u64()?, process::random_u64()?];
    }
    control.epoch += 1;
    control.daemon_tgid = std::process::id();
    maps.set_control(control)?;
    Ok(control.key)
}

/// Passes the programs' own log on to ours.
#[expect(unsafe_code, reason = "waiting on a descriptor that aya owns")]
fn spawn_logger(logger: aya_log::EbpfLogger<&'static dyn log::Log>) {
    tokio::spawn(async move {
        // SAFETY: the logger owns its descriptor and closes it when dropped,
        // which AsyncFd delays until it has stopped watching it.
        let registered = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
        let Ok(mut logger) = registered else {
            return;
        };
        while let Ok(mut guard) = logger.readable_mut().await {
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    });
}
