//! The one runtime that connectors use, started by the first of them.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

use super::Fault;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Drives `work` to its end on this thread, its connections on the runtime's one.
///
/// # Panics
///
/// On a thread that itself drives a runtime.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    runtime()?.block_on(work)
}

/// The runtime, for what goes on between two calls.
pub(super) fn runtime() -> Result<&'static Runtime, Fault> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let started = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("connectors")
        .enable_all()
        .build()
        .map_err(|err| Fault::Setup(err.to_string()))?;
    // Of two that start at once, one is dropped here, idle.
    Ok(RUNTIME.get_or_init(|| started))
}
