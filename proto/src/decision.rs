//! The bytes a decision's Ed25519 signature covers.
//!
//! Signing and verifying happen in the approver and on the host; this module
//! only fixes what is signed, so that both read it the same way.

use crate::v1::Decision;

/// Domain separation and version of the encoding.
const DOMAIN: &[u8] = b"holdpoint/decision/v1";

/// Length-prefixed encoding of every field of `decision` but its signature.
pub fn signing_bytes(decision: &Decision) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    let decided_at = decision.decided_at.unwrap_or_default();
    for field in [
        DOMAIN,
        decision.request_id.as_bytes(),
        &decision.digest,
        &decision.verdict.to_be_bytes(),
        decision.reviewer.as_bytes(),
        decision.reason.as_bytes(),
        &decided_at.seconds.to_be_bytes(),
        &decided_at.nanos.to_be_bytes(),
    ] {
        out.extend_from_slice(&(field.len() as u64).to_be_bytes());
        out.extend_from_slice(field);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::Verdict;

    #[test]
    fn every_field_is_covered() {
        let base = Decision {
            request_id: "r".into(),
            digest: vec![1; 32],
            verdict: Verdict::Approve.into(),
            reviewer: "ada".into(),
            reason: "ok".into(),
            ..Decision::default()
        };
        let changes: [fn(&mut Decision); 6] = [
            |d| d.request_id.push('x'),
            |d| d.digest[0] = 2,
            |d| d.verdict = Verdict::Deny.into(),
            |d| d.reviewer.push('x'),
            |d| d.reason.push('x'),
            |d| {
                d.decided_at = Some(prost_types::Timestamp {
                    seconds: 1,
                    nanos: 0,
                });
            },
        ];
        for change in changes {
            let mut changed = base.clone();
            change(&mut changed);
            assert_ne!(signing_bytes(&changed), signing_bytes(&base));
        }
    }
}
