use std::{future::Future, pin::pin, time::Duration};

use axum::{Router, routing};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use crate::{Hub, HubLimits, object::object, stall::StallGuard};

/// Serves `hub` on `listener` until `shutdown` completes; then answers in progress get [`crate::HubLimits::drain`] to end.
///
/// Failures of single connections end those connections only. Dropping the future cuts all.
pub async fn serve(listener: TcpListener, hub: Hub, shutdown: impl Future<Output = ()>) {
    serve_routes(listener, hub.limits, router(hub), shutdown).await;
}

/// Serves `routes` within `limits`.
pub(crate) async fn serve_routes(
    listener: TcpListener,
    limits: HubLimits,
    routes: Router,
    shutdown: impl Future<Output = ()>,
) {
    let service = TowerToHyperService::new(routes);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_header_size(limits.head_len_max);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            socket = accept(&listener), if connections.len() < limits.connections_max => {
                let io = TokioIo::new(StallGuard::new(socket, limits.stall));
                let connection = graceful.watch(http.serve_connection(io, service.clone()));
                connections.spawn(async move {
                    // Peers that vanish, stall or speak no HTTP: their affair. hyper's errors quote no request.
                    if let Err(error) = connection.await {
                        debug!(%error, "connection ended");
                    }
                });
            }
        }
    }
    drop(listener);
    if timeout(limits.drain, graceful.shutdown()).await.is_err() {
        warn!(connections = connections.len(), "answers were cut at the end of the drain");
    }
    connections.shutdown().await;
}

fn router(hub: Hub) -> Router {
    Router::new()
        .route("/healthz", routing::get(async || "ok\n"))
        .route("/data/{*name}", routing::any(object))
        .with_state(hub)
}

/// The next connection. Accepting fails when its peer has gone, or for want of descriptors: waiting helps either.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                // Heads and short bodies are written in one piece; waiting for more would only delay the last one.
                let _ = socket.set_nodelay(true);
                return socket;
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
