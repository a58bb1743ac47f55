//! Reads what callers send, strictly: JSON that says it is JSON, queries and
//! paths without surprises. What is wrong is answered as a problem.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::BytesRejection},
    http::{StatusCode, header, request::Parts},
    response::IntoResponse as _,
};
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem};

/// Most bytes of a body. What people and tools send is small; hosts, who send
/// much, don't come here.
pub(super) const MAX: usize = 64 * 1024;

/// A JSON body.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

/// The query of a URL.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

/// The variable parts of a path.
#[derive(Debug)]
pub(super) struct Segments<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        // Also what keeps a form on another site from sending anything.
        if !essence.eq_ignore_ascii_case("application/json") {
            let detail = format!("the body is {kind:?}, not application/json");
            return Err(Problem::new(Code::Invalid, detail)
                .with_mend("send JSON, with Content-Type: application/json"));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(unreadable)?;
        match serde_json::from_slice(&bytes) {
            Ok(body) => Ok(Self(body)),
            Err(error) => Err(Problem::new(
                Code::Invalid,
                format!("the body is wrong: {error}"),
            )),
        }
    }
}

/// The whole of `body`, of the call with this head.
pub(super) async fn read(head: &Parts, body: axum::body::Body) -> Result<Bytes, Problem> {
    let request = Request::from_parts(head.clone(), body);
    Bytes::from_request(request, &()).await.map_err(unreadable)
}

fn unreadable(rejection: BytesRejection) -> Problem {
    let detail = rejection.body_text();
    if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("the body has more than {MAX} bytes");
        return Problem::new(Code::TooLarge, detail);
    }
    Problem::new(Code::Invalid, detail)
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Problem::new(Code::Invalid, rejection.body_text())),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(values)) => Ok(Self(values)),
            Err(rejection) => Err(Problem::new(Code::Invalid, rejection.body_text())),
        }
    }
}
