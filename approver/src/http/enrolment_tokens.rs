//! Enrolment tokens: each lets one host in, once.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Web,
    access::Caller,
    body::{Body, Segments},
    problem::Problem,
    view::{time, time_or_null},
};
use crate::{domain::time::Millis, service::now, store::enrolment_tokens::Token};

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EnrolmentTokenBody {
    /// For the list: which host it is for.
    label: String,
    /// At most 30 days.
    valid_seconds: u64,
}

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = EnrolmentToken)]
pub(super) struct EnrolmentTokenView {
    id: String,
    label: String,
    /// `unused`, `used` or `expired`.
    state: &'static str,
    created_at: String,
    expires_at: String,
    #[schema(required)]
    used_at: Option<String>,
    /// The host that used it.
    #[schema(required)]
    host_id: Option<String>,
}

/// Every token, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct EnrolmentTokenList {
    enrolment_tokens: Vec<EnrolmentTokenView>,
}

/// A token that was made. Its text is never shown again.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeEnrolmentToken {
    id: String,
    label: String,
    expires_at: String,
    token: String,
    /// To paste on the host, as root.
    command: String,
}

impl EnrolmentTokenView {
    fn new(token: Token, now: Millis) -> Self {
        let state = match token.used_at {
            Some(_) => "used",
            None if token.expires_at <= now => "expired",
            None => "unused",
        };
        Self {
            id: token.id,
            label: token.label,
            state,
            created_at: time(token.created_at),
            expires_at: time(token.expires_at),
            used_at: time_or_null(token.used_at),
            host_id: token.host_id,
        }
    }
}

/// List enrolment tokens
#[utoipa::path(get, path = "/enrolment-tokens", tag = "hosts",
    responses((status = 200, description = "Newest first", body = EnrolmentTokenList)))]
pub(super) async fn list(
    State(web): State<Web>,
    caller: Caller,
) -> Result<Json<EnrolmentTokenList>, Problem> {
    let (tokens, now) = (web.approver.tokens(&caller.login).await?, now());
    let enrolment_tokens = tokens
        .into_iter()
        .map(|token| EnrolmentTokenView::new(token, now))
        .collect();
    Ok(Json(EnrolmentTokenList { enrolment_tokens }))
}

/// Make an enrolment token
#[utoipa::path(post, path = "/enrolment-tokens", tag = "hosts", request_body = EnrolmentTokenBody,
    responses((status = 201, description = "The token, this once", body = MadeEnrolmentToken)))]
pub(super) async fn make(
    State(web): State<Web>,
    caller: Caller,
    Body(body): Body<EnrolmentTokenBody>,
) -> Result<(StatusCode, Json<MadeEnrolmentToken>), Problem> {
    let life = Duration::from_secs(body.valid_seconds);
    let (token, text) = web
        .approver
        .make_token(&caller.login, life, &body.label)
        .await?;
    let made = MadeEnrolmentToken {
        id: token.id,
        label: token.label,
        expires_at: time(token.expires_at),
        // A token is base64url and safe to paste.
        command: format!("printf %s '{text}' | sudo holdpointd enrol --start --token-file -"),
        token: text,
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revoke an enrolment token
#[utoipa::path(delete, path = "/enrolment-tokens/{id}", tag = "hosts",
    params(("id" = String, Path, description = "Its id in the list")),
    responses((status = 204, description = "It lets nobody in any more")))]
pub(super) async fn revoke(
    State(web): State<Web>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Problem> {
    web.approver.revoke_token(&caller.login, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
