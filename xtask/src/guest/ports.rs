//! The guest's ends of the ports to `cargo xtask vm`, each counting what went
//! into it: the other side waits for exactly that much.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, Result};

use crate::vm::ports as names;

/// All ports of this guest.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) stdout: Port,
    pub(crate) stderr: Port,
    pub(crate) logs: Port,
    control: File,
}

impl Ports {
    pub(crate) fn open() -> Result<Self> {
        let port = |name| -> Result<Port> {
            Ok(Port(Arc::new(Counted {
                file: open(name)?,
                written: AtomicU64::new(0),
            })))
        };
        Ok(Self {
            stdout: port(names::STDOUT)?,
            stderr: port(names::STDERR)?,
            logs: port(names::LOGS)?,
            control: open(names::CONTROL)?,
        })
    }

    pub(crate) fn report_ready(&self) -> Result<()> {
        (&self.control)
            .write_all(b"ready\n")
            .context("cannot report to the other side")
    }

    pub(crate) fn report_end(&mut self, code: u8) -> Result<()> {
        let [out, err, logs] = [&self.stdout, &self.stderr, &self.logs]
            .map(|port| port.0.written.load(Ordering::Acquire));
        self.control
            .write_all(format!("exited {code} {out} {err} {logs}\n").as_bytes())
            .context("cannot report to the other side")
    }
}

/// A port to write to, shared between threads.
#[derive(Clone, Debug)]
pub(crate) struct Port(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    file: File,
    written: AtomicU64,
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for &Port {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = (&self.0.file).write(bytes)?;
        self.0.written.fetch_add(size as u64, Ordering::Release);
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the other side sends to the command.
pub(crate) fn stdin() -> Result<File> {
    open(names::STDIN)
}

fn open(name: &str) -> Result<File> {
    let path = device(name).with_context(|| format!("this guest has no port {name}"))?;
    File::options()
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open the port {}", path.display()))
}

fn device(name: &str) -> Option<PathBuf> {
    fs::read_dir("/sys/class/virtio-ports")
        .ok()?
        .flatten()
        .find(|entry| {
            fs::read_to_string(entry.path().join("name")).is_ok_and(|found| found.trim() == name)
        })
        .map(|entry| PathBuf::from("/dev").join(entry.file_name()))
}
