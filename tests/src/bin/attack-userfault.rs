//! Lets memory that a held exec names come when this program pleases, or never
//! (`userfaultfd`, which needs root here).
//!
//! `attack-userfault late PROGRAM WITNESS TRIGGER`: runs PROGRAM WITNESS; path and
//! arguments are in a page that comes when TRIGGER is there. Says `waiting` once
//! the call waits for it, and ends as PROGRAM does.
//! `attack-userfault never N PROGRAM WITNESS`: at the next line of input N processes
//! run PROGRAM WITNESS; when all are stopped, the page of their arguments is taken
//! away for good. Says `gone`; a call that is then started again waits for it.
#![expect(unsafe_code, reason = "system calls")]
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

#[path = "../attack/raw.rs"]
mod raw;

use std::{
    env, ffi::CString, fs, io::stdin, path::Path, process::exit, ptr, thread, time::Duration,
};

use raw::{c, errno};

const PAGE: usize = 4096;
const STACK: usize = 64 * 1024;
/// Where the witness is named in the page; the program is at its beginning.
const WITNESS: usize = 2048;

/// `UFFDIO_API`, `UFFDIO_REGISTER`, `UFFDIO_COPY`.
const API: u64 = 0xc018_aa3f;
const REGISTER: u64 = 0xc020_aa00;
const COPY: u64 = 0xc028_aa03;

/// A page of which this program is asked when somebody misses it.
struct Page {
    memory: *mut u8,
    descriptor: i32,
}

impl Page {
    fn new() -> Self {
        // SAFETY: new memory of that size; the structures are as the calls want.
        unsafe {
            let memory = libc::mmap(
                ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(memory, libc::MAP_FAILED);
            let descriptor = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC);
            let descriptor = i32::try_from(descriptor).expect("a descriptor");
            assert!(descriptor >= 0, "userfaultfd: errno {}", errno());
            let mut api = [0xaa_u64, 0, 0];
            assert_eq!(libc::ioctl(descriptor, API, api.as_mut_ptr()), 0);
            // Start, length, missing pages; the last is answered.
            let mut range = [memory as u64, PAGE as u64, 1, 0];
            let registered = libc::ioctl(descriptor, REGISTER, range.as_mut_ptr());
            assert_eq!(registered, 0, "register: errno {}", errno());
            Self {
                memory: memory.cast(),
                descriptor,
            }
        }
    }

    /// Waits until somebody misses the page.
    fn missed(&self) {
        let mut message = [0_u64; 4];
        // SAFETY: room for one message.
        let read = unsafe { libc::read(self.descriptor, message.as_mut_ptr().cast(), 32) };
        assert_eq!(read, 32);
    }

    /// Gives it, with this content.
    fn give(&self, content: &[u8; PAGE]) {
        let to = self.memory as u64;
        let mut copy = [to, content.as_ptr() as u64, PAGE as u64, 0, 0];
        // SAFETY: both are as long as said.
        let copied = unsafe { libc::ioctl(self.descriptor, COPY, copy.as_mut_ptr()) };
        assert_eq!(copied, 0, "copy: errno {}", errno());
    }

    fn take_away(&self) {
        // SAFETY: whatever of it was there is not used by this process.
        let taken = unsafe { libc::madvise(self.memory.cast(), PAGE, libc::MADV_DONTNEED) };
        assert_eq!(taken, 0);
    }

    fn argv(&self) -> [*const libc::c_char; 3] {
        let text = self.memory.cast_const().cast::<libc::c_char>();
        [text, text.wrapping_add(WITNESS), ptr::null()]
    }
}

/// A program and its witness as they are in the page.
fn content(program: &CString, witness: &CString) -> [u8; PAGE] {
    let mut content = [0; PAGE];
    for (at, text) in [(0, program), (WITNESS, witness)] {
        let bytes = text.as_bytes_with_nul();
        content[at..at + bytes.len()].copy_from_slice(bytes);
    }
    content
}

/// What each process executes: by the path in the page, or by this one.
struct Call {
    path: Option<CString>,
    argv: [*const libc::c_char; 3],
}

extern "C" fn execute(call: *mut libc::c_void) -> libc::c_int {
    let environment = [ptr::null::<libc::c_char>()];
    // SAFETY: the argument outlives this; all strings and arrays end with a null.
    unsafe {
        let call = &*call.cast::<Call>();
        let path = call
            .path
            .as_ref()
            .map_or(call.argv[0], |path| path.as_ptr());
        libc::execve(path, call.argv.as_ptr(), environment.as_ptr());
        libc::_exit(errno())
    }
}

/// A process that shares all memory with this one, and is stopped without it.
fn start(call: &Call) -> i32 {
    let stack = vec![0_u8; STACK].leak();
    // SAFETY: the stack grows down from its end and is never freed.
    let child = unsafe {
        libc::clone(
            execute,
            stack.as_mut_ptr().add(STACK).cast(),
            libc::CLONE_VM | libc::SIGCHLD,
            ptr::from_ref(call).cast_mut().cast(),
        )
    };
    assert!(child > 0, "clone: errno {}", errno());
    child
}

fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the status is a place to write to.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    libc::WEXITSTATUS(status)
}

fn pause() {
    thread::sleep(Duration::from_millis(5));
}

fn late(program: &CString, witness: &CString, trigger: &Path) -> ! {
    let page = Page::new();
    let call = Call {
        path: None,
        argv: page.argv(),
    };
    let child = start(&call);
    page.missed();
    println!("waiting");
    while !trigger.exists() {
        pause();
    }
    page.give(&content(program, witness));
    exit(wait(child));
}

fn never(count: usize, program: &CString, witness: &CString) {
    let page = Page::new();
    page.give(&content(program, witness));
    let call = Call {
        path: Some(program.clone()),
        argv: page.argv(),
    };
    stdin().read_line(&mut String::new()).expect("a line");
    let children: Vec<i32> = (0..count).map(|_| start(&call)).collect();
    for child in &children {
        // `PID (NAME) STATE ...`
        let stat = format!("/proc/{child}/stat");
        while !fs::read_to_string(&stat)
            .expect("its record stays")
            .contains(") T ")
        {
            pause();
        }
    }
    page.take_away();
    println!("gone");
    // Until the input ends; who started this ends the others.
    let _ = stdin().read_line(&mut String::new());
}

fn main() {
    let words: Vec<_> = env::args_os().skip(1).collect();
    match words.as_slice() {
        [how, program, witness, trigger] if how == "late" => {
            late(&c(program), &c(witness), Path::new(trigger));
        }
        [how, count, program, witness] if how == "never" => {
            let count = count.to_str().expect("digits").parse().expect("a number");
            never(count, &c(program), &c(witness));
        }
        _ => exit(2),
    }
}
