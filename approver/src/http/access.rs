//! Who may call what: every route is given its least role where it is made, and
//! no handler runs before that is checked.
//!
//! A browser proves itself with a cookie, and then has to prove for every unsafe
//! method that the call comes from the dashboard; a tool with a bearer token,
//! and then cookies count for nothing. A token in the URL counts for nothing
//! either: URLs end up in logs.

mod csrf;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use axum_extra::extract::cookie::CookieJar;
use serde_json::json;
use utoipa::openapi::{
    extensions::ExtensionsBuilder, path::Operation, security::SecurityRequirement,
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::{
    Web,
    problem::{Code, Problem},
    trace::note,
};
use crate::{
    domain::account::{Role, Via},
    store::logins::Login,
};

pub(super) use csrf::{check_origin, token as csrf_token};

/// The cookie of a login. The prefix has browsers refuse it from any other host,
/// path or plain connection.
pub(super) const COOKIE: &str = "__Host-holdpoint";

/// What a route asks of its callers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    /// Nothing.
    Public,
    /// A login, with this role or a greater one.
    Role(Role),
}

/// The person who calls.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) login: Login,
    /// What they proved it with.
    pub(super) secret: String,
}

/// `route`, open only to those `access` lets in.
pub(super) fn guarded(
    web: &Web,
    access: Access,
    route: UtoipaMethodRouter<Web>,
) -> OpenApiRouter<Web> {
    let (schemas, mut paths, methods) = route;
    for item in paths.paths.values_mut() {
        for operation in [
            &mut item.get,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ]
        .into_iter()
        .flatten()
        {
            describe(operation, access);
        }
    }
    // Once for each route and start: the pattern lives as long as the process.
    let pattern: &'static str = paths
        .paths
        .keys()
        .next()
        .cloned()
        .unwrap_or_default()
        .leak();
    let methods = match access {
        Access::Public => methods,
        Access::Role(least) => methods.route_layer(from_fn_with_state((web.clone(), least), check)),
    };
    let methods = methods.route_layer(from_fn_with_state((web.clone(), pattern), note));
    OpenApiRouter::new().routes((schemas, paths, methods))
}

/// Says in the document what is asked of callers.
fn describe(operation: &mut Operation, access: Access) {
    let none = Vec::<String>::new();
    let (security, role) = match access {
        Access::Public => (Vec::new(), "none"),
        Access::Role(least) => (
            vec![
                SecurityRequirement::new("cookie", none.clone()),
                SecurityRequirement::new("token", none),
            ],
            least.as_str(),
        ),
    };
    operation.security = Some(security);
    operation.extensions = Some(
        ExtensionsBuilder::new()
            .add("x-least-role", json!(role))
            .build(),
    );
}

async fn check(
    State((web, least)): State<(Web, Role)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = match bearer(&parts.headers)? {
        Some(token) => Caller {
            login: web.approver.caller(token).await?,
            secret: token.to_owned(),
        },
        None => by_cookie(&web, &parts).await?,
    };
    let role = caller.login.role;
    if role < least {
        let detail = format!("your role is {role}; this is for {least}s");
        return Err(Problem::new(Code::Role, detail));
    }
    parts.extensions.insert(caller);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

async fn by_cookie(web: &Web, call: &Parts) -> Result<Caller, Problem> {
    let headers = &call.headers;
    let jar = CookieJar::from_headers(headers);
    let Some(cookie) = jar.get(COOKIE).map(|cookie| cookie.value().to_owned()) else {
        return Err(Problem::new(
            Code::NotLoggedIn,
            "the call carries neither a cookie nor `Authorization: Bearer`",
        ));
    };
    let login = web.approver.browser(&cookie).await?;
    if !call.method.is_safe() {
        check_origin(headers, &call.uri)?;
        csrf::check(headers, &cookie)?;
    }
    Ok(Caller {
        login,
        secret: cookie,
    })
}

/// The bearer token of a call, none if it has no such header.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    match token {
        Some(token) => Ok(Some(token)),
        None => Err(Problem::new(
            Code::NotLoggedIn,
            "the header Authorization is not `Bearer` and a token",
        )),
    }
}

impl Caller {
    /// The same person as they are now; an error if they are not logged in any
    /// more.
    pub(super) async fn again(&self, web: &Web) -> Result<Login, Problem> {
        Ok(match self.login.via {
            Via::Cookie => web.approver.browser(&self.secret).await?,
            Via::Token | Via::ApiToken => web.approver.caller(&self.secret).await?,
        })
    }

    /// What the dashboard must send back with unsafe methods; none for a tool.
    pub(super) fn csrf_token(&self) -> Option<String> {
        (self.login.via == Via::Cookie).then(|| csrf_token(&self.secret))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Missing only on a route that asks for nobody but wants somebody.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::new(Code::NotLoggedIn, "the call was not checked for a login"))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_bearer_token_is_one() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(text).unwrap());
            bearer(&headers)
                .map(|token| token.map(str::to_owned))
                .map_err(|problem| problem.code())
        };
        assert_eq!(read("Bearer abc"), Ok(Some("abc".into())));
        assert_eq!(read("bearer  abc "), Ok(Some("abc".into())));
        assert_eq!(read("Basic YWRh"), Err(Code::NotLoggedIn));
        assert_eq!(read("Bearer"), Err(Code::NotLoggedIn));
        assert!(matches!(bearer(&HeaderMap::new()), Ok(None)));
    }
}
