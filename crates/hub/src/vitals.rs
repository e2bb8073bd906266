use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing,
};
use tokio::net::TcpListener;

use crate::{HubLimits, serve::serve_routes};

/// How a process does. Asked anew for every request; neither may block.
#[derive(Clone)]
pub struct Vitals {
    /// The page of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The page's `Content-Type`.
    pub metrics_type: &'static str,
    /// Whether the process can do its work.
    pub is_healthy: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vitals").finish_non_exhaustive()
    }
}

/// Serves `GET /metrics`, and `GET /health`: 200 `ok` or 503 `not ok`. Ends with `shutdown`.
///
/// Who can connect can read: listen on loopback, or where only those come who watch.
pub async fn serve_vitals(listener: TcpListener, vitals: Vitals, shutdown: impl Future<Output = ()>) {
    let limits = HubLimits { connections_max: CONNECTIONS_MAX, drain: DRAIN, ..HubLimits::default() };
    let routes = Router::new()
        .route("/health", routing::get(health))
        .route("/metrics", routing::get(metrics))
        .with_state(vitals);
    serve_routes(listener, limits, routes, shutdown).await;
}

async fn health(State(vitals): State<Vitals>) -> Response {
    match (vitals.is_healthy)() {
        true => "ok\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ok\n").into_response(),
    }
}

async fn metrics(State(vitals): State<Vitals>) -> Response {
    ([(header::CONTENT_TYPE, vitals.metrics_type)], (vitals.metrics)()).into_response()
}

/// Open connections: a scraper, a health check and a person.
const CONNECTIONS_MAX: usize = 16;
/// Time for the last answer to end.
const DRAIN: Duration = Duration::from_secs(1);
