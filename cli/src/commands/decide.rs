//! `approve`, `deny` and `flag`: a person's decision about one request.
//!
//! What is decided is shown first, and the decision names its digest: should the
//! approver hold another request under this id, it refuses. A request whose
//! digest is not that of what is shown is never approved.

use holdpoint_proto::v1::{DecideRequest, Grant, GrantScope, Request, RequestState, Verdict};
use jiff::Timestamp;
use tonic::{Code, Status};

use super::block_on;
use crate::{
    args::{Approve, Decide, Scope},
    contexts::{Context, store::Store},
    failure::Failure,
    output::Output,
    render::{self, time},
    reviews::{Reviews, ReviewsError},
};

/// Why a decision was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecideError {
    #[error("--ttl and --uses are for --for process or session; leave them out to approve once")]
    Once,
    #[error("request {id} was already {verb} by {reviewer} on {at}: {reason:?}")]
    Decided {
        id: String,
        verb: &'static str,
        reviewer: String,
        at: String,
        reason: String,
    },
    #[error("request {id} was already {verb}")]
    AlreadyDone { id: String, verb: &'static str },
    #[error(
        "request {id} has expired: nobody answered in time, and the host refused the operation"
    )]
    Expired { id: String },
    #[error("request {id} was withdrawn: its process has gone or has given the operation up{why}")]
    Withdrawn { id: String, why: String },
    #[error(
        "request {id} belongs to a session of {owner:?}, which is you; somebody else must decide"
    )]
    OwnSession { id: String, owner: String },
    #[error("the approver refused the decision about {id}: {message}")]
    Refused { id: String, message: String },
    #[error(
        "not approved: the digest of request {id} is not that of what the approver sent as its \
         content; deny it, and tell whoever runs the approver"
    )]
    ForeignDigest { id: String },
    #[error("the decision about {id} was taken, but the approver did not say how it stands now")]
    NoAnswer { id: String },
}

/// Lets the operation of a request go on.
pub(crate) fn approve(name: &str, approve: &Approve, output: &mut Output) -> Result<(), Failure> {
    let grant = grant(approve)?;
    run(name, &approve.decide, Verdict::Approve, grant, output)
}

/// Refuses the operation of a request.
pub(crate) fn deny(name: &str, decide: &Decide, output: &mut Output) -> Result<(), Failure> {
    run(name, decide, Verdict::Deny, None, output)
}

/// Refuses the operation of a request, and the same operation everywhere.
pub(crate) fn flag(name: &str, decide: &Decide, output: &mut Output) -> Result<(), Failure> {
    run(name, decide, Verdict::Flag, None, output)
}

/// What an approval is to give; none: once.
fn grant(approve: &Approve) -> Result<Option<Grant>, DecideError> {
    let scope = match approve.scope {
        Scope::Once if approve.ttl.is_some() || approve.uses.is_some() => {
            return Err(DecideError::Once);
        }
        Scope::Once => return Ok(None),
        Scope::Process => GrantScope::Process,
        Scope::Session => GrantScope::Session,
    };
    Ok(Some(Grant {
        scope: scope.into(),
        // Fails for more than 10,000 years.
        ttl: approve.ttl.and_then(|ttl| ttl.try_into().ok()),
        max_uses: approve.uses.unwrap_or(0),
        ..Grant::default()
    }))
}

fn run(
    name: &str,
    arguments: &Decide,
    verdict: Verdict,
    grant: Option<Grant>,
    output: &mut Output,
) -> Result<(), Failure> {
    let context = Store::from_environment()?.load()?.get(name)?.clone();
    block_on(async {
        let mut approver = Reviews::connect(name, &context).await?;
        let request = approver.get(&arguments.id).await?;
        if !output.json {
            output.text(&render::request::show(&request, Timestamp::now()))?;
        }
        if let Some(error) = not_pending(&request) {
            return Err(error.into());
        }
        if verdict == Verdict::Approve && !render::request::digest_matches(&request) {
            return Err(DecideError::ForeignDigest { id: request.id }.into());
        }
        let decision = DecideRequest {
            id: request.id.clone(),
            verdict: verdict.into(),
            reason: arguments.reason.clone(),
            digest: request.digest.clone(),
            grant,
            ..DecideRequest::default()
        };
        let decided = match approver.decide(decision).await {
            Ok(decided) => decided.ok_or(DecideError::NoAnswer { id: request.id })?,
            Err(status) => return Err(refusal(&mut approver, &context, &request, &status).await),
        };
        if output.json {
            output.json(&render::json::request(&decided))
        } else {
            output.text(&format!(
                "\nRequest {} is {}\n",
                decided.id,
                render::state(&decided)
            ))
        }
    })?
}

/// What the approver's refusal means for this request.
async fn refusal(
    approver: &mut Reviews,
    context: &Context,
    request: &Request,
    status: &Status,
) -> Failure {
    let id = request.id.clone();
    let message = status.message().to_owned();
    match status.code() {
        Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => {
            // Somebody was faster, most likely: ask how it stands now.
            let now = approver.get(&id).await;
            match now.ok().as_ref().and_then(not_pending) {
                Some(error) => error.into(),
                None => DecideError::Refused { id, message }.into(),
            }
        }
        Code::PermissionDenied => {
            let session = request.context.as_ref().and_then(|c| c.session.as_ref());
            match session {
                Some(session) if session.owner == context.username => DecideError::OwnSession {
                    id,
                    owner: session.owner.clone(),
                }
                .into(),
                _ => approver.explain(status).into(),
            }
        }
        Code::NotFound => ReviewsError::UnknownRequest { id }.into(),
        Code::InvalidArgument => DecideError::Refused { id, message }.into(),
        _ => approver.explain(status).into(),
    }
}

/// Why `request` can't be decided any more, if so.
fn not_pending(request: &Request) -> Option<DecideError> {
    let id = request.id.clone();
    let verb = match request.state() {
        RequestState::Pending | RequestState::Unspecified => return None,
        RequestState::Expired => return Some(DecideError::Expired { id }),
        RequestState::Withdrawn => {
            let why = if request.outcome_detail.is_empty() {
                String::new()
            } else {
                format!(" ({})", request.outcome_detail)
            };
            return Some(DecideError::Withdrawn { id, why });
        }
        RequestState::Approved => "approved",
        RequestState::Denied => "denied",
        RequestState::Flagged => "flagged",
    };
    Some(match &request.decision {
        Some(decision) => DecideError::Decided {
            id,
            verb,
            reviewer: decision.reviewer.clone(),
            at: time::shown(decision.decided_at),
            reason: decision.reason.clone(),
        },
        None => DecideError::AlreadyDone { id, verb },
    })
}
