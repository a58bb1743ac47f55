//! Tokens for tools.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Web,
    access::Caller,
    body::{Body, Segments},
    problem::Problem,
    view,
    view::RoleName,
};
use crate::store::api_tokens::ApiToken;

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiTokenBody {
    /// For the list: what it is for.
    name: String,
    /// At most one's own.
    role: RoleName,
    /// At most 366 days.
    expires_in_seconds: u64,
}

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiToken)]
pub(super) struct ApiTokenView {
    id: String,
    name: String,
    role: &'static str,
    created_at: String,
    expires_at: String,
}

/// One's tokens, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct ApiTokenList {
    api_tokens: Vec<ApiTokenView>,
}

/// A token that was made. Its text is never shown again.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeApiToken {
    id: String,
    name: String,
    role: &'static str,
    expires_at: String,
    token: String,
}

impl From<ApiToken> for ApiTokenView {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            role: token.role.as_str(),
            created_at: view::time(token.created_at),
            expires_at: view::time(token.expires_at),
        }
    }
}

/// List one's own tokens
#[utoipa::path(get, path = "/api-tokens", tag = "tokens",
    responses((status = 200, description = "Newest first", body = ApiTokenList)))]
pub(super) async fn list(
    State(web): State<Web>,
    caller: Caller,
) -> Result<Json<ApiTokenList>, Problem> {
    let tokens = web.approver.api_tokens(&caller.login).await?;
    let api_tokens = tokens.into_iter().map(ApiTokenView::from).collect();
    Ok(Json(ApiTokenList { api_tokens }))
}

/// Make a token for a tool
#[utoipa::path(post, path = "/api-tokens", tag = "tokens", request_body = ApiTokenBody,
    responses((status = 201, description = "The token, this once", body = MadeApiToken)))]
pub(super) async fn make(
    State(web): State<Web>,
    caller: Caller,
    Body(body): Body<ApiTokenBody>,
) -> Result<(StatusCode, Json<MadeApiToken>), Problem> {
    let life = Duration::from_secs(body.expires_in_seconds);
    let (token, text) = web
        .approver
        .make_api_token(&caller.login, &body.name, body.role.into(), life)
        .await?;
    let made = MadeApiToken {
        id: token.id,
        name: token.name,
        role: token.role.as_str(),
        expires_at: view::time(token.expires_at),
        token: text,
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revoke one of one's own tokens
#[utoipa::path(delete, path = "/api-tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "Its id in the list")),
    responses((status = 204, description = "It is good for nothing any more")))]
pub(super) async fn revoke(
    State(web): State<Web>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Problem> {
    web.approver.revoke_api_token(&caller.login, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
