//! Errors as people and tools get them: problem details that say the mend.
//!
//! What a caller can mend is told to the caller; what only the operator can mend
//! is logged here, once, and the caller learns no detail.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::request::RequestView;
use crate::error_chain::error_chain;

mod from;

/// What tools tell errors apart by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Code {
    NotLoggedIn,
    BadLogin,
    Csrf,
    Role,
    OwnRequest,
    NotFound,
    MethodNotAllowed,
    AmbiguousId,
    AlreadyDecided,
    DigestChanged,
    IdempotencyConflict,
    Conflict,
    Invalid,
    TooLarge,
    TooMany,
    Unavailable,
    Internal,
}

impl Code {
    fn status(self) -> StatusCode {
        match self {
            Self::NotLoggedIn | Self::BadLogin => StatusCode::UNAUTHORIZED,
            Self::Csrf | Self::Role | Self::OwnRequest => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::AmbiguousId
            | Self::AlreadyDecided
            | Self::DigestChanged
            | Self::IdempotencyConflict
            | Self::Conflict => StatusCode::CONFLICT,
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::NotLoggedIn => "you are not logged in",
            Self::BadLogin => "wrong user name or password",
            Self::Csrf => "the call does not come from the dashboard",
            Self::Role => "your role does not allow this",
            Self::OwnRequest => "nobody decides about their own session",
            Self::NotFound => "there is no such thing",
            Self::MethodNotAllowed => "this can't be done to it",
            Self::AmbiguousId => "the id stands for several",
            Self::AlreadyDecided => "the request is closed",
            Self::DigestChanged => "the request is not the one that was shown",
            Self::IdempotencyConflict => "the idempotency key was used for something else",
            Self::Conflict => "it is not in a state for this",
            Self::Invalid => "the call is wrong",
            Self::TooLarge => "the call is too large",
            Self::TooMany => "too many calls",
            Self::Unavailable => "the approver can't do this now",
            Self::Internal => "the approver failed",
        }
    }

    /// What to do about it, if the detail doesn't say anything better.
    fn mend(self) -> &'static str {
        match self {
            Self::NotLoggedIn => "log in, with POST /api/v1/login or a token",
            Self::BadLogin => "check name and password; an administrator can set a new password",
            Self::Csrf => {
                "send the csrf_token of GET /api/v1/me in the header X-CSRF-Token, from the same \
                 origin; tools use a token instead of a cookie"
            }
            Self::Role => "ask an administrator for the role",
            Self::OwnRequest => "ask another reviewer",
            Self::NotFound => "look at the list it is from",
            Self::AmbiguousId => "give more digits of the id",
            Self::AlreadyDecided => "nothing is left to do; `request` says how it ended",
            Self::DigestChanged => "look at the request again before you decide",
            Self::IdempotencyConflict => "use a new key for a new decision",
            Self::Conflict => "look at it again",
            Self::MethodNotAllowed | Self::Invalid => "see /api/v1/openapi.json",
            Self::TooLarge => "send less",
            Self::TooMany => "wait as long as Retry-After says",
            Self::Unavailable => "try again in a moment",
            Self::Internal => "look into the approver's log under the X-Request-Id of this answer",
        }
    }
}

/// An error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: `code` says which.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The same text for the same code.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// What happened in this case.
    detail: String,
    code: Code,
    /// What to do about it.
    mend: String,
    /// The request as it stands now, if the error is about its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Box<RequestView>>,
    #[serde(skip)]
    retry_after_seconds: Option<u64>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: code.title(),
            status: code.status().as_u16(),
            detail: detail.into(),
            code,
            mend: code.mend().to_owned(),
            request: None,
            retry_after_seconds: None,
        }
    }

    /// An error of which the caller learns nothing; the log does.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = error_chain(error), "call failed");
        Self::new(
            Code::Internal,
            "the approver failed; the reason is in its log",
        )
    }

    pub(crate) fn with_mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = mend.into();
        self
    }

    pub(crate) fn with_request(mut self, request: RequestView) -> Self {
        self.request = Some(Box::new(request));
        self
    }

    pub(crate) fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let retry_after = self.retry_after_seconds;
        // A struct of texts and numbers always becomes JSON.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"holdpoint\""),
            );
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
