//! The gRPC edge: hosts and people's tools, on one port.
//!
//! Translates messages into calls of [`crate::service`] and errors into status
//! codes; decides nothing. A host proves itself with its certificate on
//! `HostSession` and `HostEvents`, a person with a bearer token on `Reviews` and
//! `Audit`; neither is accepted in the other's place.

mod audit;
mod bounds;
mod convert;
mod enrolment;
mod host_events;
mod host_session;
mod observe;
mod patience;
mod reviews;
mod status;

use std::sync::Arc;

use axum::middleware;

use holdpoint_proto::v1::{
    audit_server::AuditServer, enrolment_server::EnrolmentServer,
    host_events_server::HostEventsServer, host_session_server::HostSessionServer,
    reviews_server::ReviewsServer,
};
use tonic::service::Routes;

use crate::{
    connection::Open,
    live::Seats,
    service::{Approver, publish::BATCH_BYTES_MAX},
};

/// Largest message, in bytes: one exec with the largest argument list Linux
/// allows, and its ancestry.
pub(crate) const MESSAGE_MAX: usize = 16 * 1024 * 1024;

/// Largest part of the log: a record of any length, or 256 entries of the
/// greatest that an entry can have.
const LOG_MESSAGE_MAX: usize = 64 * 1024 * 1024;

/// Largest message of callers we don't know yet or who have little to say.
const SMALL_MESSAGE_MAX: usize = 64 * 1024;

/// Most streams of people's tools at a time: each costs reads whenever something
/// changes.
const STREAMS_MAX: u32 = 256;

/// Largest batch of events: what a batch may hold, and its wrapping.
const BATCH_MESSAGE_MAX: usize = BATCH_BYTES_MAX + 64 * 1024;

/// All services, for the connections listed in `open`.
pub(crate) fn routes(approver: &Arc<Approver>, open: &Open) -> Routes {
    let enrolment = enrolment::Service::new(Arc::clone(approver));
    let host_session = host_session::Service::new(Arc::clone(approver));
    let host_events = host_events::Service::new(Arc::clone(approver));
    let seats = Seats::new(STREAMS_MAX);
    let audit = audit::Service::new(Arc::clone(approver), Arc::clone(&seats));
    let reviews = reviews::Service::new(Arc::clone(approver), seats);
    let routes =
        Routes::new(EnrolmentServer::new(enrolment).max_decoding_message_size(SMALL_MESSAGE_MAX))
            .add_service(
                HostSessionServer::new(host_session)
                    .max_decoding_message_size(MESSAGE_MAX)
                    .max_encoding_message_size(MESSAGE_MAX),
            )
            .add_service(
                HostEventsServer::new(host_events)
                    .max_decoding_message_size(BATCH_MESSAGE_MAX)
                    .max_encoding_message_size(SMALL_MESSAGE_MAX),
            )
            .add_service(
                AuditServer::new(audit)
                    .max_decoding_message_size(2 * SMALL_MESSAGE_MAX)
                    .max_encoding_message_size(LOG_MESSAGE_MAX),
            )
            .add_service(
                ReviewsServer::new(reviews)
                    .max_decoding_message_size(SMALL_MESSAGE_MAX)
                    .max_encoding_message_size(MESSAGE_MAX),
            );
    let note = middleware::from_fn_with_state(Arc::clone(approver), observe::note);
    let bound = middleware::from_fn_with_state(open.clone(), bounds::bound);
    routes.into_axum_router().layer(note).layer(bound).into()
}
