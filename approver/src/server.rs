//! The running service: binds, serves, ends in bounded time.
//!
//! The order of starting is the order of what can go wrong for the operator:
//! configuration (already read), state directory, database, keys, port. Nothing
//! listens before everything else stands.

mod incoming;
mod tasks;

use std::{future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use holdpoint_history::{History, HistoryError};
use tokio::{net::TcpListener, time};
use tokio_rustls::rustls::ServerConfig;
use tonic::transport::{Certificate, Identity, Server as Transport, ServerTlsConfig};

use crate::{
    ca::{self, AuthorityFileError, IssueError},
    config::{self, Config, Tls},
    connection::Open,
    domain::audit::AuditRecord,
    error_chain::error_chain,
    grpc, http,
    log::{self, Log, LogError},
    metrics::Metrics,
    service::{Approver, expiry, keeping, now},
    signer::{Signer, SignerError},
    state_dir::{Claim, StateDir, StateDirError},
    store::{Store, StoreError},
};
use tasks::Tasks;

/// Folder of the Parquet files in the state directory.
const HISTORY: &str = "history";

/// The task that serves browsers.
const WEB: &str = "web";
/// The task that takes records into the log.
const LOG: &str = "log";

/// How long open streams may take to end.
const GRACE: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it still lives, and how long
/// it may take to answer: a host that vanished is noticed after both.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// A server that is bound and not serving yet.
#[derive(Debug)]
pub struct Server {
    approver: Arc<Approver>,
    log: Arc<Log>,
    listener: TcpListener,
    address: SocketAddr,
    tls: ServerTlsConfig,
    web: Web,
    monitor: Option<(TcpListener, SocketAddr)>,
    state_dir: PathBuf,
    /// Keeps a second server off the state directory.
    claim: Claim,
}

/// The listener of browsers, bound and not serving yet.
#[derive(Debug)]
struct Web {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    app: Router,
    config: config::Web,
}

/// Why the server can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory can't be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The database can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no CA.
    #[error(transparent)]
    Authority(#[from] AuthorityFileError),
    /// There is no key to sign decisions.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// There is no server certificate.
    #[error("cannot make the server's certificate")]
    Issue(#[from] IssueError),
    /// The log can't go on.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The history can't be used.
    #[error("cannot open the history of events")]
    History(#[from] HistoryError),
    /// The server certificate is no good for browsers.
    #[error(transparent)]
    Tls(#[from] http::TlsError),
    /// There are no metrics.
    #[error("cannot set up the metrics")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// The description of the API is no JSON.
    #[error("cannot describe the API")]
    Document(#[from] serde_json::Error),
    /// A port can't be had.
    #[error("cannot listen on {address}{}", mend(source, key))]
    Listen {
        /// The address of the configuration.
        address: SocketAddr,
        /// Where the configuration says it.
        key: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Why the server stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// TLS or HTTP/2 failed as a whole.
    #[error("the server failed")]
    Transport(#[from] tonic::transport::Error),
    /// The start can't be recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part that must always run does not.
    #[error(
        "the task {0:?} ended, without which the approver does not work; what it said is above; \
         start the approver again"
    )]
    Task(&'static str),
}

fn mend(error: &io::Error, key: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "; another program has the port: stop it, or change `{key}` in the configuration"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("; this machine does not have the address: change `{key}` in the configuration")
        }
        io::ErrorKind::PermissionDenied => {
            format!("; this user may not take the port: choose one above 1023 for `{key}`")
        }
        _ => String::new(),
    }
}

/// Takes the port `address`, which the configuration says under `key`.
async fn listen(
    address: SocketAddr,
    key: &'static str,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let refused = |source| StartError::Listen {
        address,
        key,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}

impl Server {
    /// Opens the state directory, making what is missing, and takes the port.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let directory = StateDir::open(&config.state_dir)?;
        let claim = directory.claim()?;
        let store = Store::open(&directory).await?;
        let authority = ca::load_or_create(&directory, now())?;
        let signer = Signer::load_or_create(&directory)?;
        let log = Log::open(&directory, &store).await?;
        let identity = authority.server_identity(config.server_names(), now())?;
        let web_tls = match config.web.tls {
            Tls::Own => Some(http::configure(&identity)?),
            Tls::Off => None,
        };
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(identity.certificate, identity.key))
            .client_ca_root(Certificate::from_pem(authority.certificate()))
            // People and enrolling hosts have none; HostSession insists on one.
            .client_auth_optional(true)
            .timeout(HANDSHAKE_WITHIN);
        let marks = store.event_marks().await?;
        let history = directory.file(HISTORY);
        let history = History::open(&history, marks.kept_below, marks.next_index)?;
        let metrics = if config.metrics.enabled {
            Metrics::on()?
        } else {
            Metrics::off()
        };
        let approver = Approver::new(
            store,
            authority,
            signer,
            &config,
            metrics,
            history,
            Arc::clone(&log),
        );
        let approver = Arc::new(approver);
        let app = http::app(Arc::clone(&approver), config.web)?;
        let (listener, address) = listen(config.listen, "listen").await?;
        let (web_listener, web_address) = listen(config.web.listen, "web.listen").await?;
        let monitor = if config.metrics.enabled {
            Some(listen(config.metrics.listen, "metrics.listen").await?)
        } else {
            None
        };
        Ok(Self {
            approver,
            log,
            listener,
            address,
            tls,
            web: Web {
                listener: web_listener,
                address: web_address,
                tls: web_tls,
                app,
                config: config.web,
            },
            monitor,
            state_dir: config.state_dir,
            claim,
        })
    }

    /// The address it listens on; the real port if the configuration says 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What tells whether it still works.
    pub(crate) fn pulse(&self) -> Pulse {
        Pulse(Arc::clone(&self.approver))
    }

    /// The address of the dashboard and the REST API.
    pub fn web_addr(&self) -> SocketAddr {
        self.web.address
    }

    /// The address of the metrics, if they are served.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.monitor.as_ref().map(|(_, address)| *address)
    }

    /// Serves until `shutdown` is done, and then up to five seconds more.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Self {
            approver,
            log,
            listener,
            address,
            tls,
            web,
            monitor,
            state_dir,
            claim,
        } = self;
        let closing = Arc::clone(&approver);
        let (most, open) = (approver.limits.connections, Open::default());
        let serving = Transport::builder()
            .tls_config(tls)?
            .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
            .http2_keepalive_timeout(Some(KEEPALIVE_WITHIN))
            .add_routes(grpc::routes(&approver, &open))
            .serve_with_incoming_shutdown(incoming::accept(listener, most, open), async move {
                closing.live.closing().await;
            });
        let web_address = web.address;
        let mut tasks = background(&approver, &log, web, monitor);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let started = AuditRecord::Started {
            version: version.clone(),
        };
        approver.record(&started).await?;
        tracing::info!(
            %address,
            web = %web_address,
            state_dir = %state_dir.display(),
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );

        tokio::pin!(serving);
        let served = tokio::select! {
            served = &mut serving => served.map_err(ServeError::from),
            end = end(shutdown, &mut tasks) => {
                tracing::info!("going down");
                approver.live.close();
                let both = async {
                    let (served, ()) = tokio::join!(serving, tasks.end_of(WEB));
                    served
                };
                let served = time::timeout(GRACE, both).await.unwrap_or_else(|_| {
                    tracing::warn!("some connections did not end in time");
                    Ok(())
                });
                end.and(served.map_err(ServeError::from))
            }
        };
        approver.live.close();
        if let Err(error) = approver.record(&AuditRecord::Stopped { version }).await {
            tracing::error!(error = error_chain(&error), "the end was not recorded");
        }
        // Ends by itself, or two would write the log. Then once more, so that the
        // last checkpoint covers the end too.
        let last = async {
            tasks.end_of(LOG).await;
            log.integrate().await
        };
        let last = time::timeout(GRACE, last).await;
        drop(tasks);
        match last {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(
                error = error_chain(&error),
                "the log could not take the last records; they wait in the database"
            ),
            Err(_) => tracing::warn!("the log was still busy at the end; the rest waits"),
        }
        if time::timeout(GRACE, approver.close()).await.is_err() {
            tracing::warn!("the database was still busy at the end");
        }
        drop(claim);
        served
    }
}

/// Waits until it is time to end: when `shutdown` is done, or because a task is.
async fn end(shutdown: impl Future<Output = ()>, tasks: &mut Tasks) -> Result<(), ServeError> {
    tokio::select! {
        () = shutdown => Ok(()),
        name = tasks.ended() => {
            tracing::error!(task = name, "a task ended that must not");
            Err(ServeError::Task(name))
        }
    }
}

/// Starts everything that runs beside gRPC.
fn background(
    approver: &Arc<Approver>,
    log: &Arc<Log>,
    web: Web,
    monitor: Option<(TcpListener, SocketAddr)>,
) -> Tasks {
    let mut tasks = Tasks::default();
    let closing = Arc::clone(approver);
    tasks.spawn(WEB, async move {
        let most = web.config.max_connections.get();
        http::serve(web.listener, web.tls, web.app, most, closing.live.closing()).await;
    });
    if let Some((listener, address)) = monitor {
        tracing::info!(%address, "serving metrics");
        let serving = Arc::clone(approver);
        tasks.spawn("metrics", async move {
            let app = http::monitor::app(Arc::clone(&serving));
            let (most, closing) = (http::monitor::CONNECTIONS_MAX, serving.live.closing());
            http::serve(listener, None, app, most, closing).await;
        });
        tasks.spawn(
            "tidying of metrics",
            http::monitor::tidy(Arc::clone(approver)),
        );
    }
    tasks.spawn("expiry", expiry::run(Arc::clone(approver)));
    tasks.spawn("keeping of events", keeping::run(Arc::clone(approver)));
    let (log, growing) = (Arc::clone(log), Arc::clone(approver));
    tasks.spawn(LOG, async move {
        log::run(log, growing.live.closing()).await;
    });
    tasks
}

/// Whether the approver still works, for the service manager's watchdog.
#[derive(Debug)]
pub(crate) struct Pulse(Arc<Approver>);

/// Why it does not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PulseError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database did not answer within {0:?}")]
    Late(Duration),
}

impl Pulse {
    /// Without the database nothing can be asked or decided.
    pub(crate) async fn beats(&self, within: Duration) -> Result<(), PulseError> {
        match time::timeout(within, self.0.ping()).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(PulseError::Late(within)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_ends_the_server_and_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("lasting", pending());
        end(async {}, &mut tasks).await.unwrap();
        tasks.spawn("expiry", async { panic!("as in this test") });
        let ended = time::timeout(GRACE, end(pending(), &mut tasks)).await;
        let error = ended.unwrap().unwrap_err();
        assert!(matches!(error, ServeError::Task("expiry")), "{error}");
        assert!(error.to_string().contains("\"expiry\" ended"), "{error}");
    }
}
