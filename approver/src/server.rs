//! The running service: binds, serves, ends in bounded time.
//!
//! The order of starting is the order of what can go wrong for the operator:
//! configuration (already read), state directory, database, keys, port. Nothing
//! listens before everything else stands.

mod incoming;

use std::{future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle, time};
use tonic::transport::{Certificate, Identity, Server as Transport, ServerTlsConfig};

use crate::{
    ca::{self, AuthorityFileError, IssueError},
    config::Config,
    grpc,
    service::{Approver, expiry, now},
    signer::{Signer, SignerError},
    state_dir::{Claim, StateDir, StateDirError},
    store::{Store, StoreError},
};

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
    listener: TcpListener,
    address: SocketAddr,
    tls: ServerTlsConfig,
    state_dir: PathBuf,
    /// Keeps a second server off the state directory.
    claim: Claim,
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
    /// The port can't be had.
    #[error("cannot listen on {address}{}", mend(source))]
    Listen {
        /// The address of the configuration.
        address: SocketAddr,
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
}

fn mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program has the port: stop it, or change `listen` in the configuration"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; this machine does not have the address: change `listen` in the configuration"
        }
        io::ErrorKind::PermissionDenied => {
            "; this user may not take the port: choose one above 1023 for `listen`"
        }
        _ => "",
    }
}

impl Server {
    /// Opens the state directory, making what is missing, and takes the port.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let directory = StateDir::open(&config.state_dir)?;
        let claim = directory.claim()?;
        let store = Store::open(&directory).await?;
        let authority = ca::load_or_create(&directory, now())?;
        let signer = Signer::load_or_create(&directory)?;
        let identity = authority.server_identity(config.server_names(), now())?;
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(identity.certificate, identity.key))
            .client_ca_root(Certificate::from_pem(authority.certificate()))
            // People and enrolling hosts have none; HostSession insists on one.
            .client_auth_optional(true)
            .timeout(HANDSHAKE_WITHIN);
        let listen = |source| StartError::Listen {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self {
            approver: Arc::new(Approver::new(store, authority, signer, config.limits)),
            listener,
            address,
            tls,
            state_dir: config.state_dir,
            claim,
        })
    }

    /// The address it listens on; the real port if the configuration says 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is done, and then up to five seconds more.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Self {
            approver,
            listener,
            address,
            tls,
            state_dir,
            claim,
        } = self;
        let closing = Arc::clone(&approver);
        let serving = Transport::builder()
            .tls_config(tls)?
            .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
            .http2_keepalive_timeout(Some(KEEPALIVE_WITHIN))
            .add_routes(grpc::routes(&approver))
            .serve_with_incoming_shutdown(incoming::accept(listener), async move {
                closing.live.closing().await;
            });
        let expiry = Owned(tokio::spawn(expiry::run(Arc::clone(&approver))));
        tracing::info!(
            %address,
            state_dir = %state_dir.display(),
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );

        tokio::pin!(serving);
        let served = tokio::select! {
            served = &mut serving => served,
            () = shutdown => {
                tracing::info!("going down");
                approver.live.close();
                time::timeout(GRACE, serving).await.unwrap_or_else(|_| {
                    tracing::warn!("some connections did not end in time");
                    Ok(())
                })
            }
        };
        drop(expiry);
        if time::timeout(GRACE, approver.close()).await.is_err() {
            tracing::warn!("the database was still busy at the end");
        }
        drop(claim);
        Ok(served?)
    }
}

/// A task that ends with its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}
