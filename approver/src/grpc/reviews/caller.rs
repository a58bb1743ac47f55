//! Who calls: the bearer token of a call and the person behind it.

use tonic::{Request, Status};

use crate::{service::Approver, store::logins::Login};

/// The bearer token of `request`.
pub(in crate::grpc) fn token<T>(request: &Request<T>) -> Result<&str, Status> {
    let missing = || {
        Status::unauthenticated(
            "the call carries no `authorization: Bearer` token; log in with `holdpoint login`",
        )
    };
    let value = request
        .metadata()
        .get("authorization")
        .ok_or_else(missing)?;
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(missing())
    }
}

/// The person behind `token`, with the role they have now.
pub(in crate::grpc) async fn of(approver: &Approver, token: &str) -> Result<Login, Status> {
    Ok(approver.caller(token).await?)
}
