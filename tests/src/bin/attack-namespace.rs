//! Leaves a held connect from a signal handler and tries to use up its approval in
//! another network namespace, where the same address is another machine.
//!
//! `attack-namespace ADDRESS`: makes a socket, enters a network namespace of its own,
//! listens at ADDRESS there and connects the socket, which is of the old one, to
//! ADDRESS. Interrupted it connects a socket of the new namespace to it, then the
//! old socket again. Says `WHICH errno N` for each call, and who got through to the
//! listener. With another argument it interrupts itself.
#![expect(unsafe_code, reason = "system calls")]
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

#[path = "../attack/raw.rs"]
mod raw;

use std::{
    env,
    net::{SocketAddr, TcpListener},
    os::fd::{AsRawFd as _, OwnedFd},
    process::exit,
    ptr,
    sync::OnceLock,
};

use raw::{Address, connect, errno, tcp};

struct Sockets {
    address: Address,
    old: OwnedFd,
    new: OwnedFd,
    listener: TcpListener,
}

static SOCKETS: OnceLock<Sockets> = OnceLock::new();

/// The interrupted call never goes on: this does not return.
extern "C" fn abandon(_: libc::c_int) {
    let Some(sockets) = SOCKETS.get() else {
        return;
    };
    println!("abandoned");
    let errno = connect(sockets.new.as_raw_fd(), &sockets.address);
    println!("new errno {errno}");
    println!("reached {}", sockets.listener.accept().is_ok());
    let errno = connect(sockets.old.as_raw_fd(), &sockets.address);
    println!("old errno {errno}");
    exit(0);
}

/// The loopback interface of a new namespace is down.
fn raise_loopback() {
    // SAFETY: all zeros are a request of no name; the name fits; the socket is open.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l'.cast_signed();
        request.ifr_name[1] = b'o'.cast_signed();
        request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP).expect("it is small");
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        let raised = libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request);
        assert_eq!(raised, 0, "loopback: errno {}", errno());
    }
}

fn main() {
    let mut arguments = env::args().skip(1);
    let word = arguments.next().expect("an address");
    let to: SocketAddr = word.parse().expect("an address with a port");
    let address = Address::from(to);
    let old = tcp(&address);
    // SAFETY: no pointers; this program has one thread.
    let entered = unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) };
    assert_eq!(entered, 0, "unshare: errno {}", errno());
    raise_loopback();
    let listener = TcpListener::bind(to).expect("nobody listens there");
    listener.set_nonblocking(true).expect("a socket");
    let new = tcp(&address);
    let sockets = Sockets {
        address,
        old,
        new,
        listener,
    };
    let sockets = SOCKETS.get_or_init(|| sockets);
    // SAFETY: the action is complete; the handler interrupts nothing that is used
    // again, because it never returns.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = abandon as *const () as usize;
        assert_eq!(
            libc::sigaction(libc::SIGCONT, &raw const action, ptr::null_mut()),
            0
        );
        if arguments.next().is_some() {
            libc::raise(libc::SIGCONT);
        }
    }
    let errno = connect(sockets.old.as_raw_fd(), &sockets.address);
    println!("old errno {errno}");
}
