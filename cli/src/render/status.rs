//! The state of a host, for a person.

use std::fmt::Write as _;

use holdpoint_proto::control::{ApproverStatus, EventsStatus, Status};

use crate::escape;

const MEBIBYTE: u64 = 1024 * 1024;

/// `status` as text.
pub(crate) fn status(status: &Status) -> String {
    let enforcing = if status.enforcing {
        "yes".to_owned()
    } else {
        let why = status.not_enforcing_because.as_deref();
        format!(
            "NO: {}",
            escape::sentence(why.unwrap_or("the daemon does not say why"))
        )
    };
    let mut out = format!(
        "Enforcing  {enforcing}\n\
         Daemon     holdpointd {}, kernel {}\n\
         Approver   {}\n\
         Events     {}\n\
         Held now   {}\n\
         Sessions   {}\n",
        escape::name(&status.version),
        escape::name(&status.kernel_release),
        approver(&status.approver),
        status
            .events
            .as_ref()
            .map_or_else(|| "the daemon does not say".to_owned(), events),
        status.held,
        status.sessions.len(),
    );
    for session in &status.sessions {
        // Writing to a String can't fail.
        let _ = writeln!(
            out,
            "  {}  profile {}, owner {}, root pid {}, uid {}",
            escape::name(&session.id),
            escape::name(&session.profile),
            escape::name(&session.owner),
            session.root_pid,
            session.uid
        );
    }
    out
}

fn approver(approver: &ApproverStatus) -> String {
    let Some(address) = &approver.address else {
        return "none: this host is not enrolled".to_owned();
    };
    let address = escape::name(address);
    match (approver.connected, &approver.error) {
        (true, _) => format!("{address}, connected"),
        (false, None) => format!("{address}, NOT connected"),
        (false, Some(error)) => format!("{address}, NOT connected: {}", escape::sentence(error)),
    }
}

fn events(events: &EventsStatus) -> String {
    let waiting = events.last.saturating_sub(events.acknowledged);
    let mut text = format!(
        "{} so far, {}; spool {} of {} MiB",
        events.last,
        match waiting {
            0 => "all with the approver".to_owned(),
            waiting => format!("{waiting} not yet with the approver"),
        },
        events.spool_bytes.div_ceil(MEBIBYTE),
        events.spool_max_bytes / MEBIBYTE,
    );
    if events.gaps > 0 {
        // Writing to a String can't fail.
        let _ = write!(text, "; {} gaps since the daemon started", events.gaps);
    }
    if events.undeclared > 0 {
        let _ = write!(text, "; {} LOST for want of room", events.undeclared);
    }
    if let Some(error) = &events.error {
        let _ = write!(text, "; NOT sent: {}", escape::sentence(error));
    }
    text
}

#[cfg(test)]
mod tests {
    use holdpoint_proto::control::SessionInfo;

    use super::{super::samples, *};

    #[test]
    fn golden() {
        let good = Status {
            version: "0.1.0".into(),
            kernel_release: "6.12.0".into(),
            enforcing: true,
            not_enforcing_because: None,
            approver: ApproverStatus {
                address: Some("https://approver.example:7443".into()),
                connected: true,
                error: None,
            },
            sessions: vec![SessionInfo {
                id: "00000000000000a1".into(),
                profile: "demo\u{1b}[2J".into(),
                owner: "ada".into(),
                root_pid: 412,
                uid: 1000,
            }],
            held: 2,
            events: Some(EventsStatus {
                spool_bytes: 70_000,
                spool_max_bytes: 256 * MEBIBYTE,
                last: 1_042,
                acknowledged: 1_042,
                gaps: 0,
                undeclared: 0,
                error: None,
            }),
        };
        samples::golden("status_enforcing.txt", &status(&good));
        let bad = Status {
            enforcing: false,
            not_enforcing_because: Some("\"bpf\" is not in the LSM list\n".into()),
            approver: ApproverStatus {
                address: Some("https://approver.example:7443".into()),
                connected: false,
                error: Some("connection refused\u{202e}".into()),
            },
            sessions: Vec::new(),
            held: 0,
            events: Some(EventsStatus {
                spool_bytes: 256 * MEBIBYTE,
                spool_max_bytes: 256 * MEBIBYTE,
                last: 900_000,
                acknowledged: 1_042,
                gaps: 2,
                undeclared: 17,
                error: Some("connection refused\u{202e}".into()),
            }),
            ..good
        };
        samples::golden("status_not_enforcing.txt", &status(&bad));
    }
}
