//! What a guest boots with before it sees this machine's files: a busybox, a
//! few modules and a script that mounts everything and hands over to this
//! program's guest side. Nothing of it stays visible afterwards.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};

use super::cpio::Archive;

/// The mount tag of this machine's files.
pub(crate) const ROOT_TAG: &str = "root";

/// Where guests have the folder of programs.
pub(crate) const BIN_DIR: &str = "/run/holdpoint-bin";

/// An `init` that hands over to `entry`. Programs are at [`BIN_DIR`], too: the
/// folder they are built in may be in a home that others cannot enter.
pub(crate) fn init(entry: &[OsString], bin_dir: &Path) -> Vec<u8> {
    let mut script = SCRIPT.replace("ROOT_TAG", ROOT_TAG).into_bytes();
    script.extend_from_slice(b"programs=/new");
    script.extend_from_slice(&shell_word(bin_dir.as_os_str()));
    script.extend_from_slice(format!("\ntarget=/new{BIN_DIR}\n").as_bytes());
    script.extend_from_slice(
        b"must $b mkdir $target\n\
          [ ! -d \"$programs\" ] || must $b mount -o bind \"$programs\" $target\n",
    );
    script.extend_from_slice(b"exec $b switch_root /new");
    for word in entry {
        script.push(b' ');
        script.extend_from_slice(&shell_word(word));
    }
    script.push(b'\n');
    script
}

/// An `init` that hands over to the init of the system on the disk, which finds
/// the folder `tag` at `mount` and starts `unit`, a service.
pub(crate) fn disk_init(tag: &str, mount: &str, name: &str, unit: &str) -> Vec<u8> {
    DISK_SCRIPT
        .replace("TAG", tag)
        .replace("MOUNT", mount)
        .replace("NAME", name)
        .replace("UNIT", unit)
        .into_bytes()
}

/// Builds the archive.
pub(crate) fn archive(init: &[u8], busybox: &Path, modules: &[&Path]) -> Result<Vec<u8>> {
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let mut archive = Archive::default();
    for folder in ["dev", "host", "modules", "new", "proc", "sys", "upper"] {
        archive.folder(folder);
    }
    archive.file("init", 0o755, init);
    archive.file("busybox", 0o755, &read(busybox)?);
    for module in modules {
        let name = module.file_name().context("a module has no file name")?;
        let name = format!("modules/{}", name.display());
        archive.file(&name, 0o644, &read(module)?);
    }
    Ok(archive.finish())
}

/// The word in quotes that the shell takes off again, whatever is in it.
fn shell_word(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            other => quoted.push(*other),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// `/tmp` is not a file system of its own: a workspace may be under it, and
/// what is written there goes to memory anyway. Guests do not change this
/// machine's files while they run, so all may be cached (`cache=loose`), and
/// the kernel in the guest checks permissions by itself (`access=any`).
const SCRIPT: &str = r#"#!/busybox sh
b=/busybox
must() {
    "$@" && return
    echo "guest: failed: $*"
    $b poweroff -f
}
must $b mount -t proc proc /proc
must $b mount -t sysfs sysfs /sys
must $b mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do
    must $b insmod "$module"
done
must $b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose,access=any ROOT_TAG /host
must $b mount -t tmpfs -o mode=755 tmpfs /upper
must $b mkdir /upper/files /upper/work
must $b mount -t overlay -o lowerdir=/host,upperdir=/upper/files,workdir=/upper/work overlay /new
must $b mount -t proc proc /new/proc
must $b mount -t sysfs sysfs /new/sys
must $b mount -t devtmpfs devtmpfs /new/dev
must $b mount -t tmpfs -o mode=755 tmpfs /new/run
must $b mkdir -p /new/dev/pts /new/dev/shm /new/run/lock
must $b mount -t devpts -o mode=620,ptmxmode=666 devpts /new/dev/pts
must $b mount -t tmpfs -o mode=1777 tmpfs /new/dev/shm
must $b mount -t cgroup2 cgroup2 /new/sys/fs/cgroup
must $b mount -t bpf -o mode=700 bpf /new/sys/fs/bpf
must $b mount -t securityfs securityfs /new/sys/kernel/security
must $b mount -t tracefs tracefs /new/sys/kernel/tracing
for link in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
    $b ln -s "/proc/self/${link#*:}" "/new/dev/${link%%:*}"
done
must $b ip link set lo up
must $b ip link set eth0 up
must $b ip address add 10.0.2.15/24 dev eth0
must $b ip route add default via 10.0.2.2
"#;

/// What a system does at every boot goes on here as it would without us: all that
/// is added is under `/run`, which is empty at every boot.
const DISK_SCRIPT: &str = r#"#!/busybox sh
b=/busybox
must() {
    "$@" && return
    echo "guest: failed: $*"
    $b poweroff -f
}
must $b mount -t proc proc /proc
must $b mount -t sysfs sysfs /sys
must $b mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do
    must $b insmod "$module"
done
must $b mount -t ext4 /dev/vda /new
must $b mount -t tmpfs -o mode=755 tmpfs /new/run
must $b mkdir -p /newMOUNT /new/run/systemd/system/multi-user.target.wants
must $b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose,access=any TAG /newMOUNT
$b cat >/new/run/systemd/system/NAME <<'END'
UNIT
END
must $b ln -s ../NAME /new/run/systemd/system/multi-user.target.wants/NAME
must $b umount /proc /sys
must $b mount -o move /dev /new/dev
exec $b switch_root /new /sbin/init
"#;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn words_reach_the_entry_as_they_are() {
        let words = ["/bin/echo", "it's", "a  b", "$HOME", "`x`", "\n", "*", ""];
        let mut script = b"printf '%s|'".to_vec();
        for word in words {
            script.push(b' ');
            script.extend(shell_word(OsStr::new(word)));
        }
        let output = Command::new("sh")
            .arg("-c")
            .arg(OsStr::from_bytes(&script))
            .output()
            .unwrap();
        let expected = words.map(|word| format!("{word}|")).concat();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }

    #[test]
    fn the_scripts_are_ones_a_shell_accepts() {
        let script = init(&["/x".into(), "y z".into()], Path::new("/it's"));
        assert!(script.ends_with(b"switch_root /new '/x' 'y z'\n"));
        let disk = disk_init("tag", "/run/m", "x.service", "[Unit]\nDescription=it's");
        let file = std::env::temp_dir().join(format!("holdpoint-init-{}", std::process::id()));
        for script in [script, disk] {
            fs::write(&file, &script).unwrap();
            let checked = Command::new("sh").arg("-n").arg(&file).status().unwrap();
            fs::remove_file(&file).unwrap();
            assert!(checked.success());
        }
    }
}
