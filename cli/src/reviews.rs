//! The approver, as a person's tool sees it: one gRPC connection over TLS, checked
//! against the context's CA, with the context's login.
//!
//! Owns the connection and what its errors mean; decides nothing.

mod error;
mod grants;

use std::time::Duration;

use holdpoint_proto::v1::{
    DecideRequest, GetRequestRequest, ListRequestsRequest, LoginRequest, LoginResponse,
    LogoutRequest, Request, RequestState, WatchRequestsRequest, WatchRequestsResponse,
    WhoAmIRequest, WhoAmIResponse, reviews_client::ReviewsClient,
};
use tonic::{
    Status, Streaming,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri},
};

pub(crate) use self::error::{Peer, ReviewsError};
use crate::contexts::{Context, ContextsError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A page of requests with long arguments is larger than gRPC's usual 4 MiB.
pub(crate) const LARGEST_MESSAGE: usize = 64 * 1024 * 1024;

/// Requests in one page; also how many are asked for at once.
const PAGE: u32 = 100;

/// A connection to the approver of a context.
pub(crate) struct Reviews {
    client: ReviewsClient<Authorized>,
    /// What errors call the other side.
    name: Peer,
}

/// A connection that carries the login.
pub(crate) type Authorized = InterceptedService<Channel, Authorization>;

/// Puts the login into every call.
#[derive(Clone)]
pub(crate) struct Authorization(Option<MetadataValue<Ascii>>);

impl Interceptor for Authorization {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// `approver` if it is an address that can be connected to.
pub(crate) fn check_address(approver: &str) -> Result<Uri, ReviewsError> {
    let bad = || ReviewsError::Address {
        approver: approver.to_owned(),
    };
    let uri: Uri = approver.parse().map_err(|_| bad())?;
    let plain = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
    if uri.scheme_str() == Some("https") && uri.host().is_some() && plain {
        Ok(uri)
    } else {
        Err(bad())
    }
}

impl Reviews {
    /// Connects as the logged-in account of `context`.
    pub(crate) async fn connect(
        name: &str,
        context: &Context,
    ) -> Result<Self, crate::failure::Failure> {
        let (channel, peer) = connect(name, context).await?;
        Ok(Self::on(channel, peer))
    }

    /// Connects to the approver of `context` as nobody yet.
    pub(crate) async fn connect_to_log_in(
        name: &str,
        context: &Context,
    ) -> Result<Self, ReviewsError> {
        let (channel, peer) = open(name, context, None).await?;
        Ok(Self::on(channel, peer))
    }

    fn on(channel: Authorized, name: Peer) -> Self {
        let client = ReviewsClient::new(channel).max_decoding_message_size(LARGEST_MESSAGE);
        Self { client, name }
    }

    pub(crate) async fn login(
        &mut self,
        username: &str,
        password: String,
    ) -> Result<LoginResponse, ReviewsError> {
        let request = LoginRequest {
            username: username.to_owned(),
            password,
        };
        let answer = self.client.login(timed(request)).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| match status.code() {
                tonic::Code::Unauthenticated => ReviewsError::BadLogin {
                    username: username.to_owned(),
                    approver: self.name.approver.clone(),
                },
                _ => self.name.failed(&status),
            })
    }

    pub(crate) async fn logout(&mut self) -> Result<(), ReviewsError> {
        let answer = self.client.logout(timed(LogoutRequest {})).await;
        answer.map(drop).map_err(|status| self.name.failed(&status))
    }

    pub(crate) async fn who_am_i(&mut self) -> Result<WhoAmIResponse, ReviewsError> {
        let answer = self.client.who_am_i(timed(WhoAmIRequest {})).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| self.name.failed(&status))
    }

    /// Up to `limit` requests, newest first, and whether there are more.
    pub(crate) async fn list(
        &mut self,
        states: &[RequestState],
        limit: usize,
    ) -> Result<(Vec<Request>, bool), ReviewsError> {
        let mut requests = Vec::new();
        let mut page_token = String::new();
        loop {
            let wanted = limit - requests.len();
            let query = ListRequestsRequest {
                states: states.iter().map(|state| i32::from(*state)).collect(),
                page_size: u32::try_from(wanted).unwrap_or(PAGE).min(PAGE),
                page_token,
            };
            let answer = self.client.list_requests(timed(query)).await;
            let page = answer
                .map_err(|status| self.name.failed(&status))?
                .into_inner();
            let cut = page.requests.len() > wanted;
            requests.extend(page.requests.into_iter().take(wanted));
            page_token = page.next_page_token;
            if requests.len() >= limit || page_token.is_empty() {
                return Ok((requests, cut || !page_token.is_empty()));
            }
        }
    }

    /// The request with this id, or the only one whose id begins so: the approver
    /// looks abbreviated ids up.
    pub(crate) async fn get(&mut self, id: &str) -> Result<Request, ReviewsError> {
        let query = GetRequestRequest { id: id.to_owned() };
        let request = match self.client.get_request(timed(query)).await {
            Ok(answer) => answer.into_inner().request,
            Err(status) if status.code() == tonic::Code::NotFound => None,
            Err(status) => return Err(self.name.failed(&status)),
        };
        request.ok_or_else(|| ReviewsError::UnknownRequest { id: id.to_owned() })
    }

    pub(crate) async fn watch(&mut self) -> Result<Streaming<WatchRequestsResponse>, ReviewsError> {
        let answer = self.client.watch_requests(WatchRequestsRequest {}).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| self.name.failed(&status))
    }

    /// What a failed call or a broken stream means.
    pub(crate) fn explain(&self, status: &Status) -> ReviewsError {
        self.name.failed(status)
    }

    /// Sends a decision. A refusal is the caller's to explain: it knows the
    /// request.
    pub(crate) async fn decide(
        &mut self,
        decision: DecideRequest,
    ) -> Result<Option<Request>, Status> {
        let answer = self.client.decide(timed(decision)).await?;
        Ok(answer.into_inner().request)
    }
}

/// A connection as the logged-in account of `context`, and what its errors mean.
pub(crate) async fn connect(
    name: &str,
    context: &Context,
) -> Result<(Authorized, Peer), crate::failure::Failure> {
    let login = context
        .login
        .as_ref()
        .ok_or_else(|| ContextsError::LoggedOut {
            name: name.to_owned(),
        })?;
    let header = format!("Bearer {}", login.token)
        .parse()
        .map_err(|_| ReviewsError::Token {
            context: name.to_owned(),
        })?;
    let (channel, mut peer) = open(name, context, Some(header)).await?;
    peer.username = Some(context.username.clone());
    Ok((channel, peer))
}

async fn open(
    name: &str,
    context: &Context,
    authorization: Option<MetadataValue<Ascii>>,
) -> Result<(Authorized, Peer), ReviewsError> {
    let unreachable = |source| ReviewsError::unreachable(&context.approver, &source);
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&context.ca));
    let channel = Endpoint::from(check_address(&context.approver)?)
        .tls_config(tls)
        .map_err(unreachable)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .connect()
        .await
        .map_err(unreachable)?;
    let peer = Peer {
        approver: context.approver.clone(),
        context: name.to_owned(),
        username: None,
    };
    let channel = InterceptedService::new(channel, Authorization(authorization));
    Ok((channel, peer))
}

/// A call that may not take for ever.
pub(crate) fn timed<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}
