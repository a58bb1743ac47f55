//! A guest with a disk of its own and the system that is on it. It stays up
//! between commands and can be rebooted; nothing of this machine is visible in it
//! but one folder.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{Folder, Kernel, accel, initramfs, machine::accept, qemu};
use crate::{layout::Layout, scratch::Scratch, setup::Image};

/// Where the guest has the folder.
pub(crate) const SHARE: &str = "/run/holdpoint-test";
const TAG: &str = "share";
const PORT: &str = "holdpoint.commands";
const UNIT_NAME: &str = "holdpoint-test.service";
const HANDS: &str = "hands.sh";
/// An emulated machine with systemd needs half a minute.
const BOOT: Duration = Duration::from_mins(5);
const SHUTDOWN: Duration = Duration::from_mins(2);

/// Runs every line it is sent, which is a script, and answers with one line: the
/// exit status and the output. Both directions are base64, so that anything fits
/// into a line.
const SCRIPT: &str = r#"for entry in /sys/class/virtio-ports/*; do
    if [ "$(cat "$entry/name")" = PORT ]; then
        exec 3<>"/dev/${entry##*/}"
    fi
done
echo ready >&3
output=$(mktemp)
while IFS= read -r line <&3; do
    script=$(printf %s "$line" | base64 -d)
    sh -c "$script" </dev/null >"$output" 2>&1 3>&-
    printf '%s %s\n' "$?" "$(base64 -w0 "$output")" >&3
done
"#;

/// A part of the system as any service is, but not one of those that are tested.
const UNIT: &str = "[Unit]
Description=Commands of the test
DefaultDependencies=no
After=basic.target
[Service]
Environment=HOME=/root LANG=C.UTF-8
ExecStart=/bin/sh SHARE/HANDS
KillMode=process
";

/// What a command gave.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: u8,
    /// What it wrote, to stdout and stderr alike.
    pub(crate) text: String,
}

/// A running system.
pub(crate) struct System<'a> {
    layout: &'a Layout,
    kernel: Kernel,
    disk: PathBuf,
    share: PathBuf,
    logs: &'a Folder,
    boots: u32,
    running: Option<Running>,
}

struct Running {
    qemu: Child,
    port: BufReader<UnixStream>,
    _scratch: Scratch,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl<'a> System<'a> {
    /// Boots from `disk`, which is changed by what happens. The guest reads the
    /// folder `share`.
    pub(crate) fn boot(
        layout: &'a Layout,
        kernel: Kernel,
        disk: &Path,
        share: &Path,
        logs: &'a Folder,
    ) -> Result<Self> {
        fs::write(share.join(HANDS), SCRIPT.replace("PORT", PORT))
            .with_context(|| format!("cannot write to {}", share.display()))?;
        let mut system = Self {
            layout,
            kernel,
            disk: disk.to_owned(),
            share: share.to_owned(),
            logs,
            boots: 0,
            running: None,
        };
        system.start()?;
        Ok(system)
    }

    fn start(&mut self) -> Result<()> {
        self.boots += 1;
        let scratch = Scratch::create()?;
        let image = Image::cached(self.layout, self.kernel)
            .context("the kernel is not in the cache: run `cargo xtask setup`")?;
        let modules: Vec<&Path> = image.modules.iter().map(AsRef::as_ref).collect();
        let unit = UNIT.replace("SHARE", SHARE).replace("HANDS", HANDS);
        let init = initramfs::disk_init(TAG, SHARE, UNIT_NAME, &unit);
        let initrd = scratch.path().join("initrd");
        fs::write(
            &initrd,
            initramfs::archive(&init, &qemu::busybox()?, &modules)?,
        )?;
        let socket = scratch.path().join(PORT);
        let listener = UnixListener::bind(&socket)
            .with_context(|| format!("cannot listen on {}", socket.display()))?;
        listener.set_nonblocking(true)?;
        let accelerator = accel::choose(self.layout, self.kernel)?;
        let complaints = fs::File::create(self.logs.qemu())?;
        let console = self.logs.file(&format!("console-{}.log", self.boots));
        let mut qemu = qemu::base(accelerator, 2, 2048)
            .args(qemu::kernel(
                &image.vmlinux,
                &initrd,
                "systemd.journald.forward_to_console=1 systemd.show_status=0",
            ))
            .args(qemu::console(&console))
            .args(qemu::disk(&self.disk))
            .args(qemu::share(&self.share, TAG))
            .args(qemu::ports(&[PORT], scratch.path()))
            .stderr(complaints)
            .spawn()
            .context("cannot run qemu")?;
        let Some(port) = accept(&listener, &mut qemu)? else {
            bail!("qemu ended at once: see {}", self.logs.qemu().display());
        };
        self.running = Some(Running {
            qemu,
            port: BufReader::new(port),
            _scratch: scratch,
        });
        let word = self.line(BOOT).context("the system did not come up")?;
        if word.trim_end() != "ready" {
            bail!("the system says {word:?} instead of being ready");
        }
        Ok(())
    }

    /// Runs a script as root, for so long at most.
    pub(crate) fn run(&mut self, script: &str, limit: Duration) -> Result<Said> {
        let line = base64(script.as_bytes()) + "\n";
        let running = self.running.as_mut().context("the system is down")?;
        running
            .port
            .get_mut()
            .write_all(line.as_bytes())
            .context("cannot reach the system")?;
        let answer = self
            .line(limit)
            .with_context(|| format!("no end of `{}`", script.trim_end()))?;
        let (code, text) = answer
            .trim_end()
            .split_once(' ')
            .unwrap_or((answer.trim_end(), ""));
        Ok(Said {
            code: code
                .parse()
                .with_context(|| format!("the system answers {answer:?}"))?,
            text: String::from_utf8_lossy(&unbase64(text)).into_owned(),
        })
    }

    /// Shuts the system down in order and boots it again.
    pub(crate) fn reboot(&mut self) -> Result<()> {
        let running = self.running.as_mut().context("the system is down")?;
        let line = base64(b"systemctl reboot") + "\n";
        running.port.get_mut().write_all(line.as_bytes())?;
        let deadline = Instant::now() + SHUTDOWN;
        // QEMU ends where the machine would start anew.
        while running.qemu.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("the system did not go down within {SHUTDOWN:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.running = None;
        self.start()
    }

    fn line(&mut self, limit: Duration) -> Result<String> {
        let running = self.running.as_mut().context("the system is down")?;
        running.port.get_ref().set_read_timeout(Some(limit))?;
        let mut line = String::new();
        match running.port.read_line(&mut line) {
            Ok(0) => bail!("the system went down"),
            Ok(_) => Ok(line),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                bail!("nothing came within {limit:?}")
            }
            Err(error) => Err(error).context("the connection to the system broke"),
        }
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
        for place in 0..4 {
            text.push(if place <= chunk.len() {
                char::from(DIGITS[word >> (18 - 6 * place) & 63])
            } else {
                '='
            });
        }
    }
    text
}

fn unbase64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut word, mut bits) = (0_u32, 0);
    for digit in text.bytes() {
        let Some(value) = DIGITS.iter().position(|known| *known == digit) else {
            break;
        };
        word = word << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_fits_into_a_line() {
        for text in [&b""[..], b"a", b"ab", b"abc", b"a\nb\0\xff\xfe", &[7; 1000]] {
            let line = base64(text);
            assert!(!line.contains('\n'));
            assert_eq!(unbase64(&line), text);
        }
        assert_eq!(base64(b"ab"), "YWI=");
    }

    #[test]
    fn the_script_is_one_a_shell_accepts() {
        let checked = std::process::Command::new("sh")
            .args(["-n", "-c", SCRIPT])
            .status()
            .unwrap();
        assert!(checked.success());
    }
}
