//! `serve`: runs until a signal ends it.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::{Config, Server};

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    // Before anything else, or a signal at the wrong moment would kill us.
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let server = Server::bind(config).await?;
    server
        .serve(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await?;
    Ok(())
}
