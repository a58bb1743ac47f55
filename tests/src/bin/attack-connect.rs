//! Connects by TCP, one way or another.
//!
//! `attack-connect once ADDRESS...`: one after another, one call each.
//! `attack-connect threads N ADDRESS`: N threads at once.
//! `attack-connect flood THREADS N ADDRESS`: THREADS threads, N calls each, as fast
//! as they can. Says one line of the first call and one of all others.
//! `attack-connect insist ADDRESS TRIGGER`: again and again until TRIGGER is there,
//! and says how often it got there.
//! `attack-connect storm ADDRESS`: under a hail of signals.
//! `attack-connect interrupted ADDRESS`: twice, each call interrupted by a timer;
//! `reopened ADDRESS`: the same, each socket closed before the next is made.
//! `attack-connect leaderless ADDRESS`: when the process's first thread is gone.
//! `attack-connect restarted ADDRESS`: once, the call interrupted again and again by
//! a timer whose signal restarts calls.
//! `attack-connect compat ADDRESS`: through the 32-bit entry of the kernel.
//! `attack-connect deferred ADDRESS [OTHER]`: with `TCP_FASTOPEN_CONNECT`: the first
//! packet leaves with the first data, which names OTHER if there is one.
//! `attack-connect again ADDRESS...`: one socket to each, undone in between.
//! `attack-connect again-datagrams ADDRESS...`: the same with UDP, not undone.
//! `attack-connect rewritten ADDRESS OTHER TRIGGER`: another process writes OTHER
//! over the address when TRIGGER is there, and says `rewritten`.
//! `attack-connect flipping N ADDRESS OTHER`: N calls while another thread writes
//! the one over the other.
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
    path::Path,
    process::exit,
    ptr, thread,
    time::Duration,
};

use raw::{Address, connect, errno, tcp, try_connect, udp};

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
        ["insist", to, trigger] => {
            insist(address(to), Path::new(trigger));
            Vec::new()
        }
        ["storm", to] => vec![storm(address(to))],
        ["restarted", to] => vec![restarted(address(to))],
        ["deferred", to] => vec![deferred(address(to), None)],
        ["deferred", to, other] => vec![deferred(address(to), Some(address(other)))],
        ["again", all @ ..] => vec![again(all.iter().map(|word| address(word)), true)],
        ["again-datagrams", all @ ..] => {
            vec![again(all.iter().map(|word| address(word)), false)]
        }
        ["rewritten", to, other, trigger] => {
            vec![rewritten(address(to), address(other), Path::new(trigger))]
        }
        ["flipping", count, to, other] => {
            flipping(
                count.parse().expect("a number"),
                address(to),
                address(other),
            );
            Vec::new()
        }
        ["interrupted", to] => interrupted(address(to), true),
        ["reopened", to] => interrupted(address(to), false),
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

fn insist(address: SocketAddr, trigger: &Path) {
    /// Connections after which it has made its point.
    const ENOUGH: usize = 20;

    let raw = Address::from(address);
    let mut connected = 0;
    while connected < ENOUGH && !trigger.exists() {
        connected += usize::from(connect(tcp(&raw).as_raw_fd(), &raw) == 0);
        // Others need the processor too, the daemon above all.
        thread::sleep(Duration::from_millis(2));
    }
    println!("{address} connected {connected}");
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

/// A new socket for each call: none of them has to do with the other. One that was
/// not kept leaves its place in the kernel's memory to the next.
fn interrupted(address: SocketAddr, keep: bool) -> Vec<OwnedFd> {
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
    (0..2).map(|_| once(address)).filter(|_| keep).collect()
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

/// Comes back only when it has an answer, as `SA_RESTART` promises.
fn restarted(address: SocketAddr) -> OwnedFd {
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: 50_000,
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
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(
            libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()),
            0
        );
        assert_eq!(
            libc::setitimer(libc::ITIMER_REAL, &raw const interval, ptr::null_mut()),
            0
        );
    }
    once(address)
}

fn deferred(address: SocketAddr, other: Option<SocketAddr>) -> OwnedFd {
    let raw = Address::from(address);
    let socket = tcp(&raw);
    let yes: libc::c_int = 1;
    let size = u32::try_from(size_of_val(&yes)).expect("it is small");
    // SAFETY: the option is as long as said.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN_CONNECT,
            (&raw const yes).cast(),
            size,
        )
    };
    assert_eq!(set, 0);
    println!("{address} errno {}", connect(socket.as_raw_fd(), &raw));
    let other = other.map(Address::from);
    let name = other.as_ref().map_or(ptr::null(), |to| to.bytes.as_ptr());
    // SAFETY: text and name are as long as said.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            b"hello".as_ptr().cast(),
            5,
            libc::MSG_NOSIGNAL,
            name.cast(),
            other.as_ref().map_or(0, |to| to.len),
        )
    };
    println!("sent {sent}");
    socket
}

/// Says hello to whoever the socket is connected to after each call.
fn again(addresses: impl Iterator<Item = SocketAddr>, stream: bool) -> OwnedFd {
    let mut socket = None;
    for address in addresses {
        let raw = Address::from(address);
        let socket = socket.get_or_insert_with(|| if stream { tcp(&raw) } else { udp(&raw) });
        println!("{address} errno {}", connect(socket.as_raw_fd(), &raw));
        // SAFETY: the text is as long as said.
        unsafe {
            libc::send(
                socket.as_raw_fd(),
                b"hello".as_ptr().cast(),
                5,
                libc::MSG_NOSIGNAL,
            )
        };
        if stream {
            let nowhere = Address::nowhere();
            assert_eq!(connect(socket.as_raw_fd(), &nowhere), 0, "it is undone");
        }
    }
    socket.expect("an address")
}

/// A page that children share.
fn shared_page() -> *mut u8 {
    // SAFETY: new memory of that size.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(page, libc::MAP_FAILED);
    page.cast()
}

/// What is held stops all threads of a process, but not another process.
fn rewritten(address: SocketAddr, other: SocketAddr, trigger: &Path) -> OwnedFd {
    let (raw, other) = (Address::from(address), Address::from(other));
    let page = shared_page();
    let socket = tcp(&raw);
    // SAFETY: the page is larger than the address; the child has one thread.
    let result = unsafe {
        ptr::copy_nonoverlapping(raw.bytes.as_ptr(), page, raw.bytes.len());
        if libc::fork() == 0 {
            while !trigger.exists() {
                thread::sleep(Duration::from_millis(5));
            }
            ptr::copy_nonoverlapping(other.bytes.as_ptr(), page, other.bytes.len());
            println!("rewritten");
            exit(0);
        }
        libc::connect(socket.as_raw_fd(), page.cast(), raw.len)
    };
    println!("errno {}", if result == 0 { 0 } else { errno() });
    socket
}

fn flipping(count: usize, address: SocketAddr, other: SocketAddr) {
    let both = [Address::from(address), Address::from(other)];
    let len = both[0].len;
    let page = shared_page();
    let at = page as usize;
    thread::spawn(move || {
        // The port, at the same place in each family.
        #[expect(
            clippy::cast_ptr_alignment,
            reason = "the port is two bytes into an address that is aligned to four"
        )]
        let at = (at as *mut u8).wrapping_add(2).cast::<u16>();
        let ports = both.map(|raw| u16::from_ne_bytes([raw.bytes[2], raw.bytes[3]]));
        loop {
            for port in ports {
                // SAFETY: two aligned bytes of the page.
                unsafe { at.write_volatile(port) };
            }
        }
    });
    let raw = Address::from(address);
    // SAFETY: the page is larger than the address.
    unsafe { ptr::copy_nonoverlapping(raw.bytes.as_ptr(), page, raw.bytes.len()) };
    let connected = (0..count)
        .filter(|_| {
            let socket = tcp(&raw);
            // SAFETY: the address is as long as said.
            unsafe { libc::connect(socket.as_raw_fd(), page.cast(), len) == 0 }
        })
        .count();
    println!("connected {connected}");
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
