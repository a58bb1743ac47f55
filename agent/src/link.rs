//! The link to the approver: one mutually authenticated stream, made again
//! whenever it breaks.
//!
//! Keeps nothing: what was not said before a break is said again by whoever owns
//! it, after [`LinkEvent::Up`].

use std::{path::PathBuf, time::Duration};

use holdpoint_proto::v1::{
    ApproverMessage, Hello, HostMessage, approver_message, host_message,
    host_session_client::HostSessionClient,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tracing::{info, warn};

use crate::identity::Identity;

/// Largest message either way: 2 MiB of arguments and what surrounds them.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(10);
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(15);
/// How often a host that is not enrolled looks whether it is by now.
const ENROLMENT_POLL: Duration = Duration::from_secs(2);

/// What the link tells the daemon.
#[derive(Debug)]
pub enum LinkEvent {
    /// The stream is up; say what is unsettled into this sender. It dies with
    /// the stream.
    Up(mpsc::UnboundedSender<HostMessage>),
    /// The stream is down.
    Down,
    /// The approver said something.
    Message(Box<approver_message::Message>),
}

/// How the link is doing, for people.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LinkState {
    /// Address of the approver, none if the host is not enrolled.
    pub address: Option<String>,
    /// Whether the stream is up.
    pub connected: bool,
    /// Why not, if not.
    pub error: Option<String>,
}

/// An error with everything behind it: the transport's own words hide the reason.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Keeps the link until `events` has no receiver. `identity` is asked for at each
/// attempt, so that a host may enrol while the daemon runs.
pub async fn run(
    state_dir: PathBuf,
    hello: watch::Receiver<Hello>,
    state: watch::Sender<LinkState>,
    events: mpsc::Sender<LinkEvent>,
) {
    let mut retry = Retry::default();
    while !events.is_closed() {
        let identity = match Identity::load(&state_dir) {
            Ok(Some(identity)) => identity,
            Ok(None) => {
                report(
                    &state,
                    None,
                    "this host is not enrolled; run `holdpointd enrol TOKEN`",
                );
                tokio::time::sleep(ENROLMENT_POLL).await;
                continue;
            }
            Err(error) => {
                report(&state, None, &error.to_string());
                tokio::time::sleep(ENROLMENT_POLL).await;
                continue;
            }
        };
        let (reason, was_up) = session(&identity, hello.clone(), &state, &events).await;
        if was_up {
            retry = Retry::default();
            if events.send(LinkEvent::Down).await.is_err() {
                return;
            }
        }
        report(&state, Some(&identity.approver), &reason);
        tokio::time::sleep(retry.next()).await;
    }
}

/// How long to wait before the next attempt: longer each time, up to a bound.
#[derive(Debug)]
pub(crate) struct Retry(Duration);

impl Default for Retry {
    fn default() -> Self {
        Self(FIRST_RETRY)
    }
}

impl Retry {
    pub(crate) fn next(&mut self) -> Duration {
        let delay = jittered(self.0);
        self.0 = (self.0 * 2).min(LAST_RETRY);
        delay
    }
}

/// Spreads reconnects of many hosts: between half of and the whole `delay`.
fn jittered(delay: Duration) -> Duration {
    let mut byte = [0];
    let share = match getrandom::fill(&mut byte) {
        Ok(()) => u32::from(byte[0]),
        Err(_) => 255,
    };
    delay / 2 + delay * share / 510
}

fn report(state: &watch::Sender<LinkState>, address: Option<&str>, error: &str) {
    let fresh = LinkState {
        address: address.map(str::to_owned),
        connected: false,
        error: Some(error.to_owned()),
    };
    state.send_if_modified(|current| {
        if *current == fresh {
            return false;
        }
        warn!(
            approver = address,
            reason = error,
            "no link to the approver"
        );
        *current = fresh;
        true
    });
}

/// A connection of this host to its approver; nothing is said on it yet.
pub(crate) async fn connect(identity: &Identity) -> Result<Channel, tonic::transport::Error> {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&identity.ca))
        .identity(tonic::transport::Identity::from_pem(
            &identity.certificate,
            &identity.key,
        ));
    Endpoint::from_shared(identity.approver.clone())?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .tls_config(tls)?
        .connect()
        .await
}

/// One stream from beginning to end: why it ended and whether it had begun.
async fn session(
    identity: &Identity,
    mut hello: watch::Receiver<Hello>,
    state: &watch::Sender<LinkState>,
    events: &mpsc::Sender<LinkEvent>,
) -> (String, bool) {
    let channel = match connect(identity).await {
        Ok(channel) => channel,
        Err(error) => return (causes(&error), false),
    };
    let (sender, receiver) = mpsc::unbounded_channel();
    let greet = |hello: Hello| HostMessage {
        message: Some(host_message::Message::Hello(hello)),
    };
    let first = hello.borrow_and_update().clone();
    if sender.send(greet(first)).is_err() {
        return ("the stream closed before it began".to_owned(), false);
    }
    let mut client = HostSessionClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let stream = client.connect(UnboundedReceiverStream::new(receiver));
    let mut incoming = match tokio::time::timeout(CONNECT_TIMEOUT, stream).await {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return (status.message().to_owned(), false),
        Err(_) => return ("the approver does not answer".to_owned(), false),
    };
    let mut up = false;
    loop {
        tokio::select! {
            changed = hello.changed() => {
                if changed.is_err() {
                    return ("the daemon stops".to_owned(), up);
                }
                // A greeting that says something else: streams begin with one.
                return ("the state of the gate changed".to_owned(), up);
            }
            message = incoming.message() => match message {
                Ok(Some(ApproverMessage { message: Some(approver_message::Message::Welcome(welcome)) })) => {
                    info!(approver = %identity.approver, version = %welcome.version, "linked to the approver");
                    up = true;
                    state.send_replace(LinkState {
                        address: Some(identity.approver.clone()),
                        connected: true,
                        error: None,
                    });
                    if events.send(LinkEvent::Up(sender.clone())).await.is_err() {
                        return ("the daemon stops".to_owned(), up);
                    }
                }
                Ok(Some(ApproverMessage { message: Some(message) })) => {
                    if events.send(LinkEvent::Message(Box::new(message))).await.is_err() {
                        return ("the daemon stops".to_owned(), up);
                    }
                }
                // A kind of message that a newer approver knows.
                Ok(Some(ApproverMessage { message: None })) => {}
                Ok(None) => return ("the approver closed the stream".to_owned(), up),
                Err(status) => return (status.message().to_owned(), up),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_stay_within_their_delay() {
        for _ in 0..100 {
            let delay = jittered(LAST_RETRY);
            assert!(delay >= LAST_RETRY / 2 && delay <= LAST_RETRY, "{delay:?}");
        }
    }
}
