//! What happened, as `holdpoint events --json` tells it, and whether that is what
//! the story has seen. Pure.

use std::fmt;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::people::Request;

/// A record of the log.
#[derive(Clone, Debug)]
pub(crate) struct Record(Value);

/// How a record must tell of a request.
pub(crate) type Tells = fn(&Record, &Request) -> bool;

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, kind, outcome) = (self.log_index(), self.kind(), self.outcome());
        let (basis, detail) = (self.basis(), self.detail());
        let request = self.request();
        write!(
            f,
            "record {index}: {kind} {outcome}, request {request:?}, {basis:?} {detail:?}"
        )
    }
}

/// The records in words, for errors.
pub(crate) fn listed(records: &[Record]) -> String {
    if records.is_empty() {
        return "no record".to_owned();
    }
    let words: Vec<String> = records.iter().map(Record::to_string).collect();
    words.join("; ")
}

impl Record {
    /// One for each line.
    pub(crate) fn all(lines: &str) -> Result<Vec<Self>> {
        let parse = |line| {
            let record = serde_json::from_str(line);
            record
                .map(Self)
                .with_context(|| format!("`holdpoint events` printed no JSON: {line:?}"))
        };
        lines.lines().map(parse).collect()
    }

    fn text(&self, pointer: &str) -> &str {
        let value = self.0.pointer(pointer);
        value.and_then(Value::as_str).unwrap_or_default()
    }

    /// Its number in the log.
    pub(crate) fn log_index(&self) -> &str {
        self.text("/log_index")
    }

    /// It is this record, at this place of the log.
    pub(crate) fn is(&self, log_index: &Value, record: &Value) -> bool {
        self.0["log_index"] == *log_index && self.0["record"] == *record
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("/record/unmapped/kind")
    }

    pub(crate) fn outcome(&self) -> &str {
        self.text("/record/unmapped/outcome")
    }

    pub(crate) fn request(&self) -> &str {
        self.text("/record/unmapped/request_id")
    }

    /// Milliseconds since the epoch, by the clock of whoever tells.
    pub(crate) fn time(&self) -> Option<i64> {
        self.0.pointer("/record/time")?.as_i64()
    }

    /// What an action rests on.
    fn basis(&self) -> &str {
        self.text("/record/unmapped/basis")
    }

    /// Why, in the program's words.
    fn detail(&self) -> &str {
        self.text("/record/status_detail")
    }

    /// As [`Request::operation`] has it.
    fn operation(&self) -> String {
        let path = self.text("/record/process/file/path");
        if path.is_empty() {
            let port = self.0.pointer("/record/dst_endpoint/port");
            format!(
                "connect {}:{}",
                self.text("/record/dst_endpoint/ip"),
                port.unwrap_or(&Value::Null)
            )
        } else {
            format!("exec {path}")
        }
    }

    /// It tells what became of the operation, as the host saw it.
    pub(crate) fn tells_operation(&self, request: &Request) -> bool {
        let outcome = match request.state() {
            "approved" => "released",
            "withdrawn" => "abandoned",
            _ => "denied",
        };
        let rests_on = match request.state() {
            "approved" | "denied" | "flagged" => self.basis() == "decision",
            "expired" => self.basis() == "expiry",
            _ => true,
        };
        self.outcome() == outcome && rests_on && self.operation() == request.operation()
    }

    /// It tells how the request was closed, by whom and why.
    pub(crate) fn tells_closing(&self, request: &Request) -> bool {
        self.outcome() == request.state()
            && self.text("/record/unmapped/reviewer") == request.reviewer()
            && self.text("/record/unmapped/reason") == request.reason()
    }
}

/// What is amiss unless each request has one record that tells of it, and there is
/// no other record.
pub(crate) fn amiss(requests: &[Request], records: &[Record], tells: Tells) -> Option<String> {
    let told = |request: &&Request| {
        let mut about = records
            .iter()
            .filter(|record| record.request() == request.id());
        about.next().is_some_and(|record| tells(record, request)) && about.next().is_none()
    };
    if let Some(request) = requests.iter().find(|request| !told(request)) {
        return Some(format!("{request}; but {}", listed(records)));
    }
    (records.len() != requests.len()).then(|| listed(records))
}

/// How long after it was approved an operation was released, in milliseconds: both
/// by the approver's clock.
pub(crate) fn delay(records: &[Record]) -> Option<i64> {
    let time = |kind, outcome| {
        let mut told = records.iter();
        told.find(|record| record.kind() == kind && record.outcome() == outcome)?
            .time()
    };
    Some(time("request", "released")? - time("decision", "approved")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(state: &str, reviewer: &str) -> Request {
        Request::from(json!({
            "id": "r1", "state": state, "rule": { "name": "downloads" },
            "operation": { "exec": { "path": "/usr/bin/curl" } },
            "decision": { "reviewer": reviewer, "reason": "because" },
        }))
    }

    fn record(outcome: &str, basis: &str) -> Record {
        Record(json!({
            "log_index": "7",
            "record": {
                "process": { "file": { "path": "/usr/bin/curl" } },
                "unmapped": {
                    "request_id": "r1", "outcome": outcome, "basis": basis,
                    "reviewer": "reviewer1", "reason": "because",
                },
            },
        }))
    }

    #[test]
    fn each_request_has_its_one_record() {
        let approved = [request("approved", "reviewer1")];
        let tells: Tells = Record::tells_operation;
        let released = record("released", "decision");
        assert_eq!(
            amiss(&approved, std::slice::from_ref(&released), tells),
            None
        );
        for wrong in [
            vec![],
            vec![released.clone(), released.clone()],
            vec![record("denied", "decision")],
            vec![record("released", "grant")],
        ] {
            assert!(amiss(&approved, &wrong, tells).is_some(), "{wrong:?}");
        }
        assert!(amiss(&[], &[released], tells).is_some());
    }

    #[test]
    fn an_error_names_the_records_shortly() {
        let found = amiss(&[], &[record("denied", "gate")], Record::tells_operation);
        assert_eq!(
            found.as_deref(),
            Some(r#"record 7:  denied, request "r1", "gate" """#)
        );
        let found = amiss(&[request("denied", "x")], &[], Record::tells_operation).unwrap();
        assert!(found.ends_with("; but no record"), "{found}");
    }

    #[test]
    fn an_expiry_is_no_denial() {
        let expired = [request("expired", "")];
        assert_eq!(
            amiss(
                &expired,
                &[record("denied", "expiry")],
                Record::tells_operation
            ),
            None
        );
        assert!(
            amiss(
                &expired,
                &[record("denied", "decision")],
                Record::tells_operation
            )
            .is_some()
        );
    }

    #[test]
    fn who_decided_and_why_counts() {
        let told = [record("approved", "")];
        let closing: Tells = Record::tells_closing;
        assert_eq!(
            amiss(&[request("approved", "reviewer1")], &told, closing),
            None
        );
        assert!(amiss(&[request("approved", "reviewer2")], &told, closing).is_some());
        assert!(amiss(&[request("denied", "reviewer1")], &told, closing).is_some());
    }

    #[test]
    fn operations_are_named_as_requests_name_them() {
        let connect = json!({ "record": { "dst_endpoint": { "ip": "127.0.0.1", "port": 9000 } } });
        assert_eq!(Record(connect).operation(), "connect 127.0.0.1:9000");
        assert_eq!(record("", "").operation(), "exec /usr/bin/curl");
    }

    #[test]
    fn the_delay_is_from_the_decision_to_the_release() {
        let lines = r#"{"log_index":"9","record":{"time":1250,"unmapped":{"kind":"request","outcome":"released"}}}
{"log_index":"8","record":{"time":1000,"unmapped":{"kind":"decision","outcome":"approved"}}}
"#;
        let records = Record::all(lines).unwrap();
        assert_eq!(delay(&records), Some(250));
        assert_eq!(delay(&records[..1]), None);
        assert!(Record::all("nothing\n").is_err());
    }
}
