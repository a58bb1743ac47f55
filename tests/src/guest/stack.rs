//! Approver and daemon of a guest, set up as an administrator would.

use std::{
    fs::{self, DirBuilder},
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    os::unix::{fs::DirBuilderExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
};

use holdpoint_agent::{events::spool, kernel::Route};
use holdpoint_proto::{
    control::{Answer, Call, Status},
    v1::Event,
};
use nix::unistd::User;

use super::{place::PLACES, reviews::Reviews, service::Service, session::Session};
use crate::{
    patience::wait_until,
    programs::{Done, program},
};

const FOLDER: &str = "/run/holdpoint-stack";
/// Where the daemon listens.
pub const SOCKET: &str = "/run/holdpoint-stack-socket/control.sock";
const PORT: u16 = 7443;
const PASSWORD: &str = "correct horse battery";
const POLICY: &str = include_str!("../../policies/vm.toml");

/// So few that a flood is one under emulation too.
const EVENTS_PER_SECOND: u32 = 40;

/// The unprivileged user that sessions run as.
pub const AGENT: &str = "agent";

/// A Holdpoint in a guest.
pub struct Stack {
    /// The central service.
    pub approver: Service,
    /// The host daemon.
    pub daemon: Service,
    /// A reviewer who is logged in.
    pub bob: Reviews,
    sessions: u32,
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn write(name: &str, content: &str) -> String {
    let path = path(name);
    fs::write(&path, content).unwrap();
    path.into_os_string().into_string().unwrap()
}

fn root() -> User {
    User::from_name("root").unwrap().unwrap()
}

fn run(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(program(name)).args(arguments).output();
    Done::from(output.unwrap()).ok()
}

impl Stack {
    /// Sets everything up and waits until the host enforces.
    pub(super) fn start() -> Self {
        assert!(
            !Path::new(FOLDER).exists(),
            "the stack did not come up; an earlier test says why"
        );
        for (folder, mode) in [(FOLDER, 0o700), (PLACES, 0o755)] {
            DirBuilder::new().mode(mode).create(folder).unwrap();
        }
        let state = path("approver");
        let approver_config = write(
            "approver.toml",
            &format!(
                "listen = \"127.0.0.1:{PORT}\"\naddress = \"https://localhost:{PORT}\"\n\
                 state_dir = \"{}\"\n",
                state.display()
            ),
        );
        let policy = write("policy.toml", POLICY);
        let permits = Route::ALL
            .into_iter()
            .filter(|route| route.may_be_permitted())
            .map(|route| format!("{:?}", route.name()))
            .collect::<Vec<_>>()
            .join(", ");
        let daemon_config = write(
            "holdpointd.toml",
            &format!(
                "state_dir = \"{FOLDER}/holdpointd\"\ncontrol_socket = \"{SOCKET}\"\n\
                 [profiles.demo]\nowner = \"owner\"\nusers = [\"{AGENT}\", \"root\"]\n\
                 policy = \"{policy}\"\n\
                 [profiles.open]\nowner = \"owner\"\nusers = [\"{AGENT}\", \"root\"]\n\
                 policy = \"{policy}\"\npermit = [{permits}]\n[events]\n\
                 session_events_per_second = {EVENTS_PER_SECOND}\n"
            ),
        );
        let password = write("password", PASSWORD);
        let approver = |words: &[&str]| {
            let words: Vec<_> = ["--config", &approver_config]
                .iter()
                .chain(words)
                .copied()
                .collect();
            run("holdpoint-approver", &words)
        };
        for name in ["owner", "bob"] {
            let words = [
                "user",
                "add",
                name,
                "--role",
                "reviewer",
                "--password-file",
                &password,
            ];
            approver(&words);
        }
        let token = approver(&["token", "create"]);
        let mut stack = Self {
            approver: Service::new(
                &program("holdpoint-approver"),
                &["--config", &approver_config, "serve"],
                &path("approver.log"),
            ),
            daemon: Service::new(
                &program("holdpointd"),
                &["--config", &daemon_config, "run"],
                &path("holdpointd.log"),
            ),
            bob: Reviews::none(),
            sessions: 0,
        };
        stack.approver.start();
        wait_until("the approver", || TcpStream::connect(("127.0.0.1", PORT)));
        run(
            "holdpointd",
            &["--config", &daemon_config, "enrol", token.trim()],
        );
        stack.daemon.start();
        let ca = fs::read_to_string(state.join("ca.pem")).unwrap();
        stack.bob = Reviews::login(&format!("https://localhost:{PORT}"), &ca, "bob", PASSWORD);
        stack.wait_until_up();
        stack
    }

    /// Makes good what a failed test before left behind.
    pub(super) fn recover(&mut self) {
        if !self.approver.runs() {
            self.approver.start();
        }
        if !self.daemon.runs() {
            self.daemon.start();
        }
        self.daemon.signal(nix::sys::signal::Signal::SIGCONT);
        self.wait_until_up();
    }

    /// Waits until the host enforces and has its approver.
    pub fn wait_until_up(&mut self) {
        let seen = wait_until("the host", || match try_status() {
            Ok(status) if status.enforcing && status.approver.connected => Ok(Ok(())),
            Ok(status) => Err(format!("{status:?}")),
            // Both must be alive, or waiting leads nowhere.
            Err(_) if !self.daemon.runs() => Ok(Err("holdpointd ended")),
            Err(error) => Err(error.to_string()),
        });
        assert_eq!(seen, Ok(()));
    }

    /// How the host is doing.
    pub fn status() -> Status {
        try_status().unwrap()
    }

    /// All events in the host's spool, whether the approver has them or not.
    pub fn events() -> Vec<Event> {
        spool::look(&path("holdpointd/spool")).unwrap()
    }

    /// The user [`AGENT`].
    pub fn agent() -> User {
        User::from_name(AGENT).unwrap().unwrap()
    }

    /// Starts `command` as the root of a session of [`AGENT`].
    pub fn session(&mut self, command: &[&str]) -> Session {
        self.start_as(&Stack::agent(), Some("demo"), command)
    }

    /// The same, under the profile that permits every route.
    pub fn open_session(&mut self, command: &[&str]) -> Session {
        self.start_as(&Stack::agent(), Some("open"), command)
    }

    /// The same as [`Self::session`], as root.
    pub fn root_session(&mut self, command: &[&str]) -> Session {
        self.start_as(&root(), Some("demo"), command)
    }

    /// The same as [`Self::open_session`], as root.
    pub fn open_root_session(&mut self, command: &[&str]) -> Session {
        self.start_as(&root(), Some("open"), command)
    }

    /// Starts `command` as [`AGENT`], outside any session.
    pub fn free(&mut self, command: &[&str]) -> Session {
        self.start_as(&Stack::agent(), None, command)
    }

    /// Starts `command` as root, outside any session.
    pub fn free_root(&mut self, command: &[&str]) -> Session {
        self.start_as(&root(), None, command)
    }

    fn start_as(&mut self, user: &User, profile: Option<&str>, command: &[&str]) -> Session {
        self.sessions += 1;
        let holdpoint = program("holdpoint");
        let begin = profile.map(|profile| {
            let holdpoint = holdpoint.to_str().unwrap();
            [
                holdpoint,
                "run",
                "--socket",
                SOCKET,
                "--profile",
                profile,
                "--",
            ]
        });
        let words: Vec<_> = begin.iter().flatten().chain(command).copied().collect();
        Session::start(self.sessions, user, &words)
    }

    /// The id of the session whose root is `session`, once it has begun.
    pub fn session_id(session: &mut Session) -> String {
        let pid = session.pid();
        wait_until("the session", || {
            let sessions = try_status().map_err(|error| error.to_string())?.sessions;
            let mut ours = sessions.into_iter().filter(|known| known.root_pid == pid);
            ours.next()
                .map(|known| known.id)
                .ok_or_else(|| format!("{:?}", session.peek()))
        })
    }
}

fn try_status() -> std::io::Result<Status> {
    let mut stream = UnixStream::connect(SOCKET)?;
    stream.set_read_timeout(Some(crate::patience::PATIENCE))?;
    let mut call = serde_json::to_vec(&Call::Status)?;
    call.push(b'\n');
    stream.write_all(&call)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    match serde_json::from_str(&line)? {
        Answer::Status(status) => Ok(*status),
        other => panic!("{other:?}"),
    }
}
