//! Messages as JSON. The shape is a promise: keys may be added, none is renamed
//! or removed.
//!
//! One rule for each kind of value:
//! - bytes of a process (paths, arguments): a string where they are UTF-8,
//!   otherwise `{"base64": "..."}`; nothing is lost and nothing is ambiguous;
//! - digests: lower case hexadecimal;
//! - times: RFC 3339 in UTC, `null` if absent;
//! - 64-bit integers: strings of digits, because JSON numbers lose them;
//! - absent messages: `null`.
//!
//! Characters outside printable ASCII are written as `\uXXXX`: the JSON is the
//! same, and a terminal shows it as it is.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use data_encoding::HEXLOWER;
use holdpoint_proto::v1::{
    Connect, Decision, Exec, GrantScope, Outcome, Process, Request, Risk, Rule, Session, Verdict,
    operation::Kind,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{grants, operation, state, time};

/// `value` on one line of printable ASCII.
pub(crate) fn line(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(ascii(&serde_json::to_string(value)?))
}

/// `json`, which has no line feed outside strings, as printable ASCII. Its keys
/// keep their order.
pub(crate) fn ascii(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        // Outside strings JSON is printable ASCII, so this is in a string.
        if (' '..='~').contains(&character) {
            line.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String can't fail.
                let _ = write!(line, "\\u{unit:04x}");
            }
        }
    }
    line
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// A digest, null where there is none.
fn hex_or_null(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| hex(bytes))
}

/// The page of `requests list`.
pub(crate) fn list(requests: &[Request], more: bool) -> Value {
    let requests: Vec<Value> = requests.iter().map(request).collect();
    json!({ "requests": requests, "more": more })
}

/// One request.
pub(crate) fn request(request: &Request) -> Value {
    let context = request.context.clone().unwrap_or_default();
    let ancestry: Vec<Value> = context.ancestry.iter().map(process).collect();
    json!({
        "id": request.id,
        "digest": hex(&request.digest),
        "operation_digest": hex_or_null(&request.operation_digest),
        "state": state(request),
        "created_at": time(request.created_at),
        "deadline": time(request.deadline),
        "host": { "id": request.host_id, "hostname": request.hostname },
        "session": context.session.as_ref().map(session),
        "rule": context.rule.as_ref().map(rule),
        "operation": operation::kind(request).map(kind),
        "process": context.process.as_ref().map(process),
        "ancestry": ancestry,
        "decision": request.decision.as_ref().map(decision),
        "outcome": outcome(request),
        "outcome_detail": request.outcome_detail,
    })
}

pub(super) fn time(at: Option<prost_types::Timestamp>) -> Option<String> {
    time::timestamp(at).map(|at| at.to_string())
}

fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

fn list_of_bytes(list: &[Vec<u8>]) -> Vec<Value> {
    list.iter().map(|item| bytes(item)).collect()
}

pub(super) fn session(session: &Session) -> Value {
    json!({
        "id": session.id,
        "profile": session.profile,
        "owner": session.owner,
        "uid": session.uid,
        "user": session.user,
    })
}

fn rule(rule: &Rule) -> Value {
    let risk = match rule.risk() {
        Risk::Unspecified => None,
        Risk::Low => Some("low"),
        Risk::Medium => Some("medium"),
        Risk::High => Some("high"),
        Risk::Critical => Some("critical"),
    };
    let scope = |scope| match scope {
        GrantScope::Process => Some("process"),
        GrantScope::Session => Some("session"),
        GrantScope::Once | GrantScope::Unspecified => None,
    };
    json!({
        "name": rule.name,
        "justification": rule.justification,
        "risk": risk,
        "grants": rule.grants().filter_map(scope).collect::<Vec<_>>(),
        "max_ttl_seconds": rule.max_ttl.as_ref().map(|ttl| ttl.seconds),
        "policy_sha256": hex_or_null(&rule.policy_sha256),
    })
}

pub(super) fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Exec(one) => json!({ "exec": exec(one) }),
        Kind::Connect(one) => json!({ "connect": connect(one) }),
    }
}

fn exec(exec: &Exec) -> Value {
    let file = exec.file.as_ref().map(|file| {
        json!({
            "device": operation::device(file),
            "inode": file.inode.to_string(),
            "generation": file.generation,
            "changed_at": Timestamp::from_nanosecond(file.ctime_ns.into())
                .map(|at| at.to_string())
                .ok(),
            "size": file.size.to_string(),
        })
    });
    let environment: Vec<Value> = exec
        .environment
        .iter()
        .map(|variable| {
            json!({
                "name": bytes(&variable.name),
                "value": bytes(&variable.value),
                "redacted": variable.redacted,
            })
        })
        .collect();
    json!({
        "path": bytes(&exec.path),
        "path_is_hosts": exec.path_is_hosts,
        "file": file,
        "argv": list_of_bytes(&exec.argv),
        "environment_sha256": hex(&exec.environment_sha256),
        "content_sha256": hex_or_null(&exec.content_sha256),
        "environment": environment,
    })
}

fn connect(connect: &Connect) -> Value {
    json!({
        "address": operation::address(connect).map(|address| address.to_string()),
        "port": connect.port,
        "protocol": connect.protocol,
        "protocol_name": operation::protocol_name(connect.protocol),
        "network_namespace": connect.network_namespace,
        "scope_id": connect.scope_id,
        "local": connect.local.as_ref().map(|local| json!({
            "name": bytes(&local.name),
            "name_is_hosts": local.name_is_hosts,
            "socket_type": local.socket_type,
            "uid": local.uid,
        })),
        "listener": connect.listener.as_ref().map(|listener| json!({
            "pid": listener.pid,
            "uid": listener.uid,
            "executable": bytes(&listener.executable),
            "executable_is_hosts": listener.executable_is_hosts,
        })),
    })
}

fn process(process: &Process) -> Value {
    json!({
        "pid": process.pid,
        "tid": process.tid,
        "start_time_ns": process.start_time_ns.to_string(),
        "uid": process.uid,
        "gid": process.gid,
        "executable": bytes(&process.executable),
        "cwd": bytes(&process.cwd),
        "argv": list_of_bytes(&process.argv),
        "argv_cut": process.argv_cut,
    })
}

fn decision(decision: &Decision) -> Value {
    let verdict = match decision.verdict() {
        Verdict::Approve => Some("approve"),
        Verdict::Deny => Some("deny"),
        Verdict::Flag => Some("flag"),
        Verdict::Unspecified => None,
    };
    json!({
        "verdict": verdict,
        "reviewer": decision.reviewer,
        "reason": decision.reason,
        "decided_at": time(decision.decided_at),
        "grant": decision.grant.as_ref().map(grants::signed),
    })
}

fn outcome(request: &Request) -> Option<&'static str> {
    match request.outcome() {
        Outcome::Unspecified => None,
        Outcome::Released => Some("released"),
        Outcome::Refused => Some("refused"),
        Outcome::Gone => Some("gone"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::samples, *};

    #[test]
    fn golden() {
        let pretty = serde_json::to_string_pretty(&list(&samples::all(), true)).unwrap();
        samples::golden("list.json", &(pretty + "\n"));
        let granted = serde_json::to_string_pretty(&request(&samples::granted_exec())).unwrap();
        samples::golden("granted.json", &(granted + "\n"));
    }

    #[test]
    fn bytes_are_text_or_base64() {
        assert_eq!(bytes(b"a\n"), json!("a\n"));
        assert_eq!(bytes(b"\xff"), json!({ "base64": "/w==" }));
    }

    proptest! {
        #[test]
        fn a_line_is_printable_and_loses_nothing(text in any::<String>()) {
            let line = line(&text).unwrap();
            prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
