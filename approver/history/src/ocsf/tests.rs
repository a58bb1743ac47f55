//! What every record promises.

use holdpoint_proto::v1::{
    Action, Basis, Connect, Exec, Operation, OperationEvent, Process, Rule, Session, event::Body,
    operation::Kind,
};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

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
