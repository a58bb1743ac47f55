//! People's accounts: administrators change those of others, people their own
//! password. Tools change none.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Web,
    access::Caller,
    body::{Body, Segments},
    problem::Problem,
    source::Source,
    view::{RoleName, time},
};
use crate::store::users::User;

/// An account.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserView {
    name: String,
    role: &'static str,
    created_at: String,
}

/// Every account, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct UserList {
    users: Vec<UserView>,
}

/// An account to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserBody {
    /// a-z, 0-9, '.', '_', '-' and '@', beginning with a letter or digit.
    name: String,
    role: RoleName,
    /// Null or absent: one is made.
    password: Option<String>,
}

/// An account that was added.
#[derive(Serialize, ToSchema)]
pub(super) struct AddedUser {
    user: UserView,
    /// The password that was made, this once.
    #[schema(required)]
    password: Option<String>,
}

/// What to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserPatch {
    role: RoleName,
}

/// A password to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordBody {
    /// Null or absent: one is made.
    password: Option<String>,
}

/// A password that was set.
#[derive(Serialize, ToSchema)]
pub(super) struct SetPassword {
    /// The password that was made, this once.
    #[schema(required)]
    password: Option<String>,
}

/// One's own password, and the next one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnPasswordBody {
    current: String,
    new: String,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            name: user.name.to_string(),
            role: user.role.as_str(),
            created_at: time(user.created_at),
        }
    }
}

/// List accounts
#[utoipa::path(get, path = "/users", tag = "users",
    responses((status = 200, description = "By name", body = UserList)))]
pub(super) async fn list(
    State(web): State<Web>,
    caller: Caller,
) -> Result<Json<UserList>, Problem> {
    let users = web.approver.users(&caller.login).await?;
    let users = users.into_iter().map(UserView::from).collect();
    Ok(Json(UserList { users }))
}

/// Add an account
#[utoipa::path(post, path = "/users", tag = "users", request_body = UserBody,
    responses((status = 201, description = "The account", body = AddedUser)))]
pub(super) async fn add(
    State(web): State<Web>,
    caller: Caller,
    Body(body): Body<UserBody>,
) -> Result<(StatusCode, Json<AddedUser>), Problem> {
    let (user, password) = web
        .approver
        .add_user(&caller.login, &body.name, body.role.into(), body.password)
        .await?;
    let user = user.into();
    Ok((StatusCode::CREATED, Json(AddedUser { user, password })))
}

/// Give an account another role
#[utoipa::path(patch, path = "/users/{name}", tag = "users",
    params(("name" = String, Path, description = "The account")), request_body = UserPatch,
    responses((status = 200, description = "The account", body = UserView)))]
pub(super) async fn change(
    State(web): State<Web>,
    caller: Caller,
    Segments(name): Segments<String>,
    Body(body): Body<UserPatch>,
) -> Result<Json<UserView>, Problem> {
    let user = web
        .approver
        .change_role(&caller.login, &name, body.role.into())
        .await?;
    Ok(Json(user.into()))
}

/// Set somebody else's password
///
/// Ends their logins and tokens.
#[utoipa::path(post, path = "/users/{name}/password", tag = "users",
    params(("name" = String, Path, description = "The account")), request_body = PasswordBody,
    responses((status = 200, description = "It is set", body = SetPassword)))]
pub(super) async fn set_password(
    State(web): State<Web>,
    caller: Caller,
    Segments(name): Segments<String>,
    Body(body): Body<PasswordBody>,
) -> Result<Json<SetPassword>, Problem> {
    let password = web
        .approver
        .reset_password(&caller.login, &name, body.password)
        .await?;
    Ok(Json(SetPassword { password }))
}

/// Remove an account
#[utoipa::path(delete, path = "/users/{name}", tag = "users",
    params(("name" = String, Path, description = "The account")),
    responses((status = 204, description = "It is gone, with its logins and tokens")))]
pub(super) async fn remove(
    State(web): State<Web>,
    caller: Caller,
    Segments(name): Segments<String>,
) -> Result<StatusCode, Problem> {
    web.approver.remove_user(&caller.login, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change one's own password
///
/// Ends one's other logins; tokens of tools go on.
#[utoipa::path(post, path = "/me/password", tag = "login", request_body = OwnPasswordBody,
    responses((status = 204, description = "It is changed")))]
pub(super) async fn change_own_password(
    State(web): State<Web>,
    Source(from): Source,
    caller: Caller,
    Body(body): Body<OwnPasswordBody>,
) -> Result<StatusCode, Problem> {
    web.approver
        .change_password(&caller.login, &caller.secret, from, body.current, body.new)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
