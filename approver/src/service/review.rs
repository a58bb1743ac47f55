//! Review: people look at requests and decide them.

use holdpoint_proto::v1;

use super::{Approver, now};
use crate::{
    domain::{
        decide::{Ballot, Refusal, Subject, decide},
        request::{Closed, State, Verdict},
    },
    store::{
        StoreError,
        decisions::Decision,
        logins::Login,
        requests::{Page, Request},
    },
};

/// Requests in a page unless told otherwise, and at most.
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 500;

/// Fewest hexadecimal digits that stand for a whole id.
const PREFIX_MIN: usize = 4;

/// Why a reviewer doesn't get what they want.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReviewError {
    #[error(
        "{0:?} is no request id: give the whole UUID, or its first {PREFIX_MIN} or more \
         hexadecimal digits"
    )]
    BadId(String),
    #[error("there is no request {0}; list them with `holdpoint requests list`")]
    NotFound(String),
    #[error("several requests begin with {0}; give more digits of the id")]
    Ambiguous(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Approver {
    /// Requests in one of `states` (none: in any) that came before `before`,
    /// newest first.
    pub(crate) async fn list(
        &self,
        states: &[State],
        before: i64,
        size: u32,
    ) -> Result<Page, StoreError> {
        let size = match usize::try_from(size) {
            Ok(0) => PAGE_DEFAULT,
            Ok(size) => size.min(PAGE_MAX),
            Err(_) => PAGE_MAX,
        };
        self.store.requests(states, before, size).await
    }

    /// The request with this id, or the only one whose id begins so.
    pub(crate) async fn find(&self, id: &str) -> Result<Request, ReviewError> {
        let prefix = canonical(id).ok_or_else(|| ReviewError::BadId(start(id)))?;
        let ids = self.store.request_ids(&prefix).await?;
        let [id] = ids.as_slice() else {
            return Err(match ids.len() {
                0 => ReviewError::NotFound(prefix),
                _ => ReviewError::Ambiguous(prefix),
            });
        };
        let request = self.store.request(id).await?;
        request.ok_or(ReviewError::NotFound(prefix))
    }

    /// Decides a request as `caller`. The decision is on disk when its host and
    /// the watchers hear of it.
    pub(crate) async fn decide(
        &self,
        caller: &Login,
        id: &str,
        verdict: Verdict,
        reason: &str,
        digest_shown: &[u8],
    ) -> Result<Request, ReviewError> {
        let request = self.find(id).await?;
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
            verdict,
            reason,
            digest_shown,
        };
        let ruling = match decide(subject, ballot, now) {
            Ok(ruling) => ruling,
            Err(refusal) => {
                tracing::info!(
                    request.id, user.name = %caller.username, %refusal, "decision refused"
                );
                if matches!(refusal, Refusal::Expired(_)) {
                    self.expire().await?;
                }
                return Err(refusal.into());
            }
        };
        let mut decision = Decision {
            request_id: request.id.clone(),
            digest: request.digest.clone(),
            verdict,
            reviewer: caller.username.to_string(),
            reason: ruling.reason,
            decided_at: now,
            signature: Vec::new(),
        };
        let mut signed = v1::Decision::from(decision.clone());
        self.signer.sign(&mut signed);
        decision.signature = signed.signature;
        if !self.store.decide(&decision).await? {
            return Err(self.too_late(&request.id).await?);
        }
        tracing::info!(
            request.id, request.state = %ruling.state, user.name = %caller.username,
            reason = ?decision.reason, "request decided"
        );
        self.live.changed();
        self.live.tell(request.host_id, &request.id);
        let decided = self.store.request(&request.id).await?;
        decided.ok_or(ReviewError::NotFound(request.id))
    }

    /// Why a request could not be decided although it seemed so.
    async fn too_late(&self, id: &str) -> Result<ReviewError, StoreError> {
        self.expire().await?;
        Ok(match self.store.request(id).await? {
            None => ReviewError::NotFound(id.to_owned()),
            Some(request) => Refusal::Closed(Closed {
                state: request.state,
            })
            .into(),
        })
    }
}

/// The id, or the beginning of one, as ids are stored; none if it is neither.
fn canonical(id: &str) -> Option<String> {
    let digits: String = id.trim().chars().filter(|c| *c != '-').collect();
    let hexadecimal = digits.chars().all(|c| c.is_ascii_hexdigit());
    if !hexadecimal || !(PREFIX_MIN..=32).contains(&digits.len()) {
        return None;
    }
    let mut canonical = String::with_capacity(36);
    for (index, digit) in digits.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            canonical.push('-');
        }
        canonical.push(digit.to_ascii_lowercase());
    }
    Some(canonical)
}

fn start(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_beginning_of_an_id_is_one_of_its_canonical_form() {
        let id = Uuid::now_v7();
        let (hyphenated, simple) = (id.to_string(), id.simple().to_string());
        for length in 0..=32 {
            let prefix = canonical(&simple[..length]);
            assert_eq!(prefix.is_some(), length >= PREFIX_MIN);
            if let Some(prefix) = prefix {
                assert!(hyphenated.starts_with(&prefix), "{prefix}");
            }
        }
        assert_eq!(
            canonical(&hyphenated.to_uppercase()),
            Some(hyphenated.clone())
        );
        for bad in [
            "",
            "abc",
            "----",
            "abcg",
            "ab%",
            &format!("{hyphenated}0"),
            "абвг",
        ] {
            assert_eq!(canonical(bad), None, "{bad:?}");
        }
    }
}
