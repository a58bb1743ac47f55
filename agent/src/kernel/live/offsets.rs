//! Field offsets from the running kernel's BTF (invariant I8).

use std::path::Path;

use btf_rs::{Btf, Type};
use holdpoint_agent_common::Offsets;

use crate::kernel::GateError;

/// Where the kernel publishes its types.
pub(super) const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Reads every offset the gate needs.
pub(super) fn read() -> Result<Offsets, GateError> {
    let btf = Btf::from_file(Path::new(KERNEL_BTF)).map_err(|error| {
        GateError::Unsupported(format!(
            "cannot read {KERNEL_BTF}: {error}; the kernel must be built with CONFIG_DEBUG_INFO_BTF"
        ))
    })?;
    of(&Types(&btf))
}

fn of(types: &Types<'_>) -> Result<Offsets, GateError> {
    Ok(Offsets {
        bprm_file: types.offset("linux_binprm", &["file"])?,
        bprm_p: types.offset("linux_binprm", &["p"])?,
        bprm_exec: types.offset("linux_binprm", &["exec"])?,
        bprm_filename: types.offset("linux_binprm", &["filename"])?,
        bprm_interp: types.offset("linux_binprm", &["interp"])?,
        bprm_buf: types.offset("linux_binprm", &["buf"])?,
        bprm_argc: types.offset("linux_binprm", &["argc"])?,
        file_path: types.offset("file", &["f_path"])?,
        file_inode: types.offset("file", &["f_inode"])?,
        inode_number: types.offset("inode", &["i_ino"])?,
        inode_sb: types.offset("inode", &["i_sb"])?,
        inode_generation: types.offset("inode", &["i_generation"])?,
        inode_size: types.offset("inode", &["i_size"])?,
        // A timespec named i_ctime up to 6.5, __i_ctime up to 6.10, two fields since.
        inode_ctime_sec: types.offset(
            "inode",
            &["i_ctime_sec", "__i_ctime.tv_sec", "i_ctime.tv_sec"],
        )?,
        inode_ctime_nsec: types.offset(
            "inode",
            &["i_ctime_nsec", "__i_ctime.tv_nsec", "i_ctime.tv_nsec"],
        )?,
        sb_dev: types.offset("super_block", &["s_dev"])?,
        task_start_boottime: types.offset("task_struct", &["start_boottime"])?,
        task_flags: types.offset("task_struct", &["flags"])?,
        task_tgid: types.offset("task_struct", &["tgid"])?,
        task_real_parent: types.offset("task_struct", &["real_parent"])?,
        task_group_leader: types.offset("task_struct", &["group_leader"])?,
        task_thread_info_status: types.offset("task_struct", &["thread_info.status"])?,
        socket_state: types.offset("socket", &["state"])?,
        socket_sk: types.offset("socket", &["sk"])?,
        sock_family: types.offset("sock", &["__sk_common.skc_family"])?,
        sock_type: types.offset("sock", &["sk_type"])?,
        sock_protocol: types.offset("sock", &["sk_protocol"])?,
        sock_net: types.offset("sock", &["__sk_common.skc_net.net"])?,
        net_inum: types.offset("net", &["ns.inum"])?,
        inode_nlink: types.offset("inode", &["i_nlink"])?,
        sb_magic: types.offset("super_block", &["s_magic"])?,
        file_mode: types.offset("file", &["f_mode"])?,
        path_dentry: types.offset("path", &["dentry"])?,
        dentry_inode: types.offset("dentry", &["d_inode"])?,
        dentry_parent: types.offset("dentry", &["d_parent"])?,
        dentry_name: types.offset("dentry", &["d_name.name", "__d_name.name"])?,
        qstr_name: types.offset("qstr", &["name"])?,
        proc_pid: types.offset("proc_inode", &["pid"])?,
        proc_sysctl: types.offset("proc_inode", &["sysctl"])?,
        proc_inode: types.offset("proc_inode", &["vfs_inode"])?,
        task_cred: types.offset("task_struct", &["cred"])?,
        cred_user_ns: types.offset("cred", &["user_ns"])?,
        userns_level: types.offset("user_namespace", &["level"])?,
        sock_rcv_saddr: types.offset("sock", &["__sk_common.skc_rcv_saddr"])?,
        sock_v6_rcv_saddr: types.offset("sock", &["__sk_common.skc_v6_rcv_saddr"])?,
        msg_name: types.offset("msghdr", &["msg_name"])?,
        msg_namelen: types.offset("msghdr", &["msg_namelen"])?,
        msg_flags: types.offset("msghdr", &["msg_flags"])?,
        msg_control: types.offset("msghdr", &["msg_control"])?,
        msg_controllen: types.offset("msghdr", &["msg_controllen"])?,
        skb_data: types.offset("sk_buff", &["data"])?,
        skb_len: types.offset("sk_buff", &["len"])?,
        inet_saddr: types.offset("inet_sock", &["inet_saddr"])?,
        net_user_ns: types.offset("net", &["user_ns"])?,
        sock_socket: types.offset("sock", &["sk_socket"])?,
        sock_uid: types.offset("sock", &["sk_uid"])?,
        sock_peer_pid: types.offset("sock", &["sk_peer_pid"])?,
        socket_inode: types.offset("socket_alloc", &["vfs_inode"])?,
        unix_addr: types.offset("unix_sock", &["addr"])?,
        unix_path: types.offset("unix_sock", &["path"])?,
        address_len: types.offset("unix_address", &["len"])?,
        address_name: types.offset("unix_address", &["name"])?,
        inode_mode: types.offset("inode", &["i_mode"])?,
        inode_rdev: types.offset("inode", &["i_rdev"])?,
        key_type: types.offset("key", &["type"])?,
        key_type_name: types.offset("key_type", &["name"])?,
        pid_numbers: types.offset("pid", &["numbers"])?,
        regs_orig_ax: types.offset("pt_regs", &["orig_ax"])?,
        regs_cx: types.offset("pt_regs", &["cx"])?,
        regs_dx: types.offset("pt_regs", &["dx"])?,
        regs_si: types.offset("pt_regs", &["si"])?,
        regs_r10: types.offset("pt_regs", &["r10"])?,
    })
}

struct Types<'a>(&'a Btf);

impl Types<'_> {
    /// Offset in bytes of the first of `paths` that `structure` has. A path is
    /// member names joined by dots; anonymous members are looked through.
    fn offset(&self, structure: &str, paths: &[&str]) -> Result<u32, GateError> {
        let found = self
            .0
            .resolve_types_by_name(structure)
            .unwrap_or_default()
            .into_iter()
            .find_map(|candidate| {
                paths
                    .iter()
                    .find_map(|path| self.member(&candidate, &path.split('.').collect::<Vec<_>>()))
            });
        match found {
            Some(bits) if bits % 8 == 0 => Ok(bits / 8),
            _ => Err(GateError::Unsupported(format!(
                "this kernel's struct {structure} has no field {}; this version of holdpointd does not support it",
                paths.join(" or ")
            ))),
        }
    }

    /// Offset in bits of the member at `path` inside `structure`.
    fn member(&self, structure: &Type, path: &[&str]) -> Option<u32> {
        let (first, rest) = path.split_first()?;
        let (Type::Struct(body) | Type::Union(body)) = structure else {
            return None;
        };
        body.members.iter().find_map(|member| {
            let name = self.0.resolve_name(member).unwrap_or_default();
            let inner = if name == *first {
                if rest.is_empty() {
                    return Some(member.bit_offset());
                }
                self.member(&self.resolved(member)?, rest)
            } else if name.is_empty() {
                self.member(&self.resolved(member)?, path)
            } else {
                None
            };
            inner.map(|bits| bits + member.bit_offset())
        })
    }

    /// The type of a member behind typedefs and qualifiers.
    fn resolved(&self, member: &btf_rs::Member) -> Option<Type> {
        let mut found = self.0.resolve_chained_type(member).ok()?;
        loop {
            found = match &found {
                Type::Typedef(inner) => self.0.resolve_chained_type(inner).ok()?,
                Type::Const(inner) | Type::Volatile(inner) => {
                    self.0.resolve_chained_type(inner).ok()?
                }
                Type::TypeTag(inner) => self.0.resolve_chained_type(inner).ok()?,
                _ => return Some(found),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_has_every_field() {
        if !Path::new(KERNEL_BTF).exists() {
            eprintln!("skipping test - this kernel publishes no BTF at {KERNEL_BTF}");
            return;
        }
        let offsets = read().unwrap();
        // The registers are part of the kernel's promise to user space.
        assert_eq!((offsets.regs_orig_ax, offsets.regs_si), (120, 104));
        assert_ne!(offsets.inode_ctime_sec, offsets.inode_ctime_nsec);
        assert!(offsets.sock_net > 0);
    }

    #[test]
    fn a_missing_field_is_named() {
        if !Path::new(KERNEL_BTF).exists() {
            eprintln!("skipping test - this kernel publishes no BTF at {KERNEL_BTF}");
            return;
        }
        let btf = Btf::from_file(Path::new(KERNEL_BTF)).unwrap();
        let error = Types(&btf).offset("inode", &["no_such_field"]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("struct inode has no field no_such_field")
        );
    }
}
