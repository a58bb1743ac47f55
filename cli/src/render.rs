//! What people and programs read. Pure: from messages and the time of day to
//! text, with everything that comes from elsewhere escaped.

pub(crate) mod event;
pub(crate) mod grants;
pub(crate) mod json;
pub(crate) mod list;
pub(crate) mod operation;
pub(crate) mod request;
pub(crate) mod status;
pub(crate) mod time;

#[cfg(test)]
mod samples;

use holdpoint_proto::v1::{Request, RequestState};

/// The name of a request's state.
pub(crate) fn state(request: &Request) -> &'static str {
    match request.state() {
        RequestState::Pending => "pending",
        RequestState::Approved => "approved",
        RequestState::Denied => "denied",
        RequestState::Expired => "expired",
        RequestState::Withdrawn => "withdrawn",
        RequestState::Flagged => "flagged",
        RequestState::Unspecified => "unknown",
    }
}
