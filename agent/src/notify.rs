//! Tells the service manager how the daemon is doing (`sd_notify`): one datagram
//! to the socket that `NOTIFY_SOCKET` names.
//!
//! Must never be what the daemon waits for, and never a reason to stop: without a
//! manager, or with one that does not listen, everything goes on. The variables
//! stay in the daemon's own environment; its only child is started without one.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use tracing::{debug, warn};

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// How long the manager waits for a sign of life.
    watchdog: Option<Duration>,
    /// The last status that was told.
    status: String,
}

impl Notifier {
    /// As the environment says.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var_os(name);
        Self::new(
            variable("NOTIFY_SOCKET").as_deref(),
            variable("WATCHDOG_USEC").as_deref(),
            variable("WATCHDOG_PID").as_deref(),
        )
    }

    /// To the manager that listens on `socket` and waits `watchdog_usec`
    /// microseconds for a sign of life of process `watchdog_pid`.
    pub fn new(
        socket: Option<&OsStr>,
        watchdog_usec: Option<&OsStr>,
        watchdog_pid: Option<&OsStr>,
    ) -> Self {
        let manager = socket.and_then(|socket| {
            open(socket)
                .inspect_err(|error| {
                    warn!(%error, ?socket, "cannot tell the service manager anything");
                })
                .ok()
        });
        let number = |text: &OsStr| text.to_str()?.parse::<u64>().ok();
        let ours = watchdog_pid.is_none_or(|pid| number(pid) == Some(std::process::id().into()));
        Self {
            watchdog: watchdog_usec
                .filter(|_| ours && manager.is_some())
                .and_then(number)
                .filter(|usec| *usec > 0)
                .map(Duration::from_micros),
            manager,
            status: String::new(),
        }
    }

    /// How often to give a sign of life: twice in the time the manager waits.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// What was to be proved is proved, or the policy is in force again.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The policy is read anew; [`ready`](Self::ready) ends that.
    pub fn reloading(&self, monotonic: Duration) {
        self.tell(&format!(
            "RELOADING=1\nMONOTONIC_USEC={}",
            monotonic.as_micros()
        ));
    }

    /// The daemon ends.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The daemon is alive. Only for whoever would notice if it were not.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// One line for people, told if it is another than before.
    pub fn status(&mut self, status: &str) {
        if self.status != status {
            // A line break would begin another message.
            self.tell(&format!("STATUS={}", status.replace(['\n', '\r'], " ")));
            status.clone_into(&mut self.status);
        }
    }

    fn tell(&self, text: &str) {
        let Some((socket, manager)) = &self.manager else {
            return;
        };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), manager) {
            debug!(%error, text, "the service manager does not listen");
        }
    }
}

fn open(socket: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(socket)?,
        _ => return Err(io::Error::other("it names no socket of this machine")),
    };
    let own = UnixDatagram::unbound()?;
    own.set_nonblocking(true)?;
    Ok((own, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        manager
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn says_everything_to(manager: &UnixDatagram, name: &OsStr) {
        let mut notifier = Notifier::new(Some(name), None, None);
        notifier.status("two\nlines");
        notifier.status("two\nlines");
        notifier.ready();
        notifier.reloading(Duration::from_micros(7));
        notifier.alive();
        notifier.stopping();
        for expected in [
            "STATUS=two lines",
            "READY=1",
            "RELOADING=1\nMONOTONIC_USEC=7",
            "WATCHDOG=1",
            "STOPPING=1",
        ] {
            assert_eq!(told(manager), expected);
        }
    }

    #[test]
    fn a_manager_with_a_path_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        says_everything_to(&manager, path.as_os_str());
    }

    #[test]
    fn a_manager_with_an_abstract_name_is_told() {
        let name = format!("holdpoint-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        says_everything_to(&manager, OsStr::new(&format!("@{name}")));
    }

    #[test]
    fn nobody_listening_is_no_trouble() {
        for socket in [
            None,
            Some("/nonexistent/notify"),
            Some("relative"),
            Some(""),
        ] {
            let mut notifier = Notifier::new(socket.map(OsStr::new), None, None);
            notifier.ready();
            notifier.status("x");
            notifier.alive();
        }
    }

    #[test]
    fn a_manager_that_does_not_read_keeps_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(Some(path.as_os_str()), None, None);
        // More than any socket buffer takes.
        for _ in 0..100_000 {
            notifier.alive();
        }
    }

    #[test]
    fn the_watchdog_is_ours_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let interval = |usec: &str, pid: Option<&str>| {
            let usec = Some(OsStr::new(usec));
            Notifier::new(Some(path.as_os_str()), usec, pid.map(OsStr::new)).watchdog_interval()
        };
        let own = std::process::id().to_string();
        assert_eq!(interval("60000000", None), Some(Duration::from_secs(30)));
        assert_eq!(
            interval("60000000", Some(&own)),
            Some(Duration::from_secs(30))
        );
        assert_eq!(interval("60000000", Some("1")), None);
        assert_eq!(interval("0", None), None);
        assert_eq!(interval("soon", None), None);
        let nobody = Notifier::new(None, Some(OsStr::new("60000000")), None);
        assert_eq!(nobody.watchdog_interval(), None);
    }
}
