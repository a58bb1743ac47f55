//! Local sockets: whoever listens outside could act for a session. Who answers is
//! judged, whatever name led there, and nothing is said before a person agreed.

use std::{
    fs, io,
    os::{
        fd::AsRawFd as _,
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
    },
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use holdpoint_proto::v1::{Connect, Outcome, Request, RequestState, operation::Kind};
use holdpoint_tests::{
    guest::{Guest, Place, Stack, guest, reviews::kind, session::Session, stack::SOCKET},
    patience::wait_until,
};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};

/// Does what it is asked, for whoever asks: here it counts.
struct Broker {
    asked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Broker {
    fn serve(mut one: impl FnMut() -> io::Result<usize> + Send + 'static) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        let serving = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match one() {
                    Ok(words) => {
                        count.fetch_add(words, Ordering::Relaxed);
                    }
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self {
            asked,
            stop,
            serving: Some(serving),
        }
    }

    fn of_streams(listener: UnixListener) -> Self {
        listener.set_nonblocking(true).unwrap();
        Self::serve(move || {
            let (stream, _) = listener.accept()?;
            stream.set_nonblocking(false)?;
            Ok(answer(&stream))
        })
    }

    fn of_datagrams(socket: UnixDatagram) -> Self {
        socket.set_nonblocking(true).unwrap();
        Self::serve(move || {
            let mut word = [0; 8];
            let length = socket.recv(&mut word)?;
            assert_eq!(&word[..length], b"act");
            Ok(1)
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn wait_for(&self, count: usize) {
        wait_until("the broker to be asked", || match self.asked() {
            asked if asked == count => Ok(()),
            asked => Err(asked),
        });
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// What a client says is done, and it is told so.
fn answer(stream: &UnixStream) -> usize {
    use std::io::{Read as _, Write as _};
    let mut word = [0; 3];
    if (&*stream).read_exact(&mut word).is_err() {
        return 0;
    }
    let _ = (&*stream).write_all(b"done");
    1
}

fn start(name: &str) -> (Guest, Place, String) {
    let guest = guest();
    let place = Place::new(&format!("local-{name}"));
    let attack = place.copy("attack-local", "attack-local");
    (guest, place, attack)
}

/// For everybody, as the sockets of brokers are to those who may use them.
fn everybodys(path: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

fn heard_at(path: &str) -> Broker {
    let broker = Broker::of_streams(UnixListener::bind(path).unwrap());
    everybodys(path);
    broker
}

fn held(guest: &mut Guest, session: &mut Session) -> (Request, Connect) {
    let id = Stack::session_id(session);
    let request = guest.bob.wait_for_one(&id);
    let Kind::Connect(connect) = kind(&request) else {
        panic!("{request:?}");
    };
    let connect = connect.clone();
    (request, connect)
}

fn name(connect: &Connect) -> &[u8] {
    &connect.local.as_ref().unwrap().name
}

/// Wins outside, is held in a session, says nothing before the approval, and is
/// refused without one.
fn is_held(guest: &mut Guest, command: &[&str], bound_to: &[u8], broker: &Broker) -> Connect {
    let won = format!("{} errno 0\n", command[1]);
    let before = broker.asked();
    let done = guest.free(command).wait();
    assert!(done.stdout.ends_with(&won), "{done:?}");
    broker.wait_for(before + 1);

    let mut session = guest.session(command);
    let (request, connect) = held(guest, &mut session);
    assert_eq!(name(&connect), bound_to);
    session.continue_500_times();
    assert_eq!(broker.asked(), before + 1);
    assert_eq!(session.peek().0, "");
    guest.bob.approve(&request);
    guest.bob.wait_for_outcome(&request.id, Outcome::Released);
    let done = session.wait();
    assert!(done.stdout.ends_with(&won), "{done:?}");
    broker.wait_for(before + 2);

    let mut session = guest.session(command);
    let (request, _) = held(guest, &mut session);
    guest.bob.deny(&request);
    let refused = format!("{} errno {}\n", command[1], libc::EPERM);
    assert_eq!(session.wait().stdout, refused);
    assert_eq!(broker.asked(), before + 2);
    connect
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_broker_is_asked_about_root() {
    let (mut guest, place, attack) = start("stream");
    let path = place.path("broker");
    let broker = heard_at(&path);
    let connect = is_held(
        &mut guest,
        &[&attack, "stream", &path],
        path.as_bytes(),
        &broker,
    );
    let local = connect.local.unwrap();
    assert!(local.name_is_hosts);
    assert_eq!((local.socket_type, local.uid), (1, 0));
    // The one that answers is this very test.
    let listener = connect.listener.unwrap();
    assert_eq!(listener.pid, std::process::id());
    let program = fs::read_link("/proc/self/exe").unwrap();
    assert_eq!(listener.executable, program.as_os_str().as_encoded_bytes());
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_broker_that_takes_packets_is_asked_about_root() {
    let (mut guest, place, attack) = start("packets");
    let path = place.path("broker");
    let socket = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::empty(),
        None,
    )
    .unwrap();
    bind(socket.as_raw_fd(), &UnixAddr::new(path.as_str()).unwrap()).unwrap();
    listen(&socket, Backlog::new(8).unwrap()).unwrap();
    everybodys(&path);
    let broker = Broker::of_streams(UnixListener::from(socket));
    is_held(
        &mut guest,
        &[&attack, "packets", &path],
        path.as_bytes(),
        &broker,
    );
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_abstract_name_is_asked_about_root() {
    let (mut guest, _place, attack) = start("abstract");
    let address = SocketAddr::from_abstract_name("holdpoint-tests/broker").unwrap();
    let broker = Broker::of_streams(UnixListener::bind_addr(&address).unwrap());
    let command = [&*attack, "stream", "@holdpoint-tests/broker"];
    let connect = is_held(&mut guest, &command, b"\0holdpoint-tests/broker", &broker);
    assert!(!connect.local.unwrap().name_is_hosts);
    assert_eq!(connect.listener.unwrap().pid, std::process::id());
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn another_way_to_a_broker_is_no_other_broker_root() {
    let (mut guest, place, attack) = start("alias");
    let path = place.path("broker");
    let broker = heard_at(&path);
    let link = place.path("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let hard = place.path("hard");
    fs::hard_link(&path, &hard).unwrap();
    let through_proc = format!("/proc/self/root{path}");
    for alias in [link, hard, through_proc] {
        let command = [&*attack, "stream", &alias];
        is_held(&mut guest, &command, path.as_bytes(), &broker);
    }
    // A mount of its own, in namespaces of its own.
    let folder = place.path("");
    let shell = format!(
        "mkdir -p /tmp/elsewhere && mount --bind {folder} /tmp/elsewhere && \
         exec {attack} stream /tmp/elsewhere/broker"
    );
    let command = ["/usr/bin/unshare", "-Urm", "/bin/sh", "-c", &shell];
    let before = broker.asked();
    let done = guest.free(&command).wait();
    assert!(done.stdout.ends_with("stream errno 0\n"), "{done:?}");
    broker.wait_for(before + 1);
    let mut session = guest.session(&command);
    let (request, connect) = held(&mut guest, &mut session);
    assert_eq!(name(&connect), path.as_bytes());
    guest.bob.deny(&request);
    let done = session.wait();
    assert!(done.stdout.ends_with("stream errno 1\n"), "{done:?}");
    assert_eq!(broker.asked(), before + 1);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn datagrams_are_asked_about_once_for_a_socket_root() {
    let (mut guest, place, attack) = start("datagrams");
    let path = place.path("broker");
    let broker = Broker::of_datagrams(UnixDatagram::bind(&path).unwrap());
    everybodys(&path);
    let command = [&*attack, "datagrams", "1", &path];
    let connect = is_held(&mut guest, &command, path.as_bytes(), &broker);
    assert_eq!(connect.local.unwrap().socket_type, 2);
    assert_eq!(connect.listener.unwrap().pid, std::process::id());
    is_held(
        &mut guest,
        &[&attack, "connected", &path],
        path.as_bytes(),
        &broker,
    );

    let before = broker.asked();
    let mut session = guest.session(&[&attack, "datagrams", "20", &path]);
    let (request, _) = held(&mut guest, &mut session);
    guest.bob.approve(&request);
    assert_eq!(session.wait().stdout, "datagrams errno 0\n");
    broker.wait_for(before + 20);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_denied_broker_hears_nothing_root() {
    let (mut guest, place, attack) = start("closed");
    let path = place.path("closed");
    let broker = heard_at(&path);
    let done = guest.free(&[&attack, "stream", &path]).wait();
    assert!(done.stdout.ends_with("stream errno 0\n"), "{done:?}");
    broker.wait_for(1);
    let shell = format!("for i in 1 2 3; do {attack} stream {path}; done");
    let done = guest.session(&["/bin/sh", "-c", &shell]).wait();
    assert_eq!(done.stdout, "stream errno 1\n".repeat(3));
    assert_eq!(broker.asked(), 1);
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn an_approval_is_of_the_socket_that_was_there_root() {
    let (mut guest, place, attack) = start("replaced");
    let path = place.path("broker");
    let first = heard_at(&path);
    let mut session = guest.session(&[&attack, "stream", &path]);
    let (request, _) = held(&mut guest, &mut session);
    // Another one takes its name while a person looks.
    fs::remove_file(&path).unwrap();
    let second = heard_at(&path);
    guest.bob.approve(&request);
    let id = Stack::session_id(&mut session);
    let again = wait_until("another question", || {
        let pending = guest.bob.pending(&id);
        match pending.as_slice() {
            [one] if one.id != request.id => Ok(one.clone()),
            _ => Err(pending.len()),
        }
    });
    assert_eq!((first.asked(), second.asked()), (0, 0));
    guest.bob.deny(&again);
    assert_eq!(session.wait().stdout, "stream errno 1\n");
    assert_eq!((first.asked(), second.asked()), (0, 0));
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_sessions_own_sockets_are_nobodys_question_root() {
    let (mut guest, place, attack) = start("own");
    // In a folder of the session's user.
    let folder = place.path("own");
    fs::create_dir(&folder).unwrap();
    everybodys(&folder);
    let done = guest
        .session(&[&attack, "own", "@holdpoint-tests/own"])
        .wait();
    assert_eq!(done.stdout, "own errno 0\n", "{done:?}");
    let path = format!("{folder}/closed");
    let done = guest.session(&[&attack, "own", &path]).wait();
    assert_eq!(done.stdout, "own errno 0\n", "{done:?}");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn no_restart_is_seen_by_a_program_root() {
    let (mut guest, place, attack) = start("restart");
    let path = place.path("counted");
    let broker = heard_at(&path);
    // The kernel asks the daemon each time: so often the call starts again.
    let done = guest.session(&[&attack, "many", "300", &path]).wait();
    assert_eq!(done.stdout, "many errno 0\n", "{done:?}");
    assert_eq!(broker.asked(), 0, "none of them said a word");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn the_daemons_socket_is_out_of_reach_root() {
    let (mut guest, _place, attack) = start("daemon");
    let path = SOCKET;
    let done = guest.root_session(&[&attack, "many", "1", path]).wait();
    assert_eq!(done.stdout, "many errno 1\nmany errno 1\n", "{done:?}");
    let done = guest.free_root(&[&attack, "many", "1", path]).wait();
    assert_eq!(done.stdout, "many errno 0\n", "{done:?}");
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn a_proxy_on_loopback_is_named_root() {
    let (mut guest, place, _attack) = start("proxy");
    let client = place.copy("attack-connect", "attack-connect");
    // A program that forwards for everybody, outside of every session.
    let proxy = place.copy("attack-network", "proxy");
    let mut proxy_runs = guest.free(&[&proxy, "serve", "127.0.0.1:9301"]);
    proxy_runs.wait_for("listens");
    let done = guest.free(&[&client, "once", "127.0.0.1:9301"]).wait();
    assert_eq!(done.code, Some(0), "{done:?}");
    proxy_runs.wait_for("heard 1");
    let mut session = guest.session(&[&client, "once", "127.0.0.1:9301"]);
    let (request, connect) = held(&mut guest, &mut session);
    assert_eq!(connect.listener.unwrap().executable, proxy.as_bytes());
    assert_eq!(request.state(), RequestState::Pending);
    guest.bob.deny(&request);
    let _ = session.wait();
    assert!(!proxy_runs.peek().0.contains("heard 2"));
    // Somebody else takes its port while a person looks: that was not approved.
    let mut session = guest.session(&[&client, "once", "127.0.0.1:9301"]);
    let (request, _) = held(&mut guest, &mut session);
    proxy_runs.signal_all(nix::sys::signal::Signal::SIGKILL);
    let _ = proxy_runs.wait();
    let other = place.copy("attack-network", "other");
    let mut other_runs = guest.free(&[&other, "serve", "127.0.0.1:9301"]);
    other_runs.wait_for("listens");
    guest.bob.approve(&request);
    let done = session.wait();
    assert!(done.stdout.contains("errno 1\n"), "{done:?}");
    assert!(!other_runs.peek().0.contains("heard"));
    // Asked anew it is another answer of the policy.
    let done = guest.session(&[&client, "once", "127.0.0.1:9301"]).wait();
    assert_eq!(done.code, Some(0), "{done:?}");
    other_runs.wait_for("heard 1");
    other_runs.signal_all(nix::sys::signal::Signal::SIGKILL);
    let _ = other_runs.wait();
}
