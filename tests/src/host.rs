//! The real daemon on a simulated kernel: everything but the kernel is as in
//! `holdpointd run`.

use std::{ffi::OsString, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use holdpoint_agent::{
    config::{Profile, Profiles},
    control, daemon, enrol,
    events::{
        journal::Journal,
        publisher,
        spool::{self, MIN_BYTES, SpoolError},
    },
    grants::ledger::Ledger,
    identity::Identity,
    kernel::{
        Gate as _, Permits, SessionId, TaskKey,
        simulated::{Attempt, Fate, SimulatedGate, Surroundings},
    },
    link::{self, LinkState},
    notify::Notifier,
    policy::Policy,
};
use holdpoint_proto::v1::{Event, Hello};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    approver::Approver,
    patience::{until, within},
    wire::Wire,
};

/// Name of the host at the approver.
pub const HOSTNAME: &str = "build-7";

/// How long its service manager waits for a sign of life, in microseconds.
const WATCHDOG: &str = "200000";

/// A host that is enrolled; its daemon may run or not.
pub struct Host {
    /// Its kernel.
    pub gate: Arc<SimulatedGate>,
    /// Its network to the approver.
    pub wire: Wire,
    profiles: Profiles,
    directory: TempDir,
    tasks: Vec<JoinHandle<()>>,
    link_state: Option<watch::Receiver<LinkState>>,
    reload_sender: Option<mpsc::Sender<Profiles>>,
    /// Path of the service manager's socket, if there is one.
    pub manager: Option<OsString>,
}

/// What a played process attempted.
pub struct Attempted {
    /// The process.
    pub task: TaskKey,
    fate: oneshot::Receiver<Fate>,
}

impl Attempted {
    /// Waits for what becomes of it.
    pub async fn fate(self) -> Fate {
        within("the end of an operation", self.fate).await.unwrap()
    }

    /// Asserts that nothing has become of it yet.
    #[track_caller]
    pub fn assert_held(&mut self) {
        assert_eq!(
            self.fate.try_recv(),
            Err(oneshot::error::TryRecvError::Empty)
        );
    }
}

/// Requests that one session may have open.
pub const MAX_REQUESTS: u32 = 300;

impl Host {
    /// Enrols a host with `policy` for the profiles `demo` (of `owner`) and
    /// `orphan` (of somebody without an account).
    pub async fn enrol(approver: &Approver, policy: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy.toml");
        std::fs::write(&path, policy).unwrap();
        let user = user_name();
        let profiles = [("demo", "owner"), ("orphan", "nobody-here")]
            .map(|(name, owner)| {
                let profile = Profile {
                    owner: owner.to_owned(),
                    users: vec![user.clone()],
                    policy: Policy::load(&path).unwrap(),
                    permits: Permits::NONE,
                    max_requests: MAX_REQUESTS,
                };
                (name.to_owned(), profile)
            })
            .into();
        let host = Self {
            gate: SimulatedGate::new(),
            wire: Wire::to(approver.port()).await,
            profiles,
            directory,
            tasks: Vec::new(),
            link_state: None,
            reload_sender: None,
            manager: None,
        };
        let token = approver.token().await;
        let mut identity = enrol::enrol(&token, HOSTNAME, &host.state_dir())
            .await
            .unwrap();
        identity.approver = format!("https://localhost:{}", host.wire.port());
        identity.store(&host.state_dir()).unwrap();
        host
    }

    /// Where its identity is.
    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// All events in its spool, whether the approver has them or not.
    pub fn events(&self) -> Vec<Event> {
        spool::look(&self.state_dir().join("spool")).unwrap()
    }

    /// Where its daemon listens.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("run/control.sock")
    }

    /// Starts the daemon without waiting for anything.
    pub fn start(&mut self) {
        assert!(self.tasks.is_empty(), "it runs already");
        let listener = control::listen(&self.socket()).unwrap();
        let (call_sender, calls) = mpsc::channel(64);
        let (link_sender, link_events) = mpsc::channel(1024);
        let hello = Hello {
            hostname: HOSTNAME.to_owned(),
            kernel_release: "simulated".to_owned(),
            ..Hello::default()
        };
        let (hello, hello_receiver) = watch::channel(hello);
        let (state_sender, link_state) = watch::channel(LinkState::default());
        let state_dir = self.state_dir();
        let (ledger, ended_grants) = Ledger::open(&state_dir);
        let notifier = Notifier::new(self.manager.as_deref(), Some(WATCHDOG.as_ref()), None);
        let (reload_sender, reloads) = mpsc::channel(1);
        self.reload_sender = Some(reload_sender);
        self.link_state = Some(link_state.clone());
        let journal = journal(&self.state_dir());
        let keeper = journal.clone();
        let parts = daemon::Parts {
            gate: Arc::clone(&self.gate),
            profiles: self.profiles.clone(),
            link_events,
            link_state,
            hello,
            identity: Box::new(move || Identity::load(&state_dir).ok().flatten()),
            calls,
            reloads,
            notifier,
            ledger,
            ended_grants,
            journal: journal.clone(),
        };
        self.tasks = vec![
            tokio::spawn(control::serve(listener, call_sender)),
            tokio::spawn(link::run(
                self.state_dir(),
                hello_receiver,
                state_sender,
                link_sender,
            )),
            tokio::spawn(async move { keeper.keep_synced().await }),
            tokio::spawn(publisher::run(self.state_dir(), journal)),
            tokio::spawn(daemon::run(parts, std::future::pending())),
        ];
    }

    /// Waits until the daemon has its approver, or has lost it.
    pub async fn wait_for_link(&self, connected: bool) {
        let state = self.link_state.clone().unwrap();
        until("the link", async || {
            let now = state.borrow().clone();
            if now.connected == connected {
                Ok(())
            } else {
                Err(now)
            }
        })
        .await;
    }

    /// Ends the daemon as SIGKILL would: it says nothing more to anybody.
    pub async fn kill(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            // Cancelled, which is what was asked for.
            let _ = task.await;
        }
    }

    /// A session of `profile`.
    pub fn session(&self, profile: &str) -> SessionId {
        let owner = &self.profiles[profile].owner;
        let session = self
            .gate
            .begin_session(1, profile, owner, 1000, Permits::NONE);
        session.unwrap().id
    }

    /// A process of `session` tries to run `argv`.
    pub fn exec_in(&self, session: SessionId, argv: &[&[u8]]) -> Attempted {
        let argv = argv.iter().map(|argument| argument.to_vec()).collect();
        self.attempt(session, &Attempt::Exec(argv))
    }

    /// A process of a new session of profile `demo` tries to run `argv`.
    pub fn exec(&self, argv: &[&str]) -> Attempted {
        let argv: Vec<&[u8]> = argv.iter().map(|argument| argument.as_bytes()).collect();
        self.exec_in(self.session("demo"), &argv)
    }

    /// A process of a new session of profile `demo` tries to connect by TCP.
    pub fn connect(&self, address: &str, port: u16) -> Attempted {
        let address: IpAddr = address.parse().unwrap();
        let attempt = Attempt::Connect {
            address,
            port,
            protocol: 6,
        };
        self.attempt(self.session("demo"), &attempt)
    }

    /// Process `task` of `session` tries to run `argv` where it is.
    pub fn exec_by(
        &self,
        task: TaskKey,
        session: SessionId,
        argv: &[&str],
        surroundings: &Surroundings,
    ) -> Attempted {
        let argv = argv.iter().map(|word| word.as_bytes().to_vec()).collect();
        let attempt = Attempt::Exec(argv);
        let fate = self.gate.attempt_by(task, session, &attempt, surroundings);
        Attempted { task, fate }
    }

    /// Gives both profiles another policy while the daemon runs.
    pub async fn reload(&mut self, policy: &str) {
        let path = self.directory.path().join("policy.toml");
        std::fs::write(&path, policy).unwrap();
        for profile in self.profiles.values_mut() {
            profile.policy = Policy::load(&path).unwrap();
        }
        let reloads = self.reload_sender.as_ref().unwrap();
        reloads.send(self.profiles.clone()).await.unwrap();
    }

    fn attempt(&self, session: SessionId, attempt: &Attempt) -> Attempted {
        let (task, fate) = self.gate.attempt(session, attempt);
        Attempted { task, fate }
    }

    /// Changes the identity on disk; what verifies decisions reads it each time.
    pub fn change_identity(&self, change: impl FnOnce(&mut Identity)) {
        let directory = self.state_dir();
        let mut identity = Identity::load(&directory).unwrap().unwrap();
        change(&mut identity);
        identity.store(&directory).unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The journal of a daemon that starts. The one before may still have a thread
/// that reads in its spool.
fn journal(state_dir: &std::path::Path) -> Journal {
    for _ in 0..100 {
        match Journal::open(state_dir, MIN_BYTES) {
            Err(SpoolError::InUse { .. }) => std::thread::sleep(Duration::from_millis(50)),
            opened => return opened.unwrap(),
        }
    }
    panic!("the spool of the daemon before is still in use");
}

/// The user the tests run as: who may begin sessions.
fn user_name() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    user.unwrap().unwrap().name
}
