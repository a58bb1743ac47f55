//! What can be said about a new request without looking anything up. Pure.

use std::time::Duration;

use holdpoint_proto::{
    digest,
    v1::{self, OpenRequest, RequestContext, operation::Kind},
};
use prost::Message as _;
use uuid::Uuid;

use super::Rejection;
use crate::domain::request::Outcome;

/// Longest time a person gets.
const TIME_MAX: Duration = Duration::from_hours(24);

/// Largest context. With a decision and the rest of the request it must still
/// fit one message of [`crate::grpc::MESSAGE_MAX`] bytes.
const CONTEXT_MAX: usize = crate::grpc::MESSAGE_MAX - 128 * 1024;

/// A request that may be put to a person, if its owner is known.
#[derive(Debug)]
pub(super) struct Examined<'a> {
    pub(super) context: &'a RequestContext,
    /// Computed here: a host has no say in what counts as the same.
    pub(super) operation_digest: [u8; 32],
    pub(super) kind: &'static str,
    pub(super) owner: &'a str,
    pub(super) time_left: Duration,
}

/// Ids have one spelling, or one request could have two.
pub(super) fn id(id: &str) -> Result<(), Rejection> {
    match Uuid::try_parse(id) {
        Ok(uuid) if uuid.hyphenated().to_string() == id => Ok(()),
        _ => Err(Rejection::Id(id.chars().take(64).collect())),
    }
}

/// Checks a request that is not stored yet.
pub(super) fn new(open: &OpenRequest) -> Result<Examined<'_>, Rejection> {
    let context = open.context.as_ref().ok_or(Rejection::Missing("context"))?;
    let operation = context
        .operation
        .as_ref()
        .and_then(|operation| operation.kind.as_ref());
    let kind = match operation.ok_or(Rejection::Missing("operation"))? {
        Kind::Exec(_) => "exec",
        Kind::Connect(_) => "connect",
    };
    let session = context
        .session
        .as_ref()
        .ok_or(Rejection::Missing("session"))?;
    let size = context.encoded_len();
    if size > CONTEXT_MAX {
        return Err(Rejection::Large {
            size,
            max: CONTEXT_MAX,
        });
    }
    if digest::of(context).as_slice() != open.digest {
        return Err(Rejection::Digest);
    }
    let operation_digest = digest::operation(context).ok_or(Rejection::Missing("process"))?;
    if session.owner.is_empty() {
        return Err(Rejection::NoOwner);
    }
    let time_left = open.time_left.unwrap_or_default();
    // Fails for negative durations.
    let time_left = Duration::try_from(time_left).unwrap_or_default();
    if time_left < Duration::from_millis(1) {
        return Err(Rejection::NoTime);
    }
    Ok(Examined {
        context,
        operation_digest,
        kind,
        owner: &session.owner,
        time_left: time_left.min(TIME_MAX),
    })
}

/// The outcome a host reports, none if it names none.
pub(super) fn outcome(outcome: v1::Outcome) -> Option<Outcome> {
    match outcome {
        v1::Outcome::Unspecified => None,
        v1::Outcome::Released => Some(Outcome::Released),
        v1::Outcome::Refused => Some(Outcome::Refused),
        v1::Outcome::Gone => Some(Outcome::Gone),
    }
}

#[cfg(test)]
mod tests {
    use holdpoint_proto::v1::{Exec, Operation, Process, Session};
    use prost_types::Duration as ProtoDuration;

    use super::*;

    fn open() -> OpenRequest {
        let context = RequestContext {
            operation: Some(Operation {
                kind: Some(Kind::Exec(Exec::default())),
            }),
            process: Some(Process::default()),
            session: Some(Session {
                owner: "ada".into(),
                ..Session::default()
            }),
            ..RequestContext::default()
        };
        OpenRequest {
            request_id: Uuid::now_v7().to_string(),
            digest: digest::of(&context).to_vec(),
            context: Some(context),
            held_at: None,
            time_left: Some(ProtoDuration {
                seconds: 300,
                nanos: 0,
            }),
        }
    }

    /// A request changed by `change`, with the digest that fits it.
    fn changed(change: impl FnOnce(&mut RequestContext)) -> Result<&'static str, Rejection> {
        let mut open = open();
        change(open.context.as_mut().unwrap());
        open.digest = digest::of(open.context.as_ref().unwrap()).to_vec();
        new(&open).map(|examined| examined.kind)
    }

    #[test]
    fn a_good_request_passes() {
        let open = open();
        let examined = new(&open).unwrap();
        assert_eq!((examined.kind, examined.owner), ("exec", "ada"));
        assert_eq!(examined.time_left, Duration::from_mins(5));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            new(&OpenRequest::default()).unwrap_err(),
            Rejection::Missing("context")
        );
        assert_eq!(
            changed(|c| c.operation = None),
            Err(Rejection::Missing("operation"))
        );
        assert_eq!(
            changed(|c| c.process = None),
            Err(Rejection::Missing("process"))
        );
        assert_eq!(
            changed(|c| c.session = None),
            Err(Rejection::Missing("session"))
        );
        let ownerless = changed(|c| c.session = Some(Session::default()));
        assert_eq!(ownerless, Err(Rejection::NoOwner));
    }

    #[test]
    fn any_change_of_the_context_breaks_the_digest() {
        let mut open = open();
        open.context
            .as_mut()
            .unwrap()
            .session
            .as_mut()
            .unwrap()
            .owner = "bob".into();
        assert_eq!(new(&open).unwrap_err(), Rejection::Digest);
        open.digest.clear();
        assert_eq!(new(&open).unwrap_err(), Rejection::Digest);
    }

    #[test]
    fn an_oversized_context_is_refused_with_its_size() {
        let huge = changed(|c| c.session.as_mut().unwrap().user = "x".repeat(CONTEXT_MAX));
        assert!(matches!(huge, Err(Rejection::Large { size, .. }) if size > CONTEXT_MAX));
    }

    #[test]
    fn time_left_is_positive_and_capped() {
        for (seconds, nanos, expected) in [
            (0, 0, None),
            (-1, 0, None),
            (0, 999_999, None),
            (0, 1_000_000, Some(Duration::from_millis(1))),
            (i64::MAX, 0, Some(TIME_MAX)),
        ] {
            let mut open = open();
            open.time_left = Some(ProtoDuration { seconds, nanos });
            assert_eq!(
                new(&open).ok().map(|e| e.time_left),
                expected,
                "{seconds}.{nanos}"
            );
        }
        let mut open = open();
        open.time_left = None;
        assert_eq!(new(&open).unwrap_err(), Rejection::NoTime);
    }

    #[test]
    fn an_id_has_one_spelling() {
        let good = Uuid::now_v7().to_string();
        assert_eq!(id(&good), Ok(()));
        let simple = good.replace('-', "");
        for bad in [
            "",
            "1",
            &good.to_uppercase(),
            &simple,
            &format!("{{{good}}}"),
        ] {
            assert!(id(bad).is_err(), "{bad:?}");
        }
    }
}
