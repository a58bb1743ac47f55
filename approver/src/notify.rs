//! What the service manager is told: that the approver is ready, that it lives,
//! that it goes down. Without a service manager nobody is told, and nothing
//! depends on it.

use std::{
    env,
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

/// The service manager, if one started this process and wants to be told.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Manager {
    /// As the environment says.
    pub(crate) fn from_env() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET")
            .filter(|name| !name.is_empty())
            .and_then(|name| match connect(&name) {
                Ok(socket) => Some(socket),
                Err(error) => {
                    tracing::warn!(%error, socket = %name.display(), "cannot reach the service manager");
                    None
                }
            });
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        Self {
            socket,
            watchdog: number("WATCHDOG_USEC")
                .filter(|usec| ours && *usec > 0)
                .map(Duration::from_micros),
        }
    }

    /// How often it wants to hear that this process lives: twice in the time
    /// after which it would give it up.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// Everything is open and bound.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// Still there.
    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// Going down.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, what: &str) {
        let Some((socket, address)) = &self.socket else {
            return;
        };
        if let Err(error) = socket.send_to_addr(what.as_bytes(), address) {
            tracing::warn!(%error, what, "cannot tell the service manager");
        }
    }
}

/// A name that begins with `@` is no file.
fn connect(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    Ok((UnixDatagram::unbound()?, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(name: &OsStr) -> Manager {
        Manager {
            socket: Some(connect(name).unwrap()),
            watchdog: Some(Duration::from_mins(1)),
        }
    }

    fn received(socket: &UnixDatagram) -> String {
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut buffer = [0; 64];
        let size = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..size]).into_owned()
    }

    #[test]
    fn the_manager_hears_it_on_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let manager = manager(path.as_os_str());
        manager.ready();
        assert_eq!(received(&socket), "READY=1");
        manager.alive();
        assert_eq!(received(&socket), "WATCHDOG=1");
        assert_eq!(manager.watchdog(), Some(Duration::from_secs(30)));
    }

    #[test]
    fn the_manager_hears_it_on_an_abstract_name() {
        let name = format!("holdpoint-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        manager(OsStr::new(&format!("@{name}"))).stopping();
        assert_eq!(received(&socket), "STOPPING=1");
    }

    #[test]
    fn a_manager_that_is_gone_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        manager(folder.path().join("gone").as_os_str()).ready();
        let nobody = Manager {
            socket: None,
            watchdog: None,
        };
        nobody.ready();
        assert_eq!(nobody.watchdog(), None);
    }
}
