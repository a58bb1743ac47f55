//! Who may call what: every route is given its least role where it is made, and
//! no handler runs before that is checked. What changes something runs to its end
//! once it was let in, whether or not its caller stays.
//!
//! A browser proves itself with a cookie, and then has to prove for every unsafe
//! method that the call comes from the dashboard; a tool with a bearer token,
//! and then cookies count for nothing. A token in the URL counts for nothing
//! either: URLs end up in logs.

mod csrf;

use std::fmt;

use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use axum_extra::extract::cookie::CookieJar;
use serde_json::json;
use tracing::Instrument as _;
use utoipa::openapi::{
    extensions::ExtensionsBuilder, path::Operation, security::SecurityRequirement,
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::{
    Web, body,
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
    /// The same, for what changes nothing whatever its method is: nobody needs an
    /// answer whose caller has hung up.
    Asks(Role),
}

/// The person who calls.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) login: Login,
    /// What they proved it with.
    pub(super) secret: String,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
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
        Access::Role(least) | Access::Asks(least) => {
            let asks = matches!(access, Access::Asks(_));
            methods.route_layer(from_fn_with_state((web.clone(), least, asks), check))
        }
    };
    let methods = methods.route_layer(from_fn_with_state((web.clone(), pattern), note));
    OpenApiRouter::new().routes((schemas, paths, methods))
}

/// Says in the document what is asked of callers.
fn describe(operation: &mut Operation, access: Access) {
    let none = Vec::<String>::new();
    let (security, role) = match access {
        Access::Public => (Vec::new(), "none"),
        Access::Role(least) | Access::Asks(least) => (
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
    State((web, least, asks)): State<(Web, Role, bool)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, mut body) = request.into_parts();
    let mut caller = allowed(&web, &parts, least).await?;
    if !body.is_end_stream() {
        let bytes = body::read(&parts, body).await?;
        body = Body::from(bytes);
        // The body may have been long in coming, and the caller shut out meanwhile.
        caller = allowed(&web, &parts, least).await?;
    }
    parts.extensions.insert(caller);
    let changes = !asks && !parts.method.is_safe();
    let answer = next.run(Request::from_parts(parts, body));
    if !changes {
        return Ok(answer.await);
    }
    to_the_end(answer).await
}

/// Waits for `answer`, which is worked out even if nobody waits any more. Who
/// hangs up between a stored change and telling others of it must not keep these
/// from hearing of it.
async fn to_the_end(
    answer: impl Future<Output = Response> + Send + 'static,
) -> Result<Response, Problem> {
    let answer = tokio::spawn(answer.in_current_span());
    answer.await.map_err(|error| Problem::internal(&error))
}

/// Who calls now, if they may.
async fn allowed(web: &Web, call: &Parts, least: Role) -> Result<Caller, Problem> {
    let caller = match bearer(&call.headers)? {
        Some(token) => Caller {
            login: web.approver.caller(token).await?,
            secret: token.to_owned(),
        },
        None => by_cookie(web, call).await?,
    };
    let role = caller.login.role;
    if role < least {
        let detail = format!("your role is {role}; this is for {least}s");
        return Err(Problem::new(Code::Role, detail));
    }
    Ok(caller)
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
    use std::time::Duration;

    use axum::http::HeaderValue;

    use super::*;
    use crate::domain::time::Millis;

    #[test]
    fn a_caller_shows_no_secret() {
        let caller = Caller {
            login: Login {
                username: "ada".parse().unwrap(),
                role: Role::Viewer,
                expires_at: Millis::new(0),
                via: Via::Token,
                token: None,
            },
            secret: "hunter2".into(),
        };
        let shown = format!("{caller:?}");
        assert!(
            shown.contains("ada") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn what_was_begun_is_done_though_nobody_waits() {
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let (done, end) = tokio::sync::oneshot::channel();
        let answer = to_the_end(async move {
            drop(wait.await);
            let _ = done.send("changed");
            Response::default()
        });
        let hung_up = tokio::time::timeout(Duration::from_millis(20), answer).await;
        assert!(hung_up.is_err());
        drop(go);
        assert_eq!(end.await, Ok("changed"));
    }

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
