//! One runtime for all clients of this process: who waits for a call need not have one.

use std::future::Future;
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use waxwing_keyring::said;

/// Threads that drive calls. They wait most of the time, and sign, hash and encrypt what is sent.
const WORKERS: usize = 2;

static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();

/// The runtime cannot be had, or a call ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

/// Runs `call`. It ends when the returned future is dropped.
pub(crate) async fn run<T, E>(call: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Broken> + Send + 'static,
{
    let mut task = Task(runtime()?.spawn(call));
    (&mut task.0).await.map_err(|err| Broken(said(&err.to_string())))?
}

/// Runs `call` and blocks this thread until it has ended, whatever else the thread drives.
pub(crate) fn wait<T, E>(call: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Broken> + Send + 'static,
{
    let (answer, answered) = mpsc::sync_channel(1);
    runtime()?.spawn(async move {
        // Nobody listens only if the waiting thread is gone.
        let _ = answer.send(call.await);
    });
    answered.recv().map_err(|_| Broken("the call ended without an answer".to_owned()))?
}

/// Runs `work` to its end, and blocks this thread until then or until the time is over.
pub(crate) fn wait_at_most(time: Duration, work: impl Future<Output = ()> + Send + 'static) {
    let (done, ended) = mpsc::sync_channel(1);
    let Ok(runtime) = runtime() else { return };
    runtime.spawn(async move {
        work.await;
        let _ = done.send(());
    });
    // It goes on without us, as long as the process lives.
    let _ = ended.recv_timeout(time);
}

/// Begins `call`, for somebody who waits later.
pub(crate) fn spawn<T: Send + 'static>(
    call: impl Future<Output = T> + Send + 'static,
) -> Result<JoinHandle<T>, Broken> {
    Ok(runtime()?.spawn(call))
}

fn runtime() -> Result<&'static Runtime, Broken> {
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(WORKERS).thread_name("waxwing-aws").enable_all();
        builder.build().map_err(|err| err.to_string())
    });
    runtime.as_ref().map_err(|err| Broken(said(err)))
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

    impl From<Broken> for String {
        fn from(broken: Broken) -> Self {
            broken.0
        }
    }

    #[test]
    fn a_call_runs_without_a_runtime_around_it_and_within_one() {
        let slept = || async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok::<_, String>(7)
        };
        assert_eq!(wait(slept()), Ok(7));
        let around = Builder::new_current_thread().build().unwrap();
        assert_eq!(around.block_on(async { wait(slept()) }), Ok(7));
        assert_eq!(around.block_on(run(slept())), Ok(7));
    }

    #[test]
    fn a_call_that_panics_is_an_error() {
        assert!(wait::<(), String>(async { panic!("on purpose") }).is_err());
    }

    #[test]
    fn waiting_has_an_end() {
        wait_at_most(Duration::from_millis(1), std::future::pending());
    }
}
