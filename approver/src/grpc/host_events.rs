//! `HostEvents`: one stream for each host, known by its client certificate.
//!
//! One batch at a time: the next is read when the last is on disk and its
//! acknowledgement is on its way, so a host that is faster than the disk waits.

use std::{sync::Arc, time::Duration};

use holdpoint_proto::v1::{
    EventBatch, PublishRequest, PublishResponse, host_events_server::HostEvents,
    publish_request::Message as Up,
};
use tokio::{sync::mpsc, time};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::host_session::peer;
use crate::{
    ca::Peer,
    service::{Approver, publish::Spool},
};

/// How long a host may take to open its spool.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// How often a silent host is checked for having been revoked.
const CHECK_EVERY: Duration = Duration::from_secs(5);

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
impl HostEvents for Service {
    type PublishStream = ReceiverStream<Result<PublishResponse, Status>>;

    async fn publish(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        let peer = peer(&request)?;
        self.approver.admit(&peer).await?;
        let (answers, stream) = mpsc::channel(1);
        let approver = Arc::clone(&self.approver);
        tokio::spawn(async move {
            let host = peer.host_id;
            let stream = Stream {
                approver: &approver,
                peer: &peer,
                answers: &answers,
            };
            if let Err(status) = stream.run(request.into_inner()).await {
                tracing::info!(host.id = %host, reason = status.message(), "event stream ended");
                // Fails if the host is gone, and then nobody needs to know.
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

struct Stream<'a> {
    approver: &'a Approver,
    peer: &'a Peer,
    answers: &'a mpsc::Sender<Result<PublishResponse, Status>>,
}

impl Stream<'_> {
    async fn run(&self, mut up: Streaming<PublishRequest>) -> Result<(), Status> {
        let mut turn = self.approver.live.tells_events(self.peer.host_id);
        let spool = self.open(&mut up).await?;
        let mut check = time::interval(CHECK_EVERY);
        loop {
            tokio::select! {
                message = up.message() => match message? {
                    None => return Ok(()),
                    Some(PublishRequest { message: Some(Up::Batch(batch)) }) => {
                        self.store(&spool, &batch).await?;
                    }
                    Some(_) => return Err(Status::failed_precondition(
                        "after the spool is opened only batches may come",
                    )),
                },
                () = turn.over() => {
                    return Err(Status::aborted("another stream of this host took over"));
                }
                _ = check.tick() => self.approver.admit(self.peer).await?,
                () = self.answers.closed() => return Ok(()),
                () = self.approver.live.closing() => {
                    return Err(Status::unavailable("the approver is going down; connect again"));
                }
            }
        }
    }

    /// The first message, and its answer.
    async fn open(&self, up: &mut Streaming<PublishRequest>) -> Result<Spool, Status> {
        let first = time::timeout(OPEN_WITHIN, up.message())
            .await
            .map_err(|_| Status::deadline_exceeded("the host did not open its spool in time"))??;
        let Some(PublishRequest {
            message: Some(Up::Open(open)),
        }) = first
        else {
            return Err(Status::failed_precondition(
                "the first message must open a spool",
            ));
        };
        let (spool, sequence) = self.approver.open_spool(self.peer.host_id, &open).await?;
        self.answer(sequence).await?;
        Ok(spool)
    }

    async fn store(&self, spool: &Spool, batch: &EventBatch) -> Result<(), Status> {
        // Of a revoked host nothing is taken any more.
        self.approver.admit(self.peer).await?;
        let sequence = self.approver.publish(spool, batch).await?;
        self.answer(sequence).await
    }

    async fn answer(&self, sequence: u64) -> Result<(), Status> {
        let gone = |_| Status::cancelled("the host hung up");
        let answer = PublishResponse { sequence };
        self.answers.send(Ok(answer)).await.map_err(gone)
    }
}
