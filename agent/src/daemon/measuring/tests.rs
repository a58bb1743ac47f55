//! The numbers of a daemon whose kernel is simulated.

use std::{path::Path, sync::Arc};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use holdpoint_proto::{
    decision,
    v1::{approver_message, host_message::Message},
};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::{
    config,
    daemon::{Parts, run_counted},
    events::{journal::Journal, spool::MIN_BYTES},
    grants::ledger::Ledger,
    identity::Identity,
    kernel::{
        Permits, SessionId,
        simulated::{Attempt, Fate, SimulatedGate},
    },
    link::{LinkEvent, LinkState},
    metrics::{Metrics, tests::sample},
    notify::Notifier,
    policy::Policy,
};

const POLICY: &str = "
default = 'allow'
[[rules]]
name = 'never'
verdict = 'deny'
exec = { exe = ['/usr/bin/never'] }
[[rules]]
name = 'uploads'
verdict = 'hold'
exec = { exe = ['/usr/bin/curl'] }
";

/// A running daemon, and an approver that is this test.
struct World {
    gate: Arc<SimulatedGate>,
    session: SessionId,
    metrics: Metrics,
    requests: mpsc::UnboundedReceiver<v1::HostMessage>,
    link: mpsc::Sender<LinkEvent>,
    link_state: watch::Sender<LinkState>,
    pair: Arc<Ed25519KeyPair>,
    // The daemon's other ends.
    _calls: mpsc::Sender<crate::control::Request>,
    _reloads: mpsc::Sender<config::Profiles>,
    _directory: tempfile::TempDir,
}

async fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let gate = SimulatedGate::new();
    let session = gate
        .begin_session(1, "coding", "ada", 1000, Permits::NONE)
        .unwrap()
        .id;
    // Of a profile that was configured once.
    gate.begin_session(2, "before", "ada", 1000, Permits::NONE)
        .unwrap();
    let metrics = Metrics::on().unwrap();
    let profile = config::Profile {
        owner: "ada".to_owned(),
        users: vec!["agent".to_owned()],
        policy: Policy::parse(POLICY, Path::new("policy.toml")).unwrap(),
        permits: Permits::NONE,
        max_requests: config::DEFAULT_MAX_REQUESTS,
    };
    let pair = Arc::new(Ed25519KeyPair::generate().unwrap());
    let identity = Identity {
        host_id: "h".to_owned(),
        approver: "https://localhost:7443".to_owned(),
        ca: String::new(),
        certificate: String::new(),
        key: String::new(),
        decision_key: pair.public_key().as_ref().try_into().unwrap(),
    };
    let (link, link_events) = mpsc::channel(16);
    let (state_sender, link_state) = watch::channel(LinkState::default());
    let (calls_sender, calls) = mpsc::channel(1);
    let (reloads_sender, reloads) = mpsc::channel(1);
    let parts = Parts {
        gate: Arc::clone(&gate),
        profiles: [("coding".to_owned(), profile)].into(),
        link_events,
        link_state,
        hello: watch::Sender::new(v1::Hello::default()),
        identity: Box::new(move || Some(identity.clone())),
        calls,
        reloads,
        notifier: Notifier::default(),
        ledger: Ledger::default(),
        ended_grants: Vec::new(),
        journal: Journal::open(directory.path(), MIN_BYTES).unwrap(),
    };
    tokio::spawn(run_counted(parts, metrics.clone(), std::future::pending()));
    let (sender, requests) = mpsc::unbounded_channel();
    link.send(LinkEvent::Up(sender)).await.unwrap();
    World {
        gate,
        session,
        metrics,
        requests,
        link,
        link_state: state_sender,
        pair,
        _calls: calls_sender,
        _reloads: reloads_sender,
        _directory: directory,
    }
}

impl World {
    fn exec(&self, session: SessionId, program: &str) -> tokio::sync::oneshot::Receiver<Fate> {
        let attempt = Attempt::Exec(vec![program.as_bytes().to_vec()]);
        self.gate.attempt(session, &attempt).1
    }

    async fn request(&mut self) -> v1::OpenRequest {
        loop {
            let message = self.requests.recv().await.unwrap();
            if let Some(Message::Open(open)) = message.message {
                return open;
            }
        }
    }

    async fn decide(&self, request: &v1::OpenRequest, verdict: v1::Verdict) {
        let mut decision = v1::Decision {
            request_id: request.request_id.clone(),
            digest: request.digest.clone(),
            verdict: verdict.into(),
            reviewer: "bob".to_owned(),
            ..v1::Decision::default()
        };
        let signature = self.pair.sign(&decision::signing_bytes(&decision));
        decision.signature = signature.as_ref().to_vec();
        let message = approver_message::Message::Decision(decision);
        let said = LinkEvent::Message(Box::new(message));
        self.link.send(said).await.unwrap();
    }

    /// Waits until all of `lines` are on the page.
    async fn shows(&self, lines: &[(&str, f64)]) {
        let mut missing = None;
        for _ in 0..500 {
            let page = self.metrics.page();
            missing = lines
                .iter()
                .find(|(line, value)| sample(&page, &format!("holdpointd_{line}")) != Some(*value))
                .map(|line| (line, page.clone()));
            if missing.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{missing:?}");
    }
}

#[tokio::test]
async fn a_hold_is_counted_from_its_stop_to_its_end() {
    let mut world = world().await;
    let session = world.session;
    assert_eq!(world.exec(session, "/bin/ls").await, Ok(Fate::Passed));
    // Now the kernel knows, and answers alone.
    assert_eq!(world.exec(session, "/bin/ls").await, Ok(Fate::Passed));
    let never = world.exec(session, "/usr/bin/never");
    assert_eq!(never.await, Ok(Fate::Refused));
    let (first, second) = (
        world.exec(session, "/usr/bin/curl"),
        world.exec(session, "/usr/bin/curl"),
    );
    let requests = [world.request().await, world.request().await];
    world
        .shows(&[
            ("operations_total{kind=\"exec\",verdict=\"allow\"}", 2.0),
            ("operations_total{kind=\"exec\",verdict=\"deny\"}", 1.0),
            ("operations_total{kind=\"exec\",verdict=\"hold\"}", 2.0),
            ("hold_answer_seconds_count{basis=\"policy\"}", 2.0),
            ("holds_waiting", 2.0),
            ("requests_open", 2.0),
            ("holds_ended_total{outcome=\"released\"}", 0.0),
        ])
        .await;
    world.decide(&requests[0], v1::Verdict::Approve).await;
    world.decide(&requests[1], v1::Verdict::Deny).await;
    let mut fates = [first.await.unwrap(), second.await.unwrap()];
    fates.sort_by_key(|fate| *fate != Fate::Passed);
    assert_eq!(fates, [Fate::Passed, Fate::Refused]);
    world
        .shows(&[
            ("hold_answer_seconds_count{basis=\"decision\"}", 2.0),
            ("decision_answer_seconds_count{verdict=\"approve\"}", 1.0),
            ("decision_answer_seconds_count{verdict=\"deny\"}", 1.0),
            ("holds_ended_total{outcome=\"released\"}", 1.0),
            ("holds_ended_total{outcome=\"denied\"}", 1.0),
            ("holds_waiting", 0.0),
            ("requests_open", 0.0),
            // What was counted as held is not counted as denied again.
            ("operations_total{kind=\"exec\",verdict=\"deny\"}", 1.0),
        ])
        .await;
}

#[tokio::test]
async fn what_is_so_follows_what_happens() {
    let world = world().await;
    let policy = Policy::parse(POLICY, Path::new("policy.toml")).unwrap();
    let digest = policy
        .sha256()
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let max_bytes = u32::try_from(MIN_BYTES).unwrap();
    world
        .shows(&[
            ("enforcing", 1.0),
            ("link_up", 0.0),
            ("grants_active", 0.0),
            ("sessions{profile=\"coding\"}", 1.0),
            ("sessions{profile=\"(gone)\"}", 1.0),
            (
                &format!("policy_info{{profile=\"coding\",sha256=\"{digest}\"}}"),
                1.0,
            ),
            ("spool_max_bytes", f64::from(max_bytes)),
            ("events_lost_total{cause=\"ring-buffer\"}", 0.0),
        ])
        .await;
    let page = world.metrics.page();
    let proved = sample(&page, "holdpointd_canary_last_success_timestamp_seconds");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    assert!(now.as_secs_f64() - proved.unwrap() < 60.0, "{proved:?}");
    assert!(sample(&page, "holdpointd_events_written_total").unwrap() > 0.0);
    world.link_state.send_modify(|state| state.connected = true);
    world.gate.lose_events(true);
    // Found by looking, though nobody was told of it.
    let ls = world.exec(world.session, "/bin/ls");
    assert_eq!(ls.await, Ok(Fate::Passed));
    world.shows(&[("link_up", 1.0)]).await;
    let lost = async {
        loop {
            let line = "holdpointd_events_lost_total{cause=\"ring-buffer\"}";
            match sample(&world.metrics.page(), line) {
                Some(lost) if lost > 0.0 => return,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), lost)
        .await
        .unwrap();
}
