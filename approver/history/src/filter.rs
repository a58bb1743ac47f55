//! A query as a predicate that `DataFusion` evaluates.

use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, ident, lit},
};

use crate::{
    columns::{DST_IP_HEX, HOST_ID, LOG_INDEX, RECORD, TIME, ZONE, hex},
    query::{Key, Pattern, Query, Term, Value, escaped},
};

/// What a person would read of a record.
const READ: [&str; 12] = [
    "message",
    "cmd_line",
    "exe",
    "reason",
    "detail",
    "reviewer",
    "owner",
    "hostname",
    "rule",
    "session",
    "dst_ip",
    "request_id",
];

/// True of the records that `query` asks for; none if it asks for all.
pub(crate) fn predicate(query: &Query) -> Option<Expr> {
    query.terms.iter().map(term).reduce(Expr::and)
}

/// True of the records before `log_index`.
pub(crate) fn before(log_index: u64) -> Expr {
    ident(LOG_INDEX).lt(lit(i64::try_from(log_index).unwrap_or(i64::MAX)))
}

/// True of the record `log_index` and those after it.
pub(crate) fn not_before(log_index: u64) -> Expr {
    ident(LOG_INDEX).gt_eq(lit(i64::try_from(log_index).unwrap_or(i64::MAX)))
}

fn term(term: &Term) -> Expr {
    let any = term.values.iter().map(|value| one(term.key, value));
    let any = any.reduce(Expr::or).unwrap_or_else(|| lit(true));
    // A column that says nothing does not match, so its opposite does.
    if term.negated { any.is_not_true() } else { any }
}

fn one(key: Key, value: &Value) -> Expr {
    match value {
        Value::Anywhere(text) => {
            let like = format!("%{}%", escaped(text));
            let somewhere = READ
                .iter()
                .map(|name| ident(*name).ilike(lit(like.clone())));
            somewhere.reduce(Expr::or).unwrap_or_else(|| lit(false))
        }
        Value::Pattern(pattern) => match key {
            Key::Host => matches(HOST_ID, pattern).or(matches("hostname", pattern)),
            _ => matches(column(key), pattern),
        },
        Value::Number(number) if key == Key::Severity => ident(column(key)).gt_eq(lit(*number)),
        Value::Number(number) => ident(column(key)).eq(lit(*number)),
        Value::Subnet(subnet) => ident(DST_IP_HEX)
            .gt_eq(lit(hex(subnet.first)))
            .and(ident(DST_IP_HEX).lt_eq(lit(hex(subnet.last)))),
        Value::Ports(ports) => ident(column(key))
            .gt_eq(lit(i64::from(ports.first)))
            .and(ident(column(key)).lt_eq(lit(i64::from(ports.last)))),
        Value::Time(time) if key == Key::Until => ident(TIME).lt(at(*time)),
        Value::Time(time) => ident(TIME).gt_eq(at(*time)),
    }
}

fn matches(column: &str, pattern: &Pattern) -> Expr {
    match pattern.literal() {
        Some(text) => ident(column).eq(lit(text)),
        None => ident(column).like(lit(pattern.like())),
    }
}

/// A point in time as a literal.
pub(crate) fn at(millis: i64) -> Expr {
    let zone = Some(ZONE.into());
    lit(ScalarValue::TimestampMillisecond(Some(millis), zone))
}

const fn column(key: Key) -> &'static str {
    match key {
        Key::Kind => "kind",
        Key::Outcome => "outcome",
        Key::Basis => "basis",
        Key::Host => HOST_ID,
        Key::Session => "session",
        Key::Profile => "profile",
        Key::Owner => "owner",
        Key::Rule => "rule",
        Key::Risk => "risk",
        Key::Exe => "exe",
        Key::Cmd => "cmd_line",
        Key::Cwd => "cwd",
        Key::Sha256 => "sha256",
        Key::Pid => "pid",
        Key::Uid => "uid",
        Key::Dest => DST_IP_HEX,
        Key::Port => "dst_port",
        Key::Protocol => "protocol",
        Key::Reviewer => "reviewer",
        Key::Request => "request_id",
        Key::Hold => "hold_id",
        Key::Grant => "grant_id",
        Key::Digest => "operation_digest",
        Key::Severity => "severity_id",
        Key::Class => "class_uid",
        Key::Since | Key::Until => TIME,
        Key::Text => RECORD,
    }
}
