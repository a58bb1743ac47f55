//! Connects by TCP, one way or another.
//!
//! `attack-connect once ADDRESS...`: one after another, one call each.
//! `attack-connect threads N ADDRESS`: N threads at once.
//! `attack-connect flood THREADS N ADDRESS`: THREADS threads, N calls each, as fast
//! as they can. Says one line of the first call and one of all others.
//! `attack-connect storm ADDRESS`: under a hail of signals.
//! `attack-connect interrupted ADDRESS`: twice, each call interrupted by a timer.
//! `attack-connect leaderless ADDRESS`: when the process's first thread is gone.
//! `attack-connect compat ADDRESS`: through the 32-bit entry of the kernel.
//!
//! Says `ADDRESS errno N` for each call; 0 is a connection, which then says
//! `hello` and stays open until this program ends, which it does when its input
//! does.
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
    env, fs,
    io::{Read as _, stdin},
    net::SocketAddr,
    os::fd::{AsRawFd as _, OwnedFd},
    process::exit,
    ptr, thread,
    time::Duration,
};

use raw::{Address, connect, tcp, try_connect};

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let address = |word: &str| word.parse::<SocketAddr>().expect("an address with a port");
    let sockets = match words.as_slice() {
        ["once", addresses @ ..] => addresses.iter().map(|word| once(address(word))).collect(),
        ["threads", count, to] => threads(count.parse().expect("a number"), address(to)),
        ["flood", threads, count, to] => {
            let number = |word: &str| word.parse().expect("a number");
            flood(number(threads), number(count), address(to));
            Vec::new()
        }
        ["storm", to] => vec![storm(address(to))],
        ["interrupted", to] => interrupted(address(to)),
        ["leaderless", to] => leaderless(address(to)),
        ["compat", to] => vec![compat(address(to))],
        other => panic!("not understood: {other:?}"),
    };
    println!("done");
    // Nobody writes; this ends when the other side closes.
    let _ = stdin().read_to_end(&mut Vec::new());
    drop(sockets);
}

fn once(address: SocketAddr) -> OwnedFd {
    let (socket, errno) = try_connect(address);
    println!("{address} errno {errno}");
    socket
}

fn threads(count: usize, address: SocketAddr) -> Vec<OwnedFd> {
    let threads: Vec<_> = (0..count)
        .map(|_| thread::spawn(move || once(address)))
        .collect();
    let sockets = threads.into_iter().map(thread::JoinHandle::join);
    sockets.map(|socket| socket.expect("it returned")).collect()
}

/// The first call alone: what comes behind it finds the kernel's own answer.
fn flood(count: usize, calls: usize, address: SocketAddr) {
    let first = once(address);
    let threads: Vec<_> = (0..count)
        .map(|_| {
            thread::spawn(move || {
                let raw = Address::from(address);
                let refused = |_: &usize| connect(tcp(&raw).as_raw_fd(), &raw) == libc::EPERM;
                (0..calls).filter(refused).count()
            })
        })
        .collect();
    let refused = threads.into_iter().map(thread::JoinHandle::join);
    let refused: usize = refused.map(|count| count.expect("it returned")).sum();
    println!("{address} refused {refused}");
    drop(first);
}

extern "C" fn nothing(_: libc::c_int) {}

/// Two timers, one whose signal restarts calls and one whose does not. A call
/// that was interrupted is made again, as programs do.
fn storm(address: SocketAddr) -> OwnedFd {
    for (signal, timer, flags) in [
        (libc::SIGALRM, libc::ITIMER_REAL, libc::SA_RESTART),
        (libc::SIGPROF, libc::ITIMER_PROF, 0),
        (libc::SIGCONT, libc::ITIMER_VIRTUAL, 0),
    ] {
        let every = libc::timeval {
            tv_sec: 0,
            tv_usec: 2_000,
        };
        let interval = libc::itimerval {
            it_interval: every,
            it_value: every,
        };
        // SAFETY: the action is complete, the handler does nothing, and the
        // timer's structures live long enough.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as *const () as usize;
            action.sa_flags = flags;
            assert_eq!(
                libc::sigaction(signal, &raw const action, ptr::null_mut()),
                0
            );
            if signal != libc::SIGCONT {
                assert_eq!(
                    libc::setitimer(timer, &raw const interval, ptr::null_mut()),
                    0
                );
            }
        }
    }
    let raw = Address::from(address);
    loop {
        let socket = tcp(&raw);
        let errno = connect(socket.as_raw_fd(), &raw);
        println!("{address} errno {errno}");
        if errno != libc::EINTR {
            return socket;
        }
    }
}

/// A new socket for each call: none of them has to do with the other.
fn interrupted(address: SocketAddr) -> Vec<OwnedFd> {
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: 400_000,
    };
    let interval = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: the action is complete and its handler does nothing; the timer's
    // structures live long enough.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        assert_eq!(
            libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()),
            0
        );
        assert_eq!(
            libc::setitimer(libc::ITIMER_REAL, &raw const interval, ptr::null_mut()),
            0
        );
    }
    (0..2).map(|_| once(address)).collect()
}

fn leaderless(address: SocketAddr) -> ! {
    thread::spawn(move || {
        let first = format!("/proc/self/task/{}/stat", std::process::id());
        // `PID (NAME) STATE ...`
        while !fs::read_to_string(&first)
            .expect("its record stays")
            .contains(") Z ")
        {
            thread::sleep(Duration::from_millis(5));
        }
        let _socket = once(address);
        exit(0);
    });
    // SAFETY: ends this thread alone; nothing on its stack is used by others.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("this thread ended");
}

/// `int 0x80` with 32-bit addresses.
fn compat(address: SocketAddr) -> OwnedFd {
    /// connect in the 32-bit table.
    const CONNECT: u64 = 362;

    let raw = Address::from(address);
    let socket = tcp(&raw);
    // SAFETY: a new page below 4 GiB, large enough for the address.
    let low = unsafe {
        libc::mmap(
            ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
            -1,
            0,
        )
    };
    assert_ne!(low, libc::MAP_FAILED);
    let descriptor = u64::try_from(socket.as_raw_fd()).expect("it is open");
    let mut result = CONNECT;
    // SAFETY: the page is ours; the call takes its arguments in ebx, ecx and edx,
    // of which rbx is the compiler's and is put back.
    unsafe {
        ptr::copy_nonoverlapping(raw.bytes.as_ptr(), low.cast(), raw.bytes.len());
        std::arch::asm!(
            "xchg rbx, {descriptor}",
            "int 0x80",
            "xchg rbx, {descriptor}",
            descriptor = inout(reg) descriptor => _,
            inout("rax") result,
            in("rcx") low,
            in("rdx") u64::from(raw.len),
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    // The result is 32 bits wide.
    println!("{address} errno {}", -(result as u32).cast_signed());
    socket
}
