//! Review: people look at requests.

use super::Approver;
use crate::{
    domain::{decide::Refusal, request::State},
    store::{
        Store, StoreError,
        requests::{Earlier, Filter, Page, Request},
    },
};

/// Requests in a page unless told otherwise, and at most.
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 500;

/// Most decisions that are shown beside a request on the same operation.
const EARLIER_MAX: u32 = 20;

/// Longest key of a call, in bytes.
pub(super) const KEY_MAX: usize = 200;

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
    /// Somebody or something was faster; the request is as it stands now.
    #[error("{}", too_late(.0))]
    TooLate(Box<Request>),
    #[error("your account was removed; nothing was decided")]
    NoAccount,
    #[error("an idempotency key must have 1 to {KEY_MAX} bytes; this one has {0}")]
    KeyLength(usize),
    #[error(
        "the idempotency key was used for another decision, about request {0}; use a new key for \
         each decision"
    )]
    KeyUsed(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Approver {
    /// Requests that `filter` lets through and that came before `before`, newest
    /// first.
    pub(crate) async fn list(
        &self,
        filter: &Filter,
        before: i64,
        size: u32,
    ) -> Result<Page, StoreError> {
        self.browse.requests(filter, before, page_size(size)).await
    }

    /// The request with this id, or the only one whose id begins so.
    pub(crate) async fn find(&self, id: &str) -> Result<Request, ReviewError> {
        find(&self.browse, id).await
    }

    /// The newest decisions about the same operation in other requests.
    pub(crate) async fn earlier(&self, request: &Request) -> Result<Vec<Earlier>, StoreError> {
        self.browse.earlier_decisions(request, EARLIER_MAX).await
    }
}

/// The request in `store` with this id, or the only one whose id begins so.
pub(super) async fn find(store: &Store, id: &str) -> Result<Request, ReviewError> {
    let prefix = canonical(id).ok_or_else(|| ReviewError::BadId(start(id)))?;
    let ids = store.request_ids(&prefix).await?;
    let [id] = ids.as_slice() else {
        return Err(match ids.len() {
            0 => ReviewError::NotFound(prefix),
            _ => ReviewError::Ambiguous(prefix),
        });
    };
    let request = store.request(id).await?;
    request.ok_or(ReviewError::NotFound(prefix))
}

/// How many rows a page has for a caller who wants `size`; 0 is no wish.
pub(super) fn page_size(size: u32) -> usize {
    match usize::try_from(size) {
        Ok(0) => PAGE_DEFAULT,
        Ok(size) => size.min(PAGE_MAX),
        Err(_) => PAGE_MAX,
    }
}

/// The id, or the beginning of one, as ids are stored; none if it is neither.
pub(super) fn canonical(id: &str) -> Option<String> {
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

/// How a request stands that can't be decided any more.
fn too_late(request: &Request) -> String {
    let state = request.state;
    match &request.decision {
        Some(decision) => format!(
            "the request is already {state}: {} decided at {}, with the reason {:?}",
            decision.reviewer, decision.decided_at, decision.reason
        ),
        None if state == State::Expired => {
            format!(
                "the request has expired: its deadline was {}",
                request.deadline
            )
        }
        None if request.outcome_detail.is_empty() => format!("the request is already {state}"),
        None => format!("the request is already {state}: {}", request.outcome_detail),
    }
}

pub(super) fn start(text: &str) -> String {
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
