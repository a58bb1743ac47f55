//! What the program `holdpointd` does: sets the parts up, runs them, and ends
//! them in order. Used by its main alone.

use std::{
    fs,
    io::{IsTerminal as _, Read as _, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use holdpoint_proto::v1;
use nix::fcntl::{Flock, FlockArg};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};
use tracing::{error, info, warn};

use crate::{
    check,
    config::{Config, LogConfig, LogFormat, Profiles},
    control, daemon, enrol as enrolment,
    events::{journal::Journal, publisher},
    grants::ledger::Ledger,
    identity::Identity,
    kernel::{
        Gate,
        live::{LiveGate, Protect, remove},
        simulated,
    },
    link::{self, LinkState},
    metrics::{self, Metrics},
    notify::Notifier,
    unit,
};

/// How long the daemon's tasks may take to end.
const LAST_WORDS: Duration = Duration::from_secs(2);

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

fn start_logging(log: LogConfig) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(log.level.name()));
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => logger.init(),
        LogFormat::Json => logger.json().flatten_event(true).init(),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async runtime")
}

/// Attaches the gate (or plays `script`) and serves until a signal.
pub fn run(path: &Path, script: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    start_logging(config.log);
    let profiles = config.profiles()?;
    let notifier = Notifier::from_environment();
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let service = Service {
            path,
            config: &config,
            profiles,
            notifier,
        };
        match script {
            None => {
                let _lock = lock(Path::new(GATE_LOCK))?;
                // What is protected must be there.
                control::make_folder(&config.control_socket)
                    .context("cannot make the folder of the control socket")?;
                let gate = Arc::new(LiveGate::load(&Protect::of(path, &config))?);
                service.serve(gate).await
            }
            Some(script) => {
                let gate = simulated::SimulatedGate::new();
                simulated::script::play(&gate, script)
                    .with_context(|| format!("cannot play {}", script.display()))?;
                service.serve(gate).await
            }
        }
    });
    // A reader may hang on a filesystem that does not answer; nobody waits for it.
    runtime.shutdown_timeout(LAST_WORDS);
    served
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

/// Ends all sessions and takes the gate off.
pub fn remove_gate() -> anyhow::Result<()> {
    let _lock = lock(Path::new(GATE_LOCK))?;
    let ended = remove()?;
    let mut out = std::io::stdout();
    if ended > 0 {
        writeln!(out, "ended {ended} processes of sessions")?;
    }
    writeln!(out, "this machine has no gate any more")?;
    Ok(())
}

/// A daemon that is about to serve.
struct Service<'a> {
    path: &'a Path,
    config: &'a Config,
    profiles: Profiles,
    notifier: Notifier,
}

impl Service<'_> {
    async fn serve<G: Gate>(self, gate: Arc<G>) -> anyhow::Result<()> {
        let Self {
            path,
            config,
            profiles,
            notifier,
        } = self;
        let listener = control::listen(&config.control_socket)?;
        let (call_sender, calls) = mpsc::channel(64);
        let (link_sender, link_events) = mpsc::channel(1024);
        let (hello, hello_receiver) = watch::channel(hello());
        let (state_sender, link_state) = watch::channel(LinkState::default());
        let (reload_sender, reloads) = mpsc::channel(1);
        let hangup = signal(SignalKind::hangup()).context("cannot watch for SIGHUP")?;
        let mut tasks = vec![
            tokio::spawn(control::serve(listener, call_sender)),
            tokio::spawn(link::run(
                config.state_dir.clone(),
                hello_receiver,
                state_sender,
                link_sender,
            )),
            tokio::spawn(reload(path.to_owned(), hangup, reload_sender)),
        ];
        let (ledger, ended_grants) = Ledger::open(&config.state_dir);
        let events = config.events;
        if let Err(error) = gate.tell_at_most(events.session_events_per_second) {
            warn!(%error, "the gate tells of as many operations as it did before");
        }
        let journal = Journal::open(&config.state_dir, events.spool_max_bytes)?;
        let keeper = journal.clone();
        tasks.push(tokio::spawn(async move { keeper.keep_synced().await }));
        tasks.push(tokio::spawn(publisher::run(
            config.state_dir.clone(),
            journal.clone(),
        )));
        let metrics = if config.metrics.enabled {
            let metrics = Metrics::on().context("cannot set up the metrics")?;
            let listen = config.metrics.listen;
            tasks.push(tokio::spawn(metrics::listener::run(
                listen,
                metrics.clone(),
            )));
            metrics
        } else {
            Metrics::off()
        };
        let state_dir = config.state_dir.clone();
        let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
        info!(socket = %config.control_socket.display(), profiles = profiles.len(), "holdpointd serves");
        daemon::run_counted(
            daemon::Parts {
                gate,
                profiles,
                link_events,
                link_state,
                hello,
                identity: Box::new(move || Identity::load(&state_dir).ok().flatten()),
                calls,
                reloads,
                notifier,
                ledger,
                ended_grants,
                journal,
            },
            metrics,
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
}

/// Reads profiles and policies anew at each SIGHUP. What cannot be used changes
/// nothing.
async fn reload(path: std::path::PathBuf, mut hangup: Signal, reloads: mpsc::Sender<Profiles>) {
    while hangup.recv().await.is_some() {
        let read = Config::load(&path).and_then(|config| config.profiles());
        match read {
            Ok(profiles) => {
                if reloads.send(profiles).await.is_err() {
                    return;
                }
            }
            Err(error) => error!(
                error = link::causes(&error),
                "not reloaded; what was in force stays in force"
            ),
        }
    }
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
        ..v1::Hello::default()
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
    unit::provide_configuration(config)?;
    let config = Config::load(config)?;
    start_logging(config.log);
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

/// Says what this host lacks; gives whether it lacks nothing.
pub fn check(config: &Path, json: bool) -> anyhow::Result<bool> {
    let report = runtime()?.block_on(check::run(config));
    let mut out = std::io::stdout();
    if json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", report.text())?;
    }
    Ok(report.ready)
}
