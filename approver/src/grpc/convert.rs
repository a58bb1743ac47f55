//! Stored values as messages and back.

use holdpoint_proto::v1;
use tonic::Status;

use crate::{
    domain::request::{Outcome, State, Verdict},
    store::requests::Request,
};

/// A request as a reviewer sees it.
pub(super) fn request(request: Request) -> v1::Request {
    let outcome = match request.outcome {
        None => v1::Outcome::Unspecified,
        Some(Outcome::Released) => v1::Outcome::Released,
        Some(Outcome::Refused) => v1::Outcome::Refused,
        Some(Outcome::Gone) => v1::Outcome::Gone,
    };
    v1::Request {
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
        v1::Verdict::Unspecified => Err(Status::invalid_argument(
            "a decision must say approve or deny",
        )),
    }
}

/// A place in the list of requests, as the opaque text clients hand back.
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
