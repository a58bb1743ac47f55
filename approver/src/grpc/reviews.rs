//! `Reviews`: people's tools, known by a bearer token.

pub(super) mod caller;

use std::{sync::Arc, time::Duration};

use holdpoint_proto::v1::{
    DecideRequest, DecideResponse, GetRequestRequest, GetRequestResponse, LiftFlagRequest,
    LiftFlagResponse, ListFlagsRequest, ListFlagsResponse, ListGrantsRequest, ListGrantsResponse,
    ListRequestsRequest, ListRequestsResponse, LoginRequest, LoginResponse, LogoutRequest,
    LogoutResponse, RevokeGrantRequest, RevokeGrantResponse, WatchRequestsRequest,
    WatchRequestsResponse, WhoAmIRequest, WhoAmIResponse, reviews_server::Reviews,
};
use tokio::{
    sync::mpsc,
    time::{self, MissedTickBehavior},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    convert::{self, page_token_in, page_token_out, states_in, verdict_in, wish_in},
    patience,
};
use crate::{
    domain::account::Via,
    live::Seats,
    service::{Approver, decide::Answer, watch::Watch},
    store::requests::Filter,
};

/// How often a watcher's login is checked.
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// Requests that may wait for a slow watcher; the rest stays in the store.
const BUFFER: usize = 16;

#[derive(Debug)]
pub(super) struct Service {
    approver: Arc<Approver>,
    seats: Arc<Seats>,
}

impl Service {
    pub(super) fn new(approver: Arc<Approver>, seats: Arc<Seats>) -> Self {
        Self { approver, seats }
    }
}

#[tonic::async_trait]
impl Reviews for Service {
    async fn login(
        &self,
        request: Request<LoginRequest>,
    ) -> Result<Response<LoginResponse>, Status> {
        let from = request.remote_addr().map(|peer| peer.ip());
        let LoginRequest { username, password } = request.into_inner();
        let (token, expires_at) = self
            .approver
            .log_in(&username, password, Via::Token, from)
            .await?;
        Ok(Response::new(LoginResponse {
            token: token.reveal().to_owned(),
            expires_at: Some(expires_at.into()),
        }))
    }

    async fn logout(
        &self,
        request: Request<LogoutRequest>,
    ) -> Result<Response<LogoutResponse>, Status> {
        let token = caller::token(&request)?;
        let login = caller::of(&self.approver, token).await?;
        self.approver.log_out(&login, token).await?;
        Ok(Response::new(LogoutResponse {}))
    }

    async fn who_am_i(
        &self,
        request: Request<WhoAmIRequest>,
    ) -> Result<Response<WhoAmIResponse>, Status> {
        let login = caller::of(&self.approver, caller::token(&request)?).await?;
        Ok(Response::new(WhoAmIResponse {
            username: login.username.to_string(),
            role: login.role.to_string(),
            expires_at: Some(login.expires_at.into()),
        }))
    }

    async fn list_requests(
        &self,
        request: Request<ListRequestsRequest>,
    ) -> Result<Response<ListRequestsResponse>, Status> {
        caller::of(&self.approver, caller::token(&request)?).await?;
        let request = request.into_inner();
        let filter = Filter {
            states: states_in(&request.states)?,
            ..Filter::default()
        };
        let before = page_token_in(&request.page_token)?;
        let page = self
            .approver
            .list(&filter, before, request.page_size)
            .await?;
        let last = page
            .requests
            .last()
            .filter(|_| page.more)
            .map(|request| request.seq);
        Ok(Response::new(ListRequestsResponse {
            requests: page.requests.into_iter().map(convert::request).collect(),
            next_page_token: last.map(page_token_out).unwrap_or_default(),
        }))
    }

    async fn get_request(
        &self,
        request: Request<GetRequestRequest>,
    ) -> Result<Response<GetRequestResponse>, Status> {
        caller::of(&self.approver, caller::token(&request)?).await?;
        let found = self.approver.find(&request.get_ref().id).await?;
        Ok(Response::new(GetRequestResponse {
            request: Some(convert::request(found)),
        }))
    }

    type WatchRequestsStream = ReceiverStream<Result<WatchRequestsResponse, Status>>;

    async fn watch_requests(
        &self,
        request: Request<WatchRequestsRequest>,
    ) -> Result<Response<Self::WatchRequestsStream>, Status> {
        let token = caller::token(&request)?.to_owned();
        let login = caller::of(&self.approver, &token).await?;
        let seat = self.seats.take(&login.username)?;
        let watch = Watch::begin(Arc::clone(&self.approver)).await?;
        let (responses, stream) = mpsc::channel(BUFFER);
        let approver = Arc::clone(&self.approver);
        tokio::spawn(async move {
            if let Err(status) = run_watch(&approver, &token, watch, &responses).await {
                patience::end(&responses, status).await;
            }
            drop(seat);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn decide(
        &self,
        request: Request<DecideRequest>,
    ) -> Result<Response<DecideResponse>, Status> {
        let login = caller::of(&self.approver, caller::token(&request)?).await?;
        let request = request.into_inner();
        let answer = Answer {
            verdict: verdict_in(request.verdict())?,
            reason: request.reason,
            digest_shown: request.digest,
            grant: wish_in(request.grant)?,
            idempotency_key: Some(request.idempotency_key).filter(|key| !key.is_empty()),
        };
        let id = request.id;
        let approver = Arc::clone(&self.approver);
        // A task of its own: a reviewer who hangs up between the stored decision
        // and telling the host of it must not keep the host waiting.
        let decided = tokio::spawn(async move { approver.decide(&login, &id, &answer).await });
        let decided = decided
            .await
            .map_err(|_| Status::internal("the approver failed while it decided"))?;
        Ok(Response::new(DecideResponse {
            request: Some(convert::request(decided?)),
        }))
    }

    async fn list_grants(
        &self,
        request: Request<ListGrantsRequest>,
    ) -> Result<Response<ListGrantsResponse>, Status> {
        caller::of(&self.approver, caller::token(&request)?).await?;
        let request = request.into_inner();
        let before = page_token_in(&request.page_token)?;
        let page = self
            .approver
            .grants(request.active_only, before, request.page_size)
            .await?;
        let last = page.grants.last().filter(|_| page.more);
        let last = last.map(|grant| grant.seq);
        Ok(Response::new(ListGrantsResponse {
            grants: page.grants.into_iter().map(convert::issued).collect(),
            next_page_token: last.map(page_token_out).unwrap_or_default(),
        }))
    }

    async fn revoke_grant(
        &self,
        request: Request<RevokeGrantRequest>,
    ) -> Result<Response<RevokeGrantResponse>, Status> {
        let login = caller::of(&self.approver, caller::token(&request)?).await?;
        let RevokeGrantRequest { id, reason } = request.into_inner();
        let approver = Arc::clone(&self.approver);
        // A task of its own, as with decisions.
        let revoked =
            tokio::spawn(async move { approver.revoke_grant(&login, &id, &reason).await });
        let revoked = revoked
            .await
            .map_err(|_| Status::internal("the approver failed while it revoked"))?;
        Ok(Response::new(RevokeGrantResponse {
            grant: Some(convert::issued(revoked?)),
        }))
    }

    async fn list_flags(
        &self,
        request: Request<ListFlagsRequest>,
    ) -> Result<Response<ListFlagsResponse>, Status> {
        caller::of(&self.approver, caller::token(&request)?).await?;
        let request = request.into_inner();
        let before = page_token_in(&request.page_token)?;
        let page = self.approver.flags(before, request.page_size).await?;
        let last = page.flags.last().filter(|_| page.more);
        let last = last.map(|flag| flag.seq);
        Ok(Response::new(ListFlagsResponse {
            flags: page.flags.into_iter().map(convert::flag).collect(),
            next_page_token: last.map(page_token_out).unwrap_or_default(),
        }))
    }

    async fn lift_flag(
        &self,
        request: Request<LiftFlagRequest>,
    ) -> Result<Response<LiftFlagResponse>, Status> {
        let login = caller::of(&self.approver, caller::token(&request)?).await?;
        let LiftFlagRequest {
            operation_digest,
            reason,
        } = request.into_inner();
        self.approver
            .lift_flag(&login, &operation_digest, &reason)
            .await?;
        Ok(Response::new(LiftFlagResponse {}))
    }
}

/// Shows one watcher what happens until it hangs up or its login ends.
async fn run_watch(
    approver: &Approver,
    token: &str,
    mut watch: Watch,
    responses: &patience::Stream<WatchRequestsResponse>,
) -> Result<(), Status> {
    let mut check = time::interval(CHECK_EVERY);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            requests = watch.next() => {
                for request in requests? {
                    let response = WatchRequestsResponse {
                        request: Some(convert::request(request)),
                    };
                    patience::send(responses, response).await?;
                }
            }
            _ = check.tick() => {
                caller::of(approver, token).await?;
            }
            () = responses.closed() => return Ok(()),
            () = approver.live.closing() => {
                return Err(Status::unavailable("the approver is going down; connect again"));
            }
        }
    }
}
