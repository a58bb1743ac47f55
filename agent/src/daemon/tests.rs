//! Stories of a daemon whose kernel is simulated.

use std::path::Path;

use holdpoint_proto::v1::event::Body;
use tokio::{sync::oneshot, task::JoinHandle};

use super::*;
use crate::{
    config,
    events::spool::{self, MIN_BYTES},
    kernel::{
        Permits,
        simulated::{Attempt, Fate, SimulatedGate},
    },
    policy::Policy,
};

const POLICY: &str = "
default = 'allow'
[[rules]]
name = 'uploads'
verdict = 'hold'
exec = { exe = ['/usr/bin/curl'] }
";

/// A machine whose daemon comes and goes.
struct Machine {
    gate: Arc<SimulatedGate>,
    session: SessionId,
    directory: tempfile::TempDir,
}

/// Its daemon.
struct Running {
    stop: oneshot::Sender<()>,
    daemon: JoinHandle<()>,
    // The daemon's other ends.
    _link: mpsc::Sender<LinkEvent>,
    _state: watch::Sender<LinkState>,
    _calls: mpsc::Sender<control::Request>,
    _reloads: mpsc::Sender<Profiles>,
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.daemon.await.unwrap();
    }
}

impl Machine {
    fn new() -> Self {
        let gate = SimulatedGate::new();
        let session = gate
            .begin_session(1, "coding", "ada", 1000, Permits::NONE)
            .unwrap()
            .id;
        Self {
            gate,
            session,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts its daemon, and waits until that listens.
    async fn start(&self) -> Running {
        let journal = Journal::open(self.directory.path(), MIN_BYTES).unwrap();
        let before = self.starts();
        let profile = config::Profile {
            owner: "ada".to_owned(),
            users: Vec::new(),
            policy: Policy::parse(POLICY, Path::new("policy.toml")).unwrap(),
            permits: Permits::NONE,
            max_requests: config::DEFAULT_MAX_REQUESTS,
        };
        let (link, link_events) = mpsc::channel(1);
        let (state, link_state) = watch::channel(LinkState::default());
        let (calls_sender, calls) = mpsc::channel(1);
        let (reloads_sender, reloads) = mpsc::channel(1);
        let parts = Parts {
            gate: Arc::clone(&self.gate),
            profiles: [("coding".to_owned(), profile)].into(),
            link_events,
            link_state,
            hello: watch::Sender::new(v1::Hello::default()),
            identity: Box::new(|| None),
            calls,
            reloads,
            notifier: Notifier::default(),
            ledger: Ledger::default(),
            ended_grants: Vec::new(),
            journal,
        };
        let (stop, stopped) = oneshot::channel();
        let daemon = tokio::spawn(run(parts, async move {
            stopped.await.unwrap();
        }));
        while self.starts() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Running {
            stop,
            daemon,
            _link: link,
            _state: state,
            _calls: calls_sender,
            _reloads: reloads_sender,
        }
    }

    fn starts(&self) -> usize {
        let started = |body: &Body| match body {
            Body::Enforcement(event) => event.lifecycle() == v1::Lifecycle::Started,
            _ => false,
        };
        self.events().iter().filter(|body| started(body)).count()
    }

    fn exec(&self, program: &str) -> (kernel::TaskKey, oneshot::Receiver<Fate>) {
        let attempt = Attempt::Exec(vec![program.as_bytes().to_vec()]);
        self.gate.attempt(self.session, &attempt)
    }

    fn events(&self) -> Vec<Body> {
        let events = spool::look(&self.directory.path().join("spool")).unwrap();
        events.into_iter().filter_map(|event| event.body).collect()
    }

    fn operations(&self) -> Vec<v1::OperationEvent> {
        self.events()
            .into_iter()
            .filter_map(|body| match body {
                Body::Operation(event) => Some(event),
                _ => None,
            })
            .collect()
    }

    fn gaps(&self) -> Vec<v1::Gap> {
        self.events()
            .into_iter()
            .filter_map(|body| match body {
                Body::Gap(gap) => Some(gap),
                _ => None,
            })
            .collect()
    }

    /// Waits until so many operations were told with `action`.
    async fn told(&self, action: v1::Action, count: usize) -> Vec<v1::OperationEvent> {
        for _ in 0..500 {
            let mut told = self.operations();
            told.retain(|event| event.action() == action);
            if told.len() >= count {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?}", self.events());
    }
}

#[tokio::test]
async fn a_daemon_that_stops_tells_of_all_that_it_took_from_the_kernel() {
    let machine = Machine::new();
    let running = machine.start().await;
    let (_, fate) = machine.exec("/bin/ls");
    assert_eq!(fate.await, Ok(Fate::Passed));
    let held: Vec<_> = (0..30).map(|_| machine.exec("/usr/bin/curl").0).collect();
    machine.told(v1::Action::Held, held.len()).await;
    // All of this, and the end, before the daemon does anything.
    for _ in 0..50 {
        machine.exec("/bin/ls").1.try_recv().unwrap();
    }
    for task in &held {
        let held = machine.gate.held(*task).unwrap().unwrap();
        machine
            .gate
            .answer(&held, kernel::Answer::Refuse, Duration::ZERO)
            .unwrap();
    }
    let (waits, mut fate) = machine.exec("/usr/bin/curl");
    running.stop().await;
    assert!(fate.try_recv().is_err(), "it is nobody's to answer");
    assert_eq!(machine.gate.waiting(), [waits]);
    let count = |action| {
        let mut told = machine.operations();
        told.retain(|event| event.action() == action);
        told.len()
    };
    // The kernel was asked about the first one, and knew about the others.
    assert_eq!(count(v1::Action::Allowed), 51);
    assert_eq!(count(v1::Action::Denied), held.len());
    let next = machine.start().await;
    let asked = machine.told(v1::Action::Held, held.len() + 1).await;
    assert_eq!(
        asked.last().unwrap().process.as_ref().unwrap().pid,
        waits.tgid
    );
    next.stop().await;
    assert_eq!(count(v1::Action::Allowed), 51, "once");
    assert_eq!(count(v1::Action::Denied), held.len(), "once");
    assert_eq!(machine.gaps(), []);
}

#[tokio::test]
async fn a_hold_whose_process_died_without_a_daemon_ends() {
    let machine = Machine::new();
    let running = machine.start().await;
    let (task, _) = machine.exec("/usr/bin/curl");
    let held = machine.told(v1::Action::Held, 1).await;
    running.stop().await;
    machine.gate.exit(task);
    let running = machine.start().await;
    let abandoned = machine.told(v1::Action::Abandoned, 1).await;
    // Long enough to look again.
    tokio::time::sleep(2 * RECONCILE_EVERY).await;
    running.stop().await;
    assert_eq!(abandoned[0].hold_id, held[0].hold_id);
    assert_eq!(machine.operations().len(), 2);
}

#[tokio::test]
async fn a_daemon_that_starts_tells_of_all_sessions_there_are() {
    let machine = Machine::new();
    let ends = machine
        .gate
        .begin_session(2, "coding", "ada", 1000, Permits::NONE)
        .unwrap();
    machine.start().await.stop().await;
    machine.gate.end_session(ends.id);
    machine.start().await.stop().await;
    let mut starts: Vec<Vec<(String, bool)>> = Vec::new();
    for body in machine.events() {
        match body {
            Body::Enforcement(event) if event.lifecycle() == v1::Lifecycle::Started => {
                starts.push(Vec::new());
            }
            Body::Session(event) => {
                let told = (event.session.unwrap().id, event.ended);
                starts.last_mut().unwrap().push(told);
            }
            _ => {}
        }
    }
    for told in &mut starts {
        told.sort();
    }
    let goes_on = (machine.session.to_string(), false);
    assert_eq!(
        starts,
        [
            vec![goes_on.clone(), (ends.id.to_string(), false)],
            vec![goes_on]
        ]
    );
}

#[tokio::test]
async fn what_was_lost_before_the_daemon_started_is_as_old_as_nobody_knows() {
    let machine = Machine::new();
    machine.gate.lose_events(true);
    let (_, fate) = machine.exec("/bin/ls");
    let running = machine.start().await;
    assert_eq!(fate.await, Ok(Fate::Passed));
    running.stop().await;
    let since: Vec<bool> = machine
        .gaps()
        .into_iter()
        .filter(|gap| gap.cause() == v1::GapCause::RingBuffer)
        .map(|gap| gap.since.is_some())
        .collect();
    // How it was held nobody heard, and then not how it ended either.
    assert_eq!(since, [false, true]);
}
