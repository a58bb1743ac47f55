//! The bytes a decision's Ed25519 signature covers.
//!
//! Signing and verifying happen in the approver and on the host; this module
//! only fixes what is signed, so that both read it the same way.

use crate::v1::Decision;

/// Domain separation and version of the encoding.
const DOMAIN: &[u8] = b"holdpoint/decision/v2";

/// Length-prefixed encoding of every field of `decision` but its signature.
pub fn signing_bytes(decision: &Decision) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    let decided_at = decision.decided_at.unwrap_or_default();
    let grant = decision.grant.clone().unwrap_or_default();
    let ttl = grant.ttl.unwrap_or_default();
    let expires_at = grant.expires_at.unwrap_or_default();
    for field in [
        DOMAIN,
        decision.request_id.as_bytes(),
        &decision.digest,
        &decision.verdict.to_be_bytes(),
        decision.reviewer.as_bytes(),
        decision.reason.as_bytes(),
        &decided_at.seconds.to_be_bytes(),
        &decided_at.nanos.to_be_bytes(),
        &[decision.grant.is_some().into()],
        grant.id.as_bytes(),
        &grant.scope.to_be_bytes(),
        &ttl.seconds.to_be_bytes(),
        &ttl.nanos.to_be_bytes(),
        &expires_at.seconds.to_be_bytes(),
        &expires_at.nanos.to_be_bytes(),
        &grant.max_uses.to_be_bytes(),
    ] {
        out.extend_from_slice(&(field.len() as u64).to_be_bytes());
        out.extend_from_slice(field);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{Grant, GrantScope, Verdict};

    #[test]
    fn every_field_is_covered() {
        let base = Decision {
            request_id: "r".into(),
            digest: vec![1; 32],
            verdict: Verdict::Approve.into(),
            reviewer: "ada".into(),
            reason: "ok".into(),
            grant: Some(Grant {
                id: "g".into(),
                scope: GrantScope::Session.into(),
                ttl: Some(prost_types::Duration::default()),
                expires_at: Some(prost_types::Timestamp::default()),
                max_uses: 1,
            }),
            ..Decision::default()
        };
        let grant = |d: &mut Decision, change: fn(&mut Grant)| {
            change(d.grant.as_mut().expect("a grant"));
        };
        let changes: [&dyn Fn(&mut Decision); 12] = [
            &|d| d.request_id.push('x'),
            &|d| d.digest[0] = 2,
            &|d| d.verdict = Verdict::Deny.into(),
            &|d| d.reviewer.push('x'),
            &|d| d.reason.push('x'),
            &|d| d.grant = None,
            &|d| grant(d, |g| g.id.push('x')),
            &|d| grant(d, |g| g.scope = GrantScope::Process.into()),
            &|d| {
                grant(d, |g| {
                    g.ttl = Some(prost_types::Duration {
                        seconds: 1,
                        nanos: 0,
                    });
                });
            },
            &|d| {
                grant(d, |g| {
                    g.expires_at = Some(prost_types::Timestamp {
                        seconds: 1,
                        nanos: 0,
                    });
                });
            },
            &|d| grant(d, |g| g.max_uses = 2),
            &|d| {
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
