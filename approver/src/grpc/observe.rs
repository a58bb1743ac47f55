//! Counts calls over gRPC and how long they take. Methods and codes come from
//! fixed lists: callers can make up others.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use crate::service::Approver;

/// Every method there is.
const METHODS: [&str; 19] = [
    "Enrolment/Enrol",
    "HostSession/Connect",
    "HostEvents/Publish",
    "Reviews/Login",
    "Reviews/Logout",
    "Reviews/WhoAmI",
    "Reviews/ListRequests",
    "Reviews/GetRequest",
    "Reviews/WatchRequests",
    "Reviews/Decide",
    "Reviews/ListGrants",
    "Reviews/RevokeGrant",
    "Reviews/ListFlags",
    "Reviews/LiftFlag",
    "Audit/SearchEvents",
    "Audit/Sql",
    "Audit/FollowEvents",
    "Audit/GetCheckpoint",
    "Audit/GetTile",
];

/// The names of status codes, in order of their numbers.
const CODES: [&str; 17] = [
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// Notes one call.
pub(super) async fn note(
    State(approver): State<Arc<Approver>>,
    request: Request,
    next: Next,
) -> Response {
    let method = method(request.uri().path());
    let begin = Instant::now();
    let response = next.run(request).await;
    // An error without an answer says so at once; all others end well or in a
    // trailer, when this call is long through.
    let code = response.headers().get("grpc-status");
    let code = code.and_then(|code| code.to_str().ok()?.parse().ok());
    let code = CODES.get(code.unwrap_or(0_usize)).unwrap_or(&"unknown");
    approver.metrics.grpc(method, code, begin.elapsed());
    response
}

fn method(path: &str) -> &'static str {
    let name = path.strip_prefix("/holdpoint.v1.").unwrap_or_default();
    let known = METHODS.iter().find(|method| **method == name);
    known.copied().unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_there_is_has_a_name() {
        assert_eq!(method("/holdpoint.v1.Reviews/Decide"), "Reviews/Decide");
        for other in [
            "/",
            "/holdpoint.v1.Reviews/decide",
            "/grpc.health.v1.Health/Check",
        ] {
            assert_eq!(method(other), "other");
        }
    }
}
