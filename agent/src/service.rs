//! What the program `holdpointd` does: sets the parts up, runs them, and ends
//! them in order. Used by its main alone.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use holdpoint_proto::v1;
use nix::fcntl::{Flock, FlockArg};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};
use tracing::info;

use crate::{
    config::Config,
    control, daemon, enrol as enrolment,
    identity::Identity,
    kernel::{Gate, live::LiveGate, simulated},
    link::{self, LinkState},
};

/// Held by the daemon that gates this machine.
const GATE_LOCK: &str = "/run/holdpoint/gate.lock";

/// Writes an error for a person, with everything behind it.
pub fn complain(error: &anyhow::Error) {
    // Nobody to tell if even that fails.
    let _ = writeln!(
        std::io::stderr(),
        "holdpointd: {}",
        link::causes(error.as_ref())
    );
}

fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async runtime")
}

/// Attaches the gate (or plays `script`) and serves until a signal.
pub fn run(config: &Path, script: Option<&Path>) -> anyhow::Result<()> {
    start_logging();
    let config = Config::load(config)?;
    let profiles = config.profiles()?;
    runtime()?.block_on(async {
        match script {
            None => {
                let _lock = lock(Path::new(GATE_LOCK))?;
                let gate = Arc::new(LiveGate::load()?);
                serve(&config, profiles, gate).await
            }
            Some(script) => {
                let gate = simulated::SimulatedGate::new();
                simulated::script::play(&gate, script)
                    .with_context(|| format!("cannot play {}", script.display()))?;
                serve(&config, profiles, gate).await
            }
        }
    })
}

/// One daemon at a time, whatever its configuration: two would answer each
/// other's holds.
fn lock(path: &Path) -> anyhow::Result<Flock<fs::File>> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let file = fs::File::create(path).with_context(|| format!("cannot open {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
        anyhow::anyhow!(
            "another holdpointd gates this machine (it holds {}: {error}); stop it first",
            path.display()
        )
    })
}

async fn serve<G: Gate>(
    config: &Config,
    profiles: crate::config::Profiles,
    gate: Arc<G>,
) -> anyhow::Result<()> {
    let listener = control::listen(&config.control_socket)?;
    let (call_sender, calls) = mpsc::channel(64);
    let (link_sender, link_events) = mpsc::channel(1024);
    let (hello, hello_receiver) = watch::channel(hello());
    let (state_sender, link_state) = watch::channel(LinkState::default());
    let tasks = [
        tokio::spawn(control::serve(listener, call_sender)),
        tokio::spawn(link::run(
            config.state_dir.clone(),
            hello_receiver,
            state_sender,
            link_sender,
        )),
    ];
    let state_dir = config.state_dir.clone();
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    info!(socket = %config.control_socket.display(), profiles = profiles.len(), "holdpointd serves");
    daemon::run(
        daemon::Parts {
            gate,
            profiles,
            link_events,
            link_state,
            hello,
            identity: Box::new(move || Identity::load(&state_dir).ok().flatten()),
            calls,
        },
        async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        },
    )
    .await;
    for task in tasks {
        task.abort();
    }
    Ok(())
}

fn hello() -> v1::Hello {
    let release = nix::sys::utsname::uname()
        .map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default();
    v1::Hello {
        hostname: hostname(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel_release: release,
        boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
            .to_owned(),
        enforcing: false,
    }
}

fn hostname() -> String {
    match nix::unistd::gethostname() {
        // What a kernel says whom nobody told a name.
        Ok(name) if !name.is_empty() && name != "(none)" => name.to_string_lossy().into_owned(),
        _ => "localhost".to_owned(),
    }
}

/// Enrols this host with a token from the command line or a file.
pub fn enrol(config: &Path, token: Option<String>, file: Option<&Path>) -> anyhow::Result<()> {
    start_logging();
    let config = Config::load(config)?;
    let token = match (token, file) {
        (Some(token), _) => token,
        (None, Some(path)) if path == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("cannot read the token from standard input")?;
            text
        }
        (None, Some(path)) => fs::read_to_string(path)
            .with_context(|| format!("cannot read the token from {}", path.display()))?,
        (None, None) => bail!("no token given"),
    };
    let identity = runtime()?.block_on(enrolment::enrol(&token, &hostname(), &config.state_dir))?;
    writeln!(
        std::io::stdout(),
        "enrolled as {} at {}",
        identity.host_id,
        identity.approver
    )?;
    Ok(())
}
