//! The life of one host's stream: a Hello, then messages up and news down until
//! either side ends it.
//!
//! Whether the host is still welcome is asked again for everything that passes:
//! a revoked host gets no decision.

use std::{sync::Arc, time::Duration};

use holdpoint_proto::v1::{
    Accepted, Acknowledged, ApproverMessage, Hello, HostMessage, Rejected, RejectionCause, Revoke,
    Welcome, approver_message::Message as Down, host_message::Message as Up,
};
use tokio::{sync::mpsc, time};
use tonic::{Status, Streaming};

use crate::{
    ca::Peer,
    error_chain::error_chain,
    live::{Mailbox, News},
    service::{
        Approver,
        intake::{Opening, Rejection},
    },
    store::decisions::Decision,
};

/// How long a host may take to say Hello.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// How often a silent host is checked for having been revoked.
const CHECK_EVERY: Duration = Duration::from_secs(5);

type Answers = mpsc::Sender<Result<ApproverMessage, Status>>;

/// Runs the stream of `peer` to its end.
pub(super) async fn run(
    approver: Arc<Approver>,
    peer: Peer,
    up: Streaming<HostMessage>,
    answers: Answers,
) {
    let host = peer.host_id;
    let stream = Stream {
        approver: &approver,
        peer: &peer,
        answers: &answers,
    };
    match stream.run(up).await {
        Ok(()) => tracing::info!(host.id = %host, "host disconnected"),
        Err(status) => {
            tracing::info!(host.id = %host, reason = status.message(), "host stream ended");
            // Fails if the host is gone, and then nobody needs to know.
            let _ = answers.send(Err(status)).await;
        }
    }
}

struct Stream<'a> {
    approver: &'a Approver,
    peer: &'a Peer,
    answers: &'a Answers,
}

impl Stream<'_> {
    async fn run(&self, mut up: Streaming<HostMessage>) -> Result<(), Status> {
        let hello = self.hello(&mut up).await?;
        // Before its grants are looked at: what is revoked meanwhile is told twice.
        let mailbox = self.approver.live.connect(self.peer.host_id);
        let ended = self.converse(up, mailbox, &hello).await;
        if let Err(error) = self.approver.part(self.peer.host_id).await {
            // Its own end is told all the same.
            tracing::error!(
                host.id = %self.peer.host_id, error = error_chain(&error),
                "cannot record that the host disconnected"
            );
        }
        ended
    }

    /// Messages up and news down, until either side ends it.
    async fn converse(
        &self,
        mut up: Streaming<HostMessage>,
        mut mailbox: Mailbox,
        hello: &Hello,
    ) -> Result<(), Status> {
        for id in self.approver.wrong_grants(self.peer.host_id, hello).await? {
            self.revoke(id).await?;
        }
        let mut check = time::interval(CHECK_EVERY);
        loop {
            tokio::select! {
                message = up.message() => match message? {
                    None => return Ok(()),
                    Some(message) => self.handle(message).await?,
                },
                news = mailbox.next() => match news {
                    None => return Err(Status::aborted("another stream of this host took over")),
                    Some(News::Request(id)) => self.tell(&id).await?,
                    Some(News::Revoked(id)) => self.revoke(id).await?,
                },
                _ = check.tick() => self.admit().await?,
                () = self.answers.closed() => return Ok(()),
                () = self.approver.live.closing() => {
                    return Err(Status::unavailable("the approver is going down; connect again"));
                }
            }
        }
    }

    /// The first message, and its answer.
    async fn hello(&self, up: &mut Streaming<HostMessage>) -> Result<Hello, Status> {
        let first = time::timeout(HELLO_WITHIN, up.message())
            .await
            .map_err(|_| Status::deadline_exceeded("the host did not say Hello in time"))??;
        let Some(HostMessage {
            message: Some(Up::Hello(hello)),
        }) = first
        else {
            return Err(Status::failed_precondition(
                "the first message must be Hello",
            ));
        };
        let host = self.peer.host_id;
        self.approver.greet(host, &hello).await?;
        self.answer(Down::Welcome(Welcome {
            host_id: host.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
        .await?;
        Ok(hello)
    }

    async fn handle(&self, message: HostMessage) -> Result<(), Status> {
        self.admit().await?;
        let host = self.peer.host_id;
        let request_id = match message.message {
            Some(Up::Hello(_)) => {
                return Err(Status::failed_precondition(
                    "Hello must be the first message only",
                ));
            }
            Some(Up::Open(open)) => {
                let opening = self.approver.open(host, &open).await?;
                return self.opened(open.request_id, opening).await;
            }
            Some(Up::Withdraw(withdraw)) => {
                self.approver.withdraw(host, &withdraw).await?;
                withdraw.request_id
            }
            Some(Up::Outcome(report)) => {
                self.approver.report(host, &report).await?;
                report.request_id
            }
            // From a newer host. Silence would let it wait for ever.
            None => {
                return Err(Status::unimplemented(
                    "this approver doesn't know the message",
                ));
            }
        };
        self.answer(Down::Acknowledged(Acknowledged { request_id }))
            .await
    }

    /// Answers an opened request, with its decision if it has one.
    async fn opened(&self, request_id: String, opening: Opening) -> Result<(), Status> {
        match opening {
            Opening::Accepted(decision) => {
                self.answer(Down::Accepted(Accepted { request_id })).await?;
                match decision {
                    None => Ok(()),
                    Some(decision) => self.decide(decision).await,
                }
            }
            Opening::Rejected(rejection) => self.reject(request_id, &rejection).await,
        }
    }

    /// Tells the host what has become of a request.
    async fn tell(&self, id: &str) -> Result<(), Status> {
        self.admit().await?;
        match self.approver.news(self.peer.host_id, id).await? {
            Some(Opening::Accepted(Some(decision))) => self.decide(decision).await,
            // Flagged with another; or expired here while the host still waits: it got more time than a
            // person may take.
            Some(Opening::Rejected(rejection)) => self.reject(id.to_owned(), &rejection).await,
            Some(Opening::Accepted(None)) | None => Ok(()),
        }
    }

    /// Sends a decision. A grant that was revoked since is taken back at once: the
    /// host may not have known it yet.
    async fn decide(&self, decision: Decision) -> Result<(), Status> {
        let grant = decision.grant.as_ref().map(|grant| grant.id.clone());
        self.answer(Down::Decision(decision.into())).await?;
        if let Some(id) = grant
            && !self.approver.gives(&id).await?
        {
            self.revoke(id).await?;
        }
        Ok(())
    }

    async fn revoke(&self, grant_id: String) -> Result<(), Status> {
        self.admit().await?;
        self.answer(Down::Revoke(Revoke { grant_id })).await
    }

    async fn reject(&self, request_id: String, rejection: &Rejection) -> Result<(), Status> {
        self.answer(Down::Rejected(Rejected {
            request_id,
            reason: rejection.to_string(),
            cause: cause(rejection).into(),
        }))
        .await
    }

    async fn admit(&self) -> Result<(), Status> {
        Ok(self.approver.admit(self.peer).await?)
    }

    async fn answer(&self, message: Down) -> Result<(), Status> {
        let message = ApproverMessage {
            message: Some(message),
        };
        let gone = |_| Status::cancelled("the host hung up");
        self.answers.send(Ok(message)).await.map_err(gone)
    }
}

fn cause(rejection: &Rejection) -> RejectionCause {
    match rejection {
        Rejection::Flagged(_) => RejectionCause::Flagged,
        Rejection::Expired(_) | Rejection::NoTime => RejectionCause::Expired,
        _ => RejectionCause::Unspecified,
    }
}
