//! `serve`: runs until a signal ends it, and keeps the service manager told.

use std::time::Duration;

use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    time,
};

use crate::{Config, Server, notify::Manager, server::Pulse};

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    // Before anything else, or a signal at the wrong moment would kill us.
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let manager = Manager::from_env();
    let server = Server::bind(config).await?;
    manager.ready();
    let pulse = server.pulse();
    let serving = server.serve(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        manager.stopping();
    });
    match manager.watchdog() {
        None => serving.await?,
        Some(every) => tokio::select! {
            served = serving => served?,
            () = report(&manager, &pulse, every) => {}
        },
    }
    Ok(())
}

/// Tells for ever that the approver lives, as long as it does.
async fn report(manager: &Manager, pulse: &Pulse, every: Duration) {
    let mut ticks = time::interval(every);
    loop {
        ticks.tick().await;
        match pulse.beats(every).await {
            Ok(()) => manager.alive(),
            // The service manager ends what stays silent.
            Err(error) => tracing::error!(%error, "the approver does not work"),
        }
    }
}
