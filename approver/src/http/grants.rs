//! Grants: list, revoke.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Web,
    access::Caller,
    body::{Body, Params, Segments},
    page,
    problem::Problem,
    view::{
        operation::OperationView,
        request::{HostName, SessionName},
        time,
    },
};
use crate::store::grants::Issued;

/// Which grants.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// True: only those that may still give something.
    active: Option<bool>,
    /// 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What an approval gave beyond the operation that was held.
#[derive(Serialize, ToSchema)]
#[schema(as = Grant)]
pub(super) struct GrantView {
    id: String,
    /// `process` or `session`.
    scope: &'static str,
    ttl_seconds: u64,
    expires_at: String,
    /// Null: any number.
    #[schema(required)]
    max_uses: Option<u32>,
    /// As far as the host has told.
    uses: String,
    /// `active`, `ended`, `revoking` (its host has not confirmed) or `revoked`.
    state: &'static str,
    /// The request that was approved.
    request_id: String,
    host: HostName,
    session: SessionName,
    #[schema(required)]
    operation: Option<OperationView>,
    reviewer: String,
    issued_at: String,
    #[schema(required)]
    revoked_by: Option<String>,
}

/// A page of grants, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct GrantList {
    grants: Vec<GrantView>,
    /// To ask for the next page with; null on the last one.
    #[schema(required)]
    next: Option<String>,
}

/// Why something is taken back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasonBody {
    /// Required.
    pub(super) reason: String,
}

impl From<Issued> for GrantView {
    fn from(issued: Issued) -> Self {
        let terms = issued.signed.terms;
        Self {
            id: issued.signed.id,
            scope: terms.scope.as_str(),
            ttl_seconds: terms.ttl.as_secs(),
            expires_at: time(issued.signed.expires_at),
            max_uses: (terms.max_uses > 0).then_some(terms.max_uses),
            uses: issued.uses.to_string(),
            state: issued.state.as_str(),
            request_id: issued.request_id,
            host: HostName {
                id: issued.host_id.to_string(),
                hostname: issued.hostname,
            },
            session: issued.session.into(),
            operation: OperationView::new(issued.operation),
            reviewer: issued.reviewer,
            issued_at: time(issued.since),
            revoked_by: issued.revoked_by,
        }
    }
}

/// List grants
#[utoipa::path(get, path = "/grants", tag = "grants", params(ListParams),
    responses((status = 200, description = "Newest first", body = GrantList)))]
pub(super) async fn list(
    State(web): State<Web>,
    Params(params): Params<ListParams>,
) -> Result<Json<GrantList>, Problem> {
    let before = page::before(params.cursor.as_deref())?;
    let limit = page::limit(params.limit)?;
    let active = params.active.unwrap_or(false);
    let page = web.approver.grants(active, before, limit).await?;
    let last = page.grants.last().filter(|_| page.more);
    let next = last.map(|grant| page::cursor(grant.seq));
    let grants = page.grants.into_iter().map(GrantView::from).collect();
    Ok(Json(GrantList { grants, next }))
}

/// Revoke a grant
#[utoipa::path(post, path = "/grants/{id}/revoke", tag = "grants",
    params(("id" = String, Path, description = "Its id, or the first digits of it")),
    request_body = ReasonBody,
    responses((status = 200, description = "The grant as it stands now", body = GrantView)))]
pub(super) async fn revoke(
    State(web): State<Web>,
    caller: Caller,
    Segments(id): Segments<String>,
    Body(body): Body<ReasonBody>,
) -> Result<Json<GrantView>, Problem> {
    let grant = web
        .approver
        .revoke_grant(&caller.login, &id, &body.reason)
        .await?;
    Ok(Json(grant.into()))
}
