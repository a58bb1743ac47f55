//! Turns bpf(2) against the gate itself, which needs root outside any session.
//!
//! `attack-gate detach PIN...`: tries to detach each pinned link by force.
//! `attack-gate replace PIN...`: tries to give each another program (its own).
//! `attack-gate fill PIN`: fills the pinned map until it takes no more.
//! `attack-gate empty PIN`: takes that away again.
//!
//! Says `NAME errno N` for each link, or how many entries it was.
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
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use raw::{c, errno};

/// Commands of bpf(2).
const MAP_UPDATE: i32 = 2;
const MAP_DELETE: i32 = 3;
const OBJECT_GET: i32 = 7;
const PROGRAM_BY_ID: i32 = 13;
const OBJECT_INFO: i32 = 15;
const LINK_UPDATE: i32 = 29;
const LINK_DETACH: i32 = 34;

/// Attributes, as words of 64 bits.
type Attributes = [u64; 16];

fn bpf(command: i32, attributes: &mut Attributes) -> Result<i64, i32> {
    let size = size_of_val(attributes);
    // SAFETY: the attributes are as long as said; what they point to outlives the
    // call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size) };
    if result < 0 { Err(errno()) } else { Ok(result) }
}

fn descriptor(command: i32, first: u64) -> OwnedFd {
    let mut attributes = [0; 16];
    attributes[0] = first;
    let fd = bpf(command, &mut attributes).expect("it can be had");
    let fd = i32::try_from(fd).expect("a descriptor");
    // SAFETY: a new descriptor that nobody else knows.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn open(pin: &str) -> OwnedFd {
    let path = c(pin);
    descriptor(OBJECT_GET, path.as_ptr() as u64)
}

fn number(fd: &OwnedFd) -> u64 {
    u64::try_from(fd.as_raw_fd()).expect("it is open")
}

/// The first words of 32 bits that the kernel tells of an object.
fn information(fd: &OwnedFd) -> [u32; 8] {
    let mut words = [0_u32; 8];
    let mut attributes = [0; 16];
    attributes[0] = number(fd) | (size_of_val(&words) as u64) << 32;
    attributes[1] = words.as_mut_ptr() as u64;
    bpf(OBJECT_INFO, &mut attributes).expect("it is told");
    words
}

fn detach(link: &OwnedFd) -> Result<i64, i32> {
    let mut attributes = [0; 16];
    attributes[0] = number(link);
    bpf(LINK_DETACH, &mut attributes)
}

fn replace(link: &OwnedFd) -> Result<i64, i32> {
    // Kind, link, program.
    let [_, _, program, ..] = information(link);
    let program = descriptor(PROGRAM_BY_ID, program.into());
    let mut attributes = [0; 16];
    attributes[0] = number(link) | number(&program) << 32;
    bpf(LINK_UPDATE, &mut attributes)
}

/// Changes entries with keys that no thread has, until the map says no.
fn change(pin: &str, command: i32) -> usize {
    let map = open(pin);
    // Kind, map, bytes of a key, of a value.
    let [_, _, key_size, value_size, ..] = information(&map);
    let mut key = vec![0xff_u8; key_size.try_into().expect("a few bytes")];
    let value = vec![0_u8; value_size.try_into().expect("some bytes")];
    for count in 0.. {
        key[..8].copy_from_slice(&(u64::MAX - count as u64).to_ne_bytes());
        let mut attributes = [0; 16];
        attributes[0] = number(&map);
        attributes[1] = key.as_ptr() as u64;
        if command == MAP_UPDATE {
            attributes[2] = value.as_ptr() as u64;
        }
        if bpf(command, &mut attributes).is_err() {
            return count;
        }
    }
    unreachable!("maps are finite")
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let (what, pins) = words.split_first().expect("what to do");
    for pin in pins {
        let tried = match what.as_str() {
            "detach" => detach(&open(pin)),
            "replace" => replace(&open(pin)),
            "fill" => {
                println!("filled {}", change(pin, MAP_UPDATE));
                continue;
            }
            "empty" => {
                println!("emptied {}", change(pin, MAP_DELETE));
                continue;
            }
            other => panic!("not understood: {other}"),
        };
        println!("{pin} errno {}", tried.err().unwrap_or(0));
    }
}
