//! Where the running kernel keeps the fields the gate reads, in bytes from the
//! start of each structure. Filled from the kernel's own BTF at start-up; zeros
//! in the object file, so a program that was loaded without them reads nonsense
//! and the canary fails.

use crate::plain;

/// One entry a field; names as in the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    missing_docs,
    reason = "each is the offset of the kernel field of that name"
)]
pub struct Offsets {
    pub bprm_file: u32,
    pub bprm_p: u32,
    pub bprm_exec: u32,
    pub bprm_filename: u32,
    pub bprm_interp: u32,
    pub bprm_buf: u32,
    pub bprm_argc: u32,
    pub file_path: u32,
    pub file_inode: u32,
    pub inode_number: u32,
    pub inode_sb: u32,
    pub inode_generation: u32,
    pub inode_size: u32,
    pub inode_ctime_sec: u32,
    pub inode_ctime_nsec: u32,
    pub sb_dev: u32,
    pub task_start_boottime: u32,
    pub task_flags: u32,
    pub task_tgid: u32,
    pub task_real_parent: u32,
    pub task_group_leader: u32,
    pub task_thread_info_status: u32,
    pub socket_sk: u32,
    pub socket_state: u32,
    pub sock_family: u32,
    pub sock_type: u32,
    pub sock_protocol: u32,
    pub sock_net: u32,
    pub net_inum: u32,
    pub inode_nlink: u32,
    pub sb_magic: u32,
    pub file_mode: u32,
    pub path_dentry: u32,
    pub dentry_inode: u32,
    pub dentry_parent: u32,
    pub dentry_name: u32,
    pub qstr_name: u32,
    pub proc_pid: u32,
    pub proc_sysctl: u32,
    pub proc_inode: u32,
    pub task_cred: u32,
    pub cred_user_ns: u32,
    pub userns_level: u32,
    pub sock_rcv_saddr: u32,
    pub sock_v6_rcv_saddr: u32,
    pub msg_name: u32,
    pub msg_namelen: u32,
    pub msg_flags: u32,
    pub msg_control: u32,
    pub msg_controllen: u32,
    pub skb_data: u32,
    pub skb_len: u32,
    pub inet_saddr: u32,
    pub net_user_ns: u32,
    pub sock_socket: u32,
    pub sock_uid: u32,
    pub sock_peer_pid: u32,
    pub socket_inode: u32,
    pub unix_addr: u32,
    pub unix_path: u32,
    pub address_len: u32,
    pub address_name: u32,
    pub inode_mode: u32,
    pub inode_rdev: u32,
    pub key_type: u32,
    pub key_type_name: u32,
    pub pid_numbers: u32,
    pub regs_orig_ax: u32,
    pub regs_cx: u32,
    pub regs_dx: u32,
    pub regs_si: u32,
    pub regs_r10: u32,
}

const _: () = assert!(size_of::<Offsets>() == 72 * 4);

plain!(Offsets);
