//! What a worker tells its operator: a log, metrics, and traces where the feature `otel` is on.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::info;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};
use waxwing_delivery::worker::{METRICS_TYPE, Worker};
use waxwing_hub::{Vitals, serve_vitals};

use crate::exit::Failure;

#[cfg(feature = "otel")]
mod traces;
#[cfg(not(feature = "otel"))]
#[path = "telemetry/no_traces.rs"]
mod traces;

#[derive(Debug, Clone, Args)]
pub(crate) struct TelemetryArgs {
    /// Log as JSON
    #[arg(long)]
    log_json: bool,
    /// Serve /metrics for Prometheus, and /health, to whoever can connect to this address; 127.0.0.1:9464 is one [default:
    /// nothing listens]
    #[arg(long, value_name = "ADDRESS", env = "WAXWING_METRICS", hide_env_values = true)]
    metrics: Option<SocketAddr>,
    #[command(flatten)]
    traces: traces::TraceArgs,
}

impl TelemetryArgs {
    /// Starts the holder's own log, on standard error (`RUST_LOG` chooses what is in it), and the traces, which end when what
    /// is returned is dropped.
    pub(crate) fn start(&self) -> Result<traces::Traces, Failure> {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
        let log = if self.log_json { log.json().boxed() } else { log.with_ansi(false).boxed() };
        let (layer, traces) = self.traces.start()?;
        tracing_subscriber::registry().with(layer).with(log.with_filter(filter)).init();
        Ok(traces)
    }

    /// Serves metrics and health, if that was asked for, until what is returned is dropped.
    pub(crate) async fn serve(&self, worker: &Worker) -> Result<JoinSet<()>, Failure> {
        let mut serving = JoinSet::new();
        let Some(address) = self.metrics else { return Ok(serving) };
        let bind = |err| {
            Failure::io(format!("cannot listen on {address}"), err).hint("choose another with --metrics")
        };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        info!(address = %listener.local_addr().map_err(bind)?, "serving /metrics and /health");
        let (metrics, health) = (Arc::clone(worker.metrics()), Arc::clone(worker.metrics()));
        let vitals = Vitals {
            metrics: Arc::new(move || metrics.render()),
            metrics_type: METRICS_TYPE,
            is_healthy: Arc::new(move || health.is_healthy()),
        };
        serving.spawn(serve_vitals(listener, vitals, std::future::pending()));
        Ok(serving)
    }
}
