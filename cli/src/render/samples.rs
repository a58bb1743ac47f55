//! Fixed requests for the golden outputs in `tests/golden`, hostile ones among
//! them. `UPDATE_GOLDEN=1 cargo test` rewrites the outputs: read the difference.

use holdpoint_proto::{
    digest,
    v1::{
        Connect, Decision, EnvironmentVariable, Exec, FileIdentity, Grant, GrantScope, Operation,
        Outcome, Process, Request, RequestContext, RequestState, Risk, Rule, Session, Verdict,
        operation::Kind,
    },
};
use jiff::Timestamp;

const NOW: i64 = 1_800_000_000;

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// Compares `text` with the file `name` of golden outputs.
pub(super) fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{path} differs:\n{text}");
}

pub(super) fn at(offset: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: NOW + offset,
        nanos: 0,
    }
}

fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

fn process(pid: u32, executable: &[u8], argv: &[&[u8]]) -> Process {
    Process {
        pid,
        tid: pid,
        start_time_ns: 12_000_000_000 + u64::from(pid),
        uid: 1000,
        gid: 1000,
        executable: executable.to_vec(),
        cwd: b"/home/agent/work".to_vec(),
        argv: words(argv),
        argv_cut: false,
    }
}

fn request(id: &str, kind: Kind, process: Process) -> Request {
    let context = RequestContext {
        operation: Some(Operation { kind: Some(kind) }),
        process: Some(process),
        ancestry: Vec::new(),
        session: Some(Session {
            id: "00000000000000a1".into(),
            profile: "demo".into(),
            owner: "ada".into(),
            uid: 1000,
            user: "agent".into(),
        }),
        rule: Some(Rule {
            name: "uploads".into(),
            justification: "sends files out of this host".into(),
            ..Rule::default()
        }),
    };
    Request {
        id: id.into(),
        digest: digest::of(&context).to_vec(),
        context: Some(context),
        host_id: "0198f000-0000-7000-8000-000000000001".into(),
        hostname: "build-1".into(),
        created_at: Some(at(-48)),
        deadline: Some(at(252)),
        state: RequestState::Pending.into(),
        ..Request::default()
    }
}

fn exec(path: &[u8], argv: &[&[u8]]) -> Kind {
    Kind::Exec(Exec {
        path: path.to_vec(),
        file: Some(FileIdentity {
            device: 8 << 20 | 1,
            inode: 9_007_199_254_740_993,
            generation: 7,
            ctime_ns: NOW * 1_000_000_000 + 123,
            size: 260_328,
        }),
        argv: words(argv),
        environment_sha256: vec![0xab; 32],
        path_is_hosts: true,
        ..Exec::default()
    })
}

pub(super) fn all() -> Vec<Request> {
    vec![plain_exec(), hostile_exec(), denied_connect(), expired()]
}

pub(super) fn plain_exec() -> Request {
    let kind = exec(
        b"/usr/bin/curl",
        &[b"curl", b"-T", b"notes.txt", b"https://example.org/"],
    );
    let caller = process(300, b"/bin/bash", &[b"bash", b"-c", b"curl -T notes.txt"]);
    let mut request = request("0198f1a2-6c3d-7000-8000-00000000000a", kind, caller);
    let context = request.context.as_mut().unwrap();
    context.ancestry = vec![
        process(200, b"/usr/bin/node", &[b"node", b"agent.js"]),
        process(100, b"/bin/sh", &[b"sh"]),
    ];
    request
}

/// Everything a process could try on the eyes of a reviewer.
pub(super) fn hostile_exec() -> Request {
    let kind = exec(
        "/tmp/\u{202e}txt.\u{441}url".as_bytes(),
        &[
            b"curl",
            b"\x1b[2J\x1b[1;1Happroved\x07",
            b"two\nlines",
            "a\u{200b}b\u{feff}".as_bytes(),
            b"\xff\xfe",
            b"",
            b"\\x1b \"quoted\"",
            "日本語".as_bytes(),
            "\u{9b}31m\u{e000}\u{3164}".as_bytes(),
        ],
    );
    let mut caller = process(301, b"/tmp/\xc3(", &[b"x\r"]);
    caller.cwd = "/home/\u{2066}x".as_bytes().to_vec();
    let mut request = request("0198f1a2-6c7e-7000-8000-00000000000b", kind, caller);
    request.hostname = "build-2\u{1b}[31m.with.a.long.name.example".into();
    let context = request.context.as_mut().unwrap();
    let session = context.session.as_mut().unwrap();
    session.owner = "ada\nState      approved".into();
    let rule = context.rule.as_mut().unwrap();
    rule.justification = "first\nsecond \u{202e}".into();
    if let Some(Kind::Exec(exec)) = context.operation.as_mut().unwrap().kind.as_mut() {
        exec.path_is_hosts = false;
    }
    request.digest = digest::of(context).to_vec();
    request
}

pub(super) fn denied_connect() -> Request {
    let kind = Kind::Connect(Connect {
        address: vec![0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        port: 443,
        protocol: 6,
        network_namespace: 4_026_531_840,
        scope_id: 2,
        ..Connect::default()
    });
    let caller = process(302, b"/usr/bin/curl", &[b"curl", b"https://[fe80::1]/"]);
    let mut request = request("0298f1a2-0000-7000-8000-00000000000c", kind, caller);
    request.state = RequestState::Denied.into();
    request.created_at = Some(at(-7_400));
    request.decision = Some(Decision {
        request_id: request.id.clone(),
        digest: request.digest.clone(),
        verdict: Verdict::Deny.into(),
        reviewer: "bob".into(),
        reason: "not from \u{1b}[0m here".into(),
        decided_at: Some(at(-7_300)),
        signature: vec![1; 64],
        ..Decision::default()
    });
    request.outcome = Outcome::Refused.into();
    request.outcome_detail = "EPERM".into();
    request
}

/// For the session, for ten minutes.
pub(super) fn grant() -> Grant {
    Grant {
        id: "0198f1a2-7000-7000-8000-0000000000aa".into(),
        scope: GrantScope::Session.into(),
        ttl: Some(prost_types::Duration {
            seconds: 600,
            nanos: 0,
        }),
        expires_at: Some(at(540)),
        max_uses: 3,
    }
}

/// Everything a host can say, and an approval with a grant.
pub(super) fn granted_exec() -> Request {
    let mut request = plain_exec();
    let context = request.context.as_mut().unwrap();
    if let Some(rule) = &mut context.rule {
        rule.risk = Risk::High.into();
        rule.grants = vec![GrantScope::Process.into(), GrantScope::Session.into()];
        rule.max_ttl = Some(prost_types::Duration {
            seconds: 3600,
            nanos: 0,
        });
        rule.policy_sha256 = vec![0xcd; 32];
    }
    if let Some(Kind::Exec(exec)) = context.operation.as_mut().unwrap().kind.as_mut() {
        let variable = |name: &[u8], value: &[u8], redacted| EnvironmentVariable {
            name: name.to_vec(),
            value: value.to_vec(),
            redacted,
        };
        exec.content_sha256 = vec![0xef; 32];
        exec.environment = vec![
            variable(b"AWS_SECRET_ACCESS_KEY", b"", true),
            variable(b"LD_PRELOAD", "/tmp/\u{202e}x.so".as_bytes(), false),
        ];
    }
    request.digest = digest::of(context).to_vec();
    request.operation_digest = vec![0x77; 32];
    request.state = RequestState::Approved.into();
    request.decision = Some(Decision {
        verdict: Verdict::Approve.into(),
        reviewer: "bob".into(),
        reason: "known upload".into(),
        decided_at: Some(at(-60)),
        grant: Some(grant()),
        ..Decision::default()
    });
    request
}

fn expired() -> Request {
    let kind = exec(b"/usr/bin/git", &[b"/usr/bin/git", b"push", b"--force"]);
    let mut request = request(
        "0398f1a2-0000-7000-8000-00000000000d",
        kind,
        process(303, b"/bin/sh", &[b"sh"]),
    );
    request.state = RequestState::Expired.into();
    request.created_at = Some(at(-300_000));
    request.deadline = Some(at(-299_700));
    request.outcome = Outcome::Refused.into();
    request
}
