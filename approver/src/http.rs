//! The web edge: the REST API and the dashboard, for browsers and tools.
//!
//! Translates calls into calls of [`crate::service`] and errors into problem
//! details; decides nothing. Whom it is for and what it must withstand:
//! strangers, pages of other sites, and browsers that show what a hostile
//! process wrote.

mod access;
mod api_tokens;
mod audit;
mod auth;
mod body;
mod dashboard;
mod enrolment_tokens;
mod events;
mod flags;
mod grants;
mod headers;
mod hosts;
mod listener;
pub(crate) mod monitor;
mod openapi;
mod page;
mod problem;
mod requests;
mod sessions;
mod source;
mod stream;
mod trace;
mod users;
mod view;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{config, domain::account::Role, live::Seats, service::Approver};

use access::{Access, guarded};
use problem::{Code, Problem};

pub use listener::TlsError;
pub(crate) use listener::{configure, serve};

/// Where the API begins.
const BASE: &str = "/api/v1";

/// Longest time until an answer begins.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What every handler may use.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    approver: Arc<Approver>,
    config: config::Web,
    /// The description of the API.
    document: Arc<Value>,
    /// Streams that are open.
    seats: Arc<Seats>,
}

/// Every route of the API, with the least role it is for.
fn routes(web: &Web) -> OpenApiRouter<Web> {
    let public = Access::Public;
    let viewer = Access::Role(Role::Viewer);
    let reviewer = Access::Role(Role::Reviewer);
    let asking = Access::Asks(Role::Reviewer);
    let administrator = Access::Role(Role::Administrator);
    OpenApiRouter::new()
        .merge(guarded(web, public, routes!(openapi::show)))
        .merge(guarded(web, public, routes!(auth::login)))
        .merge(guarded(web, viewer, routes!(auth::logout)))
        .merge(guarded(web, viewer, routes!(auth::me)))
        .merge(guarded(web, viewer, routes!(requests::list)))
        .merge(guarded(web, viewer, routes!(requests::show)))
        .merge(guarded(web, reviewer, routes!(requests::decide)))
        .merge(guarded(web, viewer, routes!(grants::list)))
        .merge(guarded(web, reviewer, routes!(grants::revoke)))
        .merge(guarded(web, viewer, routes!(flags::list)))
        .merge(guarded(web, administrator, routes!(flags::lift)))
        .merge(guarded(web, viewer, routes!(stream::follow)))
        .merge(guarded(web, viewer, routes!(users::change_own_password)))
        .merge(guarded(web, administrator, routes!(users::list)))
        .merge(guarded(web, administrator, routes!(users::add)))
        .merge(guarded(web, administrator, routes!(users::change)))
        .merge(guarded(web, administrator, routes!(users::set_password)))
        .merge(guarded(web, administrator, routes!(users::remove)))
        .merge(guarded(web, viewer, routes!(sessions::list)))
        .merge(guarded(web, viewer, routes!(sessions::show)))
        .merge(guarded(web, viewer, routes!(events::search)))
        .merge(guarded(web, viewer, routes!(events::histogram)))
        .merge(guarded(web, asking, routes!(events::sql)))
        .merge(guarded(web, viewer, routes!(audit::checkpoint)))
        .merge(guarded(web, viewer, routes!(hosts::list)))
        .merge(guarded(web, administrator, routes!(hosts::revoke)))
        .merge(guarded(web, administrator, routes!(enrolment_tokens::list)))
        .merge(guarded(web, administrator, routes!(enrolment_tokens::make)))
        .merge(guarded(
            web,
            administrator,
            routes!(enrolment_tokens::revoke),
        ))
        .merge(guarded(web, viewer, routes!(api_tokens::list)))
        .merge(guarded(web, viewer, routes!(api_tokens::make)))
        .merge(guarded(web, viewer, routes!(api_tokens::revoke)))
}

/// Everything the web listener serves.
pub(crate) fn app(approver: Arc<Approver>, config: config::Web) -> serde_json::Result<Router> {
    let mut web = Web {
        approver,
        config,
        document: Arc::default(),
        seats: Seats::new(config.max_streams.get()),
    };
    let with = |web: &Web| {
        OpenApiRouter::with_openapi(openapi::frame())
            .nest(BASE, routes(web))
            .split_for_parts()
    };
    // Handlers get their state with the routes, and the document is made of the
    // routes: so they are made twice.
    let (_, mut document) = with(&web);
    openapi::finish(&mut document);
    web.document = Arc::new(serde_json::to_value(&document)?);
    let (router, _) = with(&web);
    Ok(router
        .fallback(dashboard::serve)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(body::MAX))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(web.clone(), headers::add))
        .layer(middleware::from_fn(trace::identify))
        .with_state(web))
}

async fn not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed, "the route has no such method")
}

/// Gives up on what takes too long to begin with its answer.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::Unavailable, "the answer took too long").into_response(),
    }
}
