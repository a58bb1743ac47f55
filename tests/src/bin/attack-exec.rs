//! Runs a program by one of the routes that lead to an exec.
//!
//! `attack-exec ROUTE PROGRAM [ARGUMENT...]`, says `errno N` if it is refused.
//! `attack-exec check PROGRAM...` only asks whether it could, says `could errno N`
//! and then does. The routes of control groups need root.
#![expect(unsafe_code, reason = "system calls")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

#[path = "../attack/raw.rs"]
mod raw;

use std::{env, fs, os::fd::AsRawFd as _, process::exit, ptr, thread, time::Duration};

use raw::{Exec, errno};

const STACK: usize = 64 * 1024;

fn main() {
    let mut arguments = env::args_os().skip(1);
    let route = arguments.next().expect("name the route");
    let exec = Exec::of(arguments);
    match route.to_str() {
        Some("plain") => refused(exec.execve()),
        Some("child") => in_child(|| refused(exec.execve())),
        Some("orphan") => orphan(&exec),
        Some("thread") => thread(exec),
        Some("vfork") => vfork(&exec),
        Some("posix-spawn") => posix_spawn(&exec),
        Some("descriptor") => descriptor(&exec),
        Some("user-namespace") => user_namespace(&exec),
        Some("pid-namespace") => pid_namespace(&exec),
        Some("mount-namespace") => mount_namespace(&exec),
        Some("sibling") => sibling(&exec),
        Some("control-group") => control_group(&exec, false),
        Some("moved") => control_group(&exec, true),
        Some("compat") => compat(&exec, false),
        Some("compat-descriptor") => compat(&exec, true),
        Some("path-search") => path_search(&exec),
        Some("check") => check(&exec),
        other => panic!("no route {other:?}"),
    }
}

fn refused(errno: i32) -> ! {
    println!("errno {errno}");
    exit(1);
}

/// Does `work` in a child and ends as it does.
fn in_child(work: impl FnOnce()) {
    // SAFETY: this program has one thread here.
    match unsafe { libc::fork() } {
        0 => {
            work();
            exit(0);
        }
        pid => wait_for(pid),
    }
}

fn wait_for(pid: i32) {
    assert!(pid > 0, "no child: errno {}", errno());
    let mut status = 0;
    // SAFETY: the status is a place to write to.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid);
    exit(if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status)
    } else {
        128 + libc::WTERMSIG(status)
    });
}

/// Two forks and a session of its own: nobody above it is left.
fn orphan(exec: &Exec) {
    // SAFETY: this program has one thread; nothing here has pointers.
    unsafe {
        if libc::fork() != 0 {
            exit(0);
        }
        libc::setsid();
        let parent = libc::getpid();
        if libc::fork() != 0 {
            exit(0);
        }
        while libc::getppid() == parent {
            thread::sleep(Duration::from_millis(5));
        }
    }
    refused(exec.execve());
}

/// A thread that is not the first one: the exec ends all others and takes over
/// the process id.
fn thread(exec: Exec) {
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_mins(1));
        }
    });
    let exec = thread::spawn(move || exec.execve());
    refused(exec.join().expect("it returned"));
}

/// Shares all memory with its parent, which waits.
fn vfork(exec: &Exec) {
    extern "C" fn child(exec: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the parent's argument, which outlives this.
        let errno = unsafe { &*exec.cast::<Exec>() }.execve();
        // SAFETY: no pointers.
        unsafe { libc::_exit(errno) }
    }
    let mut stack = vec![0_u8; STACK];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack grows down from its end, and the parent waits until the
    // child no longer uses it.
    let pid = unsafe {
        libc::clone(
            child,
            stack.as_mut_ptr().add(STACK).cast(),
            flags,
            ptr::from_ref(exec).cast_mut().cast(),
        )
    };
    wait_for(pid);
}

fn posix_spawn(exec: &Exec) {
    let mut pid = 0;
    let environment = [ptr::null_mut()];
    // SAFETY: all strings and arrays end with a null.
    let result = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            exec.path().as_ptr(),
            ptr::null(),
            ptr::null(),
            exec.argv().cast(),
            environment.as_ptr(),
        )
    };
    if result != 0 {
        refused(result);
    }
    wait_for(pid);
}

/// By a descriptor, no path in the call.
fn descriptor(exec: &Exec) {
    let environment = [ptr::null::<libc::c_char>()];
    // SAFETY: all strings and arrays end with a null.
    unsafe {
        let fd = libc::open(exec.path().as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
        assert!(fd >= 0, "open: errno {}", errno());
        libc::syscall(
            libc::SYS_execveat,
            fd,
            c"".as_ptr(),
            exec.argv(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    refused(errno());
}

fn unshare(flags: i32) {
    // SAFETY: no pointers.
    let (uid, gid, result) = unsafe { (libc::getuid(), libc::getgid(), libc::unshare(flags)) };
    assert_eq!(result, 0, "unshare: errno {}", errno());
    fs::write("/proc/self/setgroups", "deny").expect("one may not set groups");
    fs::write("/proc/self/uid_map", format!("0 {uid} 1")).expect("root in there");
    fs::write("/proc/self/gid_map", format!("0 {gid} 1")).expect("root in there");
}

fn user_namespace(exec: &Exec) {
    unshare(libc::CLONE_NEWUSER);
    refused(exec.execve());
}

/// As process 1 of a namespace of its own.
fn pid_namespace(exec: &Exec) {
    unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWPID);
    in_child(|| {
        // SAFETY: no pointers.
        assert_eq!(unsafe { libc::getpid() }, 1);
        refused(exec.execve());
    });
}

/// Where this process is root and may mount what it likes.
fn mount_namespace(exec: &Exec) {
    unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS);
    refused(exec.execve());
}

/// A child whose parent is not the one that made it (`CLONE_PARENT`).
fn sibling(exec: &Exec) {
    // SAFETY: this program has one thread; no memory is shared and no pointer
    // passed.
    unsafe {
        if libc::fork() == 0 {
            let flags = libc::c_long::from(libc::CLONE_PARENT);
            let pid = libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0);
            assert!(pid >= 0, "clone: errno {}", errno());
            if pid == 0 {
                refused(exec.execve());
            }
            exit(0);
        }
    }
    let mut ended = 0;
    for _ in 0..2 {
        let mut status = 0;
        // SAFETY: the status is a place to write to.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        assert!(pid > 0, "wait: errno {}", errno());
        ended = ended.max(libc::WEXITSTATUS(status));
    }
    exit(ended);
}

/// In another control group: moved there, or born in it (`CLONE_INTO_CGROUP`).
fn control_group(exec: &Exec, moved: bool) {
    /// `CLONE_INTO_CGROUP`.
    const INTO_CGROUP: u64 = 0x2_0000_0000;

    let own = fs::read_to_string("/proc/self/cgroup").expect("its control group");
    let own = own.trim().trim_start_matches("0::");
    let group = format!("/sys/fs/cgroup{own}/elsewhere");
    fs::create_dir(&group).expect("a control group");
    let folder = fs::File::open(&group).expect("its folder");
    let child = || {
        if moved {
            fs::write(format!("{group}/cgroup.procs"), "0").expect("it may move");
        }
        let now = fs::read_to_string("/proc/self/cgroup").expect("its control group");
        assert!(now.trim().ends_with("/elsewhere"), "{now}");
        refused(exec.execve());
    };
    if moved {
        in_child(child);
    }
    // SAFETY: all zeros are a call with no options.
    let mut call: libc::clone_args = unsafe { std::mem::zeroed() };
    call.flags = INTO_CGROUP;
    call.exit_signal = u64::try_from(libc::SIGCHLD).expect("it is positive");
    call.cgroup = u64::try_from(folder.as_raw_fd()).expect("it is open");
    let size = size_of::<libc::clone_args>();
    // SAFETY: this program has one thread; the structure is as long as said.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw const call, size) } {
        0 => child(),
        pid => wait_for(i32::try_from(pid).expect("a process")),
    }
}

/// Through the 32-bit entry, where strings and their lists are below 4 GiB and
/// addresses half as long.
fn compat(exec: &Exec, by_descriptor: bool) {
    /// execve and execveat in the 32-bit table.
    const EXECVE: u64 = 11;
    const EXECVEAT: u64 = 358;
    const ROOM: usize = 1 << 16;

    // SAFETY: new memory of that size.
    let low = unsafe {
        libc::mmap(
            ptr::null_mut(),
            ROOM,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
            -1,
            0,
        )
    };
    assert_ne!(low, libc::MAP_FAILED);
    let mut used = 0;
    let mut put = |bytes: &[u8]| {
        assert!(used + bytes.len() <= ROOM);
        // SAFETY: within the new memory, which nobody else has.
        let at = unsafe {
            let at = low.cast::<u8>().add(used);
            ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len());
            at as u64
        };
        used += bytes.len().next_multiple_of(8);
        u32::try_from(at).expect("below 4 GiB")
    };
    let path = put(exec.path().as_bytes_with_nul());
    let mut list = Vec::new();
    for text in exec.arguments() {
        list.extend(put(text.as_bytes_with_nul()).to_ne_bytes());
    }
    list.extend(0_u32.to_ne_bytes());
    let arguments = put(&list);
    let nothing = put(&[0; 8]);
    let (number, first, second, third, fourth, flags) = if by_descriptor {
        // SAFETY: the path ends with a null.
        let fd = unsafe { libc::open(exec.path().as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
        let fd = u32::try_from(fd).expect("it can be opened");
        let empty = u32::try_from(libc::AT_EMPTY_PATH).expect("it is positive");
        (EXECVEAT, fd, nothing, arguments, nothing, empty)
    } else {
        (EXECVE, path, arguments, nothing, 0, 0)
    };
    let mut first = u64::from(first);
    let mut result = number;
    // SAFETY: the call takes its arguments in ebx, ecx, edx, esi and edi, of which
    // rbx is the compiler's and is put back; all of them are as the call wants.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}",
            "int 0x80",
            "xchg rbx, {first}",
            first = inout(reg) first,
            inout("rax") result,
            in("rcx") u64::from(second),
            in("rdx") u64::from(third),
            in("rsi") u64::from(fourth),
            in("rdi") u64::from(flags),
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    let _ = first;
    // The result is 32 bits wide.
    refused(-(result as u32).cast_signed());
}

/// As a library does: what the kernel finds no format in is given to a shell.
fn path_search(exec: &Exec) {
    // SAFETY: all strings and arrays end with a null.
    unsafe { libc::execvp(exec.path().as_ptr(), exec.argv()) };
    refused(errno());
}

/// Asks whether the file could be executed, then executes it.
fn check(exec: &Exec) {
    /// `AT_EXECVE_CHECK`.
    const CHECK: i32 = 0x1_0000;

    let environment = [ptr::null::<libc::c_char>()];
    // SAFETY: all strings and arrays end with a null.
    let result = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            libc::AT_FDCWD,
            exec.path().as_ptr(),
            exec.argv(),
            environment.as_ptr(),
            CHECK,
        )
    };
    let could = if result == 0 { 0 } else { errno() };
    println!("could errno {could}");
    refused(exec.execve());
}
