//! One guest from boot to end: its ports are read live, and it is ended as soon
//! as it has said how the command ended, when its time is up, or with this
//! program.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{Job, accel::Accelerator, artifacts::Folder, initramfs, ports, qemu};
use crate::{layout::Layout, scratch::Scratch, setup::Image};

type Sink = Box<dyn Write + Send>;

/// Ends a guest before its time, when it is set.
pub(crate) type Stop = Arc<AtomicBool>;

/// What the command's input and output are connected to.
pub(crate) struct Ends {
    pub(crate) stdin: Option<Box<dyn Read + Send>>,
    pub(crate) stdout: Sink,
    pub(crate) stderr: Sink,
    pub(crate) stop: Stop,
}

impl Ends {
    /// No input, and nobody who would end the guest.
    pub(crate) fn outputs(
        stdout: impl Write + Send + 'static,
        stderr: impl Write + Send + 'static,
    ) -> Self {
        Self {
            stdin: None,
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            stop: Stop::default(),
        }
    }
}

/// How a guest ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The command ended with this status.
    Exited(u8),
    /// The time was up.
    TimedOut,
    /// It was told to stop.
    Stopped,
    /// The guest ended by itself, without a word about the command.
    Died,
}

/// How often it is checked whether somebody wants the guest to end.
const GLANCE: Duration = Duration::from_millis(100);

/// Boots the guest and stays with it.
pub(crate) fn run(
    layout: &Layout,
    job: &Job,
    accelerator: Accelerator,
    entry: &[OsString],
    logs: &Folder,
    ends: Ends,
) -> Result<Ending> {
    let deadline = Instant::now() + job.timeout;
    let scratch = Scratch::create()?;
    let image = Image::cached(layout, job.kernel)
        .context("the kernel is not in the cache: run `cargo xtask setup`")?;
    let initrd = scratch.path().join("initrd");
    let init = initramfs::init(entry, &layout.bin_dir(false));
    let modules: Vec<&Path> = image.modules.iter().map(AsRef::as_ref).collect();
    fs::write(
        &initrd,
        initramfs::archive(&init, &qemu::busybox()?, &modules)?,
    )
    .with_context(|| format!("cannot write {}", initrd.display()))?;

    let mut names = ports::ALL.to_vec();
    names.extend(ends.stdin.as_ref().map(|_| ports::STDIN));
    let listeners = names
        .iter()
        .map(|name| listen(&scratch.path().join(name)))
        .collect::<Result<Vec<_>>>()?;
    let mut guest = Guest(
        qemu::base(accelerator, job.size.cpus, job.size.memory)
            .args(qemu::kernel(&image.vmlinux, &initrd, job.kernel_options))
            .args(qemu::console(&logs.console()))
            .args(qemu::host_files())
            .args(qemu::network())
            .args(qemu::ports(&names, scratch.path()))
            .stderr(File::create(logs.qemu())?)
            .spawn()
            .context("cannot run qemu")?,
    );
    let mut connected = Vec::new();
    for listener in &listeners {
        match accept(listener, &mut guest.0)? {
            Some(port) => connected.push(port),
            None if ends.stop.load(Ordering::Relaxed) => return Ok(Ending::Stopped),
            None => return Ok(Ending::Died),
        }
    }
    let input = ends.stdin.zip(connected.get(ports::ALL.len()));
    if let Some((from, port)) = input {
        feed(from, port.try_clone()?);
    }
    connected.truncate(ports::ALL.len());
    let [out, err, log, control] = <[UnixStream; 4]>::try_from(connected)
        .map_err(|_| anyhow::anyhow!("a guest has four ports"))?;

    let (sender, events) = mpsc::channel();
    let program_logs = File::create(logs.programs())?;
    let pumps = [
        Pump::start(out, ends.stdout, &sender),
        Pump::start(err, ends.stderr, &sender),
        Pump::start(log, Box::new(program_logs), &sender),
    ];
    thread::spawn(move || read_control(control, &sender));

    let ending = follow(&events, &pumps, scratch, deadline, &ends.stop)?;
    drop(guest);
    if !matches!(ending, Ending::TimedOut | Ending::Stopped) {
        // Without the guest the ports end, and what was under way arrives.
        for pump in pumps {
            let _ = pump.thread.join();
        }
    }
    Ok(ending)
}

/// The running QEMU, which ends with this value.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listen(path: &Path) -> Result<UnixListener> {
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Waits for QEMU to connect; `None` if it ends instead.
pub(super) fn accept(listener: &UnixListener, qemu: &mut Child) -> Result<Option<UnixStream>> {
    loop {
        match listener.accept() {
            Ok((port, _)) => {
                port.set_nonblocking(false)?;
                return Ok(Some(port));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("cannot connect to qemu"),
        }
        if qemu.try_wait()?.is_some() {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Passes input on to the guest until there is no more, or no guest.
fn feed(mut from: Box<dyn Read + Send>, mut port: UnixStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut port);
        let _ = port.shutdown(Shutdown::Both);
    });
}

/// What the threads tell the one that waits.
enum Event {
    /// The guest is up and has all it needs.
    Ready,
    /// The command ended; so many bytes went into each of the pumped ports.
    Exited { code: u8, sent: [u64; 3] },
    /// The guest said something this program does not understand.
    Garbled(String),
    /// Nobody takes the output any more.
    Unwritable(io::Error),
    /// The control port ended.
    Gone,
}

fn follow(
    events: &Receiver<Event>,
    pumps: &[Pump; 3],
    scratch: Scratch,
    deadline: Instant,
    stop: &Stop,
) -> Result<Ending> {
    let mut scratch = Some(scratch);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = events.recv_timeout(left.min(GLANCE));
        // First of all: who stops a guest may have stopped its output, too.
        if stop.load(Ordering::Relaxed) {
            return Ok(Ending::Stopped);
        }
        match event {
            // QEMU has read and opened all it needs from there.
            Ok(Event::Ready) => drop(scratch.take()),
            Ok(Event::Exited { code, sent }) => {
                return Ok(if all_arrived(pumps, sent, deadline) {
                    Ending::Exited(code)
                } else {
                    Ending::TimedOut
                });
            }
            Ok(Event::Garbled(line)) => bail!("the guest says {line:?}, which makes no sense"),
            Ok(Event::Unwritable(error)) => return Err(error).context("cannot pass output on"),
            Ok(Event::Gone) | Err(RecvTimeoutError::Disconnected) => return Ok(Ending::Died),
            Err(RecvTimeoutError::Timeout) if left > GLANCE => {}
            Err(RecvTimeoutError::Timeout) => return Ok(Ending::TimedOut),
        }
    }
}

/// Waits until everything the guest sent has been passed on.
fn all_arrived(pumps: &[Pump; 3], sent: [u64; 3], deadline: Instant) -> bool {
    let arrived = || {
        pumps.iter().zip(sent).all(|(pump, sent)| {
            pump.count.load(Ordering::Acquire) >= sent || pump.thread.is_finished()
        })
    };
    while !arrived() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

fn read_control(port: UnixStream, events: &Sender<Event>) {
    for line in BufReader::new(port).lines() {
        let Ok(line) = line else { break };
        let event = parse_control(&line).unwrap_or_else(|| Event::Garbled(line.clone()));
        // Nobody listens any more once the guest is being ended.
        if events.send(event).is_err() {
            return;
        }
    }
    let _ = events.send(Event::Gone);
}

fn parse_control(line: &str) -> Option<Event> {
    let mut words = line.split(' ');
    match words.next()? {
        "ready" => Some(Event::Ready),
        "exited" => {
            let code = words.next()?.parse().ok()?;
            let mut sent = [0; 3];
            for count in &mut sent {
                *count = words.next()?.parse().ok()?;
            }
            words
                .next()
                .is_none()
                .then_some(Event::Exited { code, sent })
        }
        _ => None,
    }
}

/// Copies one port to where its output goes, as it comes.
struct Pump {
    thread: thread::JoinHandle<()>,
    count: Arc<AtomicU64>,
}

impl Pump {
    fn start(mut port: UnixStream, mut sink: Sink, events: &Sender<Event>) -> Self {
        let count = Arc::new(AtomicU64::new(0));
        let (counter, events) = (Arc::clone(&count), events.clone());
        let thread = thread::spawn(move || {
            if let Err(error) = copy(&mut port, &mut sink, &counter) {
                let _ = events.send(Event::Unwritable(error));
            }
        });
        Self { thread, count }
    }
}

fn copy(port: &mut impl Read, sink: &mut impl Write, counter: &AtomicU64) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let size = match port.read(&mut buffer) {
            // A guest that is ended may reset the connection.
            Ok(0) | Err(_) => return Ok(()),
            Ok(size) => size,
        };
        sink.write_all(&buffer[..size])?;
        sink.flush()?;
        counter.fetch_add(size as u64, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_lines_are_read_strictly() {
        assert!(matches!(parse_control("ready"), Some(Event::Ready)));
        assert!(matches!(
            parse_control("exited 7 10 0 3"),
            Some(Event::Exited {
                code: 7,
                sent: [10, 0, 3]
            })
        ));
        assert!(parse_control("exited 7").is_none());
        assert!(parse_control("exited 256 0 0 0").is_none());
        assert!(parse_control("exited 7 1 2 3 4").is_none());
        assert!(parse_control("").is_none());
    }
}
