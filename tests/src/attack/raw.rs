//! System calls as they are, without what a library would do around them: an
//! attack must see every errno itself. Not a module of the harness; programs
//! include it.
#![expect(unsafe_code, reason = "system calls")]
#![allow(dead_code, reason = "no program needs all of it")]

use std::{
    ffi::CString,
    io,
    net::SocketAddr,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
};

/// An address as the kernel takes it, padded with zeros.
pub(crate) struct Address {
    /// Its bytes.
    pub(crate) bytes: [u8; 28],
    /// How many count.
    pub(crate) len: u32,
    family: i32,
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let mut bytes = [0; 28];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        let (family, len) = match address {
            SocketAddr::V4(v4) => {
                put(4, &v4.ip().octets());
                (libc::AF_INET, 16)
            }
            SocketAddr::V6(v6) => {
                put(8, &v6.ip().octets());
                put(24, &v6.scope_id().to_ne_bytes());
                (libc::AF_INET6, 28)
            }
        };
        put(
            0,
            &libc::sa_family_t::try_from(family)
                .expect("it is small")
                .to_ne_bytes(),
        );
        put(2, &address.port().to_be_bytes());
        Self { bytes, len, family }
    }
}

impl Address {
    /// The one that undoes a connect.
    pub(crate) fn nowhere() -> Self {
        Self {
            bytes: [0; 28],
            len: 16,
            family: libc::AF_UNSPEC,
        }
    }
}

/// A TCP socket for `address`.
pub(crate) fn tcp(address: &Address) -> OwnedFd {
    socket(address, libc::SOCK_STREAM)
}

/// A UDP socket for `address`.
pub(crate) fn udp(address: &Address) -> OwnedFd {
    socket(address, libc::SOCK_DGRAM)
}

fn socket(address: &Address, kind: i32) -> OwnedFd {
    socket_of(address.family, kind)
}

/// A socket of `family`.
pub(crate) fn socket_of(family: i32, kind: i32) -> OwnedFd {
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(family, kind, 0) };
    assert!(fd >= 0, "socket: {}", io::Error::last_os_error());
    // SAFETY: a new descriptor that nobody else knows.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The errno of a call that `returned`, 0 if it succeeded.
pub(crate) fn said(returned: i64) -> i32 {
    if returned < 0 { errno() } else { 0 }
}

/// One connect: 0, or the errno that the program sees.
pub(crate) fn connect(socket: RawFd, address: &Address) -> i32 {
    // SAFETY: the address is as long as said.
    let result = unsafe { libc::connect(socket, address.bytes.as_ptr().cast(), address.len) };
    if result == 0 { 0 } else { errno() }
}

/// Connects a new socket once and says what came of it. The socket stays open,
/// and a connected one says hello.
pub(crate) fn try_connect(address: SocketAddr) -> (OwnedFd, i32) {
    let raw = Address::from(address);
    let socket = tcp(&raw);
    let result = connect(socket.as_raw_fd(), &raw);
    if result == 0 {
        // SAFETY: the text is as long as said.
        unsafe { libc::write(socket.as_raw_fd(), b"hello".as_ptr().cast(), 5) };
    }
    (socket, result)
}

/// The last error of this thread.
pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Text for the kernel.
pub(crate) fn c(text: impl AsRef<std::ffi::OsStr>) -> CString {
    CString::new(text.as_ref().as_bytes()).expect("arguments have no NUL")
}

/// Arguments of an exec.
pub(crate) struct Exec {
    path: CString,
    argv: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

// SAFETY: the pointers are into strings that move along and never change.
unsafe impl Send for Exec {}

impl Exec {
    /// Runs `argv[0]` with no environment.
    pub(crate) fn of<A: AsRef<std::ffi::OsStr>>(argv: impl IntoIterator<Item = A>) -> Self {
        let argv: Vec<CString> = argv.into_iter().map(c).collect();
        let mut pointers: Vec<_> = argv.iter().map(|text| text.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self {
            path: argv[0].clone(),
            argv,
            pointers,
        }
    }

    /// The program.
    pub(crate) fn path(&self) -> &CString {
        &self.path
    }

    /// The arguments, one by one.
    pub(crate) fn arguments(&self) -> &[CString] {
        &self.argv
    }

    /// The arguments as the kernel takes them.
    pub(crate) fn argv(&self) -> *const *const libc::c_char {
        self.pointers.as_ptr()
    }

    /// Returns only if it failed, with the errno.
    pub(crate) fn execve(&self) -> i32 {
        let environment = [std::ptr::null()];
        // SAFETY: all strings and arrays end with a null.
        unsafe { libc::execve(self.path.as_ptr(), self.argv(), environment.as_ptr()) };
        errno()
    }
}
