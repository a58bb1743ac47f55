//! A small approver: real transport, simple rules, requests that tests put in.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

use super::log::{AuditService, FakeLog};
use holdpoint_proto::{
    digest,
    v1::{
        DecideRequest, DecideResponse, Decision, Exec, GetRequestRequest, GetRequestResponse,
        LiftFlagRequest, LiftFlagResponse, ListFlagsRequest, ListFlagsResponse, ListGrantsRequest,
        ListGrantsResponse, ListRequestsRequest, ListRequestsResponse, LoginRequest, LoginResponse,
        LogoutRequest, LogoutResponse, Operation, Process, Request, RequestContext, RequestState,
        RevokeGrantRequest, RevokeGrantResponse, Session, Verdict, WatchRequestsRequest,
        WatchRequestsResponse, WhoAmIRequest, WhoAmIResponse,
        audit_server::AuditServer,
        operation::Kind,
        reviews_server::{Reviews, ReviewsServer},
    },
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{runtime::Runtime, sync::oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Response, Status,
    transport::{Identity, Server, ServerTlsConfig},
};

/// Year 2100.
const EXPIRY: i64 = 4_102_444_800;

pub(crate) struct FakeApprover {
    pub(crate) port: u16,
    /// PEM.
    pub(crate) ca: String,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
pub(crate) struct State {
    requests: Mutex<Vec<Request>>,
    ended: Mutex<Vec<String>>,
    pub(crate) log: Mutex<Option<FakeLog>>,
}

impl FakeApprover {
    pub(crate) fn start() -> Self {
        let (ca, identity) = certificates();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let service = Service(Arc::clone(&state));
        let thread = thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let server = Server::builder()
                    .tls_config(ServerTlsConfig::new().identity(identity))
                    .unwrap()
                    .add_service(AuditServer::new(AuditService(Arc::clone(&service.0))))
                    .add_service(ReviewsServer::new(service))
                    .serve_with_incoming(TcpListenerStream::new(listener));
                tokio::select! {
                    ended = server => ended.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self {
            port,
            ca,
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.state.requests.lock().unwrap()
    }

    /// The log it keeps from now on.
    pub(crate) fn keep_log(&self, log: FakeLog) {
        *self.state.log.lock().unwrap() = Some(log);
    }

    /// From now on nobody is logged in as `user`.
    pub(crate) fn end_login(&self, user: &str) {
        self.state.ended.lock().unwrap().push(user.to_owned());
    }

    pub(crate) fn has_ended(&self, user: &str) -> bool {
        self.state
            .ended
            .lock()
            .unwrap()
            .iter()
            .any(|one| one == user)
    }
}

impl Drop for FakeApprover {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn certificates() -> (String, Identity) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &Issuer::new(ca, ca_key))
        .unwrap();
    (
        ca_pem,
        Identity::from_pem(server.pem(), key.serialize_pem()),
    )
}

/// A pending exec of a session of ada's.
pub(crate) fn pending(id: &str, argv: &[&[u8]]) -> Request {
    let context = RequestContext {
        operation: Some(Operation {
            kind: Some(Kind::Exec(Exec {
                path: b"/usr/bin/curl".to_vec(),
                argv: argv.iter().map(|argument| argument.to_vec()).collect(),
                path_is_hosts: true,
                ..Exec::default()
            })),
        }),
        process: Some(Process::default()),
        session: Some(Session {
            id: "00000000000000a1".into(),
            owner: "ada".into(),
            ..Session::default()
        }),
        ..RequestContext::default()
    };
    Request {
        id: id.into(),
        digest: digest::of(&context).to_vec(),
        context: Some(context),
        hostname: "build-1".into(),
        deadline: Some(expiry()),
        state: RequestState::Pending.into(),
        ..Request::default()
    }
}

struct Service(Arc<State>);

impl Service {
    fn user<T>(&self, request: &tonic::Request<T>) -> Result<String, Status> {
        let header = request.metadata().get("authorization");
        let user = header
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer token-of-"))
            .ok_or_else(|| Status::unauthenticated("no login"))?;
        if self.0.ended.lock().unwrap().iter().any(|one| one == user) {
            return Err(Status::unauthenticated("ended"));
        }
        Ok(user.to_owned())
    }

    fn list(&self) -> MutexGuard<'_, Vec<Request>> {
        self.0.requests.lock().unwrap()
    }
}

fn expiry() -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: EXPIRY,
        nanos: 0,
    }
}

#[tonic::async_trait]
impl Reviews for Service {
    type WatchRequestsStream =
        tokio_stream::Iter<std::vec::IntoIter<Result<WatchRequestsResponse, Status>>>;

    async fn login(
        &self,
        request: tonic::Request<LoginRequest>,
    ) -> Result<Response<LoginResponse>, Status> {
        let LoginRequest { username, password } = request.into_inner();
        if password != "secret" {
            return Err(Status::unauthenticated("wrong"));
        }
        Ok(Response::new(LoginResponse {
            token: format!("token-of-{username}"),
            expires_at: Some(expiry()),
        }))
    }

    async fn logout(
        &self,
        request: tonic::Request<LogoutRequest>,
    ) -> Result<Response<LogoutResponse>, Status> {
        let user = self.user(&request)?;
        self.0.ended.lock().unwrap().push(user);
        Ok(Response::new(LogoutResponse {}))
    }

    async fn who_am_i(
        &self,
        request: tonic::Request<WhoAmIRequest>,
    ) -> Result<Response<WhoAmIResponse>, Status> {
        Ok(Response::new(WhoAmIResponse {
            username: self.user(&request)?,
            role: "reviewer".into(),
            expires_at: Some(expiry()),
        }))
    }

    async fn list_requests(
        &self,
        request: tonic::Request<ListRequestsRequest>,
    ) -> Result<Response<ListRequestsResponse>, Status> {
        self.user(&request)?;
        let query = request.into_inner();
        let start: usize = query.page_token.parse().unwrap_or(0);
        // Smaller pages than asked for, so that there is more than one.
        let size = usize::try_from(query.page_size).unwrap().min(7);
        let all = self.list();
        let wanted: Vec<&Request> = all
            .iter()
            .filter(|one| query.states.is_empty() || query.states.contains(&one.state))
            .collect();
        let page = wanted.iter().skip(start).take(size);
        let next = start + size;
        Ok(Response::new(ListRequestsResponse {
            requests: page.map(|one| (*one).clone()).collect(),
            next_page_token: if next < wanted.len() {
                next.to_string()
            } else {
                String::new()
            },
        }))
    }

    async fn get_request(
        &self,
        request: tonic::Request<GetRequestRequest>,
    ) -> Result<Response<GetRequestResponse>, Status> {
        self.user(&request)?;
        let id = request.into_inner().id;
        if id.len() < 4 {
            return Err(Status::invalid_argument("give 4 or more digits of the id"));
        }
        let list = self.list();
        let mut found = list.iter().filter(|one| one.id.starts_with(&id));
        match (found.next(), found.next()) {
            (Some(request), None) => Ok(Response::new(GetRequestResponse {
                request: Some(request.clone()),
            })),
            (None, _) => Err(Status::not_found("no such request")),
            _ => Err(Status::invalid_argument("several requests begin so")),
        }
    }

    async fn watch_requests(
        &self,
        request: tonic::Request<WatchRequestsRequest>,
    ) -> Result<Response<Self::WatchRequestsStream>, Status> {
        self.user(&request)?;
        let changes: Vec<_> = self
            .list()
            .iter()
            .map(|request| {
                Ok(WatchRequestsResponse {
                    request: Some(request.clone()),
                })
            })
            .collect();
        Ok(Response::new(tokio_stream::iter(changes)))
    }

    async fn decide(
        &self,
        request: tonic::Request<DecideRequest>,
    ) -> Result<Response<DecideResponse>, Status> {
        let user = self.user(&request)?;
        let decision = request.into_inner();
        let mut list = self.list();
        let one = list
            .iter_mut()
            .find(|one| one.id == decision.id)
            .ok_or_else(|| Status::not_found("no such request"))?;
        let owner = |request: &Request| -> Option<String> {
            Some(request.context.as_ref()?.session.as_ref()?.owner.clone())
        };
        if user == "vera" {
            return Err(Status::permission_denied(
                "vera is a viewer, not a reviewer",
            ));
        }
        if owner(one).as_deref() == Some(user.as_str()) {
            return Err(Status::permission_denied("no one decides for themselves"));
        }
        if decision.reason == "too late" {
            // Somebody else is faster, between the look and the decision.
            one.state = RequestState::Denied.into();
            one.decision = Some(Decision {
                reviewer: "carol".into(),
                reason: "faster".into(),
                verdict: Verdict::Deny.into(),
                ..Decision::default()
            });
        }
        if decision.reason == "broken" {
            return Err(Status::new(Code::Internal, "disk full\u{1b}[2J"));
        }
        if one.state() != RequestState::Pending || one.digest != decision.digest {
            return Err(Status::failed_precondition(
                "not pending, or another digest",
            ));
        }
        one.state = match decision.verdict() {
            Verdict::Approve => RequestState::Approved,
            _ => RequestState::Denied,
        }
        .into();
        one.decision = Some(Decision {
            verdict: decision.verdict,
            reviewer: user,
            reason: decision.reason,
            digest: decision.digest,
            ..Decision::default()
        });
        Ok(Response::new(DecideResponse {
            request: Some(one.clone()),
        }))
    }

    async fn list_grants(
        &self,
        _request: tonic::Request<ListGrantsRequest>,
    ) -> Result<Response<ListGrantsResponse>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn revoke_grant(
        &self,
        _request: tonic::Request<RevokeGrantRequest>,
    ) -> Result<Response<RevokeGrantResponse>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn list_flags(
        &self,
        _request: tonic::Request<ListFlagsRequest>,
    ) -> Result<Response<ListFlagsResponse>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn lift_flag(
        &self,
        _request: tonic::Request<LiftFlagRequest>,
    ) -> Result<Response<LiftFlagResponse>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }
}
