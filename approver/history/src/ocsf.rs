//! Records as OCSF 1.8 JSON objects.
//!
//! Pure: the same input gives the same bytes, whatever else is built into the
//! program, for the bytes are leaves of the Merkle log. No record is longer than
//! [`MAX_RECORD`], the most a log's tile can hold; where a process has more to
//! say, the record says how much and `metadata.is_truncated` is set.
//!
//! | record | class | activity |
//! |---|---|---|
//! | exec | 1007 Process Activity | 1 Launch |
//! | connect | 4001 Network Activity | 1 Open |
//! | session | 6002 Application Lifecycle | 3 Start, 4 Stop |
//! | enforcement | 5019 Device Config State Change | 1 Log |
//! | policy | 3004 Entity Management | 3 Update |
//! | grant | 3004 Entity Management | 1 Create, 9 Disable, 10 Activate, 11 Deactivate, 99 Use |
//! | gap | 1008 Event Log Activity | 99 Gap |
//! | request | 6003 API Activity | 1 Create, 3 Update |
//! | decision | 6003 API Activity | 3 Update |
//! | flag | 2004 Detection Finding | 1 Create, 3 Close |
//! | login | 3002 Authentication | 1 Logon, 2 Logoff |
//! | account | 3001 Account Change | 1 Create, 3 Password Change, 4 Password Reset, 6 Delete, 99 Change |
//! | token | 3004 Entity Management | 1 Create, 4 Delete |
//! | host | 3004 Entity Management, 3002 Authentication | 6 Enroll, 7 Unenroll; 1 Logon, 2 Logoff |
//! | approver | 6002 Application Lifecycle | 3 Start, 4 Stop |
//!
//! What a query calls these is `unmapped.kind`, what became of it
//! `unmapped.outcome`; all else that OCSF has no place for is in `unmapped` too.

mod approver;
mod class;
mod draft;
mod host;
mod json;
mod parts;
mod text;

#[cfg(test)]
mod tests;

use data_encoding::HEXLOWER;
use holdpoint_proto::v1::Event;
use prost_types::Timestamp;

pub use class::VERSION;

use self::{
    draft::{Draft, Origin},
    text::{Limits, Texts},
};
use crate::audit::{AuditRecord, HostRef};

/// Longest record in bytes: what the length field of an entry in a C2SP tile
/// can say.
pub const MAX_RECORD: usize = u16::MAX as usize;

/// The record of `event`, which is number `event.sequence` of the spool `spool`
/// of `host` and reached the approver at `logged_time`.
pub fn of_host_event(host: &HostRef, spool: &[u8], event: &Event, logged_time: i64) -> Vec<u8> {
    let spool = HEXLOWER.encode(spool);
    let origin = Origin {
        uid: format!("{}/{spool}/{}", host.id, event.sequence),
        time: event.time.map_or(logged_time, millis),
        logged_time,
        product: "holdpointd",
        numbered: Some((spool, i64::try_from(event.sequence).unwrap_or(i64::MAX))),
    };
    bounded(&origin, |texts| host::draft(texts, host, event))
}

/// The record of what the approver did at `time`, number `log_index` of the log.
pub fn of_audit(time: i64, log_index: u64, record: &AuditRecord) -> Vec<u8> {
    let origin = Origin {
        uid: format!("approver/{log_index}"),
        time,
        logged_time: time,
        product: "holdpoint-approver",
        numbered: None,
    };
    bounded(&origin, |texts| approver::draft(texts, record))
}

/// The widest record that fits.
fn bounded(origin: &Origin, draft: impl Fn(&mut Texts) -> Draft) -> Vec<u8> {
    let mut limits = Limits::WIDEST;
    loop {
        let mut texts = Texts::new(limits);
        let draft = draft(&mut texts);
        let record = draft.finish(origin, texts);
        // Writing to a Vec can't fail, and neither can any value in a record.
        let bytes = serde_json::to_vec(&record).unwrap_or_default();
        if bytes.len() <= MAX_RECORD || limits.text == 0 {
            return bytes;
        }
        limits = limits.halved();
    }
}

/// Milliseconds since the epoch.
pub fn millis(time: Timestamp) -> i64 {
    let millis = time.seconds.saturating_mul(1000);
    millis.saturating_add(i64::from(time.nanos) / 1_000_000)
}
