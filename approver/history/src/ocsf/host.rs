//! What hosts tell, as OCSF.

use data_encoding::HEXLOWER;
use holdpoint_proto::v1::{
    Action, Basis, EnforcementEvent, Event, Gap, GapCause, GrantChange, GrantEvent, Lifecycle,
    OperationEvent, PolicyEvent, Risk, Rule, SessionEvent, event::Body, operation::Kind,
};

use super::{
    class::{Class, OTHER, Severity, Status},
    draft::{Draft, Numbered},
    json::{Json, Object},
    parts::{self, Attempt},
    text::Texts,
};
use crate::audit::HostRef;

/// What `event` of `host` says.
pub(super) fn draft(texts: &mut Texts, host: &HostRef, event: &Event) -> Draft {
    match &event.body {
        Some(Body::Operation(operation)) => self::operation(texts, host, operation),
        Some(Body::Session(session)) => self::session(texts, host, session),
        Some(Body::Enforcement(enforcement)) => self::enforcement(texts, host, enforcement),
        Some(Body::Policy(policy)) => self::policy(texts, host, policy),
        Some(Body::Grant(grant)) => self::grant(texts, host, grant),
        Some(Body::Gap(gap)) => self::gap(texts, host, gap),
        None => unknown(texts, host),
    }
}

fn operation(texts: &mut Texts, host: &HostRef, event: &OperationEvent) -> Draft {
    let attempt = Attempt {
        operation: event.operation.as_ref(),
        process: event.process.as_ref(),
        ancestry: &event.ancestry,
        session: event.session.as_ref(),
    };
    let kind = event.operation.as_ref().and_then(|one| one.kind.as_ref());
    let class = match kind {
        Some(Kind::Connect(_)) => Class::NetworkActivity,
        Some(Kind::Exec(_)) | None => Class::ProcessActivity,
    };
    let activity = match class {
        Class::NetworkActivity => (1, "Open"),
        _ => (1, "Launch"),
    };
    let (outcome, status) = match event.action() {
        Action::Unspecified => ("unknown", Status::Waiting),
        Action::Allowed => ("allowed", Status::Success),
        Action::Held => ("held", Status::Waiting),
        Action::Released => ("released", Status::Success),
        Action::Denied => ("denied", Status::Failure),
        Action::Abandoned => ("abandoned", Status::Failure),
    };
    let word = if event.route.is_empty() {
        attempt.word()
    } else {
        "route"
    };
    let mut draft = Draft::new(class, activity, word, outcome);
    let risk = event.rule.as_ref().map_or(Risk::Unspecified, Rule::risk);
    draft.severity = severity(event.action(), risk);
    draft.status = Some(status);
    draft.status_detail = texts.text(&event.detail);
    draft.control = Some(control(event.action(), event.basis()));
    draft.correlation = texts.text(if event.hold_id.is_empty() {
        &event.request_id
    } else {
        &event.hold_id
    });
    let what = if event.route.is_empty() {
        attempt.in_words(texts)
    } else {
        format!("route {}", texts.text(&event.route))
    };
    draft.message = format!("{what} {outcome} on {}", texts.text(&host.hostname));
    attempt.onto(&mut draft, texts);
    if kind.is_none() {
        // The class wants to know which process it is about.
        let process = event.process.clone().unwrap_or_default();
        let process = parts::process(texts, "process.path", &process);
        draft.body = std::mem::take(&mut draft.body).with("process", process);
    }
    parts::on_host(&mut draft, texts, host);
    let mut unmapped = Object::new()
        .text("basis", basis(event.basis()))
        .text("hold_id", texts.text(&event.hold_id))
        .text("request_id", texts.text(&event.request_id))
        .text("grant_id", texts.text(&event.grant_id))
        .text("route", texts.text(&event.route));
    if let Some(rule) = &event.rule {
        unmapped = unmapped.and(rule_onto(&mut draft, texts, rule));
    }
    if event.argv_cut {
        texts.cut();
        unmapped = unmapped.with("argv_cut", true);
    }
    draft.unmapped = unmapped.and(attempt.unmapped(texts));
    draft
}

/// Adds what `rule` says of the operation. Gives what OCSF has no place for.
pub(super) fn rule_onto(draft: &mut Draft, texts: &mut Texts, rule: &Rule) -> Object {
    draft.profiled = true;
    let mut body = std::mem::take(&mut draft.body).with("policy", parts::policy(texts, rule));
    let mut unmapped = Object::new().with("rule", texts.text(&rule.name));
    if let Some((id, caption, word)) = parts::risk(rule.risk()) {
        body = body.with("risk_level_id", id).with("risk_level", caption);
        unmapped = unmapped.with("risk", word);
    }
    draft.body = body;
    unmapped
}

fn severity(action: Action, risk: Risk) -> Severity {
    match (action, risk) {
        (Action::Allowed, _) => Severity::Informational,
        (_, Risk::Critical) => Severity::Critical,
        (_, Risk::High) => Severity::High,
        (_, Risk::Low) | (Action::Released | Action::Abandoned, Risk::Unspecified) => Severity::Low,
        (_, Risk::Medium | Risk::Unspecified) => Severity::Medium,
    }
}

fn control(action: Action, basis: Basis) -> (Numbered, Numbered) {
    const ALLOWED: Numbered = (1, "Allowed");
    const DENIED: Numbered = (2, "Denied");
    match (action, basis) {
        (Action::Unspecified, _) => ((0, "Unknown"), (0, "Unknown")),
        (Action::Held, _) => ((OTHER, "Held"), (14, "Delayed")),
        (Action::Allowed | Action::Released, Basis::Decision | Basis::Grant) => {
            (ALLOWED, (8, "Approved"))
        }
        (Action::Allowed | Action::Released, _) => (ALLOWED, (1, "Allowed")),
        (Action::Denied, Basis::Decision | Basis::Flag) => (DENIED, (25, "Rejected")),
        (Action::Denied, _) => (DENIED, (2, "Blocked")),
        (Action::Abandoned, _) => ((OTHER, "Abandoned"), (16, "No Action")),
    }
}

fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Unspecified => "",
        Basis::Policy => "policy",
        Basis::Decision => "decision",
        Basis::Grant => "grant",
        Basis::Expiry => "expiry",
        Basis::Flag => "flag",
        Basis::Gate => "gate",
        Basis::Repeated => "repeated",
    }
}

fn session(texts: &mut Texts, host: &HostRef, event: &SessionEvent) -> Draft {
    let (activity, outcome) = if event.ended {
        ((4, "Stop"), "ended")
    } else {
        ((3, "Start"), "started")
    };
    let mut draft = Draft::new(Class::ApplicationLifecycle, activity, "session", outcome);
    let attempt = Attempt {
        operation: None,
        process: event.root.as_ref(),
        ancestry: &[],
        session: event.session.as_ref(),
    };
    let session = event.session.clone().unwrap_or_default();
    let profile = texts.text(&session.profile);
    draft.message = format!(
        "session of {profile} {outcome} on {}",
        texts.text(&host.hostname)
    );
    draft.correlation = texts.text(&session.id);
    draft.body = Object::new().with(
        "app",
        Object::new()
            .with("name", profile)
            .with("vendor_name", "unknown"),
    );
    attempt.onto(&mut draft, texts);
    parts::on_host(&mut draft, texts, host);
    draft.unmapped = attempt.unmapped(texts);
    draft
}

fn enforcement(texts: &mut Texts, host: &HostRef, event: &EnforcementEvent) -> Draft {
    let outcome = if event.enforcing {
        "enforcing"
    } else {
        "not-enforcing"
    };
    let class = Class::DeviceConfigStateChange;
    let mut draft = Draft::new(class, (1, "Log"), "enforcement", outcome);
    let (state, status) = if event.enforcing {
        ((2, "Enabled"), Status::Success)
    } else {
        draft.severity = Severity::Critical;
        ((1, "Disabled"), Status::Failure)
    };
    draft.status = Some(status);
    draft.status_detail = texts.text(&event.detail);
    draft.message = format!("the gate of {} is {outcome}", texts.text(&host.hostname));
    draft.body = Object::new()
        .with("actor", Object::new().with("app_name", "holdpointd"))
        .with("state_id", state.0)
        .with("state", state.1);
    parts::on_host(&mut draft, texts, host);
    let lifecycle = match event.lifecycle() {
        Lifecycle::Unspecified => "",
        Lifecycle::Started => "started",
        Lifecycle::Stopping => "stopping",
        Lifecycle::Changed => "changed",
    };
    draft.unmapped = Object::new()
        .text("lifecycle", lifecycle)
        .text("version", texts.text(&event.version))
        .text("kernel_release", texts.text(&event.kernel_release))
        .text("boot_id", texts.text(&event.boot_id));
    draft
}

fn policy(texts: &mut Texts, host: &HostRef, event: &PolicyEvent) -> Draft {
    let class = Class::EntityManagement;
    let mut draft = Draft::new(class, (3, "Update"), "policy", "loaded");
    let profile = texts.text(&event.profile);
    draft.message = format!(
        "policy of {profile} loaded on {}",
        texts.text(&host.hostname)
    );
    let hash = HEXLOWER.encode(&event.policy_sha256);
    let entity = Object::new()
        .with("name", profile.clone())
        .with("type", "Policy")
        .text("uid", hash.clone());
    draft.body = Object::new()
        .with("actor", Object::new().with("app_name", "holdpointd"))
        .with("entity", entity);
    parts::on_host(&mut draft, texts, host);
    let session = Object::new()
        .with("profile", profile)
        .with("owner", texts.text(&event.owner));
    draft.unmapped = Object::new()
        .with("session", session)
        .text("policy_sha256", hash);
    draft
}

fn grant(texts: &mut Texts, host: &HostRef, event: &GrantEvent) -> Draft {
    let (activity, outcome) = match event.change() {
        GrantChange::Unspecified => ((0, "Unknown"), "unknown"),
        GrantChange::Active => ((10, "Activate"), "active"),
        GrantChange::Used => ((OTHER, "Use"), "used"),
        GrantChange::Ended => ((11, "Deactivate"), "ended"),
        GrantChange::Revoked => ((9, "Disable"), "revoked"),
    };
    let mut draft = Draft::new(Class::EntityManagement, activity, "grant", outcome);
    let id = texts.text(&event.grant_id);
    draft.message = format!("grant {outcome} on {}", texts.text(&host.hostname));
    draft.correlation = texts.text(&event.request_id);
    let entity = Object::new().with("type", "Grant").with("uid", id.clone());
    draft.body = Object::new()
        .with("actor", Object::new().with("app_name", "holdpointd"))
        .with("entity", entity);
    parts::on_host(&mut draft, texts, host);
    draft.unmapped = Object::new()
        .with("grant_id", id)
        .text("request_id", texts.text(&event.request_id))
        .with("uses", i64::try_from(event.uses).unwrap_or(i64::MAX))
        .maybe(
            "session",
            event
                .session
                .as_ref()
                .map(|one| Json::from(parts::session(texts, one))),
        );
    draft
}

fn gap(texts: &mut Texts, host: &HostRef, event: &Gap) -> Draft {
    let cause = match event.cause() {
        GapCause::Unspecified => "unknown",
        GapCause::RingBuffer => "ring-buffer",
        GapCause::Spool => "spool",
        GapCause::DaemonDown => "daemon-down",
        GapCause::Sequence => "sequence",
    };
    let mut draft = Draft::new(Class::EventLogActivity, (OTHER, "Gap"), "gap", "lost");
    draft.severity = Severity::High;
    draft.status = Some(Status::Failure);
    draft.status_detail = texts.text(&event.detail);
    let lost = if event.lost == 0 {
        "an unknown number of events".to_owned()
    } else {
        format!("{} events", event.lost)
    };
    draft.message = format!(
        "{lost} of {} are missing: {cause}",
        texts.text(&host.hostname)
    );
    draft.body = Object::new()
        .with("actor", Object::new().with("app_name", "holdpointd"))
        .with("log_name", "holdpoint");
    parts::on_host(&mut draft, texts, host);
    let since = event.since.map(super::millis);
    draft.unmapped = Object::new()
        .with("cause", cause)
        .with("lost", i64::try_from(event.lost).unwrap_or(i64::MAX))
        .maybe("since", since.map(Json::from));
    draft
}

/// From a host that is newer than this program: kept as what it is, so that the
/// sequence stays whole.
fn unknown(texts: &mut Texts, host: &HostRef) -> Draft {
    let activity = (OTHER, "Unknown");
    let mut draft = Draft::new(Class::EventLogActivity, activity, "unknown", "unknown");
    draft.severity = Severity::Medium;
    draft.status = None;
    draft.message = format!(
        "an event of {} that this approver does not know; update the approver",
        texts.text(&host.hostname)
    );
    draft.body = Object::new().with("actor", Object::new().with("app_name", "holdpointd"));
    parts::on_host(&mut draft, texts, host);
    draft
}
