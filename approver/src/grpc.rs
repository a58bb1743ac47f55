//! The gRPC edge: hosts and people's tools, on one port.
//!
//! Translates messages into calls of [`crate::service`] and errors into status
//! codes; decides nothing. A host proves itself with its certificate on
//! `HostSession`, a person with a bearer token on `Reviews`; neither is accepted
//! in the other's place.

mod convert;
mod enrolment;
mod host_session;
mod reviews;
mod status;

use std::sync::Arc;

use holdpoint_proto::v1::{
    enrolment_server::EnrolmentServer, host_session_server::HostSessionServer,
    reviews_server::ReviewsServer,
};
use tonic::service::Routes;

use crate::service::Approver;

/// Largest message, in bytes: one exec with the largest argument list Linux
/// allows, and its ancestry.
pub(crate) const MESSAGE_MAX: usize = 16 * 1024 * 1024;

/// Largest message of callers we don't know yet or who have little to say.
const SMALL_MESSAGE_MAX: usize = 64 * 1024;

/// All services.
pub(crate) fn routes(approver: &Arc<Approver>) -> Routes {
    let enrolment = enrolment::Service::new(Arc::clone(approver));
    let host_session = host_session::Service::new(Arc::clone(approver));
    let reviews = reviews::Service::new(Arc::clone(approver));
    Routes::new(EnrolmentServer::new(enrolment).max_decoding_message_size(SMALL_MESSAGE_MAX))
        .add_service(
            HostSessionServer::new(host_session)
                .max_decoding_message_size(MESSAGE_MAX)
                .max_encoding_message_size(MESSAGE_MAX),
        )
        .add_service(
            ReviewsServer::new(reviews)
                .max_decoding_message_size(SMALL_MESSAGE_MAX)
                .max_encoding_message_size(MESSAGE_MAX),
        )
}
