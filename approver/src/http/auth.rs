//! Logging in, out, and asking who one is.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::IntoResponse,
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Web,
    access::{self, Caller, check_origin, csrf_token},
    body::Body,
    problem::Problem,
    source::Source,
    view,
};
use crate::{domain::account::Via, store::logins::Login};

/// A name and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginBody {
    username: String,
    password: String,
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    username: String,
    /// `viewer`, `reviewer` or `administrator`: of the account, or what the token
    /// narrows it to.
    role: &'static str,
    /// To send back in `X-CSRF-Token`; null unless `via` is `cookie`.
    #[schema(required)]
    csrf_token: Option<String>,
    /// When this login or token ends.
    expires_at: String,
    /// `cookie`, `token` (of a login) or `api-token`.
    via: &'static str,
}

/// A login that has begun. The secret itself is in the cookie.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LoggedIn {
    me: Me,
    csrf_token: String,
    expires_at: String,
}

impl Me {
    fn new(login: &Login, csrf_token: Option<String>) -> Self {
        Self {
            username: login.username.to_string(),
            role: login.role.as_str(),
            csrf_token,
            expires_at: view::time(login.expires_at),
            via: login.via.as_str(),
        }
    }
}

/// Log in, in a browser
#[utoipa::path(post, path = "/login", tag = "login", request_body = LoginBody,
    responses((status = 200, description = "Logged in; the answer sets the cookie", body = LoggedIn)))]
pub(super) async fn login(
    State(web): State<Web>,
    Source(from): Source,
    uri: Uri,
    headers: HeaderMap,
    jar: CookieJar,
    Body(LoginBody { username, password }): Body<LoginBody>,
) -> Result<(CookieJar, Json<LoggedIn>), Problem> {
    // Nobody shall be logged in as somebody else by a page they look at.
    check_origin(&headers, &uri)?;
    let (secret, expires_at) = web
        .approver
        .log_in(&username, password, Via::Cookie, from)
        .await?;
    let login = web.approver.browser(secret.reveal()).await?;
    // Whoever logs in again has no use for the login before.
    if let Some(before) = jar.get(access::COOKIE) {
        web.approver.end_login(before.value()).await?;
    }
    let csrf_token = csrf_token(secret.reveal());
    let answer = LoggedIn {
        me: Me::new(&login, Some(csrf_token.clone())),
        csrf_token,
        expires_at: view::time(expires_at),
    };
    Ok((jar.add(cookie(secret.reveal())), Json(answer)))
}

/// Log out
///
/// An API token can't: it is no login.
#[utoipa::path(post, path = "/logout", tag = "login",
    responses((status = 204, description = "This login is over")))]
pub(super) async fn logout(
    State(web): State<Web>,
    caller: Caller,
    jar: CookieJar,
) -> Result<impl IntoResponse, Problem> {
    web.approver.log_out(&caller.login, &caller.secret).await?;
    let mut gone = cookie("");
    gone.make_removal();
    Ok((StatusCode::NO_CONTENT, jar.add(gone)))
}

/// Who am I?
#[utoipa::path(get, path = "/me", tag = "login",
    responses((status = 200, description = "The caller", body = Me)))]
pub(super) async fn me(caller: Caller) -> Json<Me> {
    Json(Me::new(&caller.login, caller.csrf_token()))
}

/// The cookie that holds `secret`. It goes when the browser is closed; when the
/// login ends before that, the approver knows.
fn cookie(secret: &str) -> Cookie<'static> {
    Cookie::build((access::COOKIE, secret.to_owned()))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Strict)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_keeps_what_its_name_promises() {
        assert_eq!(
            cookie("x").to_string(),
            "__Host-holdpoint=x; HttpOnly; SameSite=Strict; Secure; Path=/"
        );
    }
}
