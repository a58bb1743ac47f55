//! Runs a program by one of the routes that lead to an exec.
//!
//! `attack-exec ROUTE PROGRAM [ARGUMENT...]`, says `errno N` if it is refused.
#![expect(unsafe_code, reason = "system calls")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

#[path = "../attack/raw.rs"]
mod raw;

use std::{env, fs, process::exit, ptr, thread, time::Duration};

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
