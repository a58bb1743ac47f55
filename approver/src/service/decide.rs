//! Deciding: a person's answer to one request, recorded, signed and carried to
//! whoever has to hear of it.
//!
//! The decision is on disk before anybody hears of it, so that nothing which
//! dies on the way can lose it or have it happen twice.

use std::time::Duration;

use holdpoint_proto::v1;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Approver, now,
    review::{KEY_MAX, ReviewError, find},
};
use crate::{
    domain::{
        decide::{Ballot, Refusal, Subject, decide},
        grant::{Allowance, Grant, Scope, Wish, within},
        request::Verdict,
    },
    live::{News, Reload},
    store::{
        StoreError,
        decisions::{CallKey, Decided, Decision, UsedKey},
        logins::Login,
        requests::Request,
    },
};

/// What a person says about a request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
    /// Digest of what they were shown.
    pub(crate) digest_shown: Vec<u8>,
    /// What an approval gives; none: once.
    pub(crate) grant: Option<Wish>,
    /// Makes a call that comes twice one decision.
    pub(crate) idempotency_key: Option<String>,
}

impl Approver {
    /// Decides a request as `caller`. The same call with the same key answers
    /// with the request again, however it stands by now.
    pub(crate) async fn decide(
        &self,
        caller: &Login,
        id: &str,
        answer: &Answer,
    ) -> Result<Request, ReviewError> {
        let request = find(&self.store, id).await?;
        let key = call_key(&request.id, answer)?;
        if let Some(key) = &key {
            let reviewer = caller.username.as_str();
            if let Some(used) = self.store.used_key(reviewer, &key.key).await? {
                return self.same_call(&request.id, key, used).await;
            }
        }
        let mut decision = self.rule(caller, &request, answer).await?;
        let mut signed = v1::Decision::from(decision.clone());
        self.signer.sign(&mut signed);
        decision.signature = signed.signature;
        let revoked = match self.store.decide(&decision, key.as_ref()).await? {
            Decided::Recorded { revoked } => revoked,
            Decided::NotAllowed(Some(role)) => return Err(Refusal::NoReviewer { role }.into()),
            Decided::NotAllowed(None) => return Err(ReviewError::NoAccount),
            Decided::TooLate => return Err(self.too_late(&request.id).await?),
            Decided::KeyUsed(used) => {
                let key = key.ok_or_else(|| ReviewError::KeyUsed(used.request_id.clone()))?;
                return self.same_call(&request.id, &key, used).await;
            }
        };
        tracing::info!(
            request.id, decision.verdict = answer.verdict.as_str(), user.name = %caller.username,
            reason = ?decision.reason, grant.id = decision.grant.as_ref().map(|g| g.id.as_str()),
            "request decided"
        );
        self.spread(&request, &decision, revoked);
        if decision.verdict == Verdict::Flag {
            self.spread_flag().await;
            let flagged = data_encoding::HEXLOWER.encode(&request.operation_digest);
            self.live.reload(Reload::Flag(flagged));
        }
        let decided = self.store.request(&request.id).await?;
        decided.ok_or(ReviewError::NotFound(request.id))
    }

    /// Answers a call whose key was used before, with the request as it stands now:
    /// what was read before the key was may be older than the decision.
    async fn same_call(
        &self,
        id: &str,
        key: &CallKey,
        used: UsedKey,
    ) -> Result<Request, ReviewError> {
        if used.content == key.content {
            find(&self.store, id).await
        } else {
            Err(ReviewError::KeyUsed(used.request_id))
        }
    }

    /// The decision that `answer` makes about `request`, not signed yet.
    pub(super) async fn rule(
        &self,
        caller: &Login,
        request: &Request,
        answer: &Answer,
    ) -> Result<Decision, ReviewError> {
        let now = now();
        let subject = Subject {
            state: request.state,
            owner: &request.owner,
            digest: &request.digest,
            deadline: request.deadline,
        };
        let ballot = Ballot {
            reviewer: caller.username.as_str(),
            role: caller.role,
            verdict: answer.verdict,
            reason: &answer.reason,
            digest_shown: &answer.digest_shown,
        };
        let ruled = decide(subject, ballot, now).and_then(|ruling| {
            let wish = answer.grant;
            let terms = wish.map(|wish| within(answer.verdict, wish, &allowance(request)));
            Ok((ruling, terms.transpose()?))
        });
        let (ruling, terms) = match ruled {
            Ok(ruled) => ruled,
            Err(refusal) => {
                tracing::info!(
                    request.id, user.name = %caller.username, %refusal, "decision refused"
                );
                return Err(match refusal {
                    Refusal::Closed(_) | Refusal::Expired(_) => self.too_late(&request.id).await?,
                    refusal => refusal.into(),
                });
            }
        };
        Ok(Decision {
            request_id: request.id.clone(),
            digest: request.digest.clone(),
            verdict: answer.verdict,
            reviewer: caller.username.to_string(),
            reason: ruling.reason,
            decided_at: now,
            signature: Vec::new(),
            token: caller.token.clone(),
            grant: terms.map(|terms| Grant {
                id: Uuid::now_v7().to_string(),
                terms,
                expires_at: now.plus(terms.ttl),
            }),
        })
    }

    /// Tells of a decision that is recorded.
    fn spread(&self, request: &Request, decision: &Decision, revoked: Vec<(Uuid, String)>) {
        let waited = decision.decided_at.since(request.created_at);
        self.metrics.request_decided(decision.verdict, waited);
        self.live.changed();
        self.live
            .tell(request.host_id, News::Request(request.id.clone()));
        if let Some(grant) = &decision.grant {
            self.live.reload(Reload::Grant(grant.id.clone()));
            self.live.deadline_added();
        }
        for (host, id) in revoked {
            tracing::info!(grant.id = id, host.id = %host, "grant revoked by a flag");
            self.live.tell(host, News::Revoked(id.clone()));
            self.live.reload(Reload::Grant(id));
        }
    }

    /// Why a request can't be decided any more, with the request as it stands.
    async fn too_late(&self, id: &str) -> Result<ReviewError, StoreError> {
        self.expire().await?;
        Ok(match self.store.request(id).await? {
            None => ReviewError::NotFound(id.to_owned()),
            Some(request) => ReviewError::TooLate(Box::new(request)),
        })
    }
}

/// What the rule that asked lets an approval of `request` give.
pub(crate) fn allowance(request: &Request) -> Allowance {
    let Some(rule) = &request.context.rule else {
        return Allowance::default();
    };
    let scope = |scope| match scope {
        v1::GrantScope::Process => Some(Scope::Process),
        v1::GrantScope::Session => Some(Scope::Session),
        v1::GrantScope::Once | v1::GrantScope::Unspecified => None,
    };
    Allowance {
        scopes: rule.grants().filter_map(scope).collect(),
        // A negative one allows nothing.
        max_ttl: rule
            .max_ttl
            .map(|ttl| Duration::try_from(ttl).unwrap_or_default()),
    }
}

/// The key of a call, bound to what the call says.
fn call_key(request_id: &str, answer: &Answer) -> Result<Option<CallKey>, ReviewError> {
    let Some(key) = &answer.idempotency_key else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > KEY_MAX {
        return Err(ReviewError::KeyLength(key.len()));
    }
    let grant = answer.grant.map_or_else(String::new, |wish| {
        let ttl = wish.ttl.map(|ttl| ttl.as_millis());
        format!("{} {ttl:?} {}", wish.scope, wish.max_uses)
    });
    let mut content = Sha256::new();
    for field in [
        request_id.as_bytes(),
        answer.verdict.as_str().as_bytes(),
        answer.reason.trim().as_bytes(),
        &answer.digest_shown,
        grant.as_bytes(),
    ] {
        content.update((field.len() as u64).to_be_bytes());
        content.update(field);
    }
    Ok(Some(CallKey {
        key: key.clone(),
        content: content.finalize().into(),
    }))
}
