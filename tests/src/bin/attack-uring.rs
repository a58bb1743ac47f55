//! Connects through `io_uring`, where no system call names the address.
//!
//! `attack-uring inline|async|polled ADDRESS`: says `result N` as the ring gives
//! it, or `setup errno N` if there is no ring to be had.
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
    net::SocketAddr,
    os::fd::AsRawFd as _,
    process::exit,
    ptr,
    sync::atomic::{AtomicU32, Ordering, fence},
    thread,
    time::{Duration, Instant},
};

use raw::{Address, errno, tcp};

const ENTRIES: u32 = 4;
const SETUP_SQPOLL: u32 = 2;
const SQ_NEED_WAKEUP: u32 = 1;
const ENTER_GETEVENTS: u32 = 1;
const ENTER_SQ_WAKEUP: u32 = 2;
const OP_CONNECT: u8 = 16;
const SQE_ASYNC: u8 = 16;
const OFF_SQ_RING: i64 = 0;
const OFF_CQ_RING: i64 = 0x800_0000;
const OFF_SQES: i64 = 0x1000_0000;

/// `struct io_uring_params` as the kernel has it.
#[repr(C)]
#[derive(Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    features: u32,
    wq_fd: u32,
    resv: [u32; 3],
    /// head, tail, mask, entries, flags, dropped, array, reserved, address (2)
    sq: [u32; 10],
    /// head, tail, mask, entries, overflow, cqes, flags, reserved, address (2)
    cq: [u32; 10],
}

/// `struct io_uring_sqe`, the fields a connect uses.
#[repr(C)]
struct Sqe {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    off: u64,
    addr: u64,
    rest: [u64; 5],
}

fn map(ring: i32, size: usize, offset: i64) -> *mut libc::c_void {
    // SAFETY: new memory of the ring.
    let memory = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_POPULATE,
            ring,
            offset,
        )
    };
    assert_ne!(memory, libc::MAP_FAILED, "mmap: errno {}", errno());
    memory
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let [mode, address] = words.as_slice() else {
        exit(2);
    };
    let (setup, flags) = match mode.as_str() {
        "inline" => (0, 0),
        "async" => (0, SQE_ASYNC),
        "polled" => (SETUP_SQPOLL, 0),
        other => panic!("no mode {other}"),
    };
    let address: SocketAddr = address.parse().expect("an address with a port");
    let address = Address::from(address);
    let socket = tcp(&address);

    let mut params = Params {
        flags: setup,
        sq_thread_idle: 1000,
        ..Params::default()
    };
    // SAFETY: the parameters are as the kernel has them.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, ENTRIES, &raw mut params) };
    let Ok(ring) = i32::try_from(ring) else {
        exit(2)
    };
    if ring < 0 {
        println!("setup errno {}", errno());
        exit(1);
    }
    let sq = map(
        ring,
        (params.sq[6] + params.sq_entries * 4) as usize,
        OFF_SQ_RING,
    );
    let cq = map(
        ring,
        (params.cq[5] + params.cq_entries * 16) as usize,
        OFF_CQ_RING,
    );
    let sqes = map(ring, params.sq_entries as usize * 64, OFF_SQES);
    // SAFETY: all offsets are the kernel's own, all memory is mapped, and what
    // both sides write is written atomically.
    unsafe {
        let word = |base: *mut libc::c_void, offset: u32| {
            &*base.byte_add(offset as usize).cast::<AtomicU32>()
        };
        sqes.cast::<Sqe>().write(Sqe {
            opcode: OP_CONNECT,
            flags,
            ioprio: 0,
            fd: socket.as_raw_fd(),
            off: address.len.into(),
            addr: address.bytes.as_ptr() as u64,
            rest: [0; 5],
        });
        word(sq, params.sq[6]).store(0, Ordering::Relaxed);
        word(sq, params.sq[1]).store(1, Ordering::Release);
        fence(Ordering::SeqCst);
        if setup & SETUP_SQPOLL == 0 {
            libc::syscall(libc::SYS_io_uring_enter, ring, 1, 1, ENTER_GETEVENTS, 0, 0);
        } else if word(sq, params.sq[4]).load(Ordering::Relaxed) & SQ_NEED_WAKEUP != 0 {
            libc::syscall(libc::SYS_io_uring_enter, ring, 0, 0, ENTER_SQ_WAKEUP, 0, 0);
        }
        let begun = Instant::now();
        while word(cq, params.cq[1]).load(Ordering::Acquire) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "no completion");
            thread::sleep(Duration::from_millis(5));
        }
        // user_data, res, flags
        let result = cq.byte_add(params.cq[5] as usize + 8).cast::<i32>().read();
        println!("result {result}");
    }
}
