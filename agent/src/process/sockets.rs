//! Sockets that a process has before its session begins. What it sends by them
//! was connected by nobody of the session, so a session does not begin with them.
//!
//! Looks at copies of the descriptors, never at the process's own use of them.

use std::{fs, io, os::fd::RawFd};

use rustix::{
    net::{AddressFamily, sockopt::socket_domain},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

/// Descriptors of process `pid` that are sockets and reach further than this host's
/// own processes. Netlink sockets are none: what they ask and change is judged
/// with each message.
pub(crate) fn reaching_out(pid: u32) -> io::Result<Vec<RawFd>> {
    let process = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let process = pidfd_open(process, PidfdFlags::empty())?;
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        let Some(fd) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        match fs::read_link(entry.path()) {
            Ok(target)
                if target
                    .as_os_str()
                    .as_encoded_bytes()
                    .starts_with(b"socket:") => {}
            _ => continue,
        }
        let copy = pidfd_getfd(&process, fd, PidfdGetfdFlags::empty())?;
        if !matches!(
            socket_domain(&copy)?,
            AddressFamily::UNIX | AddressFamily::NETLINK
        ) {
            found.push(fd);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, UdpSocket},
        os::{fd::AsRawFd as _, unix::net::UnixStream},
    };

    use super::*;

    #[test]
    fn sockets_that_reach_out_are_found_and_local_ones_are_not() {
        let heard = TcpListener::bind("127.0.0.1:0").unwrap();
        let datagrams = UdpSocket::bind("[::1]:0").unwrap();
        let local = UnixStream::pair().unwrap();
        let found = match reaching_out(std::process::id()) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipping test - descriptors cannot be looked at here: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(found.contains(&heard.as_raw_fd()));
        assert!(found.contains(&datagrams.as_raw_fd()));
        assert!(!found.contains(&local.0.as_raw_fd()));
    }
}
