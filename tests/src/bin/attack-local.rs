//! Asks a program outside for something, by a local socket.
//!
//! `attack-local stream|packets PATH`: connects, sends a word, says what comes back.
//! `attack-local datagrams N PATH`: sends N words from one socket, without a connect.
//! `attack-local connected PATH`: sends one from a socket that it connected.
//! `attack-local many N PATH`: connects N times, says each errno that is none of 0.
//! `attack-local own PATH`: listens, connects to itself, and hears the word.
//!
//! A PATH that begins with `@` is a name of the abstract kind. Says `NAME errno N`.
#![expect(unsafe_code, reason = "system calls")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

#[path = "../attack/raw.rs"]
mod raw;

use std::{
    env,
    os::fd::{AsRawFd as _, OwnedFd},
};

use raw::{errno, said, socket_of};

const WORD: &[u8] = b"act";

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let errno = match words[..] {
        ["stream", path] => ask(libc::SOCK_STREAM, path),
        ["packets", path] => ask(libc::SOCK_SEQPACKET, path),
        ["datagrams", count, path] => {
            let socket = socket(libc::SOCK_DGRAM);
            (0..number(count))
                .map(|_| send_to(&socket, path))
                .find(|errno| *errno != 0)
                .unwrap_or(0)
        }
        ["connected", path] => {
            let socket = socket(libc::SOCK_DGRAM);
            match connect(&socket, path) {
                0 => send(&socket),
                errno => errno,
            }
        }
        ["many", count, path] => {
            let mut last = 0;
            for _ in 0..number(count) {
                let errno = connect(&socket(libc::SOCK_STREAM), path);
                if errno != 0 {
                    println!("many errno {errno}");
                    last = errno;
                }
            }
            last
        }
        ["own", path] => own(path),
        _ => panic!("not understood: {words:?}"),
    };
    println!("{} errno {errno}", words[0]);
}

fn number(word: &str) -> u32 {
    word.parse().expect("a number")
}

fn socket(kind: i32) -> OwnedFd {
    socket_of(libc::AF_UNIX, kind)
}

fn address(path: &str) -> (libc::sockaddr_un, u32) {
    // SAFETY: all zeros are an address.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = 1;
    for (place, byte) in address.sun_path.iter_mut().zip(path.bytes()) {
        *place = byte.cast_signed();
    }
    if path.starts_with('@') {
        address.sun_path[0] = 0;
    }
    let len = 2 + path.len() + usize::from(!path.starts_with('@'));
    (address, u32::try_from(len).expect("short"))
}

fn connect(socket: &OwnedFd, path: &str) -> i32 {
    let (address, len) = address(path);
    // SAFETY: the address is as long as said.
    let returned = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len) };
    said(returned.into())
}

fn send(socket: &OwnedFd) -> i32 {
    // SAFETY: the word is as long as said.
    said(unsafe { libc::send(socket.as_raw_fd(), WORD.as_ptr().cast(), WORD.len(), 0) } as i64)
}

fn send_to(socket: &OwnedFd, path: &str) -> i32 {
    let (address, len) = address(path);
    // SAFETY: word and address are as long as said.
    said(unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            WORD.as_ptr().cast(),
            WORD.len(),
            0,
            (&raw const address).cast(),
            len,
        )
    } as i64)
}

fn receive(socket: &OwnedFd) -> Vec<u8> {
    let mut buffer = [0; 16];
    // SAFETY: the buffer is as long as said.
    let len = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            0,
        )
    };
    buffer[..usize::try_from(len).unwrap_or(0)].to_vec()
}

fn ask(kind: i32, path: &str) -> i32 {
    let socket = socket(kind);
    match connect(&socket, path) {
        0 => {}
        errno => return errno,
    }
    match send(&socket) {
        0 => {}
        errno => return errno,
    }
    println!("heard {}", String::from_utf8_lossy(&receive(&socket)));
    0
}

fn own(path: &str) -> i32 {
    let heard = socket(libc::SOCK_STREAM);
    let (address, len) = address(path);
    // SAFETY: the address is as long as said.
    let bound = unsafe { libc::bind(heard.as_raw_fd(), (&raw const address).cast(), len) };
    assert_eq!(bound, 0, "errno {}", errno());
    // SAFETY: no pointers.
    let listening = unsafe { libc::listen(heard.as_raw_fd(), 1) };
    assert_eq!(listening, 0, "errno {}", errno());
    let from = socket(libc::SOCK_STREAM);
    match connect(&from, path) {
        0 => {}
        errno => return errno,
    }
    send(&from)
}
