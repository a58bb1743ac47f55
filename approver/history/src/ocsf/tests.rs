//! What every record promises.

use holdpoint_proto::v1::{
    Action, Basis, Connect, Exec, Grant, Operation, OperationEvent, Outcome, Process,
    RequestContext, Risk, Rule, Session, Verdict, event::Body, operation::Kind,
};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::audit::{Actor, RequestRef};

fn host() -> HostRef {
    HostRef {
        id: "0193-host".into(),
        hostname: "web-1".into(),
    }
}

fn exec(argv: Vec<Vec<u8>>) -> Event {
    let process = Process {
        pid: 41,
        tid: 41,
        start_time_ns: 7,
        executable: b"/usr/bin/python3".to_vec(),
        argv: argv.clone(),
        ..Process::default()
    };
    Event {
        sequence: 3,
        time: Some(Timestamp {
            seconds: 1_700_000_000,
            nanos: 5_000_000,
        }),
        body: Some(Body::Operation(OperationEvent {
            action: Action::Denied.into(),
            basis: Basis::Decision.into(),
            operation: Some(Operation {
                kind: Some(Kind::Exec(Exec {
                    path: b"/usr/bin/curl".to_vec(),
                    argv,
                    ..Exec::default()
                })),
            }),
            ancestry: vec![process.clone(); 3],
            process: Some(process),
            session: Some(Session {
                id: "00ab".into(),
                profile: "demo".into(),
                owner: "ada".into(),
                ..Session::default()
            }),
            rule: Some(Rule {
                name: "downloads".into(),
                ..Rule::default()
            }),
            request_id: "r1".into(),
            ..OperationEvent::default()
        })),
    }
}

fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn an_exec_is_a_launch() {
    let record = read(&of_host_event(
        &host(),
        &[7; 16],
        &exec(vec![b"curl".to_vec()]),
        9,
    ));
    for (pointer, wanted) in [
        ("/class_uid", Value::from(1007)),
        ("/type_uid", 100_701.into()),
        ("/time", 1_700_000_000_005_i64.into()),
        ("/metadata/version", "1.8.0".into()),
        ("/metadata/logged_time", 9.into()),
        ("/metadata/correlation_uid", "r1".into()),
        ("/disposition_id", 25.into()),
        ("/process/file/path", "/usr/bin/curl".into()),
        ("/actor/process/name", "python3".into()),
        ("/actor/process/ancestry/2/pid", 41.into()),
        ("/unmapped/kind", "exec".into()),
        ("/unmapped/outcome", "denied".into()),
        ("/unmapped/rule", "downloads".into()),
        ("/unmapped/session/owner", "ada".into()),
    ] {
        assert_eq!(record.pointer(pointer), Some(&wanted), "{pointer}");
    }
}

fn told(record: &AuditRecord) -> Value {
    read(&of_audit(9, 4, record))
}

#[test]
fn ones_own_password_is_changed_and_another_ones_reset() {
    let change = |by: Actor| {
        told(&AuditRecord::UserChanged {
            username: "ada".into(),
            change: "password".into(),
            by,
        })
    };
    let own = change(Actor::Person("ada".into()));
    assert_eq!(own["activity_name"], "Password Change");
    for by in [Actor::Person("root".into()), Actor::Local] {
        assert_eq!(change(by)["activity_name"], "Password Reset");
    }
}

#[test]
fn a_tool_is_told_from_its_person() {
    let revoke = |by: Actor| {
        told(&AuditRecord::TokenRevoked {
            id: "t1".into(),
            label: "web".into(),
            by,
        })
    };
    let tool = revoke(Actor::Tool {
        person: "ada".into(),
        token: "0a0b".into(),
    });
    assert_eq!(tool["type_uid"], 300_404);
    assert_eq!(tool["message"], "enrolment token web revoked");
    assert_eq!(tool["actor"]["user"]["name"], "ada");
    assert_eq!(tool["actor"]["user"]["credential_uid"], "0a0b");
    assert_eq!(tool["unmapped"]["reviewer"], "ada");
    let decided = told(&AuditRecord::Decided {
        request: RequestRef::default(),
        verdict: Verdict::Deny,
        reviewer: "ada".into(),
        token: Some("0a0b".into()),
        reason: "not here".into(),
        grant: None,
    });
    assert_eq!(decided["actor"], tool["actor"]);
    let person = revoke(Actor::Person("ada".into()));
    assert!(person["actor"]["user"].get("credential_uid").is_none());
}

#[test]
fn a_connect_is_an_opening() {
    let mut event = exec(Vec::new());
    if let Some(Body::Operation(operation)) = &mut event.body {
        operation.operation = Some(Operation {
            kind: Some(Kind::Connect(Connect {
                address: vec![10, 1, 2, 3],
                port: 443,
                protocol: 6,
                ..Connect::default()
            })),
        });
    }
    let record = read(&of_host_event(&host(), &[7; 16], &event, 9));
    assert_eq!(record["type_uid"], 400_101);
    assert_eq!(record["dst_endpoint"]["ip"], "10.1.2.3");
    assert_eq!(record["dst_endpoint"]["port"], 443);
    assert_eq!(record["connection_info"]["protocol_name"], "tcp");
    assert!(record.get("process").is_none());
}

#[test]
fn bytes_that_are_no_text_are_kept_whole() {
    let argv = vec![b"curl".to_vec(), vec![0xff, b'a']];
    let record = read(&of_host_event(&host(), &[7; 16], &exec(argv), 9));
    assert_eq!(record["unmapped"]["argv"][0], "curl");
    assert_eq!(record["unmapped"]["argv"][1]["text"], "\u{fffd}a");
    assert_eq!(record["unmapped"]["argv"][1]["base64"], "/2E=");
}

#[test]
fn an_operation_nobody_knows_is_of_the_process_that_tried_it() {
    let mut event = exec(Vec::new());
    if let Some(Body::Operation(operation)) = &mut event.body {
        operation.operation = None;
    }
    let record = read(&of_host_event(&host(), &[7; 16], &event, 9));
    assert_eq!(record["type_uid"], 100_701);
    assert_eq!(record["process"]["pid"], 41);
    assert_eq!(record["process"]["file"]["path"], "/usr/bin/python3");
    assert_eq!(record["unmapped"]["kind"], "unknown");
}

/// Everything the approver tells of one request for `operation`.
fn told_of(operation: Kind) -> Vec<AuditRecord> {
    let request = RequestRef {
        id: "r1".into(),
        host: host(),
        digest: vec![1; 32],
        operation_digest: vec![2; 32],
        context: RequestContext {
            operation: Some(Operation {
                kind: Some(operation),
            }),
            process: Some(Process {
                pid: 41,
                executable: b"/usr/bin/python3".to_vec(),
                ..Process::default()
            }),
            rule: Some(Rule {
                name: "downloads".into(),
                risk: Risk::High.into(),
                ..Rule::default()
            }),
            ..RequestContext::default()
        },
    };
    let (reviewer, reason) = ("bob".to_owned(), "because".to_owned());
    let grant = Grant {
        id: "g1".into(),
        ..Grant::default()
    };
    vec![
        AuditRecord::RequestOpened {
            request: request.clone(),
            deadline: 9,
        },
        AuditRecord::Decided {
            request: request.clone(),
            verdict: Verdict::Approve,
            reviewer: reviewer.clone(),
            reason: reason.clone(),
            grant: Some(grant.clone()),
            token: None,
        },
        AuditRecord::Expired {
            request: request.clone(),
        },
        AuditRecord::Withdrawn {
            request: request.clone(),
            reason: reason.clone(),
        },
        AuditRecord::OutcomeReported {
            request: request.clone(),
            outcome: Outcome::Released,
            detail: String::new(),
            expired: false,
        },
        AuditRecord::GrantIssued {
            request: request.clone(),
            grant,
            reviewer: reviewer.clone(),
        },
        AuditRecord::GrantRevoked {
            request: request.clone(),
            grant_id: "g1".into(),
            by: Actor::Local,
            reason: reason.clone(),
        },
        AuditRecord::GrantEnded {
            request: request.clone(),
            grant_id: "g1".into(),
            uses: 1,
            detail: String::new(),
        },
        AuditRecord::FlagSet {
            request,
            reviewer,
            reason,
        },
    ]
}

/// Records of all that has to do with one exec and one connect.
fn about_operations() -> Vec<Value> {
    let kinds = [
        Kind::Exec(Exec {
            path: b"/usr/bin/curl".to_vec(),
            content_sha256: vec![3; 32],
            ..Exec::default()
        }),
        Kind::Connect(Connect {
            address: vec![10, 1, 2, 3],
            port: 443,
            ..Connect::default()
        }),
    ];
    let mut records = Vec::new();
    for kind in kinds {
        let mut event = exec(Vec::new());
        if let Some(Body::Operation(operation)) = &mut event.body {
            operation.operation = Some(Operation {
                kind: Some(kind.clone()),
            });
            operation.rule = Some(Rule {
                name: "downloads".into(),
                risk: Risk::High.into(),
                ..Rule::default()
            });
        }
        records.push(read(&of_host_event(&host(), &[7; 16], &event, 9)));
        let told = told_of(kind);
        records.extend(told.iter().map(|record| read(&of_audit(9, 0, record))));
    }
    records
}

#[test]
fn attributes_of_a_profile_name_it() {
    for record in about_operations() {
        let profiles = record["metadata"]["profiles"].as_array().unwrap();
        assert!(profiles.contains(&"security_control".into()), "{record:#}");
        assert_eq!(record["policy"]["name"], "downloads");
        assert_eq!(
            (&record["risk_level_id"], &record["risk_level"]),
            (&3.into(), &"High".into())
        );
        assert_eq!(record["unmapped"]["risk"], "high");
        assert_eq!(record["unmapped"]["rule"], "downloads");
    }
    let logged_out = AuditRecord::LoggedOut {
        username: "bob".into(),
    };
    let record = read(&of_audit(9, 0, &logged_out));
    assert_eq!(record["metadata"]["profiles"], serde_json::json!(["host"]));
}

/// Whether `value` stands in what `found` is, or in one of a list.
fn holds(found: &Value, value: &str) -> bool {
    match found {
        Value::String(text) => text == value,
        Value::Number(number) => number.to_string() == value,
        Value::Array(list) => list.iter().any(|one| holds(one, value)),
        Value::Object(object) => object.get("value").is_some_and(|one| holds(one, value)),
        _ => false,
    }
}

#[test]
fn what_is_observed_stands_where_its_name_says() {
    let mut names = std::collections::BTreeSet::new();
    for record in about_operations() {
        for observable in record["observables"].as_array().unwrap() {
            let (name, value) = (
                observable["name"].as_str().unwrap(),
                observable["value"].as_str().unwrap(),
            );
            let place = format!("/{}", name.replace('.', "/"));
            let found = record.pointer(&place);
            assert!(
                found.is_some_and(|found| holds(found, value)),
                "{name}: {record:#}"
            );
            names.insert(name.to_owned());
        }
    }
    for name in [
        "process.file.path",
        "unmapped.operation.process.file.hashes",
        "unmapped.operation.dst_endpoint.port",
        "unmapped.reviewer",
    ] {
        assert!(names.contains(name), "{name} is not in {names:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_record_fits_and_says_if_it_was_cut(
        size in prop::sample::select(vec![0_usize, 100, 4000, 20_000, 2_000_000]),
        byte in any::<u8>(),
        words in 1_usize..40,
    ) {
        let argv = vec![vec![byte; size / words]; words];
        let bytes = of_host_event(&host(), &[7; 16], &exec(argv.clone()), 9);
        prop_assert!(bytes.len() <= MAX_RECORD, "{}", bytes.len());
        let record = read(&bytes);
        let shown = record["unmapped"]["argv"].as_array().unwrap().len();
        prop_assert_eq!(record["unmapped"]["argv_count"].as_u64(), Some(words as u64));
        if shown < words {
            prop_assert_eq!(&record["metadata"]["is_truncated"], &Value::Bool(true));
        }
        prop_assert_eq!(of_host_event(&host(), &[7; 16], &exec(argv), 9), bytes);
    }
}
