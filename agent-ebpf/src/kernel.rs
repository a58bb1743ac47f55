//! Reads of kernel structures at the offsets of the running kernel.
//!
//! Nothing here judges; a field that cannot be read is an error the caller turns
//! into a refusal.

use aya_ebpf::{
    bindings::task_struct,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_kernel, generated::bpf_ktime_get_boot_ns},
};
use holdpoint_agent_common::{FileId, Offsets, TaskKey};

/// Set by the daemon before the programs are loaded.
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets {
    bprm_file: 0,
    bprm_p: 0,
    bprm_exec: 0,
    bprm_filename: 0,
    bprm_interp: 0,
    bprm_buf: 0,
    bprm_argc: 0,
    file_path: 0,
    file_inode: 0,
    inode_number: 0,
    inode_sb: 0,
    inode_generation: 0,
    inode_size: 0,
    inode_ctime_sec: 0,
    inode_ctime_nsec: 0,
    sb_dev: 0,
    task_start_boottime: 0,
    task_flags: 0,
    task_tgid: 0,
    task_real_parent: 0,
    task_group_leader: 0,
    task_thread_info_status: 0,
    socket_sk: 0,
    socket_state: 0,
    sock_family: 0,
    sock_type: 0,
    sock_protocol: 0,
    sock_net: 0,
    net_inum: 0,
    inode_nlink: 0,
    sb_magic: 0,
    file_mode: 0,
    path_dentry: 0,
    dentry_inode: 0,
    dentry_parent: 0,
    dentry_name: 0,
    qstr_name: 0,
    proc_pid: 0,
    proc_sysctl: 0,
    proc_inode: 0,
    task_cred: 0,
    cred_user_ns: 0,
    userns_level: 0,
    sock_rcv_saddr: 0,
    sock_v6_rcv_saddr: 0,
    msg_name: 0,
    msg_namelen: 0,
    msg_flags: 0,
    msg_control: 0,
    msg_controllen: 0,
    skb_data: 0,
    skb_len: 0,
    inet_saddr: 0,
    net_user_ns: 0,
    sock_socket: 0,
    sock_uid: 0,
    sock_peer_pid: 0,
    socket_inode: 0,
    unix_addr: 0,
    unix_path: 0,
    address_len: 0,
    address_name: 0,
    inode_mode: 0,
    inode_rdev: 0,
    key_type: 0,
    key_type_name: 0,
    pid_numbers: 0,
    regs_orig_ax: 0,
    regs_cx: 0,
    regs_dx: 0,
    regs_si: 0,
    regs_r10: 0,
};

/// The offset of one field, as the daemon set it.
macro_rules! offset {
    ($field:ident) => {
        $crate::kernel::loaded(&raw const $crate::kernel::offsets().$field)
    };
}
pub(crate) use offset;

/// For [`offset`].
#[inline(always)]
pub(crate) const fn offsets() -> &'static Offsets {
    &OFFSETS
}

/// For [`offset`]. Volatile, because the compiler would otherwise fold the zeros
/// it sees into the code.
#[inline(always)]
pub(crate) fn loaded(field: *const u32) -> usize {
    // SAFETY: only called with fields of the static above.
    unsafe { core::ptr::read_volatile(field) as usize }
}

/// Reads a `T` at `base + offset`.
#[inline(always)]
pub(crate) fn read<T>(base: *const u8, offset: usize) -> Result<T, i32> {
    // SAFETY: the helper checks the address and fails on a bad one.
    unsafe { bpf_probe_read_kernel(base.wrapping_add(offset).cast::<T>()) }
}

/// Nanoseconds since boot, suspend included.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: takes no arguments and cannot fail.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Names the calling thread.
#[inline(always)]
pub(crate) fn task_key(task: *mut task_struct) -> Result<TaskKey, i32> {
    let pid_tgid = bpf_get_current_pid_tgid();
    Ok(TaskKey {
        tid: pid_tgid as u32,
        tgid: (pid_tgid >> 32) as u32,
        start_ns: read(task.cast(), offset!(task_start_boottime))?,
    })
}

/// Identity of the file behind a `struct file`.
#[inline(always)]
pub(crate) fn file_id(file: *const u8) -> Result<FileId, i32> {
    // The change time carries a flag in its nanoseconds since 6.13: whether
    // anybody asked for it (I_CTIME_QUERIED).
    const CTIME_QUERIED: u32 = 1 << 31;

    let inode: *const u8 = read(file, offset!(file_inode))?;
    let sb: *const u8 = read(inode, offset!(inode_sb))?;
    Ok(FileId {
        inode: read(inode, offset!(inode_number))?,
        size: read(inode, offset!(inode_size))?,
        ctime_sec: read(inode, offset!(inode_ctime_sec))?,
        ctime_nsec: read::<u32>(inode, offset!(inode_ctime_nsec))? & !CTIME_QUERIED,
        generation: read(inode, offset!(inode_generation))?,
        device: read(sb, offset!(sb_dev))?,
        padding: 0,
    })
}
