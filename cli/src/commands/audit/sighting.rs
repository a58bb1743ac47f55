//! A record as far as completeness goes: what its host numbered it.

use std::borrow::Cow;

use holdpoint_evidence::completeness::{Completeness, Gap, Sighting};
use serde::Deserialize;

/// The program whose records are numbered.
const DAEMON: &str = "holdpointd";
/// The cause that the approver gives for numbers that never came.
const NEVER_CAME: &str = "sequence";

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    device: Option<Device<'a>>,
    #[serde(borrow)]
    unmapped: Option<Unmapped<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    /// `HOST/SPOOL/SEQUENCE` for what a host numbered.
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    product: Product<'a>,
}

#[derive(Deserialize)]
struct Product<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Device<'a> {
    #[serde(borrow)]
    hostname: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Unmapped<'a> {
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cause: Option<Cow<'a, str>>,
    lost: Option<i64>,
}

/// Takes record `index` into `completeness`.
pub(super) fn see(completeness: &mut Completeness, log_index: u64, record: &[u8]) {
    let Ok(record) = serde_json::from_slice::<Record<'_>>(record) else {
        completeness.unreadable += 1;
        return;
    };
    if record.metadata.product.name != DAEMON {
        return;
    }
    let mut parts = record.metadata.uid.splitn(3, '/');
    let (Some(host), Some(spool), Some(sequence)) = (parts.next(), parts.next(), parts.next())
    else {
        completeness.unreadable += 1;
        return;
    };
    let Ok(sequence) = sequence.parse() else {
        completeness.unreadable += 1;
        return;
    };
    let hostname = record
        .device
        .as_ref()
        .and_then(|device| device.hostname.as_deref());
    let unmapped = record.unmapped.as_ref();
    let gap = unmapped
        .filter(|unmapped| unmapped.kind.as_deref() == Some("gap"))
        .map(|unmapped| {
            let cause = unmapped.cause.as_deref().unwrap_or("unknown");
            Gap {
                cause,
                lost: unmapped
                    .lost
                    .and_then(|lost| lost.try_into().ok())
                    .unwrap_or(0),
                of_numbers: cause == NEVER_CAME,
            }
        });
    completeness.saw(&Sighting {
        log_index,
        host,
        hostname: hostname.unwrap_or_default(),
        spool,
        sequence: Some(sequence),
        gap,
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(records: &[serde_json::Value]) -> Completeness {
        let mut completeness = Completeness::default();
        for (index, record) in (0..).zip(records) {
            see(&mut completeness, index, record.to_string().as_bytes());
        }
        completeness
    }

    fn event(sequence: u64) -> serde_json::Value {
        json!({
            "metadata": {
                "uid": format!("h1/aa/{sequence}"),
                "product": { "name": "holdpointd", "vendor_name": "Holdpoint" },
                "sequence": sequence,
            },
            "device": { "uid": "h1", "hostname": "b\u{fc}ild \"1\"" },
            "unmapped": { "kind": "exec", "outcome": "allowed", "lost": "no number" , "x": [1] },
        })
    }

    #[test]
    fn numbers_of_hosts_are_read_and_the_approvers_own_records_are_not() {
        let mut first = event(1);
        first["unmapped"]["lost"] = json!(null);
        let own = json!({ "metadata": { "uid": "approver/3", "product": { "name": "holdpoint-approver" } } });
        let mut gap = event(3);
        gap["unmapped"] = json!({ "kind": "gap", "cause": "spool", "lost": 12 });
        let completeness = told(&[first, own, gap]);
        let host = &completeness.hosts["h1"];
        assert_eq!(host.hostname, "b\u{fc}ild \"1\"");
        assert_eq!((host.declared[0].lost, host.declared[0].log_index), (12, 2));
        assert_eq!(host.undeclared.len(), 1, "number 2");
        assert_eq!(completeness.unreadable, 0);
    }

    #[test]
    fn what_cannot_be_read_is_counted() {
        let mut strange = event(1);
        strange["metadata"]["uid"] = json!("h1/aa");
        let mut number = event(1);
        number["metadata"]["uid"] = json!("h1/aa/-1");
        let completeness = told(&[json!({}), strange, number, json!([]), event(1)]);
        assert_eq!(completeness.unreadable, 5);
        assert!(!completeness.is_complete());
    }
}
