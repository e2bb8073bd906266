//! One runtime for all remote providers of this process: who drives a provider's futures need not have one.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::{ServiceError, said};

/// Threads that wait for key services. The calls are few and wait most of the time.
const WORKERS: usize = 1;

static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();

/// Runs `call` on the runtime, which starts with the first call. The call ends when the returned future is dropped.
pub(crate) async fn run<T: Send + 'static>(
    call: impl Future<Output = Result<T, ServiceError>> + Send + 'static,
) -> Result<T, ServiceError> {
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(WORKERS).thread_name("waxwing-keys").enable_all();
        builder.build().map_err(|err| err.to_string())
    });
    let runtime = runtime.as_ref().map_err(|err| ServiceError::Unreachable(said(err)))?;
    let mut task = Task(runtime.spawn(call));
    (&mut task.0).await.map_err(|err| ServiceError::Unexpected(said(&err.to_string())))?
}

/// A call that nobody waits for any more is not made to the end.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_runs_without_a_runtime_around_it() {
        let slept = run(async {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            Ok(7)
        });
        assert_eq!(pollster::block_on(slept), Ok(7));
    }

    #[test]
    fn a_call_that_panics_is_an_error() {
        let failed = run::<()>(async { panic!("on purpose") });
        assert!(matches!(pollster::block_on(failed), Err(ServiceError::Unexpected(_))));
    }
}
