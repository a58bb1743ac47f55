//! Numbers about the running approver, for the operator's monitoring.
//!
//! Counts what happens in this process; what is so (pending requests, connected
//! hosts) is asked when somebody looks. Labels come from fixed lists, never from
//! what a caller sent: nobody can make the monitoring keep more. If nobody is to
//! look, nothing is kept.

use std::{borrow::Cow, fmt, time::Duration};

use metrics::{Counter, Histogram, Key, KeyName, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::domain::request::Verdict;

const OPENED: &str = "holdpoint_requests_opened_total";
const DECIDED: &str = "holdpoint_requests_decided_total";
const EXPIRED: &str = "holdpoint_requests_expired_total";
const TO_DECISION: &str = "holdpoint_request_decision_seconds";
const LOGIN_FAILURES: &str = "holdpoint_login_failures_total";
const HTTP_REQUESTS: &str = "holdpoint_http_requests_total";
const HTTP_SECONDS: &str = "holdpoint_http_request_seconds";
const GRPC_REQUESTS: &str = "holdpoint_grpc_requests_total";
const GRPC_SECONDS: &str = "holdpoint_grpc_request_seconds";

/// What each is about.
const HELP: [(&str, &str); 9] = [
    (OPENED, "Requests that hosts opened."),
    (DECIDED, "Requests that people decided, by verdict."),
    (EXPIRED, "Requests that nobody decided in time."),
    (
        TO_DECISION,
        "Time from the opening of a request to a person's decision.",
    ),
    (
        LOGIN_FAILURES,
        "Logins refused, for a wrong password or too many of them.",
    ),
    (
        HTTP_REQUESTS,
        "Calls over HTTP, by route, method and status.",
    ),
    (
        HTTP_SECONDS,
        "Time until the answer to a call over HTTP began, by route.",
    ),
    (GRPC_REQUESTS, "Calls over gRPC, by method and status."),
    (
        GRPC_SECONDS,
        "Time until the answer to a call over gRPC began, by method.",
    ),
];

/// People take seconds to hours.
const DECISION_BUCKETS: [f64; 10] = [
    1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0,
];
const CALL_BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

const METADATA: Metadata<'static> = Metadata::new("holdpoint", Level::INFO, None);

/// The counters of this process.
pub(crate) struct Metrics(Option<Recording>);

struct Recording {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

/// What is so at the moment somebody looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gauge {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) value: u64,
}

impl Metrics {
    /// Counts nothing.
    pub(crate) const fn off() -> Self {
        Self(None)
    }

    /// Counts from now on.
    pub(crate) fn on() -> Result<Self, BuildError> {
        let exact = |name: &str| Matcher::Full(name.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(exact(TO_DECISION), &DECISION_BUCKETS)?
            .set_buckets(&CALL_BUCKETS)?
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
        let metrics = Self(Some(Recording { recorder, handle }));
        // Rates are wrong for a counter that appears only with its first step.
        for name in [EXPIRED, LOGIN_FAILURES] {
            metrics.count(name, Vec::new(), 0);
        }
        Ok(metrics)
    }

    /// A request was opened. `kind` is one of a fixed list.
    pub(crate) fn request_opened(&self, kind: &'static str) {
        self.count(OPENED, vec![Label::from_static_parts("kind", kind)], 1);
    }

    /// A person decided, after so long.
    pub(crate) fn request_decided(&self, verdict: Verdict, after: Duration) {
        let verdict = Label::from_static_parts("verdict", verdict.as_str());
        self.count(DECIDED, vec![verdict], 1);
        self.time(TO_DECISION, Vec::new(), after);
    }

    /// So many requests expired.
    pub(crate) fn requests_expired(&self, number: usize) {
        self.count(EXPIRED, Vec::new(), number as u64);
    }

    /// Nobody was logged in.
    pub(crate) fn login_failed(&self) {
        self.count(LOGIN_FAILURES, Vec::new(), 1);
    }

    /// A call over HTTP was answered. The route is its pattern, not its path.
    pub(crate) fn http(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let route = Label::new("route", route.to_owned());
        let labels = vec![
            route.clone(),
            Label::from_static_parts("method", method),
            Label::new("status", status.to_string()),
        ];
        self.count(HTTP_REQUESTS, labels, 1);
        self.time(HTTP_SECONDS, vec![route], took);
    }

    /// A call over gRPC was answered.
    pub(crate) fn grpc(&self, method: &'static str, code: &'static str, took: Duration) {
        let method = Label::from_static_parts("method", method);
        let labels = vec![method.clone(), Label::from_static_parts("code", code)];
        self.count(GRPC_REQUESTS, labels, 1);
        self.time(GRPC_SECONDS, vec![method], took);
    }

    /// All numbers in Prometheus' text form; none if nothing is counted.
    pub(crate) fn render(&self, gauges: &[Gauge]) -> Option<String> {
        use fmt::Write as _;
        let mut text = self.0.as_ref()?.handle.render();
        for Gauge { name, help, value } in gauges {
            // Writing to a String can't fail.
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"
            );
        }
        Some(text)
    }

    /// Puts what was measured into buckets. Until then every measurement takes
    /// memory of its own, so this must be called now and then.
    pub(crate) fn tidy(&self) {
        if let Some(recording) = &self.0 {
            recording.handle.run_upkeep();
        }
    }

    fn count(&self, name: &'static str, labels: Vec<Label>, by: u64) {
        if let Some(Recording { recorder, .. }) = &self.0 {
            let key = Key::from_parts(name, labels);
            let counter: Counter = recorder.register_counter(&key, &METADATA);
            counter.increment(by);
        }
    }

    fn time(&self, name: &'static str, labels: Vec<Label>, took: Duration) {
        if let Some(Recording { recorder, .. }) = &self.0 {
            let key = Key::from_parts(name, labels);
            let histogram: Histogram = recorder.register_histogram(&key, &METADATA);
            histogram.record(took.as_secs_f64());
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::on().unwrap();
        metrics.request_opened("exec");
        metrics.request_decided(Verdict::Deny, Duration::from_secs(3));
        metrics.http("/requests/{id}", "GET", 200, Duration::from_millis(2));
        metrics.grpc("Decide", "ok", Duration::from_millis(2));
        metrics.tidy();
        let pending = Gauge {
            name: "holdpoint_requests_pending",
            help: "Requests that wait for a person.",
            value: 7,
        };
        let text = metrics.render(&[pending]).unwrap();
        for line in [
            "holdpoint_requests_opened_total{kind=\"exec\"} 1",
            "holdpoint_requests_decided_total{verdict=\"deny\"} 1",
            "holdpoint_requests_expired_total 0",
            "holdpoint_login_failures_total 0",
            "holdpoint_request_decision_seconds_bucket{le=\"5\"} 1",
            "holdpoint_request_decision_seconds_bucket{le=\"1\"} 0",
            "holdpoint_http_requests_total{route=\"/requests/{id}\",method=\"GET\",status=\"200\"} 1",
            "holdpoint_grpc_requests_total{method=\"Decide\",code=\"ok\"} 1",
            "# TYPE holdpoint_requests_pending gauge",
            "holdpoint_requests_pending 7",
        ] {
            assert!(
                text.lines().any(|one| one == line),
                "{line:?} not in\n{text}"
            );
        }
    }

    #[test]
    fn nothing_is_kept_if_nobody_is_to_look() {
        let metrics = Metrics::off();
        metrics.login_failed();
        metrics.tidy();
        assert!(metrics.render(&[]).is_none());
    }
}
