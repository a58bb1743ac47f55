//! Numbers about the running daemon, for the operator's monitoring.
//!
//! Counts what the daemon does anyway; what is so (holds, grants, the link) it
//! says twice a second. Whoever looks gets the page that was made of it, so that
//! looking often costs the daemon nothing. Labels come from fixed lists and the
//! configuration, never from what a process says of itself: nobody can make the
//! monitoring keep more. If nobody is to look, nothing is kept.

pub(crate) mod listener;
mod now;

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use holdpoint_proto::v1::{self, Action, Basis, event::Body, operation::Kind};
use hyper::body::Bytes;
use metrics::{Key, KeyName, Label, Level, Metadata, Recorder as _};
pub use metrics_exporter_prometheus::BuildError;
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

pub(crate) use self::now::{Now, Profile};

const OPERATIONS: &str = "holdpointd_operations_total";
const ENDED: &str = "holdpointd_holds_ended_total";
const TO_ANSWER: &str = "holdpointd_hold_answer_seconds";
const TO_CONTINUE: &str = "holdpointd_decision_answer_seconds";

/// What each is about.
const HELP: [(&str, &str); 4] = [
    (
        OPERATIONS,
        "Operations of sessions, by kind and by what the policy made of them.",
    ),
    (
        ENDED,
        "Holds that people were asked about and that ended, by outcome.",
    ),
    (
        TO_ANSWER,
        "Time from the stop of an operation to its answer, by what that rests on.",
    ),
    (
        TO_CONTINUE,
        "Time from hearing a decision to the operation going on or being refused, by verdict.",
    ),
];

/// A policy answers in milliseconds, people in seconds to hours.
const ANSWER_BUCKETS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0,
];
const CONTINUE_BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// How old a page may be.
const FRESH: Duration = Duration::from_millis(250);

const METADATA: Metadata<'static> = Metadata::new("holdpointd", Level::INFO, None);

/// The numbers of this daemon. Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics(Option<Arc<Recording>>);

struct Recording {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    now: Mutex<Now>,
    page: Mutex<Option<(Instant, Bytes)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever a panic left there is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// Counts nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Counts from now on.
    pub fn on() -> Result<Self, BuildError> {
        let exact = |name: &str| Matcher::Full(name.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(exact(TO_ANSWER), &ANSWER_BUCKETS)?
            .set_buckets_for_metric(exact(TO_CONTINUE), &CONTINUE_BUCKETS)?
            .build_recorder();
        for (name, help) in HELP {
            let key = KeyName::from_const_str(name);
            if name.ends_with("_seconds") {
                recorder.describe_histogram(key, None, Cow::Borrowed(help).into());
            } else {
                recorder.describe_counter(key, None, Cow::Borrowed(help).into());
            }
        }
        let handle = recorder.handle();
        let metrics = Self(Some(Arc::new(Recording {
            recorder,
            handle,
            now: Mutex::default(),
            page: Mutex::default(),
        })));
        // Rates are wrong for a counter that appears only with its first step.
        for kind in ["exec", "connect", "unknown"] {
            for verdict in ["allow", "hold", "deny"] {
                metrics.operation(kind, verdict, 0);
            }
        }
        for outcome in ["released", "denied", "abandoned"] {
            metrics.ended(outcome, 0);
        }
        Ok(metrics)
    }

    /// Whether anything is counted.
    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// `body` was told: an operation was judged, or a hold ended.
    pub(crate) fn told(&self, body: &Body) {
        let Body::Operation(event) = body else {
            return;
        };
        let kind = kind(event);
        // What people are asked about has a request; of what an earlier daemon held,
        // only the hold is known.
        let was_asked =
            !event.request_id.is_empty() || (kind == "unknown" && !event.hold_id.is_empty());
        match event.action() {
            Action::Allowed => self.operation(kind, "allow", 1),
            Action::Held => self.operation(kind, "hold", 1),
            Action::Denied if was_asked => self.ended("denied", 1),
            Action::Denied => self.operation(kind, "deny", 1),
            Action::Released => self.ended("released", 1),
            Action::Abandoned if was_asked => self.ended("abandoned", 1),
            // It was gone before it was judged.
            Action::Abandoned | Action::Unspecified => {}
        }
    }

    /// A hold was answered, so long after it began, and on what grounds.
    pub(crate) fn answered(&self, basis: Basis, after: Duration) {
        let basis = Label::from_static_parts("basis", basis_name(basis));
        self.time(TO_ANSWER, vec![basis], after);
    }

    /// A decision was carried out, so long after the daemon heard of it.
    pub(crate) fn carried_out(&self, verdict: v1::Verdict, after: Duration) {
        let verdict = match verdict {
            v1::Verdict::Approve => "approve",
            v1::Verdict::Flag => "flag",
            v1::Verdict::Deny | v1::Verdict::Unspecified => "deny",
        };
        let verdict = Label::from_static_parts("verdict", verdict);
        self.time(TO_CONTINUE, vec![verdict], after);
    }

    /// This is so now.
    pub(crate) fn is_so(&self, now: Now) {
        if let Some(recording) = &self.0 {
            *lock(&recording.now) = now;
        }
    }

    /// All numbers in Prometheus' text form; nothing if nothing is counted.
    pub(crate) fn page(&self) -> Bytes {
        let Some(recording) = &self.0 else {
            return Bytes::new();
        };
        let mut page = lock(&recording.page);
        match &*page {
            Some((made, bytes)) if made.elapsed() < FRESH => bytes.clone(),
            _ => {
                let mut text = recording.handle.render();
                lock(&recording.now).render(&mut text);
                let bytes = Bytes::from(text);
                *page = Some((Instant::now(), bytes.clone()));
                bytes
            }
        }
    }

    /// Puts what was measured into buckets. Until then every measurement takes
    /// memory of its own, so this must be called now and then.
    pub(crate) fn tidy(&self) {
        if let Some(recording) = &self.0 {
            recording.handle.run_upkeep();
        }
    }

    fn operation(&self, kind: &'static str, verdict: &'static str, by: u64) {
        let labels = vec![
            Label::from_static_parts("kind", kind),
            Label::from_static_parts("verdict", verdict),
        ];
        self.count(OPERATIONS, labels, by);
    }

    fn ended(&self, outcome: &'static str, by: u64) {
        let outcome = Label::from_static_parts("outcome", outcome);
        self.count(ENDED, vec![outcome], by);
    }

    fn count(&self, name: &'static str, labels: Vec<Label>, by: u64) {
        if let Some(recording) = &self.0 {
            let key = Key::from_parts(name, labels);
            let counter = recording.recorder.register_counter(&key, &METADATA);
            counter.increment(by);
        }
    }

    fn time(&self, name: &'static str, labels: Vec<Label>, took: Duration) {
        if let Some(recording) = &self.0 {
            let key = Key::from_parts(name, labels);
            let histogram = recording.recorder.register_histogram(&key, &METADATA);
            histogram.record(took.as_secs_f64());
        }
    }
}

fn kind(event: &v1::OperationEvent) -> &'static str {
    let operation = event.operation.as_ref();
    match operation.and_then(|operation| operation.kind.as_ref()) {
        Some(Kind::Exec(_)) => "exec",
        Some(Kind::Connect(_)) => "connect",
        None => "unknown",
    }
}

const fn basis_name(basis: Basis) -> &'static str {
    match basis {
        Basis::Unspecified => "unknown",
        Basis::Policy => "policy",
        Basis::Decision => "decision",
        Basis::Grant => "grant",
        Basis::Expiry => "expiry",
        Basis::Flag => "flag",
        Basis::Gate => "gate",
        Basis::Repeated => "repeated",
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.is_on()).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The value of the sample that `line` names with its labels.
    pub(crate) fn sample(page: &[u8], line: &str) -> Option<f64> {
        std::str::from_utf8(page)
            .unwrap()
            .lines()
            .find_map(|one| one.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
    }

    fn told(metrics: &Metrics, action: Action, exec: bool, hold: &str, request: &str) {
        let kind = Kind::Exec(v1::Exec {
            path: b"/tmp/\"} 1\nholdpointd_enforcing 1".to_vec(),
            ..v1::Exec::default()
        });
        metrics.told(&Body::Operation(v1::OperationEvent {
            action: action.into(),
            operation: exec.then_some(v1::Operation { kind: Some(kind) }),
            hold_id: hold.to_owned(),
            request_id: request.to_owned(),
            ..v1::OperationEvent::default()
        }));
    }

    #[test]
    fn every_operation_is_counted_once_and_every_question_ends_once() {
        let metrics = Metrics::on().unwrap();
        for (action, exec, hold, request) in [
            // By the policy, by the kernel alone, by the kernel that cannot tell what.
            (Action::Allowed, true, "h", ""),
            (Action::Denied, true, "", ""),
            (Action::Denied, false, "", ""),
            // Asked about, and ended in each way.
            (Action::Held, true, "h", "r"),
            (Action::Denied, true, "h", "r"),
            (Action::Released, true, "h", "r"),
            (Action::Abandoned, true, "h", "r"),
            // Held by an earlier daemon.
            (Action::Denied, false, "h", ""),
            (Action::Released, false, "h", ""),
            // Gone before it was judged.
            (Action::Abandoned, true, "h", ""),
        ] {
            told(&metrics, action, exec, hold, request);
        }
        let page = metrics.page();
        for (line, value) in [
            ("operations_total{kind=\"exec\",verdict=\"allow\"}", 1.0),
            ("operations_total{kind=\"exec\",verdict=\"deny\"}", 1.0),
            ("operations_total{kind=\"exec\",verdict=\"hold\"}", 1.0),
            ("operations_total{kind=\"unknown\",verdict=\"deny\"}", 1.0),
            ("operations_total{kind=\"connect\",verdict=\"allow\"}", 0.0),
            ("holds_ended_total{outcome=\"denied\"}", 2.0),
            ("holds_ended_total{outcome=\"released\"}", 2.0),
            ("holds_ended_total{outcome=\"abandoned\"}", 1.0),
        ] {
            let found = sample(&page, &format!("holdpointd_{line}"));
            assert_eq!(found, Some(value), "{line}");
        }
        // Nothing of what the process said.
        assert!(!String::from_utf8_lossy(&page).contains("/tmp"));
    }

    #[test]
    fn times_are_told_in_buckets() {
        let metrics = Metrics::on().unwrap();
        metrics.answered(Basis::Policy, Duration::from_millis(2));
        metrics.answered(Basis::Decision, Duration::from_secs(40));
        metrics.carried_out(v1::Verdict::Approve, Duration::from_millis(20));
        metrics.tidy();
        let page = metrics.page();
        for (line, value) in [
            (
                "hold_answer_seconds_bucket{basis=\"policy\",le=\"0.005\"}",
                1.0,
            ),
            (
                "hold_answer_seconds_bucket{basis=\"policy\",le=\"0.001\"}",
                0.0,
            ),
            (
                "hold_answer_seconds_bucket{basis=\"decision\",le=\"60\"}",
                1.0,
            ),
            ("hold_answer_seconds_sum{basis=\"decision\"}", 40.0),
            (
                "decision_answer_seconds_bucket{verdict=\"approve\",le=\"0.05\"}",
                1.0,
            ),
        ] {
            let found = sample(&page, &format!("holdpointd_{line}"));
            assert_eq!(found, Some(value), "{line}");
        }
    }

    #[test]
    fn a_page_is_made_anew_only_so_often() {
        let metrics = Metrics::on().unwrap();
        let line = "holdpointd_operations_total{kind=\"exec\",verdict=\"allow\"}";
        let first = metrics.page();
        told(&metrics, Action::Allowed, true, "h", "");
        assert_eq!(metrics.page(), first);
        std::thread::sleep(FRESH);
        assert_eq!(sample(&metrics.page(), line), Some(1.0));
    }

    #[test]
    fn nothing_is_kept_if_nobody_is_to_look() {
        let metrics = Metrics::off();
        told(&metrics, Action::Allowed, true, "h", "");
        metrics.answered(Basis::Policy, Duration::ZERO);
        metrics.is_so(Now::default());
        metrics.tidy();
        assert!(!metrics.is_on() && metrics.page().is_empty());
    }
}
