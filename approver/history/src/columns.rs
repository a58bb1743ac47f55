//! The columns of the table `events`: what a record says, flat.
//!
//! Everything here is read out of the record, and `record` itself stands beside,
//! byte for byte: whoever changed a column is found out by making it again. So
//! what a column says must never change for the records that are in files; say it
//! in another column.

use std::{net::IpAddr, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
};
use serde_json::Value;

use crate::{Record, query::number};

/// Number of the record in the log.
pub(crate) const LOG_INDEX: &str = "log_index";
/// When it happened.
pub(crate) const TIME: &str = "time";
/// When the approver stored it.
pub(crate) const LOGGED_TIME: &str = "logged_time";
/// The host it is about.
pub(crate) const HOST_ID: &str = "host_id";
/// The OCSF object as JSON.
pub(crate) const RECORD: &str = "record";
/// The destination as 32 hexadecimal digits of IPv6, which sort as addresses do.
pub(crate) const DST_IP_HEX: &str = "dst_ip_hex";

/// The zone of all times.
pub(crate) const ZONE: &str = "UTC";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Text,
    Int,
    Time,
}

/// A column, its type, what it says, and where in a record it is read: the first
/// place that has something.
type Column = (&'static str, Kind, &'static str, &'static [&'static str]);

const COLUMNS: &[Column] = &[
    (LOG_INDEX, Kind::Int, "number of the record in the log", &[]),
    (
        TIME,
        Kind::Time,
        "when it happened, by the clock of whoever tells",
        &["/time"],
    ),
    (
        LOGGED_TIME,
        Kind::Time,
        "when the approver stored it",
        &["/metadata/logged_time"],
    ),
    ("kind", Kind::Text, "what happened", &["/unmapped/kind"]),
    (
        "outcome",
        Kind::Text,
        "what became of it",
        &["/unmapped/outcome"],
    ),
    (
        "basis",
        Kind::Text,
        "what an action rests on",
        &["/unmapped/basis"],
    ),
    (
        "message",
        Kind::Text,
        "one sentence for people",
        &["/message"],
    ),
    ("class_uid", Kind::Int, "OCSF class", &["/class_uid"]),
    (
        "type_uid",
        Kind::Int,
        "OCSF class and activity",
        &["/type_uid"],
    ),
    ("activity_id", Kind::Int, "OCSF activity", &["/activity_id"]),
    (
        "severity_id",
        Kind::Int,
        "OCSF severity, 1 to 5",
        &["/severity_id"],
    ),
    (
        "status_id",
        Kind::Int,
        "1 success, 2 failure, 99 waiting",
        &["/status_id"],
    ),
    ("action_id", Kind::Int, "OCSF action", &["/action_id"]),
    (
        "disposition_id",
        Kind::Int,
        "OCSF disposition",
        &["/disposition_id"],
    ),
    (
        HOST_ID,
        Kind::Text,
        "the host it is about",
        &["/device/uid"],
    ),
    (
        "hostname",
        Kind::Text,
        "what the host called itself",
        &["/device/hostname"],
    ),
    (
        "session",
        Kind::Text,
        "id of the session",
        &["/unmapped/session/id"],
    ),
    (
        "profile",
        Kind::Text,
        "profile of the session",
        &["/unmapped/session/profile"],
    ),
    (
        "owner",
        Kind::Text,
        "accountable person of the session",
        &["/unmapped/session/owner"],
    ),
    ("rule", Kind::Text, "rule that asked", &["/unmapped/rule"]),
    (
        "risk",
        Kind::Text,
        "risk the rule names",
        &["/unmapped/risk"],
    ),
    (
        "exe",
        Kind::Text,
        "the program an exec would run, or that makes a connect",
        &[
            "/process/file/path",
            "/unmapped/operation/process/file/path",
            "/actor/process/path",
            "/unmapped/operation/actor/process/path",
        ],
    ),
    (
        "cmd_line",
        Kind::Text,
        "its command line, quoted as for a shell",
        &[
            "/process/cmd_line",
            "/unmapped/operation/process/cmd_line",
            "/actor/process/cmd_line",
            "/unmapped/operation/actor/process/cmd_line",
        ],
    ),
    (
        "cwd",
        Kind::Text,
        "working directory",
        &[
            "/actor/process/working_directory",
            "/unmapped/operation/actor/process/working_directory",
        ],
    ),
    (
        "sha256",
        Kind::Text,
        "SHA-256 of the program",
        &[
            "/process/file/hashes/0/value",
            "/unmapped/operation/process/file/hashes/0/value",
        ],
    ),
    (
        "pid",
        Kind::Int,
        "process id",
        &[
            "/actor/process/pid",
            "/unmapped/operation/actor/process/pid",
        ],
    ),
    (
        "uid",
        Kind::Int,
        "user id",
        &[
            "/actor/process/user/uid",
            "/unmapped/operation/actor/process/user/uid",
        ],
    ),
    (
        "dst_ip",
        Kind::Text,
        "destination address",
        &["/dst_endpoint/ip", "/unmapped/operation/dst_endpoint/ip"],
    ),
    (
        DST_IP_HEX,
        Kind::Text,
        "the same as 32 hexadecimal digits, for ranges",
        &[],
    ),
    (
        "dst_port",
        Kind::Int,
        "destination port",
        &[
            "/dst_endpoint/port",
            "/unmapped/operation/dst_endpoint/port",
        ],
    ),
    (
        "protocol",
        Kind::Text,
        "tcp, udp, ...",
        &[
            "/connection_info/protocol_name",
            "/unmapped/operation/connection_info/protocol_name",
        ],
    ),
    (
        "reviewer",
        Kind::Text,
        "person who decided, logged in or changed something",
        &["/unmapped/reviewer"],
    ),
    (
        "reason",
        Kind::Text,
        "why, in that person's words",
        &["/unmapped/reason", "/comment"],
    ),
    (
        "detail",
        Kind::Text,
        "why, in the program's words",
        &["/status_detail"],
    ),
    (
        "request_id",
        Kind::Text,
        "id of the request",
        &["/unmapped/request_id"],
    ),
    (
        "hold_id",
        Kind::Text,
        "id of the hold",
        &["/unmapped/hold_id"],
    ),
    (
        "grant_id",
        Kind::Text,
        "id of the grant",
        &["/unmapped/grant_id", "/unmapped/grant/id"],
    ),
    (
        "operation_digest",
        Kind::Text,
        "the same whenever the same is attempted",
        &["/unmapped/operation_digest"],
    ),
    (
        RECORD,
        Kind::Text,
        "the whole record: one OCSF object, JSON",
        &[],
    ),
];

/// Name and meaning of every column.
pub fn described() -> impl Iterator<Item = (&'static str, &'static str)> {
    COLUMNS
        .iter()
        .map(|(name, _, meaning, _)| (*name, *meaning))
}

/// The table's schema.
pub(crate) fn schema() -> SchemaRef {
    let field = |(name, kind, ..): &Column| {
        let data_type = match kind {
            Kind::Text => DataType::Utf8,
            Kind::Int => DataType::Int64,
            Kind::Time => DataType::Timestamp(TimeUnit::Millisecond, Some(ZONE.into())),
        };
        let always = matches!(*name, LOG_INDEX | TIME | RECORD);
        Field::new(*name, data_type, !always)
    };
    Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
}

/// `records` as one batch.
pub(crate) fn batch(records: &[Record]) -> Result<RecordBatch, ArrowError> {
    let parsed: Vec<Value> = records
        .iter()
        // Records are written by this crate; one that is damaged still counts.
        .map(|record| serde_json::from_slice(&record.json).unwrap_or_default())
        .collect();
    let arrays = COLUMNS.iter().map(|column| array(column, records, &parsed));
    RecordBatch::try_new(schema(), arrays.collect())
}

fn array((name, kind, _, places): &Column, records: &[Record], parsed: &[Value]) -> ArrayRef {
    let find = |value: &'_ Value| -> Option<Value> {
        places
            .iter()
            .find_map(|place| value.pointer(place))
            .cloned()
    };
    match (*name, kind) {
        (LOG_INDEX, _) => {
            let numbers = records.iter().map(|record| record.log_index.cast_signed());
            Arc::new(Int64Array::from_iter_values(numbers))
        }
        (RECORD, _) => {
            let texts = records
                .iter()
                .map(|record| String::from_utf8_lossy(&record.json));
            Arc::new(StringArray::from_iter_values(texts))
        }
        (DST_IP_HEX, _) => {
            let address = |value: &Value| {
                let text = value
                    .pointer("/dst_endpoint/ip")
                    .or_else(|| value.pointer("/unmapped/operation/dst_endpoint/ip"))?;
                Some(hex(number(text.as_str()?.parse::<IpAddr>().ok()?)))
            };
            Arc::new(parsed.iter().map(address).collect::<StringArray>())
        }
        (_, Kind::Text) => {
            let text = |value| find(value)?.as_str().map(str::to_owned);
            Arc::new(parsed.iter().map(text).collect::<StringArray>())
        }
        (_, Kind::Int) => {
            let number = |value| match find(value)? {
                Value::String(text) => text.parse().ok(),
                other => other.as_i64(),
            };
            Arc::new(parsed.iter().map(number).collect::<Int64Array>())
        }
        (_, Kind::Time) => {
            let time = |value| find(value).and_then(|time| time.as_i64()).unwrap_or(0);
            let times = TimestampMillisecondArray::from_iter_values(parsed.iter().map(time));
            Arc::new(times.with_timezone(ZONE))
        }
    }
}

/// An address as [`DST_IP_HEX`] has it.
pub(crate) fn hex(address: u128) -> String {
    format!("{address:032x}")
}
