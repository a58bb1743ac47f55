//! A running approver, and clients to talk to it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use holdpoint_approver::{Admin, Config, Server, config::Web, domain::account::Role};
use holdpoint_proto::{
    decision::signing_bytes,
    digest,
    token::EnrolmentToken,
    v1::{
        ApproverMessage, DecideRequest, Decision, EnrolRequest, EnrolResponse, Exec, Hello,
        HostMessage, LoginRequest, OpenRequest, Operation, Outcome, Process, RejectionCause,
        ReportOutcome, Request, RequestContext, Rule, Session, Withdraw,
        approver_message::Message as Down, enrolment_client::EnrolmentClient,
        host_message::Message as Up, host_session_client::HostSessionClient, operation::Kind,
        reviews_client::ReviewsClient,
    },
};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use uuid::Uuid;

/// Longest time anything in a test may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A running approver. Has the accounts ada (viewer), bob and eve (reviewers).
pub(crate) struct Approver {
    pub(crate) config: Config,
    pub(crate) admin: Admin,
    pub(crate) ca: String,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
    _directory: TempDir,
}

impl Approver {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            web: Web {
                listen: "127.0.0.1:0".parse().unwrap(),
                ..Web::default()
            },
            state_dir: directory.path().join("state"),
            ..Config::default()
        };
        change(&mut config);
        let (places, stop, serving) = serve(config.clone()).await;
        config.listen = places.grpc;
        config.web.listen = places.web;
        config.metrics.listen = places.metrics.unwrap_or(config.metrics.listen);
        config.address = config.address.with_port(places.grpc.port());
        let admin = Admin::open(&config).await.unwrap();
        for (name, role) in [
            ("ada", Role::Viewer),
            ("bob", Role::Reviewer),
            ("eve", Role::Reviewer),
        ] {
            admin
                .add_user(&name.parse().unwrap(), role, PASSWORD)
                .await
                .unwrap();
        }
        let ca = std::fs::read_to_string(config.state_dir.join("ca.pem")).unwrap();
        Self {
            config,
            admin,
            ca,
            stop: Some(stop),
            serving: Some(serving),
            _directory: directory,
        }
    }

    /// Ends the server, as a signal would.
    pub(crate) async fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        within(self.serving.take().unwrap()).await.unwrap();
    }

    /// Starts the server again, on the same port.
    pub(crate) async fn start_again(&mut self) {
        let (_, stop, serving) = serve(self.config.clone()).await;
        (self.stop, self.serving) = (Some(stop), Some(serving));
    }

    /// The program itself, on the state and the port of this one, which must be
    /// stopped.
    pub(crate) fn program(&self) -> Child {
        let config = self.config.state_dir.with_file_name("approver.toml");
        let text = format!(
            "listen = \"{}\"\naddress = \"{}\"\nstate_dir = \"{}\"\n\
             [web]\nlisten = \"127.0.0.1:0\"\n",
            self.config.listen,
            self.config.address,
            self.config.state_dir.display()
        );
        fs::write(&config, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_holdpoint-approver"))
            .arg("--config")
            .arg(&config)
            .arg("serve")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let listening = lines.any(|line| {
            said.push(line);
            said.last().is_some_and(|line| line.contains("listening"))
        });
        assert!(listening, "{said:?}");
        // Read on, or the program would block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        child
    }

    pub(crate) async fn channel(&self) -> Channel {
        connect(&self.config, &self.ca, None).await.unwrap()
    }

    pub(crate) async fn token(&self) -> EnrolmentToken {
        self.admin
            .create_token(Duration::from_mins(1), "test")
            .await
            .unwrap()
    }

    /// Adds an account with the password of all.
    pub(crate) async fn add(&self, name: &str, role: &str) {
        let (name, role) = (name.parse().unwrap(), role.parse().unwrap());
        self.admin.add_user(&name, role, PASSWORD).await.unwrap();
    }

    pub(crate) async fn login(&self, name: &str) -> Person {
        let token = self.bearer_token(name).await;
        self.person(&token).await
    }

    /// The token of a login over gRPC.
    pub(crate) async fn bearer_token(&self, name: &str) -> String {
        let mut client = ReviewsClient::new(self.channel().await);
        let request = LoginRequest {
            username: name.into(),
            password: PASSWORD.into(),
        };
        client.login(request).await.unwrap().into_inner().token
    }

    /// A new login of `name`, for clients of other services.
    pub(crate) async fn bearer(&self, name: &str) -> Bearer {
        let token = self.bearer_token(name).await;
        Bearer(format!("Bearer {token}").parse().unwrap())
    }

    /// A person who calls with `token`.
    pub(crate) async fn person(&self, token: &str) -> Person {
        let bearer = Bearer(format!("Bearer {token}").parse().unwrap());
        ReviewsClient::with_interceptor(self.channel().await, bearer)
            .max_decoding_message_size(16 * 1024 * 1024)
    }

    pub(crate) async fn enrol(&self) -> Host {
        let token = self.token().await;
        let key = KeyPair::generate().unwrap();
        let response = enrol(&self.config, &token, &key).await.unwrap();
        Host {
            id: response.host_id,
            decision_key: response.decision_key,
            certificate: response.certificate,
            key: key.serialize_pem(),
            config: self.config.clone(),
            ca: self.ca.clone(),
        }
    }
}

/// Where a server listens.
struct Places {
    grpc: SocketAddr,
    web: SocketAddr,
    metrics: Option<SocketAddr>,
}

async fn serve(config: Config) -> (Places, oneshot::Sender<()>, JoinHandle<()>) {
    let server = Server::bind(config).await.unwrap();
    let (stop, stopped) = oneshot::channel();
    let places = Places {
        grpc: server.local_addr(),
        web: server.web_addr(),
        metrics: server.metrics_addr(),
    };
    let serving = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        server.serve(stopped).await.unwrap();
    });
    (places, stop, serving)
}

pub(crate) async fn connect(
    config: &Config,
    ca: &str,
    identity: Option<Identity>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(ca))
        .domain_name("localhost");
    if let Some(identity) = identity {
        tls = tls.identity(identity);
    }
    Endpoint::from_shared(format!("https://{}", config.listen))?
        .tls_config(tls)?
        .timeout(PATIENCE)
        .connect()
        .await
}

/// Enrols with `key`, as a new host does.
pub(crate) async fn enrol(
    config: &Config,
    token: &EnrolmentToken,
    key: &KeyPair,
) -> Result<EnrolResponse, Status> {
    let csr = CertificateParams::default().serialize_request(key).unwrap();
    let request = EnrolRequest {
        secret: token.secret.clone(),
        csr: csr.der().to_vec(),
        hostname: "build-7".into(),
    };
    let channel = connect(config, &token.ca, None).await.unwrap();
    Ok(EnrolmentClient::new(channel)
        .enrol(request)
        .await?
        .into_inner())
}

/// A person's client.
pub(crate) type Person = ReviewsClient<InterceptedService<Channel, Bearer>>;

#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// An enrolled host.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) id: String,
    pub(crate) decision_key: Vec<u8>,
    pub(crate) certificate: String,
    pub(crate) key: String,
    config: Config,
    ca: String,
}

impl Host {
    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(&self.certificate, &self.key)
    }

    /// A connection that proves which host this is.
    pub(crate) async fn channel(&self) -> Channel {
        let identity = Some(self.identity());
        connect(&self.config, &self.ca, identity).await.unwrap()
    }

    /// Opens the session stream and says Hello.
    pub(crate) async fn connect(&self) -> Stream {
        self.try_connect().await.unwrap()
    }

    pub(crate) async fn try_connect(&self) -> Result<Stream, Status> {
        self.greet(hello(&[])).await
    }

    /// Opens the session stream and says `hello`.
    pub(crate) async fn greet(&self, hello: Hello) -> Result<Stream, Status> {
        let channel = connect(&self.config, &self.ca, Some(self.identity())).await;
        let channel = channel.map_err(|error| Status::unknown(error.to_string()))?;
        let mut stream = raw_stream(channel).await?;
        stream.send(Up::Hello(hello)).await;
        match stream.next().await? {
            Down::Welcome(welcome) => assert_eq!(welcome.host_id, self.id),
            other => panic!("{other:?}"),
        }
        Ok(stream)
    }
}

/// What a host says first that honours `grants`.
pub(crate) fn hello(grants: &[&str]) -> Hello {
    Hello {
        hostname: "build-7".into(),
        enforcing: true,
        grant_ids: grants.iter().map(|id| (*id).to_owned()).collect(),
        ..Hello::default()
    }
}

/// Checks that `host` would believe `decision`.
#[track_caller]
pub(crate) fn verify(host: &Host, decision: &Decision) {
    UnparsedPublicKey::new(&ED25519, &host.decision_key)
        .verify(&signing_bytes(decision), &decision.signature)
        .expect("the signature is valid");
}

/// A stream on which nothing was said yet.
pub(crate) async fn raw_stream(channel: Channel) -> Result<Stream, Status> {
    let (up, messages) = mpsc::channel(8);
    let down = HostSessionClient::new(channel)
        .max_decoding_message_size(16 * 1024 * 1024)
        .connect(ReceiverStream::new(messages))
        .await?
        .into_inner();
    Ok(Stream { up, down })
}

/// A host's session stream.
pub(crate) struct Stream {
    up: mpsc::Sender<HostMessage>,
    down: Streaming<ApproverMessage>,
}

impl Stream {
    pub(crate) async fn send(&self, message: Up) {
        let message = HostMessage {
            message: Some(message),
        };
        self.up.send(message).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Result<Down, Status> {
        match within(self.down.message()).await? {
            Some(message) => Ok(message.message.unwrap()),
            None => Err(Status::cancelled("ended")),
        }
    }

    /// Why the approver ended the stream.
    pub(crate) async fn end(&mut self) -> Status {
        loop {
            if let Err(status) = self.next().await {
                return status;
            }
        }
    }

    pub(crate) async fn open(&mut self, request: &OpenRequest) -> Result<(), String> {
        self.send(Up::Open(request.clone())).await;
        match self.next().await.unwrap() {
            Down::Accepted(accepted) => {
                assert_eq!(accepted.request_id, request.request_id);
                Ok(())
            }
            Down::Rejected(rejected) => {
                assert_eq!(rejected.request_id, request.request_id);
                Err(rejected.reason)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn decision(&mut self) -> Decision {
        match self.next().await.unwrap() {
            Down::Decision(decision) => decision,
            other => panic!("{other:?}"),
        }
    }

    /// The grant that the host must not honour any more.
    pub(crate) async fn revoked(&mut self) -> String {
        match self.next().await.unwrap() {
            Down::Revoke(revoke) => revoke.grant_id,
            other => panic!("{other:?}"),
        }
    }

    /// The request that is rejected because its operation is flagged, and why.
    pub(crate) async fn flagged(&mut self) -> (String, String) {
        match self.next().await.unwrap() {
            Down::Rejected(rejected) if rejected.cause() == RejectionCause::Flagged => {
                (rejected.request_id, rejected.reason)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn withdraw(&mut self, id: &str, reason: &str) {
        self.send(Up::Withdraw(Withdraw {
            request_id: id.into(),
            reason: reason.into(),
        }))
        .await;
        self.acknowledged(id).await;
    }

    pub(crate) async fn report(&mut self, id: &str, outcome: Outcome, expired: bool) {
        self.send(Up::Outcome(ReportOutcome {
            request_id: id.into(),
            outcome: outcome.into(),
            detail: String::new(),
            expired,
        }))
        .await;
        self.acknowledged(id).await;
    }

    async fn acknowledged(&mut self, id: &str) {
        match self.next().await.unwrap() {
            Down::Acknowledged(acknowledged) => assert_eq!(acknowledged.request_id, id),
            other => panic!("{other:?}"),
        }
    }
}

/// Waits, but not for ever.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("took too long")
}

/// What `curl` of a session of `owner` might ask, with time left.
pub(crate) fn request_of(owner: &str, time_left: Duration) -> OpenRequest {
    let context = RequestContext {
        operation: Some(Operation {
            kind: Some(Kind::Exec(Exec {
                path: b"/usr/bin/curl".to_vec(),
                argv: vec![
                    b"curl".to_vec(),
                    b"--upload-file".to_vec(),
                    vec![0xff, 0xfe],
                ],
                ..Exec::default()
            })),
        }),
        process: Some(Process::default()),
        ancestry: vec![Process::default()],
        session: Some(Session {
            id: "00000000000000ab".into(),
            profile: "demo".into(),
            owner: owner.into(),
            uid: 1000,
            user: "agent".into(),
        }),
        rule: Some(Rule {
            name: "upload".into(),
            justification: "data leaves the machine".into(),
            ..Rule::default()
        }),
    };
    OpenRequest {
        request_id: Uuid::new_v8(rand_bytes()).to_string(),
        digest: digest::of(&context).to_vec(),
        context: Some(context),
        held_at: None,
        time_left: Some(prost_types::Duration::try_from(time_left).unwrap()),
    }
}

pub(crate) fn request() -> OpenRequest {
    request_of("ada", Duration::from_mins(1))
}

/// [`request`], about something else.
pub(crate) fn changed(change: impl FnOnce(&mut RequestContext)) -> OpenRequest {
    let mut request = request();
    let context = request.context.as_mut().unwrap();
    change(context);
    request.digest = digest::of(context).to_vec();
    request
}

fn rand_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// The request as a reviewer sees it.
pub(crate) async fn show(person: &mut Person, id: &str) -> Request {
    use holdpoint_proto::v1::GetRequestRequest;
    let request = GetRequestRequest { id: id.into() };
    person
        .get_request(request)
        .await
        .unwrap()
        .into_inner()
        .request
        .unwrap()
}

/// Decides as a reviewer does who was shown the request.
pub(crate) async fn decide(
    person: &mut Person,
    request: &OpenRequest,
    verdict: holdpoint_proto::v1::Verdict,
) -> Result<Request, Status> {
    say(person, decision_of(request, verdict)).await
}

/// What a reviewer says who was shown `request`.
pub(crate) fn decision_of(
    request: &OpenRequest,
    verdict: holdpoint_proto::v1::Verdict,
) -> DecideRequest {
    DecideRequest {
        id: request.request_id.clone(),
        verdict: verdict.into(),
        reason: "I know this upload".into(),
        digest: request.digest.clone(),
        ..DecideRequest::default()
    }
}

pub(crate) async fn say(person: &mut Person, decide: DecideRequest) -> Result<Request, Status> {
    Ok(person.decide(decide).await?.into_inner().request.unwrap())
}

#[track_caller]
pub(crate) fn assert_status<T: std::fmt::Debug>(
    result: Result<T, Status>,
    code: Code,
    message: &str,
) {
    let status = result.unwrap_err();
    assert_eq!(status.code(), code, "{status:?}");
    assert!(
        status.message().contains(message),
        "{:?} lacks {message:?}",
        status.message()
    );
}
