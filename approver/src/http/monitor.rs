//! What the operator's monitoring asks, on a listener of its own: numbers,
//! whether the process lives, whether it can do its work.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::time;

use crate::{error_chain::error_chain, service::Approver};

/// Most connections at a time.
pub(crate) const CONNECTIONS_MAX: u32 = 32;

/// How often measurements are put into buckets.
const TIDY_EVERY: Duration = Duration::from_secs(5);
/// Longest time the database may take to answer.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// What the listener serves.
pub(crate) fn app(approver: Arc<Approver>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .with_state(approver)
}

/// Keeps the numbers tidy, for ever.
pub(crate) async fn tidy(approver: Arc<Approver>) {
    let mut ticks = time::interval(TIDY_EVERY);
    loop {
        ticks.tick().await;
        approver.metrics.tidy();
    }
}

async fn metrics(State(approver): State<Arc<Approver>>) -> impl IntoResponse {
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    match approver.gauges().await {
        Ok(gauges) => {
            let text = approver.metrics.render(&gauges).unwrap_or_default();
            (StatusCode::OK, kind, text)
        }
        Err(error) => {
            tracing::error!(error = error_chain(&error), "cannot tell the numbers");
            let text = "the database failed; the reason is in the log\n".to_owned();
            (StatusCode::INTERNAL_SERVER_ERROR, kind, text)
        }
    }
}

async fn healthy() -> &'static str {
    "ok\n"
}

async fn ready(State(approver): State<Arc<Approver>>) -> (StatusCode, &'static str) {
    match time::timeout(READY_WITHIN, approver.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n"),
        Ok(Err(error)) => {
            tracing::error!(error = error_chain(&error), "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database fails\n")
        }
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer\n",
        ),
    }
}
