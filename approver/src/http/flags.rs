//! Flags: list, lift.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Web,
    access::Caller,
    body::{Body, Params, Segments},
    grants::ReasonBody,
    page,
    problem::Problem,
    requests::digest,
    view::{hex, operation::OperationView, time},
};
use crate::store::flags::Flag;

/// Which flags.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What refuses an operation everywhere.
#[derive(Serialize, ToSchema)]
#[schema(as = Flag)]
pub(super) struct FlagView {
    operation_digest: String,
    #[schema(required)]
    operation: Option<OperationView>,
    /// The request whose decision set it.
    request_id: String,
    reviewer: String,
    reason: String,
    flagged_at: String,
}

/// A page of flags in force, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct FlagList {
    flags: Vec<FlagView>,
    /// To ask for the next page with; null on the last one.
    #[schema(required)]
    next: Option<String>,
}

impl From<Flag> for FlagView {
    fn from(flag: Flag) -> Self {
        Self {
            operation_digest: hex(&flag.operation_digest),
            operation: OperationView::new(flag.operation),
            request_id: flag.request_id,
            reviewer: flag.reviewer,
            reason: flag.reason,
            flagged_at: time(flag.flagged_at),
        }
    }
}

/// List flags
#[utoipa::path(get, path = "/flags", tag = "flags", params(ListParams),
    responses((status = 200, description = "Those in force, newest first", body = FlagList)))]
pub(super) async fn list(
    State(web): State<Web>,
    Params(params): Params<ListParams>,
) -> Result<Json<FlagList>, Problem> {
    let before = page::before(params.cursor.as_deref())?;
    let limit = page::limit(params.limit)?;
    let page = web.approver.flags(before, limit).await?;
    let last = page.flags.last().filter(|_| page.more);
    let next = last.map(|flag| page::cursor(flag.seq));
    let flags = page.flags.into_iter().map(FlagView::from).collect();
    Ok(Json(FlagList { flags, next }))
}

/// Lift a flag
#[utoipa::path(post, path = "/flags/{operation_digest}/lift", tag = "flags",
    params(("operation_digest" = String, Path, description = "The flagged operation")),
    request_body = ReasonBody,
    responses((status = 204, description = "The operation is put to people again")))]
pub(super) async fn lift(
    State(web): State<Web>,
    caller: Caller,
    Segments(operation): Segments<String>,
    Body(body): Body<ReasonBody>,
) -> Result<StatusCode, Problem> {
    let operation = digest(&operation)?;
    web.approver
        .lift_flag(&caller.login, &operation, &body.reason)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
