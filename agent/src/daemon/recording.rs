//! What the running daemon tells of itself: the recorder, fed, and its events
//! written down.
//!
//! That people are asked is written down before they are. Which answer an operation
//! gets, from a rule, a grant, a person or the deadline, is kept in mind and written
//! down with what came of it, once the kernel says that: after it was carried out.
//! A daemon that dies in between leaves the end to the next one, which tells it
//! without its grounds. Nothing here may fail the daemon: what could not be written
//! is declared later.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use holdpoint_proto::v1::{self, event::Body};
use tracing::warn;

use super::{Daemon, Enforcement, trouble};
use crate::{
    config::Profiles,
    events::{
        journal::{Journal, timestamp},
        recorder::{End, Grounds, KnownSession, Recorder},
    },
    grants::Change,
    holds::{Effect, Ruling},
    kernel::{
        CANARY_SESSION, ExecFacts, Facts, Gate, Held, HoldId, Losses, Observed, ObservedEnd,
        ObservedOperation, SessionId,
    },
    metrics::Metrics,
    ruling::{self, context},
};

/// The recorder and where its events go.
pub(super) struct Recording {
    journal: Journal,
    recorder: Recorder,
    metrics: Metrics,
    secret: [u64; 2],
    /// Boot time at which the daemon started: what was held before was found by an
    /// earlier one.
    started_ns: u64,
    /// When the gate last said what it had lost; none if it has not yet: what it lost
    /// before may be as old as the machine.
    asked_for_losses: Option<SystemTime>,
    /// All that it lost since the daemon started.
    lost: Losses,
    /// What was last told of enforcement.
    told: Option<Enforcement>,
}

impl Recording {
    pub(super) fn new(
        journal: Journal,
        metrics: Metrics,
        secret: [u64; 2],
        started_ns: u64,
    ) -> Self {
        Self {
            journal,
            recorder: Recorder::new(started_ns),
            metrics,
            secret,
            started_ns,
            asked_for_losses: None,
            lost: Losses::NONE,
            told: None,
        }
    }

    fn write(&self, body: Option<Body>) {
        if let Some(body) = body {
            self.write_at(SystemTime::now(), body);
        }
    }

    fn write_at(&self, time: SystemTime, body: Body) {
        self.metrics.told(&body);
        self.journal.record_at(time, body);
    }

    /// Joins the events of a hold: its request has the same name.
    fn name(&self, id: HoldId) -> String {
        ruling::request_id(id, self.secret)
    }

    /// Whether anything was told of enforcement.
    pub(super) fn has_begun(&self) -> bool {
        self.told.is_some()
    }

    /// Sessions that are known, by profile.
    pub(super) fn profiles_of_sessions(&self) -> impl Iterator<Item = &str> {
        self.recorder.known_sessions().map(|known| &*known.profile)
    }

    /// What the gate could not tell since the daemon started.
    pub(super) fn lost(&self) -> Losses {
        self.lost
    }

    /// How the journal is doing.
    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The daemon started, stops, or the canary came back with something new.
    pub(super) fn enforcement(
        &mut self,
        hello: &v1::Hello,
        enforcement: &Enforcement,
        lifecycle: v1::Lifecycle,
    ) {
        if lifecycle == v1::Lifecycle::Changed && self.told.as_ref() == Some(enforcement) {
            return;
        }
        self.told = Some(enforcement.clone());
        self.write(Some(Body::Enforcement(v1::EnforcementEvent {
            enforcing: enforcement.is_ok(),
            detail: enforcement.as_ref().err().cloned().unwrap_or_default(),
            version: hello.version.clone(),
            kernel_release: hello.kernel_release.clone(),
            boot_id: hello.boot_id.clone(),
            lifecycle: lifecycle.into(),
        })));
    }

    /// These policies are in force from now on.
    pub(super) fn policies(&self, profiles: &Profiles) {
        for (name, profile) in profiles {
            self.write(Some(Body::Policy(v1::PolicyEvent {
                profile: name.clone(),
                owner: profile.owner.clone(),
                policy_sha256: profile.policy.sha256().to_vec(),
            })));
        }
    }

    /// A hold was found.
    pub(super) fn found(&mut self, held: &Held) {
        let name = self.name(held.id);
        let event = v1::OperationEvent {
            operation: Some(context::operation(
                &held.attempted,
                &Facts::default(),
                ExecFacts::default(),
            )),
            process: Some(v1::Process {
                pid: held.id.tgid,
                tid: held.id.tid,
                start_time_ns: held.id.start_ns,
                uid: held.uid,
                gid: held.gid,
                ..v1::Process::default()
            }),
            session: Some(v1::Session {
                id: held.session.to_string(),
                ..v1::Session::default()
            }),
            ..v1::OperationEvent::default()
        };
        self.recorder.found(held.id, &name, event);
    }

    /// It was read.
    pub(super) fn read(&mut self, id: HoldId, context: v1::RequestContext) {
        self.recorder.read(id, context);
    }

    /// It was judged, and this is what comes of it. If that is a question, it is
    /// written down; an answer is kept in mind.
    pub(super) fn ruled(&mut self, held: &Held, ruling: &Ruling, effects: &[Effect]) {
        let id = held.id;
        match ruling {
            Ruling::Allow { .. } | Ruling::Deny { .. } => {
                self.recorder.answering(id, Grounds::on(v1::Basis::Policy));
            }
            Ruling::Granted { grant_id, .. } => self.recorder.answering(id, by_grant(grant_id)),
            Ruling::Refused { reason } => {
                self.recorder.answering(id, Grounds::gate(reason.clone()));
            }
            Ruling::Ask(ask) => {
                self.recorder.read(id, ask.context.clone());
                let is_told = |effect: &Effect| matches!(effect, Effect::Tell(_));
                let is_answered = |effect: &Effect| matches!(effect, Effect::Answer(..));
                if effects.iter().any(is_told) {
                    let again = id.held_ns < self.started_ns;
                    let event = self.recorder.asked(id, &ask.request_id, again);
                    self.write(event);
                } else if effects.iter().any(is_answered) {
                    self.recorder
                        .answering(id, Grounds::on(v1::Basis::Repeated));
                }
            }
        }
    }

    /// The answer to `request_id` will rest on `grounds`.
    pub(super) fn decided(&mut self, request_id: &str, grounds: Grounds) {
        if let Some(id) = self.recorder.by_request(request_id) {
            self.recorder.answering(id, grounds);
        }
    }

    /// A grant answers a hold that people are asked about.
    pub(super) fn granted(&mut self, id: HoldId, grant_id: &str) {
        self.recorder.answering(id, by_grant(grant_id));
    }

    /// A grant began, was used, or is over.
    pub(super) fn grant(&self, change: &Change) {
        self.write(Some(Body::Grant(v1::GrantEvent {
            grant_id: change.grant_id.clone(),
            request_id: change.request_id.clone(),
            change: change.change.into(),
            session: change.session.clone(),
            uses: change.uses,
        })));
    }

    /// A hold is about to be answered.
    pub(super) fn answering(&mut self, id: HoldId) {
        self.recorder.answered(id);
    }

    /// Its answer is in the kernel. Gives what that rests on, the first time.
    pub(super) fn answered(&mut self, id: HoldId) -> Option<v1::Basis> {
        self.recorder.arrived(id)
    }

    /// Whether its answer is in the kernel.
    pub(super) fn is_answered(&self, id: HoldId) -> bool {
        self.recorder.has_arrived(id)
    }

    /// A hold is over.
    pub(super) fn ended(&mut self, id: HoldId, end: &End) {
        let event = self.recorder.ended(id, &self.name(id), end);
        self.write(event);
    }
}

fn by_grant(grant_id: &str) -> Grounds {
    Grounds {
        grant_id: grant_id.to_owned(),
        ..Grounds::on(v1::Basis::Grant)
    }
}

impl<G: Gate + ?Sized> Daemon<G> {
    /// The kernel settled an operation alone.
    pub(super) fn observed(&mut self, observed: &Observed) {
        if observed.session == CANARY_SESSION {
            return;
        }
        if !self.recording.recorder.knows(observed.session) {
            self.note_sessions();
        }
        let ago = Duration::from_nanos(self.gate.now_ns().saturating_sub(observed.at_ns));
        let now = SystemTime::now();
        self.recording.write_at(
            now.checked_sub(ago).unwrap_or(now),
            self.recording.recorder.observed(observed),
        );
    }

    /// The gate refused something it could say little of.
    pub(super) fn refused_alone(
        &mut self,
        task: crate::kernel::TaskKey,
        session: SessionId,
        cause: crate::kernel::Cause,
    ) {
        let observed = Observed {
            task,
            parent: (0, 0),
            session,
            at_ns: self.gate.now_ns(),
            uid: 0,
            gid: 0,
            executable: Vec::new(),
            operation: ObservedOperation::Unknown,
            settled: ObservedEnd::Refused(cause),
        };
        self.observed(&observed);
    }

    /// Tells of sessions that began or ended; the first time, of all there are.
    pub(super) fn note_sessions(&mut self) {
        let sessions = match self.gate.sessions() {
            Ok(sessions) => sessions,
            Err(error) => return trouble(&error),
        };
        let known: HashMap<SessionId, KnownSession> = sessions
            .into_iter()
            .filter(|session| session.id != CANARY_SESSION)
            .map(|session| {
                let user = self.user_name(session.uid);
                let known = KnownSession {
                    session: context::session(&session, &user),
                    root: v1::Process {
                        pid: session.root.tgid,
                        tid: session.root.tid,
                        start_time_ns: session.root.start_ns,
                        uid: session.uid,
                        ..v1::Process::default()
                    },
                };
                (session.id, known)
            })
            .collect();
        for body in self.recording.recorder.sessions(known) {
            self.recording.write(Some(body));
        }
    }

    /// Declares what the gate could not tell.
    pub(super) fn note_losses(&mut self) {
        let now = SystemTime::now();
        let losses = match self.gate.losses() {
            Ok(losses) => losses,
            Err(error) => return trouble(&error),
        };
        let since = self.recording.asked_for_losses.replace(now);
        if losses == Losses::NONE {
            return;
        }
        warn!(?losses, "the gate could not tell everything; a gap says so");
        self.recording.lost = self.recording.lost.and(losses);
        for body in Recorder::lost(losses, since.map(timestamp)) {
            self.recording.write(Some(body));
        }
        // Written first: dying in between declares it twice, never not at all.
        if let Err(error) = self.gate.declared(losses) {
            trouble(&error);
        }
    }

    /// Tells of holds that are gone from the kernel without a word of their end.
    pub(super) fn note_untold(&mut self, effects: &[Effect], present: &HashSet<HoldId>) {
        for effect in effects {
            if let Effect::Forget(id) = effect
                && !present.contains(id)
            {
                self.recording.ended(*id, &End::Untold);
            }
        }
    }
}
