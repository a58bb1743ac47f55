//! What the approver itself records, as OCSF.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use holdpoint_proto::v1::{Grant, Outcome, Verdict};

use super::{
    class::{Class, OTHER, Severity, Status},
    draft::{Draft, Observable},
    host::rule_onto,
    json::{Json, Object},
    parts::{self, Attempt},
    text::Texts,
};
use crate::audit::{Actor, AuditRecord, HostRef, RequestRef};

/// The program, where OCSF wants to know who acts or what is acted on.
const PROGRAM: &str = "holdpoint-approver";

/// What `record` says.
pub(super) fn draft(texts: &mut Texts, record: &AuditRecord) -> Draft {
    use AuditRecord as R;
    match record {
        R::RequestOpened { request, deadline } => {
            let mut draft = self::request(texts, request, (1, "Create"), "OpenRequest", "pending");
            draft.status = Some(Status::Waiting);
            draft.message = about("request opened", texts, request);
            add(&mut draft, Object::new().with("deadline", *deadline));
            draft
        }
        R::Decided {
            request,
            verdict,
            reviewer,
            token,
            reason,
            grant,
        } => {
            let by = (reviewer.as_str(), token.as_deref(), reason.as_str());
            decided(texts, request, *verdict, by, grant.as_ref())
        }
        R::Expired { request } => {
            let mut draft = self::request(texts, request, (3, "Update"), "Expire", "expired");
            draft.status = Some(Status::Failure);
            draft.severity = Severity::Medium;
            draft.message = about("nobody decided in time", texts, request);
            draft
        }
        R::Withdrawn { request, reason } => {
            let mut draft = self::request(texts, request, (3, "Update"), "Withdraw", "withdrawn");
            draft.status_detail = texts.text(reason);
            draft.message = about("request withdrawn", texts, request);
            draft
        }
        R::OutcomeReported {
            request,
            outcome,
            detail,
            expired,
        } => {
            let (word, status) = match outcome {
                Outcome::Unspecified => ("unknown", Status::Waiting),
                Outcome::Released => ("released", Status::Success),
                Outcome::Refused => ("refused", Status::Failure),
                Outcome::Gone => ("gone", Status::Failure),
            };
            let mut draft = self::request(texts, request, (3, "Update"), "ReportOutcome", word);
            draft.status = Some(status);
            draft.status_detail = texts.text(detail);
            draft.message = about(word, texts, request);
            add(&mut draft, Object::new().with("expired", *expired));
            draft
        }
        other => grants_and_flags(texts, other),
    }
}

/// What decisions leave behind.
fn grants_and_flags(texts: &mut Texts, record: &AuditRecord) -> Draft {
    use AuditRecord as R;
    match record {
        R::GrantIssued {
            request,
            grant,
            reviewer,
        } => {
            let mut draft = self::grant(texts, request, &grant.id, (1, "Create"), "issued");
            by_person(&mut draft, texts, reviewer);
            let grant = self::grant_object(texts, grant);
            add(&mut draft, Object::new().with("grant", grant));
            draft
        }
        R::GrantRevoked {
            request,
            grant_id,
            by,
            reason,
        } => {
            let mut draft = self::grant(texts, request, grant_id, (9, "Disable"), "revoked");
            by_actor(&mut draft, texts, by);
            draft.body = std::mem::take(&mut draft.body).text("comment", texts.text(reason));
            draft
        }
        R::GrantEnded {
            request,
            grant_id,
            uses,
            detail,
        } => {
            let mut draft = self::grant(texts, request, grant_id, (11, "Deactivate"), "ended");
            by_program(&mut draft);
            draft.status_detail = texts.text(detail);
            let uses = i64::try_from(*uses).unwrap_or(i64::MAX);
            add(&mut draft, Object::new().with("uses", uses));
            draft
        }
        R::FlagSet {
            request,
            reviewer,
            reason,
        } => {
            let mut draft = flag(texts, (1, "Create"), "set", &request.operation_digest);
            draft.severity = Severity::High;
            draft.status = None;
            draft.message = about("flagged", texts, request);
            draft.correlation = texts.text(&request.id);
            draft.body = std::mem::take(&mut draft.body)
                .with("is_alert", true)
                .with("comment", texts.text(reason));
            attempted(&mut draft, texts, request);
            reviewed(&mut draft, texts, reviewer, reason);
            draft
        }
        R::FlagLifted {
            operation_digest,
            by,
            reason,
        } => {
            let mut draft = flag(texts, (3, "Close"), "lifted", operation_digest);
            draft.status = None;
            "flag lifted".clone_into(&mut draft.message);
            let (_, name) = actor(texts, by);
            draft.body = std::mem::take(&mut draft.body).with("comment", texts.text(reason));
            reviewed(&mut draft, texts, &name, reason);
            draft
        }
        other => people(texts, other),
    }
}

/// Logins, accounts and what opens doors.
fn people(texts: &mut Texts, record: &AuditRecord) -> Draft {
    use AuditRecord as R;
    match record {
        R::LoggedIn { username, from } => {
            login(texts, username, *from, (1, "Logon"), "logged-in", "")
        }
        R::LoginRefused {
            username,
            from,
            why,
        } => login(texts, username, *from, (1, "Logon"), "refused", why),
        R::LoggedOut { username } => login(texts, username, None, (2, "Logoff"), "logged-out", ""),
        R::UserAdded { username, role, by } => account(
            texts,
            username,
            by,
            (1, "Create"),
            ("added", &format!("role: {role}")),
        ),
        R::UserChanged {
            username,
            change,
            by,
        } => {
            let activity = match change.as_str() {
                "password" if by.is(username) => (3, "Password Change"),
                "password" => (4, "Password Reset"),
                _ => (OTHER, "Change"),
            };
            account(texts, username, by, activity, ("changed", change))
        }
        R::UserRemoved { username, by } => {
            account(texts, username, by, (6, "Delete"), ("removed", ""))
        }
        R::TokenMade {
            id,
            label,
            expires_at,
            by,
        } => {
            let mut draft = token(texts, id, label, ("Enrolment Token", (1, "Create"), "made"));
            by_actor(&mut draft, texts, by);
            add(&mut draft, Object::new().with("expires_at", *expires_at));
            draft
        }
        R::TokenRevoked { id, label, by } => {
            let what = ("Enrolment Token", (4, "Delete"), "revoked");
            let mut draft = token(texts, id, label, what);
            by_actor(&mut draft, texts, by);
            draft
        }
        R::ApiTokenMade {
            id,
            name,
            username,
            role,
            expires_at,
        } => {
            let mut draft = token(texts, id, name, ("API Token", (1, "Create"), "made"));
            by_person(&mut draft, texts, username);
            let role = texts.text(role);
            add(
                &mut draft,
                Object::new()
                    .with("role", role)
                    .with("expires_at", *expires_at),
            );
            draft
        }
        R::ApiTokenRevoked {
            id,
            name,
            username,
            by,
        } => {
            let mut draft = token(texts, id, name, ("API Token", (4, "Delete"), "revoked"));
            by_actor(&mut draft, texts, by);
            let username = texts.text(username);
            add(&mut draft, Object::new().with("username", username));
            draft
        }
        other => machines(texts, other),
    }
}

/// Hosts, and the approver itself.
fn machines(texts: &mut Texts, record: &AuditRecord) -> Draft {
    use AuditRecord as R;
    match record {
        R::HostEnrolled { host, token_label } => {
            let mut draft = machine(texts, host, (6, "Enroll"), "enrolled");
            by_program(&mut draft);
            let label = texts.text(token_label);
            add(&mut draft, Object::new().with("token", label));
            draft
        }
        R::HostConnected {
            host,
            version,
            kernel_release,
            boot_id,
            enforcing,
            not_enforcing_because,
        } => {
            let mut draft = link(texts, host, (1, "Logon"), "connected");
            if !*enforcing {
                draft.severity = Severity::High;
            }
            draft.status_detail = texts.text(not_enforcing_because);
            let unmapped = Object::new()
                .with("enforcing", *enforcing)
                .text("version", texts.text(version))
                .text("kernel_release", texts.text(kernel_release))
                .text("boot_id", texts.text(boot_id));
            add(&mut draft, unmapped);
            draft
        }
        R::HostDisconnected { host } => link(texts, host, (2, "Logoff"), "disconnected"),
        R::HostRevoked { host, by } => {
            let mut draft = machine(texts, host, (7, "Unenroll"), "revoked");
            draft.severity = Severity::Medium;
            by_actor(&mut draft, texts, by);
            draft
        }
        R::Stopped { version } => program(texts, version, (4, "Stop"), "stopped"),
        R::Started { version } => program(texts, version, (3, "Start"), "started"),
        // The others were taken before.
        _ => Draft::new(
            Class::EventLogActivity,
            (0, "Unknown"),
            "unknown",
            "unknown",
        ),
    }
}

fn decided(
    texts: &mut Texts,
    request: &RequestRef,
    verdict: Verdict,
    (reviewer, token, reason): (&str, Option<&str>, &str),
    grant: Option<&Grant>,
) -> Draft {
    let (word, control) = match verdict {
        Verdict::Approve => ("approved", ((1, "Allowed"), (8, "Approved"))),
        Verdict::Deny => ("denied", ((2, "Denied"), (25, "Rejected"))),
        Verdict::Flag => ("flagged", ((2, "Denied"), (19, "Alert"))),
        Verdict::Unspecified => ("unknown", ((0, "Unknown"), (0, "Unknown"))),
    };
    let activity = (3, "Update");
    let mut draft = Draft::new(Class::ApiActivity, activity, "decision", word);
    if verdict == Verdict::Flag {
        draft.severity = Severity::High;
    }
    draft.control = Some(control);
    draft.message = format!(
        "{} by {}",
        about(word, texts, request),
        texts.text(reviewer)
    );
    draft.correlation = texts.text(&request.id);
    let user = user(texts, reviewer, token);
    draft.body = call(
        texts,
        Object::new().with("user", user),
        "Decide",
        request,
        None,
    );
    attempted(&mut draft, texts, request);
    reviewed(&mut draft, texts, reviewer, reason);
    if let Some(grant) = grant {
        let grant = self::grant_object(texts, grant);
        add(&mut draft, Object::new().with("grant", grant));
    }
    draft
}

/// Who reviewed and why, where a query looks for it.
fn reviewed(draft: &mut Draft, texts: &mut Texts, reviewer: &str, reason: &str) {
    let name = texts.text(reviewer);
    draft.observe("unmapped.reviewer", Observable::User, &name);
    let unmapped = Object::new()
        .with("reviewer", name)
        .text("reason", texts.text(reason));
    add(draft, unmapped);
}

fn add(draft: &mut Draft, more: Object) {
    draft.unmapped = std::mem::take(&mut draft.unmapped).and(more);
}

/// A change of a request by its host or by time.
fn request(
    texts: &mut Texts,
    request: &RequestRef,
    activity: (i64, &'static str),
    operation: &'static str,
    outcome: &'static str,
) -> Draft {
    let mut draft = Draft::new(Class::ApiActivity, activity, "request", outcome);
    draft.correlation = texts.text(&request.id);
    let (app, from) = match outcome {
        "expired" => (PROGRAM, None),
        _ => ("holdpointd", Some(&request.host)),
    };
    let actor = Object::new().with("app_name", app);
    draft.body = call(texts, actor, operation, request, from);
    attempted(&mut draft, texts, request);
    draft
}

/// What API Activity wants to know.
fn call(
    texts: &mut Texts,
    actor: Object,
    operation: &'static str,
    request: &RequestRef,
    from: Option<&HostRef>,
) -> Object {
    let source = match from {
        Some(host) => Object::new()
            .with("uid", texts.text(&host.id))
            .text("hostname", texts.text(&host.hostname)),
        None => Object::new().with("name", PROGRAM),
    };
    let resource = Object::new()
        .with("type", "Request")
        .with("uid", texts.text(&request.id));
    let service = Object::new().with("name", PROGRAM);
    let api = Object::new()
        .with("operation", operation)
        .with("service", service);
    Object::new()
        .with("actor", actor)
        .with("api", api)
        .with("src_endpoint", source)
        .with("resources", vec![Json::from(resource)])
}

/// What the request is about, beside what the class has room for.
fn attempted(draft: &mut Draft, texts: &mut Texts, request: &RequestRef) {
    let context = &request.context;
    let attempt = Attempt {
        operation: context.operation.as_ref(),
        process: context.process.as_ref(),
        ancestry: &context.ancestry,
        session: context.session.as_ref(),
    };
    // A draft of its own: these attributes are no part of the request's class.
    let class = Class::ProcessActivity;
    let mut inner = Draft::new(class, (1, "Launch"), attempt.word(), "");
    attempt.onto(&mut inner, texts);
    draft.observables.append(&mut inner.observables);
    parts::on_host(draft, texts, &request.host);
    let operation = Object::new()
        .with("kind", attempt.word())
        .and(inner.body)
        .and(
            Attempt {
                session: None,
                ..attempt
            }
            .unmapped(texts),
        );
    let mut unmapped = Object::new()
        .with("request_id", texts.text(&request.id))
        .text("digest", HEXLOWER.encode(&request.digest))
        .text(
            "operation_digest",
            HEXLOWER.encode(&request.operation_digest),
        );
    if let Some(session) = &context.session {
        unmapped = unmapped.with("session", parts::session(texts, session));
    }
    if let Some(rule) = &context.rule {
        unmapped = unmapped.with("rule", texts.text(&rule.name));
        draft.body = rule_onto(std::mem::take(&mut draft.body), texts, rule);
    }
    add(draft, unmapped.with("operation", operation));
}

fn about(what: &str, texts: &mut Texts, request: &RequestRef) -> String {
    let attempt = Attempt {
        operation: request.context.operation.as_ref(),
        process: None,
        ancestry: &[],
        session: None,
    };
    let words = attempt.in_words(texts);
    format!("{what}: {words} on {}", texts.text(&request.host.hostname))
}

fn grant_object(texts: &mut Texts, grant: &Grant) -> Object {
    let ttl = grant.ttl.map(|ttl| Json::from(ttl.seconds));
    let expires = grant.expires_at.map(|at| Json::from(super::millis(at)));
    Object::new()
        .text("id", texts.text(&grant.id))
        .with("scope", parts::scope(grant.scope()))
        .maybe("ttl_seconds", ttl)
        .maybe("expires_at", expires)
        .with("max_uses", grant.max_uses)
}

fn grant(
    texts: &mut Texts,
    request: &RequestRef,
    id: &str,
    activity: (i64, &'static str),
    outcome: &'static str,
) -> Draft {
    let mut draft = Draft::new(Class::EntityManagement, activity, "grant", outcome);
    draft.correlation = texts.text(&request.id);
    draft.message = about(&format!("grant {outcome}"), texts, request);
    let id = texts.text(id);
    let entity = Object::new().with("type", "Grant").with("uid", id.clone());
    draft.body = Object::new().with("entity", entity);
    attempted(&mut draft, texts, request);
    add(&mut draft, Object::new().with("grant_id", id));
    draft
}

fn flag(
    texts: &mut Texts,
    activity: (i64, &'static str),
    outcome: &'static str,
    operation_digest: &[u8],
) -> Draft {
    let mut draft = Draft::new(Class::DetectionFinding, activity, "flag", outcome);
    let digest = HEXLOWER.encode(operation_digest);
    let finding = Object::new()
        .with("uid", texts.text(&digest))
        .with("title", "Operation flagged by a reviewer");
    draft.body = Object::new().with("finding_info", finding);
    if outcome == "lifted" {
        draft.unmapped = Object::new().with("operation_digest", digest);
    }
    draft
}

/// An account, and the API token it was with.
fn user(texts: &mut Texts, name: &str, token: Option<&str>) -> Object {
    Object::new()
        .with("name", texts.text(name))
        .text("credential_uid", texts.text(token.unwrap_or_default()))
}

fn actor(texts: &mut Texts, by: &Actor) -> (Object, String) {
    match by {
        Actor::Person(name) => {
            let user = user(texts, name, None);
            (Object::new().with("user", user), texts.text(name))
        }
        Actor::Tool { person, token } => {
            let user = user(texts, person, Some(token));
            (Object::new().with("user", user), texts.text(person))
        }
        Actor::Local => (
            Object::new().with("app_name", PROGRAM),
            "(local)".to_owned(),
        ),
    }
}

fn by_actor(draft: &mut Draft, texts: &mut Texts, by: &Actor) {
    let (actor, name) = actor(texts, by);
    draft.body = std::mem::take(&mut draft.body).with("actor", actor);
    add(draft, Object::new().with("reviewer", name));
}

fn by_person(draft: &mut Draft, texts: &mut Texts, name: &str) {
    by_actor(draft, texts, &Actor::Person(name.to_owned()));
}

fn by_program(draft: &mut Draft) {
    let actor = Object::new().with("app_name", PROGRAM);
    draft.body = std::mem::take(&mut draft.body).with("actor", actor);
}

fn service() -> Object {
    Object::new().with("name", PROGRAM)
}

fn login(
    texts: &mut Texts,
    username: &str,
    from: Option<IpAddr>,
    activity: (i64, &'static str),
    outcome: &'static str,
    why: &str,
) -> Draft {
    let mut draft = Draft::new(Class::Authentication, activity, "login", outcome);
    if outcome == "refused" {
        draft.status = Some(Status::Failure);
        draft.severity = Severity::Medium;
    }
    draft.status_detail = texts.text(why);
    let name = texts.text(username);
    draft.message = format!("{name} {outcome}");
    let source = from.map(|ip| Json::from(Object::new().with("ip", ip.to_string())));
    draft.body = Object::new()
        .with("user", Object::new().with("name", name.clone()))
        .with("service", service())
        .maybe("src_endpoint", source)
        .with("is_remote", true);
    draft.observe("user.name", Observable::User, &name);
    if let Some(ip) = from {
        draft.observe("src_endpoint.ip", Observable::Ip, &ip.to_string());
    }
    draft.unmapped = Object::new().with("reviewer", name);
    draft
}

fn account(
    texts: &mut Texts,
    username: &str,
    by: &Actor,
    activity: (i64, &'static str),
    (outcome, change): (&'static str, &str),
) -> Draft {
    let mut draft = Draft::new(Class::AccountChange, activity, "account", outcome);
    let name = texts.text(username);
    draft.message = format!("account {name} {outcome}");
    draft.status_detail = texts.text(change);
    draft.body = Object::new().with("user", Object::new().with("name", name.clone()));
    draft.observe("user.name", Observable::User, &name);
    draft.unmapped = Object::new().with("username", name);
    by_actor(&mut draft, texts, by);
    draft
}

fn token(
    texts: &mut Texts,
    id: &str,
    name: &str,
    (what, activity, outcome): (&'static str, (i64, &'static str), &'static str),
) -> Draft {
    let mut draft = Draft::new(Class::EntityManagement, activity, "token", outcome);
    let name = texts.text(name);
    draft.message = format!("{} {name} {outcome}", what.to_lowercase());
    let entity = Object::new()
        .with("type", what)
        .with("uid", texts.text(id))
        .text("name", name);
    draft.body = Object::new().with("entity", entity);
    draft
}

fn machine(
    texts: &mut Texts,
    host: &HostRef,
    activity: (i64, &'static str),
    outcome: &'static str,
) -> Draft {
    let mut draft = Draft::new(Class::EntityManagement, activity, "host", outcome);
    let name = texts.text(&host.hostname);
    draft.message = format!("host {name} {outcome}");
    let entity = Object::new()
        .with("type", "Host")
        .with("uid", texts.text(&host.id))
        .text("name", name);
    draft.body = Object::new().with("entity", entity);
    parts::on_host(&mut draft, texts, host);
    draft
}

/// A host proves who it is as a person does: with a credential.
fn link(
    texts: &mut Texts,
    host: &HostRef,
    activity: (i64, &'static str),
    outcome: &'static str,
) -> Draft {
    let mut draft = Draft::new(Class::Authentication, activity, "host", outcome);
    let name = texts.text(&host.hostname);
    draft.message = format!("host {name} {outcome}");
    let user = Object::new()
        .with("uid", texts.text(&host.id))
        .text("name", name)
        .with("type_id", 4)
        .with("type", "Service");
    draft.body = Object::new()
        .with("user", user)
        .with("service", service())
        .with("auth_protocol_id", OTHER)
        .with("auth_protocol", "mTLS")
        .with("is_remote", true);
    parts::on_host(&mut draft, texts, host);
    draft
}

fn program(
    texts: &mut Texts,
    version: &str,
    activity: (i64, &'static str),
    outcome: &'static str,
) -> Draft {
    let class = Class::ApplicationLifecycle;
    let mut draft = Draft::new(class, activity, "approver", outcome);
    let version = texts.text(version);
    draft.message = format!("approver {version} {outcome}");
    let app = Object::new()
        .with("name", PROGRAM)
        .with("vendor_name", "Holdpoint")
        .text("version", version);
    draft.body = Object::new().with("app", app);
    draft
}
