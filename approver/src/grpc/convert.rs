//! Stored values as messages and back.

use std::time::Duration;

use holdpoint_proto::v1;
use tonic::Status;

use crate::{
    domain::{
        grant::{Scope, State as GrantState, Wish},
        request::{State, Verdict},
    },
    store::{flags::Flag, grants::Issued, requests::Request},
};

/// A request as a reviewer sees it.
pub(super) fn request(request: Request) -> v1::Request {
    let outcome = request
        .outcome
        .map_or(v1::Outcome::Unspecified, v1::Outcome::from);
    v1::Request {
        operation_digest: request.operation_digest,
        id: request.id,
        digest: request.digest,
        context: Some(request.context),
        host_id: request.host_id.to_string(),
        hostname: request.hostname,
        created_at: Some(request.created_at.into()),
        deadline: Some(request.deadline.into()),
        state: state_out(request.state).into(),
        decision: request.decision.map(v1::Decision::from),
        outcome: outcome.into(),
        outcome_detail: request.outcome_detail,
    }
}

fn state_out(state: State) -> v1::RequestState {
    match state {
        State::Pending => v1::RequestState::Pending,
        State::Approved => v1::RequestState::Approved,
        State::Denied => v1::RequestState::Denied,
        State::Flagged => v1::RequestState::Flagged,
        State::Expired => v1::RequestState::Expired,
        State::Withdrawn => v1::RequestState::Withdrawn,
    }
}

/// The states a caller filters by.
pub(super) fn states_in(states: &[i32]) -> Result<Vec<State>, Status> {
    let state_in = |number: &i32| match v1::RequestState::try_from(*number) {
        Ok(v1::RequestState::Pending) => Ok(State::Pending),
        Ok(v1::RequestState::Approved) => Ok(State::Approved),
        Ok(v1::RequestState::Denied) => Ok(State::Denied),
        Ok(v1::RequestState::Flagged) => Ok(State::Flagged),
        Ok(v1::RequestState::Expired) => Ok(State::Expired),
        Ok(v1::RequestState::Withdrawn) => Ok(State::Withdrawn),
        Ok(v1::RequestState::Unspecified) | Err(_) => Err(Status::invalid_argument(format!(
            "there is no request state {number}"
        ))),
    };
    let mut states = states.iter().map(state_in).collect::<Result<Vec<_>, _>>()?;
    // Repeated ones would only make the query longer.
    states.sort_unstable_by_key(|state| state.as_str());
    states.dedup();
    Ok(states)
}

/// The verdict a caller gives.
pub(super) fn verdict_in(verdict: v1::Verdict) -> Result<Verdict, Status> {
    match verdict {
        v1::Verdict::Approve => Ok(Verdict::Approve),
        v1::Verdict::Deny => Ok(Verdict::Deny),
        v1::Verdict::Flag => Ok(Verdict::Flag),
        v1::Verdict::Unspecified => Err(Status::invalid_argument(
            "a decision must say approve, deny or flag",
        )),
    }
}

/// What a caller wants an approval to give; none: once.
pub(super) fn wish_in(grant: Option<v1::Grant>) -> Result<Option<Wish>, Status> {
    let Some(grant) = grant else { return Ok(None) };
    let scope = match grant.scope() {
        v1::GrantScope::Once => None,
        v1::GrantScope::Process => Some(Scope::Process),
        v1::GrantScope::Session => Some(Scope::Session),
        v1::GrantScope::Unspecified => {
            return Err(Status::invalid_argument(
                "a grant must say once, process or session",
            ));
        }
    };
    let ttl = grant.ttl.map(Duration::try_from).transpose();
    let ttl = ttl.map_err(|_| Status::invalid_argument("a grant's ttl can't be negative"))?;
    match scope {
        None if ttl.is_some() || grant.max_uses != 0 => Err(Status::invalid_argument(
            "an approval for once has neither a ttl nor a number of uses",
        )),
        None => Ok(None),
        Some(scope) => Ok(Some(Wish {
            scope,
            ttl,
            max_uses: grant.max_uses,
        })),
    }
}

/// A grant with where it stands.
pub(super) fn issued(issued: Issued) -> v1::IssuedGrant {
    let state = match issued.state {
        GrantState::Active => v1::GrantState::Active,
        GrantState::Ended => v1::GrantState::Ended,
        GrantState::Revoking => v1::GrantState::Revoking,
        GrantState::Revoked => v1::GrantState::Revoked,
    };
    v1::IssuedGrant {
        grant: Some(issued.signed.into()),
        request_id: issued.request_id,
        host_id: issued.host_id.to_string(),
        hostname: issued.hostname,
        session: Some(issued.session),
        operation: Some(issued.operation),
        reviewer: issued.reviewer,
        issued_at: Some(issued.since.into()),
        uses: issued.uses,
        state: state.into(),
        revoked_by: issued.revoked_by.unwrap_or_default(),
    }
}

/// A flag in force.
pub(super) fn flag(flag: Flag) -> v1::Flag {
    v1::Flag {
        operation_digest: flag.operation_digest,
        operation: Some(flag.operation),
        request_id: flag.request_id,
        reviewer: flag.reviewer,
        reason: flag.reason,
        flagged_at: Some(flag.flagged_at.into()),
    }
}

/// A place in a list, as the opaque text clients hand back.
pub(super) fn page_token_out(seq: i64) -> String {
    format!("{seq:x}")
}

/// The place a client hands back; an empty text is the beginning.
pub(super) fn page_token_in(token: &str) -> Result<i64, Status> {
    if token.is_empty() {
        return Ok(i64::MAX);
    }
    i64::from_str_radix(token, 16).map_err(|_| {
        Status::invalid_argument("the page token is not one of this approver; begin without one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_strictly_and_once() {
        let pending = i32::from(v1::RequestState::Pending);
        assert_eq!(states_in(&[pending, pending]).unwrap(), [State::Pending]);
        assert!(states_in(&[0]).is_err());
        assert!(states_in(&[99]).is_err());
        for state in State::ALL {
            assert_eq!(states_in(&[state_out(state).into()]).unwrap(), [state]);
        }
    }

    #[test]
    fn page_tokens_read_back() {
        assert_eq!(page_token_in(&page_token_out(77)).unwrap(), 77);
        assert_eq!(page_token_in("").unwrap(), i64::MAX);
        assert!(page_token_in("page 2").is_err());
    }
}
