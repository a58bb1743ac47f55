//! `HostSession`: one stream for each host, known by its client certificate.

mod stream;

use std::sync::Arc;

use holdpoint_proto::v1::{ApproverMessage, HostMessage, host_session_server::HostSession};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    ca::Peer,
    service::{Approver, hosts::AdmitError},
};

/// Answers that may wait for a slow host before its stream stops reading.
const BUFFER: usize = 32;

#[derive(Debug)]
pub(super) struct Service {
    approver: Arc<Approver>,
}

impl Service {
    pub(super) fn new(approver: Arc<Approver>) -> Self {
        Self { approver }
    }
}

#[tonic::async_trait]
impl HostSession for Service {
    type ConnectStream = ReceiverStream<Result<ApproverMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<HostMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let peer = peer(&request)?;
        let (answers, stream) = mpsc::channel(BUFFER);
        match self.approver.admit(&peer).await {
            Ok(()) => {}
            // It may have been away when it was revoked, and honour grants still.
            Err(error @ AdmitError::Revoked(host)) => {
                let grants = self.approver.revoking(host).await?;
                if grants.is_empty() {
                    return Err(error.into());
                }
                tokio::spawn(stream::shut_out(grants, error, answers));
                return Ok(Response::new(ReceiverStream::new(stream)));
            }
            Err(error) => return Err(error.into()),
        }
        tokio::spawn(stream::run(
            Arc::clone(&self.approver),
            peer,
            request.into_inner(),
            answers,
        ));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// The host at the other end of the connection.
pub(super) fn peer<T>(request: &Request<T>) -> Result<Peer, Status> {
    let certificates = request.peer_certs();
    let certificate = certificates
        .as_ref()
        .and_then(|chain| chain.first())
        .ok_or_else(|| {
            Status::unauthenticated(
                "a host must present its client certificate; get one with `holdpointd enrol`",
            )
        })?;
    Ok(Peer::of(certificate)?)
}
