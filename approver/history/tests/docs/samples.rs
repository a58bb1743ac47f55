//! One record of each kind, told of one small story.

use holdpoint_history::{
    Record,
    audit::{Actor, AuditRecord, HostRef, RequestRef},
    ocsf,
};
use holdpoint_proto::v1::{
    Action, Basis, Connect, EnforcementEvent, Event, Exec, Gap, GapCause, Grant, GrantChange,
    GrantEvent, GrantScope, Lifecycle, Operation, OperationEvent, PolicyEvent, Process,
    RequestContext, Risk, Rule, Session, SessionEvent, Verdict, event::Body, operation::Kind,
};
use prost_types::{Duration, Timestamp};

/// When the questions are asked: 2026-01-31 12:00.
pub(crate) const NOW: i64 = 1_769_860_800_000;

const REQUEST: &str = "0193e1f0-0000-7000-8000-000000000001";
const GRANT: &str = "0193e1f0-0000-7000-8000-000000000002";

fn host() -> HostRef {
    HostRef {
        id: "0193e1f0-0000-7000-8000-0000000000aa".into(),
        hostname: "web-1".into(),
    }
}

fn process() -> Process {
    Process {
        pid: 4711,
        tid: 4711,
        start_time_ns: 81_000_000_000,
        uid: 1000,
        gid: 1000,
        executable: b"/usr/bin/python3".to_vec(),
        cwd: b"/srv/work".to_vec(),
        argv: vec![b"python3".to_vec(), b"agent.py".to_vec()],
        argv_cut: false,
    }
}

fn session() -> Session {
    Session {
        id: "00000000000000ab".into(),
        profile: "coder".into(),
        owner: "ada".into(),
        uid: 1000,
        user: "agent".into(),
    }
}

fn rule() -> Rule {
    Rule {
        name: "downloads".into(),
        justification: "Moves data in or out of this host.".into(),
        risk: Risk::High.into(),
        policy_sha256: vec![0x5a; 32],
        ..Rule::default()
    }
}

fn exec() -> Operation {
    Operation {
        kind: Some(Kind::Exec(Exec {
            path: b"/usr/bin/curl".to_vec(),
            argv: vec![b"curl".to_vec(), b"-T".to_vec(), b"caf\xe9.txt".to_vec()],
            path_is_hosts: true,
            content_sha256: vec![0xc0; 32],
            ..Exec::default()
        })),
    }
}

fn connect() -> Operation {
    Operation {
        kind: Some(Kind::Connect(Connect {
            address: vec![192, 0, 2, 7],
            port: 443,
            protocol: 6,
            network_namespace: 4_026_531_840,
            scope_id: 0,
            ..Connect::default()
        })),
    }
}

fn attempt(operation: Operation, action: Action, basis: Basis) -> Body {
    let held = action != Action::Allowed;
    Body::Operation(OperationEvent {
        action: action.into(),
        basis: basis.into(),
        operation: Some(operation),
        process: Some(process()),
        session: Some(session()),
        rule: held.then(rule),
        request_id: if held { REQUEST.into() } else { String::new() },
        ..OperationEvent::default()
    })
}

fn request() -> RequestRef {
    RequestRef {
        id: REQUEST.into(),
        host: host(),
        digest: vec![0xd1; 32],
        operation_digest: vec![0x0d; 32],
        context: RequestContext {
            operation: Some(exec()),
            process: Some(process()),
            ancestry: Vec::new(),
            session: Some(session()),
            rule: Some(rule()),
        },
    }
}

fn events() -> Vec<(&'static str, Body)> {
    vec![
        (
            "enforcement",
            Body::Enforcement(EnforcementEvent {
                enforcing: false,
                detail: "bpf is not in the kernel's list of LSMs; boot with lsm=...,bpf".into(),
                version: "0.1.0".into(),
                kernel_release: "6.12.0".into(),
                boot_id: String::new(),
                lifecycle: Lifecycle::Started.into(),
            }),
        ),
        (
            "policy",
            Body::Policy(PolicyEvent {
                profile: "coder".into(),
                owner: "ada".into(),
                policy_sha256: vec![0x5a; 32],
            }),
        ),
        (
            "session",
            Body::Session(SessionEvent {
                session: Some(session()),
                root: Some(process()),
                ended: false,
            }),
        ),
        (
            "connect",
            attempt(connect(), Action::Allowed, Basis::Policy),
        ),
        ("exec", attempt(exec(), Action::Denied, Basis::Flag)),
        (
            "grant, told by the host",
            Body::Grant(GrantEvent {
                grant_id: GRANT.into(),
                request_id: REQUEST.into(),
                change: GrantChange::Used.into(),
                session: Some(session()),
                uses: 1,
            }),
        ),
        (
            "gap",
            Body::Gap(Gap {
                cause: GapCause::Spool.into(),
                lost: 12,
                since: Some(at(NOW - 60_000)),
                detail: "the spool was full".into(),
            }),
        ),
    ]
}

fn decided(verdict: Verdict) -> AuditRecord {
    AuditRecord::Decided {
        request: request(),
        verdict,
        reviewer: "bob".into(),
        token: None,
        reason: "the release needs it".into(),
        grant: None,
    }
}

fn told() -> Vec<(&'static str, AuditRecord)> {
    vec![
        (
            "approver",
            AuditRecord::Started {
                version: "0.1.0".into(),
            },
        ),
        (
            "host",
            AuditRecord::HostEnrolled {
                host: host(),
                token_label: "web".into(),
            },
        ),
        (
            "token",
            AuditRecord::TokenMade {
                id: "0193e1f0-0000-7000-8000-0000000000bb".into(),
                label: "web".into(),
                expires_at: NOW + 3_600_000,
                by: Actor::Local,
            },
        ),
        (
            "account",
            AuditRecord::UserAdded {
                username: "bob".into(),
                role: "reviewer".into(),
                by: Actor::Local,
            },
        ),
        (
            "login",
            AuditRecord::LoginRefused {
                username: "bob".into(),
                from: Some([192, 0, 2, 9].into()),
                why: "wrong name or password".into(),
            },
        ),
        (
            "request",
            AuditRecord::RequestOpened {
                request: request(),
                deadline: NOW + 60_000,
            },
        ),
        ("decision", decided(Verdict::Approve)),
        (
            "grant",
            AuditRecord::GrantIssued {
                request: request(),
                grant: Grant {
                    id: GRANT.into(),
                    scope: GrantScope::Session.into(),
                    ttl: Some(Duration {
                        seconds: 600,
                        nanos: 0,
                    }),
                    expires_at: Some(at(NOW + 600_000)),
                    max_uses: 3,
                },
                reviewer: "bob".into(),
            },
        ),
        (
            "flag",
            AuditRecord::FlagSet {
                request: request(),
                reviewer: "eve".into(),
                reason: "nobody here sends files away".into(),
            },
        ),
    ]
}

fn at(millis: i64) -> Timestamp {
    Timestamp {
        seconds: millis.div_euclid(1000),
        nanos: 0,
    }
}

/// A record of every kind, with its name.
pub(crate) fn records() -> Vec<(&'static str, Record)> {
    let mut records = Vec::new();
    for (sequence, (kind, body)) in (1..).zip(events()) {
        let log_index = records.len() as u64;
        let event = Event {
            sequence,
            time: Some(at(NOW - 1000)),
            body: Some(body),
        };
        let json = ocsf::of_host_event(&host(), &[0x5b; 16], &event, NOW);
        records.push((kind, Record { log_index, json }));
    }
    for (kind, record) in told() {
        let log_index = records.len() as u64;
        let json = ocsf::of_audit(NOW, log_index, &record);
        records.push((kind, Record { log_index, json }));
    }
    records
}

/// `json` over several lines, its keys in the order they have.
pub(crate) fn pretty(json: &[u8]) -> String {
    let text = std::str::from_utf8(json).unwrap();
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    for character in text.chars() {
        if quoted {
            out.push(character);
            quoted = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        match character {
            '{' | '[' => {
                depth += 1;
                out.push(character);
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(character);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            '"' => {
                quoted = true;
                out.push(character);
            }
            other => out.push(other),
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}
