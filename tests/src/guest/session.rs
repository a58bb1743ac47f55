//! A process tree of the user `agent`, in a session or free. Everything in it
//! dies with this value.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User},
};

use crate::{patience::wait_until, programs::Done};

/// See the module.
pub struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    status: Option<ExitStatus>,
    output: PathBuf,
    errors: PathBuf,
    cgroup: PathBuf,
}

impl Session {
    pub(super) fn start(number: u32, user: &User, command: &[&str]) -> Self {
        let file = |kind| PathBuf::from(format!("/run/session-{number}.{kind}"));
        let (output, errors) = (file("out"), file("err"));
        let cgroup = PathBuf::from(format!("/sys/fs/cgroup/session-{number}"));
        fs::create_dir(&cgroup).unwrap();
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(fs::File::create(&output).unwrap())
            .stderr(fs::File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        // So that nothing it starts outlives it, whatever it does to hide.
        fs::write(cgroup.join("cgroup.procs"), child.id().to_string()).unwrap();
        Self {
            stdin: child.stdin.take(),
            child,
            status: None,
            output,
            errors,
            cgroup,
        }
    }

    /// The first process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
    }

    /// Waits for the first process and gives what all have written so far.
    pub fn wait(&mut self) -> Done {
        drop(self.stdin.take());
        let status = wait_until("the end of a session", || {
            self.ended();
            self.status.ok_or_else(|| self.peek())
        });
        let (stdout, stderr) = self.peek();
        Done::from(std::process::Output {
            status,
            stdout: stdout.into_bytes(),
            stderr: stderr.into_bytes(),
        })
    }

    /// Whether the first process has ended.
    pub fn ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status.is_some()
    }

    /// What was written so far.
    pub fn peek(&self) -> (String, String) {
        let read = |path| {
            let mut bytes = Vec::new();
            let mut file = fs::File::open(path).unwrap();
            file.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        (read(&self.output), read(&self.errors))
    }

    /// Waits until `text` was written.
    pub fn wait_for(&mut self, text: &str) {
        wait_until("output", || {
            let (output, errors) = self.peek();
            if output.contains(text) {
                Ok(())
            } else {
                Err((output, errors))
            }
        });
    }

    /// All processes that are alive now.
    pub fn processes(&self) -> Vec<u32> {
        let mut groups = self.subgroups();
        groups.push(self.cgroup.clone());
        let mut all = Vec::new();
        for group in groups {
            let text = fs::read_to_string(group.join("cgroup.procs")).unwrap();
            all.extend(text.lines().map(|line| line.parse::<u32>().unwrap()));
        }
        all
    }

    /// Control groups that its processes made for themselves.
    fn subgroups(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.cgroup).unwrap();
        let folder = |entry: fs::DirEntry| entry.path().is_dir().then(|| entry.path());
        entries.filter_map(|entry| folder(entry.ok()?)).collect()
    }

    /// Sends `signal` to all of it.
    pub fn signal_all(&self, signal: Signal) {
        for pid in self.processes() {
            // It may be gone by now.
            let _ = kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal);
        }
    }

    /// Sends 500 SIGCONTs, slowly enough that each can do harm.
    pub fn continue_500_times(&self) {
        for _ in 0..500 {
            self.signal_all(Signal::SIGCONT);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (output, errors) = self.peek();
            eprintln!("a session wrote:\n{output}{errors}");
        }
        // Whoever is left; an empty cgroup takes it as well.
        let _ = fs::write(self.cgroup.join("cgroup.kill"), "1");
        let _ = self.child.wait();
        wait_until("an empty cgroup", || {
            for group in self.subgroups() {
                fs::remove_dir(group)?;
            }
            fs::remove_dir(&self.cgroup)
        });
    }
}
