//! A person's connection to an approver over gRPC, for what a test does often or
//! at the same time; what a person would type goes through `holdpoint`.

use holdpoint_proto::v1::{
    DecideRequest, GetRequestRequest, Grant, GrantScope, ListRequestsRequest, LoginRequest,
    Request, RequestState, RevokeGrantRequest, Verdict, audit_client::AuditClient,
    reviews_client::ReviewsClient,
};
use tonic::{
    Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::patience::{PATIENCE, until, within};

/// Largest message an approver sends.
const MESSAGE_MAX: usize = 16 * 1024 * 1024;

/// A person who is logged in.
#[derive(Clone)]
pub struct Reviewer(
    ReviewsClient<InterceptedService<Channel, Bearer>>,
    InterceptedService<Channel, Bearer>,
);

/// What happened, as a person asks for it.
pub type Audit = AuditClient<InterceptedService<Channel, Bearer>>;

/// Adds who asks to every call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Reviewer {
    /// Logs `name` in. The connection is made again whenever it is needed.
    pub async fn login(approver: &str, ca: &str, name: &str, password: &str) -> Self {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        let endpoint = Endpoint::from_shared(approver.to_owned()).unwrap();
        let channel = endpoint
            .tls_config(tls)
            .unwrap()
            .timeout(PATIENCE)
            .connect_lazy();
        let request = LoginRequest {
            username: name.to_owned(),
            password: password.to_owned(),
        };
        let mut client = ReviewsClient::new(channel.clone());
        let login = within("login", client.login(request)).await.unwrap();
        let bearer = Bearer(
            format!("Bearer {}", login.into_inner().token)
                .parse()
                .unwrap(),
        );
        let channel = InterceptedService::new(channel, bearer);
        Self(
            ReviewsClient::new(channel.clone()).max_decoding_message_size(MESSAGE_MAX),
            channel,
        )
    }

    /// Their questions about what happened.
    pub fn audit(&self) -> Audit {
        AuditClient::new(self.1.clone()).max_decoding_message_size(MESSAGE_MAX)
    }

    /// All requests in `state`, newest first. Asks again while the approver is
    /// away.
    pub async fn in_state(&mut self, state: RequestState) -> Vec<Request> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListRequestsRequest {
                states: vec![state.into()],
                page_size: 500,
                page_token: page_token.clone(),
            };
            let page = until("a list of requests", async || {
                self.0.list_requests(request.clone()).await
            })
            .await
            .into_inner();
            all.extend(page.requests);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }

    /// What is pending.
    pub async fn pending(&mut self) -> Vec<Request> {
        self.in_state(RequestState::Pending).await
    }

    /// Waits until `count` requests are pending, newest first.
    pub async fn wait_for_pending(&mut self, count: usize) -> Vec<Request> {
        until("pending requests", async || {
            let pending = self.pending().await;
            if pending.len() == count {
                Ok(pending)
            } else {
                Err(format!("{} pending, {count} expected", pending.len()))
            }
        })
        .await
    }

    /// Waits until exactly one request is pending.
    pub async fn wait_for_one(&mut self) -> Request {
        self.wait_for_pending(1).await.remove(0)
    }

    /// The request `id` as it stands.
    pub async fn get(&mut self, id: &str) -> Request {
        until("a request", async || {
            let request = GetRequestRequest { id: id.to_owned() };
            self.0.get_request(request).await
        })
        .await
        .into_inner()
        .request
        .unwrap()
    }

    /// Waits until the request `id` is what `wanted` says.
    pub async fn wait_for(&mut self, id: &str, wanted: impl Fn(&Request) -> bool) -> Request {
        until("the request's state", async || {
            let request = self.get(id).await;
            if wanted(&request) {
                Ok(request)
            } else {
                Err((
                    request.state(),
                    request.outcome(),
                    request.outcome_detail.clone(),
                ))
            }
        })
        .await
    }

    /// Decides what was shown as `request`.
    pub async fn decide(&mut self, request: &Request, verdict: Verdict) -> Result<Request, Status> {
        let decide = DecideRequest {
            id: request.id.clone(),
            verdict: verdict.into(),
            reason: "seen and judged".to_owned(),
            digest: request.digest.clone(),
            ..DecideRequest::default()
        };
        let response = within("a decision", self.0.decide(decide)).await?;
        Ok(response.into_inner().request.unwrap())
    }

    /// Approves what was shown as `request`, and the same operation again.
    pub async fn grant(
        &mut self,
        request: &Request,
        scope: GrantScope,
        ttl_seconds: i64,
        max_uses: u32,
    ) -> Request {
        let decide = DecideRequest {
            id: request.id.clone(),
            verdict: Verdict::Approve.into(),
            reason: "seen and judged".to_owned(),
            digest: request.digest.clone(),
            grant: Some(Grant {
                scope: scope.into(),
                ttl: Some(prost_types::Duration {
                    seconds: ttl_seconds,
                    nanos: 0,
                }),
                max_uses,
                ..Grant::default()
            }),
            ..DecideRequest::default()
        };
        let response = within("a decision", self.0.decide(decide)).await.unwrap();
        response.into_inner().request.unwrap()
    }

    /// Takes the grant `id` back.
    pub async fn revoke(&mut self, id: &str) {
        let request = RevokeGrantRequest {
            id: id.to_owned(),
            reason: "no longer".to_owned(),
        };
        within("a revocation", self.0.revoke_grant(request))
            .await
            .unwrap();
    }

    /// Flags what was shown as `request`.
    pub async fn flag(&mut self, request: &Request) {
        self.decide(request, Verdict::Flag).await.unwrap();
    }

    /// Approves what was shown as `request`.
    pub async fn approve(&mut self, request: &Request) {
        self.decide(request, Verdict::Approve).await.unwrap();
    }

    /// Denies what was shown as `request`.
    pub async fn deny(&mut self, request: &Request) {
        self.decide(request, Verdict::Deny).await.unwrap();
    }
}
