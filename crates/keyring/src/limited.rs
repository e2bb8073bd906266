//! At most so many questions at a time.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use waxwing_core::Dek;
use waxwing_core::envelope::Binding;
use waxwing_formats::envelope::Recipient;

use crate::{BoxFuture, Generated, KeyProvider, NewEnvelope, UnwrapError, WrapError};

/// A provider that is asked at most so many things at a time; the others wait. For a token that does one thing after the
/// other, or a service that counts requests.
pub struct Limited<P> {
    provider: P,
    permits: Permits,
}

impl<P> Limited<P> {
    /// Asks `provider` at most `concurrent_max` things at a time; 0 counts as 1.
    pub fn new(provider: P, concurrent_max: usize) -> Self {
        let state = State { free: concurrent_max.max(1), waiting: VecDeque::new() };
        Self { provider, permits: Permits(Mutex::new(state)) }
    }
}

impl<P: fmt::Debug> fmt::Debug for Limited<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl<P: KeyProvider> KeyProvider for Limited<P> {
    fn is_for(&self, recipient: &Recipient) -> bool {
        self.provider.is_for(recipient)
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        Box::pin(async move {
            let _permit = self.permits.acquire().await;
            self.provider.wrap(dek, binding).await
        })
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        binding: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async move {
            let _permit = self.permits.acquire().await;
            self.provider.unwrap(recipient, binding).await
        })
    }

    fn generate<'a>(&'a self, new: NewEnvelope<'a>) -> BoxFuture<'a, Result<Option<Generated>, WrapError>> {
        Box::pin(async move {
            let _permit = self.permits.acquire().await;
            self.provider.generate(new).await
        })
    }
}

/// A semaphore that no runtime has to know.
struct Permits(Mutex<State>);

struct State {
    free: usize,
    /// Never more than futures that wait: each return of a permit wakes and forgets them all, so that none is lost to a
    /// future that was dropped.
    waiting: VecDeque<Waker>,
}

impl Permits {
    async fn acquire(&self) -> Permit<'_> {
        poll_fn(|task| self.poll(task)).await;
        Permit(self)
    }

    fn poll(&self, task: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.free > 0 {
            state.free -= 1;
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(task.waker())) {
            state.waiting.push_back(task.waker().clone());
        }
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Permit<'a>(&'a Permits);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.free += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}
