//! Routes that no rule judges are barred to every session, and open to one whose
//! profile permits them. Each works outside a session, or barring it would prove
//! nothing.

use std::{
    fs,
    io::IoSlice,
    net::{TcpListener, TcpStream},
    os::{fd::AsRawFd as _, unix::net::UnixListener},
    process::{Child, Command, Stdio},
    thread,
};

use holdpoint_proto::v1::event::Body;
use holdpoint_tests::{
    guest::{Guest, Place, Stack, guest, listener::Listener},
    patience::wait_until,
};
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::socket::{ControlMessage, MsgFlags, sendmsg},
};

struct Attack {
    guest: Guest,
    place: Place,
    program: String,
    /// The last event before it.
    before: u64,
}

impl Attack {
    fn new(name: &str) -> Self {
        let guest = guest();
        let place = Place::new(&format!("barred-{name}"));
        let program = place.copy("attack-route", "attack-route");
        let before = Stack::events().iter().map(|event| event.sequence).max();
        Self {
            guest,
            place,
            program,
            before: before.unwrap_or(0),
        }
    }

    fn words<'a>(&'a self, words: &[&'a str]) -> Vec<String> {
        [&*self.program]
            .iter()
            .chain(words)
            .map(|word| (*word).to_owned())
            .collect()
    }

    /// What it says outside a session.
    fn free(&mut self, words: &[&str]) -> i32 {
        let words = self.words(words);
        errno(&self.guest.free(&refs(&words)).wait())
    }

    fn free_root(&mut self, words: &[&str]) -> i32 {
        let words = self.words(words);
        errno(&self.guest.free_root(&refs(&words)).wait())
    }

    /// What it says in one.
    fn session(&mut self, words: &[&str]) -> i32 {
        let words = self.words(words);
        errno(&self.guest.session(&refs(&words)).wait())
    }

    fn root_session(&mut self, words: &[&str]) -> i32 {
        let words = self.words(words);
        errno(&self.guest.root_session(&refs(&words)).wait())
    }

    fn open_root_session(&mut self, words: &[&str]) -> i32 {
        let words = self.words(words);
        errno(&self.guest.open_root_session(&refs(&words)).wait())
    }

    /// What it says in one that may.
    fn open_session(&mut self, words: &[&str]) -> i32 {
        let words = self.words(words);
        errno(&self.guest.open_session(&refs(&words)).wait())
    }

    /// Waits for the event that says which route was barred.
    fn told(&self, route: &str) {
        wait_until("the event", || {
            let routes: Vec<String> = Stack::events()
                .into_iter()
                .filter(|event| event.sequence > self.before)
                .filter_map(|event| match event.body? {
                    Body::Operation(operation) => Some(operation.route),
                    _ => None,
                })
                .collect();
            if routes.iter().any(|told| told == route) {
                Ok(())
            } else {
                Err(routes)
            }
        });
    }
}

fn refs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[track_caller]
fn errno(done: &holdpoint_tests::programs::Done) -> i32 {
    let line = done.stdout.lines().last().unwrap_or_default();
    let Some((_, errno)) = line.rsplit_once(" errno ") else {
        panic!("{done:?}");
    };
    errno.parse().unwrap()
}

/// `words` work as root, not in a session of root.
fn is_barred_to_root(name: &str, words: &[&str], free: i32, route: &str) {
    let mut attack = Attack::new(name);
    assert_eq!(attack.free_root(words), free, "outside");
    assert_eq!(attack.root_session(words), libc::EPERM, "inside");
    attack.told(route);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn raw_sockets_are_barred_root() {
    is_barred_to_root("raw", &["socket", "2", "3", "1"], 0, "raw-socket");
    is_barred_to_root("packet", &["socket", "17", "3", "768"], 0, "raw-socket");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn sockets_of_other_kinds_are_barred_root() {
    // Whether a kernel has a module for them does not matter: none is loaded.
    for (name, words) in [
        ("alg", ["socket", "38", "5", "0"]),
        ("mptcp", ["socket", "2", "1", "262"]),
        ("sctp", ["socket", "2", "1", "132"]),
        ("sctp-packets", ["socket", "2", "5", "132"]),
        ("udplite", ["socket", "2", "2", "136"]),
        ("rds", ["socket", "21", "5", "0"]),
        ("tipc", ["socket", "30", "1", "0"]),
        ("bluetooth", ["socket", "31", "3", "0"]),
        ("can", ["socket", "29", "3", "1"]),
        ("xdp", ["socket", "44", "3", "0"]),
        ("smc", ["socket", "43", "1", "0"]),
        ("rxrpc", ["socket", "33", "2", "2"]),
        ("kcm", ["socket", "41", "5", "0"]),
    ] {
        let mut attack = Attack::new(name);
        assert_eq!(attack.root_session(&words), libc::EPERM, "{name}");
        let free = attack.free_root(&words);
        assert_ne!(free, libc::EPERM, "{name}");
        attack.told("socket-kind");
        // Some need root besides.
        assert_eq!(attack.open_session(&words), attack.free(&words), "{name}");
    }
    let mut attack = Attack::new("vsock");
    assert_eq!(attack.session(&["socket", "40", "1", "0"]), libc::EPERM);
    attack.told("vsock");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn ping_sockets_are_barred_root() {
    fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap();
    let mut attack = Attack::new("ping");
    let words = ["socket", "2", "2", "1"];
    assert_eq!(attack.free(&words), 0);
    assert_eq!(attack.session(&words), libc::EPERM);
    assert_eq!(attack.open_session(&words), 0);
    attack.told("ping");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn ordinary_sockets_are_not_root() {
    let mut attack = Attack::new("ordinary");
    for words in [
        ["socket", "1", "1", "0"],
        ["socket", "1", "2", "0"],
        ["socket", "2", "1", "6"],
        ["socket", "10", "2", "17"],
        ["socket", "16", "3", "0"],
        ["socket", "16", "2", "9"],
    ] {
        assert_eq!(attack.session(&words), 0, "{words:?}");
    }
    assert_eq!(attack.session(&["address"]), 0, "asking by netlink");
    assert_eq!(attack.session(&["socket", "16", "3", "12"]), libc::EPERM);
    attack.told("netlink");
    // By a socket that may be made: what it says is judged.
    assert_eq!(attack.free_root(&["change"]), 0);
    assert_eq!(attack.root_session(&["change"]), libc::EPERM);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn hearing_from_other_hosts_is_barred_root() {
    let mut attack = Attack::new("listen");
    for (on, barred) in [
        ("127.0.0.1:8030", 0),
        ("[::1]:8030", 0),
        ("0.0.0.0:8031", libc::EPERM),
        ("[::]:8031", libc::EPERM),
    ] {
        assert_eq!(attack.free(&["listen", on]), 0, "{on}");
        assert_eq!(attack.session(&["listen", on]), barred, "{on}");
        assert_eq!(attack.open_session(&["listen", on]), 0, "{on}");
    }
    attack.told("listen");
}

/// Hands a connected socket to everybody who comes, as long as it lives.
fn hand_out(path: &str, to: &'static str) {
    let listener = UnixListener::bind(path).unwrap();
    nix::sys::stat::fchmodat(
        nix::fcntl::AT_FDCWD,
        path,
        nix::sys::stat::Mode::from_bits_truncate(0o777),
        nix::sys::stat::FchmodatFlags::FollowSymlink,
    )
    .unwrap();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let connected = TcpStream::connect(to).unwrap();
            let fds = [connected.as_raw_fd()];
            let rights = [ControlMessage::ScmRights(&fds)];
            let sent = sendmsg::<()>(
                stream.as_raw_fd(),
                &[IoSlice::new(b"x")],
                &rights,
                MsgFlags::empty(),
                None,
            );
            sent.unwrap();
            // Until the other side is done with it.
            let mut byte = [0];
            let _ = nix::sys::socket::recv(stream.as_raw_fd(), &mut byte, MsgFlags::empty());
        }
    });
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_connected_socket_of_others_is_not_received_root() {
    const TO: &str = "127.0.0.1:8032";
    let mut attack = Attack::new("receive");
    let listener = Listener::on(TO);
    let path = attack.place.path("handed-out");
    hand_out(&path, TO);
    assert_eq!(attack.free(&["receive", &path]), 0);
    listener.wait_for_bytes(5);
    assert_ne!(attack.session(&["receive", &path]), 0);
    thread::sleep(std::time::Duration::from_millis(50));
    listener.wait_for_bytes(5);
    attack.told("foreign-socket");
}

/// A process of the sessions' user, outside of any, with a connected socket.
fn neighbour(stream: &TcpStream) -> Child {
    use std::os::unix::process::CommandExt as _;
    fcntl(stream, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let agent = Stack::agent();
    let neighbour = Command::new("/usr/bin/sleep")
        .arg("1000")
        .uid(agent.uid.as_raw())
        .gid(agent.gid.as_raw())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    // No session is to inherit it.
    fcntl(stream, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    neighbour
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_connected_socket_of_others_is_not_taken_root() {
    const TO: &str = "127.0.0.1:8033";
    let mut attack = Attack::new("take");
    let listener = Listener::on(TO);
    let stream = TcpStream::connect(TO).unwrap();
    let mut neighbour = neighbour(&stream);
    let (pid, fd) = (neighbour.id().to_string(), stream.as_raw_fd().to_string());
    assert_eq!(attack.free(&["take", &pid, &fd]), 0);
    listener.wait_for_bytes(5);
    assert_eq!(attack.session(&["take", &pid, &fd]), libc::EPERM);
    thread::sleep(std::time::Duration::from_millis(50));
    listener.wait_for_bytes(5);
    neighbour.kill().unwrap();
    neighbour.wait().unwrap();
    attack.told("trace");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_session_does_not_begin_with_a_connected_socket_root() {
    const TO: &str = "127.0.0.1:8034";
    let mut attack = Attack::new("inherit");
    let listener = Listener::on(TO);
    let stream = TcpStream::connect(TO).unwrap();
    fcntl(&stream, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let fd = stream.as_raw_fd().to_string();
    for (mode, bytes) in [("write", 5), ("splice", 10)] {
        assert_eq!(attack.free(&[mode, &fd]), 0, "{mode}");
        listener.wait_for_bytes(bytes);
    }
    for mode in ["write", "splice"] {
        let words = attack.words(&[mode, &fd]);
        let done = attack.guest.session(&refs(&words)).wait();
        assert_ne!(done.code, Some(0), "{done:?}");
        assert!(done.stderr.contains("socket"), "{done:?}");
        assert_eq!(done.stdout, "");
    }
    listener.wait_for_bytes(10);
    // Of a listening socket as well: its connections would be others' too.
    drop(stream);
    let heard = TcpListener::bind("127.0.0.1:8035").unwrap();
    fcntl(&heard, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let words = attack.words(&["address"]);
    let done = attack.guest.session(&refs(&words)).wait();
    assert!(done.stderr.contains("socket"), "{done:?}");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn processes_outside_the_session_are_not_traced_root() {
    let mut attack = Attack::new("trace");
    let listener = TcpListener::bind("127.0.0.1:8036").unwrap();
    let stream = TcpStream::connect("127.0.0.1:8036").unwrap();
    drop(listener);
    let mut neighbour = neighbour(&stream);
    let pid = neighbour.id().to_string();
    for words in [["memory", &*pid], ["trace", &*pid]] {
        assert_eq!(attack.free(&words), 0, "{words:?}");
        let said = attack.session(&words);
        assert!([libc::EPERM, libc::EACCES].contains(&said), "{said}");
        let said = attack.root_session(&words);
        assert!([libc::EPERM, libc::EACCES].contains(&said), "{said}");
    }
    neighbour.kill().unwrap();
    neighbour.wait().unwrap();
    attack.told("trace");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn the_daemon_is_out_of_reach_of_root_root() {
    let mut attack = Attack::new("daemon");
    let pid = attack.guest.daemon.pid().to_string();
    assert_eq!(attack.free_root(&["signal", &pid, "0"]), 0);
    assert_eq!(attack.free_root(&["read", &format!("/proc/{pid}/mem")]), 0);
    for words in [
        ["signal", &*pid, "0"].as_slice(),
        &["signal", &pid, "9"],
        &["signal", &pid, "19"],
        &["trace", &pid],
        &["memory", &pid],
        &["read", &format!("/proc/{pid}/mem")],
        &["read", &format!("/proc/{pid}/environ")],
        // Nor once in a while.
        &["reads", "900", &format!("/proc/{pid}/environ")],
    ] {
        let said = attack.root_session(words);
        assert!(
            [libc::EPERM, libc::EACCES].contains(&said),
            "{words:?}: {said}"
        );
    }
    assert!(attack.guest.daemon.runs());
    attack.told("holdpointd");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn the_daemons_files_are_out_of_reach_of_root_root() {
    const STACK: &str = "/run/holdpoint-stack";
    let mut attack = Attack::new("files");
    let (policy, config) = (
        format!("{STACK}/policy.toml"),
        format!("{STACK}/holdpointd.toml"),
    );
    let state = format!("{STACK}/holdpointd");
    let elsewhere = attack.place.path("elsewhere");
    let fresh = format!("{state}/fresh");
    let within = |name: &str| format!("{state}/{name}");
    let secret = fs::read_dir(&state)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_file())
        .unwrap();
    let secret = secret.to_str().unwrap();
    assert_eq!(attack.free_root(&["read", secret]), 0);
    assert_eq!(attack.free_root(&["create", &within("free")]), 0);
    assert_eq!(attack.free_root(&["unlink", &within("free")]), 0);
    for words in [
        ["open", &*policy].as_slice(),
        &["open", &config],
        &["truncate", &policy],
        &["chmod", &policy],
        &["unlink", &policy],
        &["rename", &policy, &elsewhere],
        &["rename", &attack.program.clone(), &policy],
        &["link", secret, &elsewhere],
        &["read", secret],
        &["create", &fresh],
        &["unlink", holdpoint_tests::guest::SOCKET],
    ] {
        assert_eq!(attack.root_session(words), libc::EPERM, "{words:?}");
    }
    assert_eq!(attack.root_session(&["read", &policy]), 0, "no secret");
    attack.told("holdpointd");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn what_leads_to_the_daemons_files_keeps_its_place_root() {
    const STACK: &str = "/run/holdpoint-stack";
    const AWAY: &str = "/run/holdpoint-away";
    let mut attack = Attack::new("above");
    assert_eq!(attack.free_root(&["rename", STACK, AWAY]), 0);
    assert_eq!(attack.free_root(&["rename", AWAY, STACK]), 0);
    // Nothing permits it.
    for moved in [
        attack.root_session(&["rename", STACK, AWAY]),
        attack.open_root_session(&["rename", STACK, AWAY]),
    ] {
        if moved == 0 {
            // For the tests that follow.
            fs::rename(AWAY, STACK).unwrap();
        }
        assert_eq!(moved, libc::EPERM);
    }
    // What only lies beside it is not kept.
    let (own, elsewhere) = (attack.place.path("own"), attack.place.path("elsewhere"));
    fs::create_dir(&own).unwrap();
    assert_eq!(attack.root_session(&["rename", &own, &elsewhere]), 0);
    attack.told("holdpointd");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn what_leads_to_startup_files_keeps_its_place_root() {
    let mut attack = Attack::new("above-startup");
    let home = Stack::agent().dir;
    let within = |name: &str| home.join(name).to_str().unwrap().to_owned();
    let (leads, prepared) = (within(".config"), within("prepared"));
    let _ = fs::remove_dir_all(&leads);
    assert_eq!(attack.session(&["folder", &prepared]), 0);
    assert_eq!(
        attack.session(&["folder", &format!("{prepared}/systemd")]),
        0
    );
    // One that was prepared elsewhere takes no such place.
    assert_eq!(attack.session(&["rename", &prepared, &leads]), libc::EPERM);
    assert!(!fs::exists(&leads).unwrap());
    assert_eq!(attack.free(&["rename", &prepared, &leads]), 0);
    assert_eq!(attack.session(&["rename", &leads, &prepared]), libc::EPERM);
    assert_eq!(attack.free(&["rename", &leads, &prepared]), 0);
    fs::remove_dir_all(&prepared).unwrap();
    // Nor does anything of /etc that there is not yet.
    for name in ["/etc/ld.so.preload", "/etc/cron.d/holdpoint-test"] {
        let _ = fs::create_dir_all("/etc/cron.d");
        assert_eq!(attack.free_root(&["create", name]), 0, "{name}");
        assert_eq!(attack.free_root(&["unlink", name]), 0, "{name}");
        assert_eq!(
            attack.root_session(&["create", name]),
            libc::EPERM,
            "{name}"
        );
        assert!(!fs::exists(name).unwrap());
    }
    assert_eq!(attack.root_session(&["create", "/etc/holdpoint-test"]), 0);
    attack.told("startup-file");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn bpf_and_probes_are_barred_to_root_root() {
    is_barred_to_root("bpf", &["bpf"], 0, "bpf");
    is_barred_to_root("perf", &["perf"], 0, "bpf");
    let pins = fs::read_dir("/sys/fs/bpf/holdpoint").unwrap();
    let pins = pins.map(|entry| entry.unwrap().path()).next().unwrap();
    let link = fs::read_dir(pins.join("links")).unwrap().next().unwrap();
    let link = link.unwrap().path();
    let link = link.to_str().unwrap();
    let mut attack = Attack::new("pins");
    assert_eq!(attack.root_session(&["unlink", link]), libc::EPERM);
    let moved = format!("{link}_moved");
    assert_eq!(attack.root_session(&["rename", link, &moved]), libc::EPERM);
    attack.told("kernel-settings");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn modules_and_other_kernels_are_barred_to_root_root() {
    is_barred_to_root("module", &["module"], libc::ENOEXEC, "module");
    let mut attack = Attack::new("kexec");
    assert_ne!(attack.free_root(&["kexec"]), libc::EPERM);
    assert_eq!(attack.root_session(&["kexec"]), libc::EPERM);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn the_kernels_memory_is_barred_to_root_root() {
    is_barred_to_root("kcore", &["read", "/proc/kcore"], 0, "kernel-memory");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn the_hosts_mounts_are_barred_to_root_root() {
    let mut attack = Attack::new("mount");
    let target = attack.place.path("mounted");
    fs::create_dir(&target).unwrap();
    assert_eq!(attack.free_root(&["mount", "tmpfs", &target]), 0);
    assert_eq!(attack.root_session(&["umount", &target]), libc::EPERM);
    assert_eq!(attack.free_root(&["umount", &target]), 0);
    for words in [
        ["mount", "tmpfs", &*target].as_slice(),
        &["umount", "/sys/fs/bpf"],
        &["fsopen", "tmpfs"],
    ] {
        assert_eq!(attack.root_session(words), libc::EPERM, "{words:?}");
    }
    assert_eq!(attack.free_root(&["fsopen", "tmpfs"]), 0);
    attack.told("mount");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn settings_of_the_kernel_are_barred_to_root_root() {
    for path in [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sysrq-trigger",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ] {
        is_barred_to_root("setting", &["open", path], 0, "kernel-settings");
    }
    let mut attack = Attack::new("own");
    let own = "/proc/self/oom_score_adj";
    assert_eq!(attack.session(&["open", own]), 0, "a process's own");
    assert_eq!(attack.session(&["open", "/dev/null"]), 0);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn rings_are_barred_root() {
    let mut attack = Attack::new("ring");
    assert_eq!(attack.free(&["ring"]), 0);
    assert_eq!(attack.session(&["ring"]), libc::EPERM);
    assert_eq!(attack.root_session(&["ring"]), libc::EPERM);
    assert_eq!(attack.open_session(&["ring"]), 0);
    attack.told("io-uring");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_program_without_a_name_is_not_executed_root() {
    let mut attack = Attack::new("memfd");
    assert_eq!(attack.free(&["memfd"]), 0);
    assert_eq!(attack.session(&["memfd"]), libc::EPERM);
    assert_eq!(attack.open_session(&["memfd"]), 0);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn devices_beyond_the_ordinary_are_barred_to_root_root() {
    let mut attack = Attack::new("device");
    let disk = attack.place.path("disk");
    let number = nix::sys::stat::makedev(1, 0);
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::sys::stat::mknod(&*disk, nix::sys::stat::SFlag::S_IFBLK, mode, number).unwrap();
    for device in ["/dev/port", "/dev/kmsg", &disk] {
        // Whether it is there does not matter: the name is judged, not the driver.
        assert_ne!(attack.free_root(&["open", device]), libc::EPERM, "{device}");
        assert_eq!(
            attack.root_session(&["open", device]),
            libc::EPERM,
            "{device}"
        );
    }
    for device in ["/dev/zero", "/dev/urandom", "/dev/ptmx"] {
        assert_eq!(attack.session(&["open", device]), 0, "{device}");
    }
    attack.told("device");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn helpers_of_the_kernel_are_not_asked_root() {
    let mut attack = Attack::new("key");
    // There is no helper here, so nobody has the key; the kernel looked for it.
    assert!([libc::ENOENT, libc::ENOKEY].contains(&attack.free(&["key", "one"])));
    assert_eq!(attack.session(&["key", "two"]), libc::EPERM);
    attack.told("kernel-helper");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn nobody_passes_for_another_program_root() {
    let mut attack = Attack::new("disguise");
    // The kernel's own answer, where the old program is still mapped.
    assert_ne!(attack.free_root(&["disguise"]), libc::EPERM);
    assert_eq!(attack.root_session(&["disguise"]), libc::EPERM);
    attack.told("disguise");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn what_others_run_later_is_not_changed_root() {
    let mut attack = Attack::new("startup");
    let home = Stack::agent().dir;
    let home = home.to_str().unwrap();
    let within = |name: &str| format!("{home}/{name}");
    for folder in [".config", ".ssh", ".local", ".local/share", "project"] {
        let folder = within(folder);
        fs::create_dir_all(&folder).unwrap();
        let user = Stack::agent();
        std::os::unix::fs::chown(&folder, Some(user.uid.as_raw()), None).unwrap();
    }
    for name in [".bashrc", ".profile", ".ssh/authorized_keys", ".ssh/rc"] {
        let path = within(name);
        assert_eq!(attack.free(&["create", &path]), 0, "{path}");
        assert_eq!(attack.session(&["create", &path]), libc::EPERM, "{path}");
        assert_eq!(attack.session(&["unlink", &path]), libc::EPERM, "{path}");
        assert_eq!(attack.session(&["truncate", &path]), libc::EPERM, "{path}");
        assert_eq!(attack.session(&["read", &path]), 0, "{path}");
        assert_eq!(attack.free(&["unlink", &path]), 0, "{path}");
        // Nor made anew, whichever way.
        assert_eq!(attack.session(&["create", &path]), libc::EPERM, "{path}");
        let other = within("other");
        assert_eq!(attack.session(&["create", &other]), 0);
        assert_eq!(attack.session(&["rename", &other, &path]), libc::EPERM);
        assert_eq!(attack.session(&["link", &other, &path]), libc::EPERM);
        assert_eq!(attack.open_session(&["rename", &other, &path]), 0);
        assert_eq!(attack.open_session(&["unlink", &path]), 0);
    }
    for name in [
        ".config/systemd",
        ".config/autostart",
        ".local/share/systemd",
    ] {
        let folder = within(name);
        assert_eq!(
            attack.session(&["folder", &folder]),
            libc::EPERM,
            "{folder}"
        );
        assert_eq!(attack.free(&["folder", &folder]), 0, "{folder}");
        let file = format!("{folder}/deep");
        assert_eq!(attack.session(&["create", &file]), libc::EPERM, "{file}");
        assert_eq!(
            attack.session(&["rename", &folder, &within("x")]),
            libc::EPERM
        );
    }
    // The same names elsewhere are nobody's.
    for name in ["project/.bashrc", ".ssh/known_hosts", ".config/other"] {
        assert_eq!(attack.session(&["create", &within(name)]), 0, "{name}");
    }
    attack.told("startup-file");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn typing_for_others_is_barred_root() {
    // Newer kernels let nobody but root.
    let mut attack = Attack::new("type");
    assert_eq!(attack.free_root(&["type"]), 0);
    assert_eq!(attack.root_session(&["type"]), libc::EPERM);
    attack.told("terminal-input");
}
