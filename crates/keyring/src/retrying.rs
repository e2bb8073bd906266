//! Asking again, when the same question may be answered a moment later.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use waxwing_core::envelope::Binding;
use waxwing_core::{Dek, Random};
use waxwing_formats::envelope::Recipient;

use crate::{BoxFuture, Generated, KeyProvider, NewEnvelope, ServiceError, UnwrapError, WrapError};

/// Waits for so long: the caller's runtime does.
pub type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// How often and how late a provider is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryLimits {
    /// How often, after the first time.
    pub retries_max: u32,
    /// The longest wait before the first retry; it doubles with each.
    pub first_wait_max: Duration,
    /// The longest wait before any retry.
    pub wait_max: Duration,
}

impl Default for RetryLimits {
    /// Three times, after at most 100, 200 and 400 ms.
    fn default() -> Self {
        Self { retries_max: 3, first_wait_max: Duration::from_millis(100), wait_max: Duration::from_secs(5) }
    }
}

impl RetryLimits {
    fn longest_wait(&self, retry: u32) -> Duration {
        let doubled = self.first_wait_max.saturating_mul(1_u32.checked_shl(retry).unwrap_or(u32::MAX));
        doubled.min(self.wait_max)
    }
}

/// A provider that is asked again after a failure that may pass ([`ServiceError::is_transient`]), and after no other.
///
/// Each wait is random between nothing and its longest, so that many who failed together do not come back together. AWS
/// KMS and Vault need no such wrapper: their providers retry by themselves.
pub struct Retrying<P> {
    provider: P,
    limits: RetryLimits,
    sleep: Sleep,
    random: Arc<dyn Random>,
}

impl<P> Retrying<P> {
    /// Asks `provider` again within `limits`.
    pub fn new(provider: P, limits: RetryLimits, sleep: Sleep, random: Arc<dyn Random>) -> Self {
        Self { provider, limits, sleep, random }
    }

    async fn again<'a, T, E>(
        &'a self,
        ask: impl Fn() -> BoxFuture<'a, Result<T, E>>,
        service: fn(&E) -> Option<&ServiceError>,
    ) -> Result<T, E> {
        for retry in 0..self.limits.retries_max {
            match ask().await {
                Err(err) if service(&err).is_some_and(ServiceError::is_transient) => {}
                settled => return settled,
            }
            (self.sleep)(self.jittered(self.limits.longest_wait(retry))).await;
        }
        ask().await
    }

    fn jittered(&self, longest: Duration) -> Duration {
        let mut bytes = [0; 2];
        // Without randomness everybody waits the longest.
        let share = match self.random.fill(&mut bytes) {
            Ok(()) => u32::from(u16::from_be_bytes(bytes)),
            Err(_) => u32::from(u16::MAX),
        };
        longest / u32::from(u16::MAX) * share
    }
}

impl<P: fmt::Debug> fmt::Debug for Retrying<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retrying").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl<P: KeyProvider> KeyProvider for Retrying<P> {
    fn is_for(&self, recipient: &Recipient) -> bool {
        self.provider.is_for(recipient)
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        Box::pin(self.again(move || self.provider.wrap(dek, binding), of_wrap))
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        binding: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(self.again(move || self.provider.unwrap(recipient, binding), of_unwrap))
    }

    fn generate<'a>(&'a self, new: NewEnvelope<'a>) -> BoxFuture<'a, Result<Option<Generated>, WrapError>> {
        Box::pin(self.again(move || self.provider.generate(new), of_wrap))
    }
}

fn of_wrap(err: &WrapError) -> Option<&ServiceError> {
    match err {
        WrapError::Service { source, .. } => Some(source),
        _ => None,
    }
}

fn of_unwrap(err: &UnwrapError) -> Option<&ServiceError> {
    match err {
        UnwrapError::Service { source, .. } => Some(source),
        UnwrapError::NotAuthentic => None,
    }
}
