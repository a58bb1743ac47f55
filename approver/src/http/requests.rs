//! Requests: list, show, decide.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Web,
    access::Caller,
    body::{Body, Params, Segments},
    page,
    problem::{Code, Problem},
    view::{request::RequestView, time},
};
use crate::{
    domain::{
        grant::{Scope, Wish},
        request::{State as RequestState, Verdict},
    },
    service::{decide::Answer, now, review::ReviewError},
    store::requests::Filter,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Which requests.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// States, with commas between them; all if absent.
    state: Option<String>,
    /// `exec` or `connect`.
    kind: Option<String>,
    /// Id or name of a host.
    host: Option<String>,
    /// Id of a session.
    session: Option<String>,
    owner: Option<String>,
    profile: Option<String>,
    /// The same operation, wherever it was attempted.
    operation_digest: Option<String>,
    /// Text somewhere in the operation, the rule or the host's name.
    q: Option<String>,
    /// 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of requests, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct RequestList {
    requests: Vec<RequestView>,
    /// To ask for the next page with; null on the last one.
    #[schema(required)]
    next: Option<String>,
}

/// A decision.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionBody {
    verdict: VerdictName,
    /// Required for every decision.
    reason: String,
    /// The `digest` of the request that was shown.
    digest: String,
    /// What an approval gives beyond the operation that is held; null: nothing.
    grant: Option<GrantWish>,
}

/// What a reviewer wants to give, within what the rule allows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantWish {
    scope: ScopeName,
    /// Null or absent: ten minutes, or as long as the rule allows if that is less.
    ttl_seconds: Option<u64>,
    /// Null or absent: any number.
    max_uses: Option<u32>,
}

/// Who may do the same operation again.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ScopeName {
    Process,
    Session,
}

/// A request with what was decided about the same operation before.
#[derive(Serialize, ToSchema)]
pub(super) struct ShownRequest {
    #[serde(flatten)]
    request: RequestView,
    /// Newest first, at most 20.
    earlier: Vec<EarlierView>,
}

/// A decision about the same operation.
#[derive(Serialize, ToSchema)]
pub(super) struct EarlierView {
    request_id: String,
    /// `approve`, `deny` or `flag`.
    verdict: &'static str,
    reviewer: String,
    reason: String,
    decided_at: String,
    hostname: String,
}

/// A person's answer.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum VerdictName {
    Approve,
    Deny,
    Flag,
}

/// List requests
#[utoipa::path(get, path = "/requests", tag = "requests", params(ListParams),
    responses((status = 200, description = "Newest first", body = RequestList)))]
pub(super) async fn list(
    State(web): State<Web>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Result<Json<RequestList>, Problem> {
    let filter = Filter {
        states: states(params.state.as_deref())?,
        kind: kind(params.kind)?,
        host: params.host,
        session: params.session,
        owner: params.owner,
        profile: params.profile,
        operation_digest: params.operation_digest.as_deref().map(digest).transpose()?,
        text: params.q.filter(|text| !text.is_empty()),
    };
    let before = page::before(params.cursor.as_deref())?;
    let limit = page::limit(params.limit)?;
    let page = web.approver.list(&filter, before, limit).await?;
    let last = page.requests.last().filter(|_| page.more);
    let next = last.map(|request| page::cursor(request.seq));
    let now = now();
    let requests = page
        .requests
        .into_iter()
        .map(|request| RequestView::new(request, &caller.login, now))
        .collect();
    Ok(Json(RequestList { requests, next }))
}

/// Show a request
#[utoipa::path(get, path = "/requests/{id}", tag = "requests",
    params(("id" = String, Path, description = "Its id, or the first digits of it")),
    responses((status = 200, description = "The request", body = ShownRequest)))]
pub(super) async fn show(
    State(web): State<Web>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<Json<ShownRequest>, Problem> {
    let request = web.approver.find(&id).await?;
    let earlier = web.approver.earlier(&request).await?;
    let earlier = earlier.into_iter().map(|earlier| EarlierView {
        request_id: earlier.request_id,
        verdict: earlier.verdict.as_str(),
        reviewer: earlier.reviewer,
        reason: earlier.reason,
        decided_at: time(earlier.decided_at),
        hostname: earlier.hostname,
    });
    Ok(Json(ShownRequest {
        earlier: earlier.collect(),
        request: RequestView::new(request, &caller.login, now()),
    }))
}

/// Decide a request
#[utoipa::path(post, path = "/requests/{id}/decision", tag = "requests",
    params(
        ("id" = String, Path, description = "Its id, or the first digits of it"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "The same key with the same call is one decision"),
    ),
    request_body = DecisionBody,
    responses((status = 200, description = "The request as it stands now", body = RequestView)))]
pub(super) async fn decide(
    State(web): State<Web>,
    caller: Caller,
    Segments(id): Segments<String>,
    headers: HeaderMap,
    Body(body): Body<DecisionBody>,
) -> Result<Json<RequestView>, Problem> {
    let answer = Answer {
        verdict: match body.verdict {
            VerdictName::Approve => Verdict::Approve,
            VerdictName::Deny => Verdict::Deny,
            VerdictName::Flag => Verdict::Flag,
        },
        reason: body.reason,
        digest_shown: digest(&body.digest)?,
        grant: body.grant.as_ref().map(wish).transpose()?,
        idempotency_key: key(&headers)?,
    };
    match web.approver.decide(&caller.login, &id, &answer).await {
        Ok(request) => Ok(Json(RequestView::new(request, &caller.login, now()))),
        // Says how it ended.
        Err(ReviewError::TooLate(request)) => {
            let view = RequestView::new((*request).clone(), &caller.login, now());
            Err(Problem::from(ReviewError::TooLate(request)).with_request(view))
        }
        Err(error) => Err(error.into()),
    }
}

fn wish(wish: &GrantWish) -> Result<Wish, Problem> {
    // To the host a zero would mean any number; here it means a mistake.
    if wish.max_uses == Some(0) {
        let detail = "max_uses is 0; leave it out for any number";
        return Err(Problem::new(Code::Invalid, detail));
    }
    Ok(Wish {
        scope: match wish.scope {
            ScopeName::Process => Scope::Process,
            ScopeName::Session => Scope::Session,
        },
        ttl: wish.ttl_seconds.map(Duration::from_secs),
        max_uses: wish.max_uses.unwrap_or(0),
    })
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    match key.to_str() {
        Ok(key) => Ok(Some(key.to_owned())),
        Err(_) => Err(Problem::new(
            Code::Invalid,
            "the idempotency key is not plain ASCII",
        )),
    }
}

fn kind(name: Option<String>) -> Result<Option<String>, Problem> {
    match name.as_deref() {
        None | Some("exec" | "connect") => Ok(name),
        Some(other) => {
            let detail = format!("there is no kind {other:?}");
            Err(Problem::new(Code::Invalid, detail).with_mend("use exec or connect"))
        }
    }
}

fn states(names: Option<&str>) -> Result<Vec<RequestState>, Problem> {
    let mut states = Vec::new();
    for name in names
        .unwrap_or_default()
        .split(',')
        .filter(|n| !n.is_empty())
    {
        let state = name.parse().map_err(|_| {
            let all = RequestState::ALL.map(RequestState::as_str).join(", ");
            Problem::new(Code::Invalid, format!("there is no state {name:?}"))
                .with_mend(format!("use some of {all}"))
        })?;
        if !states.contains(&state) {
            states.push(state);
        }
    }
    Ok(states)
}

pub(super) fn digest(text: &str) -> Result<Vec<u8>, Problem> {
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|_| Problem::new(Code::Invalid, "the digest is not hexadecimal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_strictly_and_once() {
        assert_eq!(
            states(Some("pending,denied,pending")).unwrap(),
            [RequestState::Pending, RequestState::Denied]
        );
        assert!(states(None).unwrap().is_empty());
        assert!(states(Some("")).unwrap().is_empty());
        assert!(states(Some("open")).is_err());
    }
}
