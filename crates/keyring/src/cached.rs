//! A cache of DEKs: fewer calls to a service, for less separation.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use waxwing_core::Dek;
use waxwing_core::envelope::Binding;
use waxwing_formats::codec::Encode as _;
use waxwing_formats::envelope::{Context, Recipient};

use crate::{BoxFuture, Generated, KeyProvider, NewEnvelope, UnwrapError, WrapError};

/// Time since any fixed point, which never goes back: a cache has no clock of its own.
pub type MonotonicClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// How long a cached DEK serves. There is no default: whoever caches has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// How old a DEK may grow.
    pub age_max: Duration,
    /// How many envelopes one DEK may seal.
    pub messages_max: u64,
    /// How many bytes of plaintext one DEK may seal, over all its envelopes.
    pub bytes_max: u64,
    /// How many DEKs are kept for sealing, and how many for opening; the oldest makes room.
    pub entries_max: usize,
}

/// How often a cache was asked, since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Answered from the cache.
    pub hits: u64,
    /// Asked of the provider, and kept.
    pub misses: u64,
    /// Asked of the provider and not kept: a plaintext of unknown length, or too long a one.
    pub bypassed: u64,
}

/// A provider whose DEKs are kept for a while, in this process' memory.
///
/// A hit costs no call: sealing reuses the DEK that the service made for the same context, and opening the DEK that it
/// unwrapped for the same recipient and the same context. Envelopes that share a DEK keep different content keys, for their
/// message ids enter them, and no nonce repeats. What is lost:
///
/// - **who opens one of them can open all that share its DEK.** Let one cache serve one [`Keyring`](crate::Keyring), whose
///   envelopes all have the same recipients;
/// - the service no longer sees every use: its log, its alarms and a key that was disabled just now come too late by up to
///   [`CacheLimits::age_max`];
/// - DEKs lie in memory longer.
///
/// Contexts never mix: a DEK is found only under the bytes of its own. The provider must bind no more than the context, as AWS
/// KMS and Vault do; one that binds the whole envelope is local and has nothing to save.
pub struct Cached<P> {
    provider: P,
    limits: CacheLimits,
    clock: MonotonicClock,
    sealing: Mutex<Entries<Vec<u8>, Sealing>>,
    opening: Mutex<Entries<OpeningKey, Dek>>,
    hits: AtomicU64,
    misses: AtomicU64,
    bypassed: AtomicU64,
}

/// Which recipient, all of it, in which context.
#[derive(PartialEq, Eq, Hash)]
struct OpeningKey {
    recipient: Recipient,
    context: Vec<u8>,
}

struct Sealing {
    made: Generated,
    messages: u64,
    bytes: u64,
}

impl<P> Cached<P> {
    /// Keeps the DEKs of `provider` within `limits`.
    pub fn new(provider: P, limits: CacheLimits, clock: MonotonicClock) -> Self {
        Self {
            provider,
            limits,
            clock,
            sealing: Mutex::default(),
            opening: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            bypassed: AtomicU64::new(0),
        }
    }

    /// Wipes what is too old. Every use does so too; a process that rests may call it by a timer.
    pub fn sweep(&self) {
        let now = (self.clock)();
        lock(&self.sealing).drop_older(now, self.limits.age_max);
        lock(&self.opening).drop_older(now, self.limits.age_max);
    }

    /// Wipes everything.
    pub fn clear(&self) {
        lock(&self.sealing).0.clear();
        lock(&self.opening).0.clear();
    }

    /// How many DEKs are in memory.
    pub fn len(&self) -> usize {
        lock(&self.sealing).0.len() + lock(&self.opening).0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it was asked.
    pub fn counts(&self) -> CacheCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CacheCounts { hits: read(&self.hits), misses: read(&self.misses), bypassed: read(&self.bypassed) }
    }

    /// A DEK for another envelope of `len` bytes, if one is left.
    fn reused(&self, context: &[u8], len: u64) -> Option<Generated> {
        self.sweep();
        let mut sealing = lock(&self.sealing);
        let (_, entry) = sealing.0.get_mut(context)?;
        let (messages, bytes) = (entry.messages + 1, entry.bytes.saturating_add(len));
        if messages > self.limits.messages_max || bytes > self.limits.bytes_max {
            sealing.0.remove(context);
            return None;
        }
        (entry.messages, entry.bytes) = (messages, bytes);
        Some(copied(&entry.made))
    }

    fn count(&self, count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl<P: fmt::Debug> fmt::Debug for Cached<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("provider", &self.provider)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<P: KeyProvider> KeyProvider for Cached<P> {
    fn is_for(&self, recipient: &Recipient) -> bool {
        self.provider.is_for(recipient)
    }

    /// Never cached: the DEK is the caller's.
    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        self.provider.wrap(dek, binding)
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        binding: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async move {
            self.sweep();
            let key = OpeningKey { recipient: recipient.clone(), context: bytes(&binding.fixed.context) };
            if let Some((_, dek)) = lock(&self.opening).0.get(&key) {
                self.count(&self.hits);
                return Ok(Some(copy(dek)));
            }
            let Some(dek) = self.provider.unwrap(recipient, binding).await? else { return Ok(None) };
            self.count(&self.misses);
            lock(&self.opening).insert(key, copy(&dek), (self.clock)(), self.limits.entries_max);
            Ok(Some(dek))
        })
    }

    fn generate<'a>(&'a self, new: NewEnvelope<'a>) -> BoxFuture<'a, Result<Option<Generated>, WrapError>> {
        Box::pin(async move {
            // Without its length nobody can tell when the limit is reached.
            let fits = |len: &u64| *len <= self.limits.bytes_max && self.limits.messages_max > 0;
            let Some(len) = new.plaintext_len.filter(fits) else {
                self.count(&self.bypassed);
                return self.provider.generate(new).await;
            };
            let context = bytes(&new.fixed.context);
            if let Some(made) = self.reused(&context, len) {
                self.count(&self.hits);
                return Ok(Some(made));
            }
            let Some(made) = self.provider.generate(new).await? else { return Ok(None) };
            self.count(&self.misses);
            let entry = Sealing { made: copied(&made), messages: 1, bytes: len };
            lock(&self.sealing).insert(context, entry, (self.clock)(), self.limits.entries_max);
            Ok(Some(made))
        })
    }
}

/// Entries with the time at which they were made.
struct Entries<K, V>(HashMap<K, (Duration, V)>);

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq, V> Entries<K, V> {
    /// A clock that went back makes every age unknown: then nothing is young enough.
    fn drop_older(&mut self, now: Duration, age_max: Duration) {
        self.0.retain(|_, (made, _)| now.checked_sub(*made).is_some_and(|age| age < age_max));
    }

    fn insert(&mut self, key: K, value: V, now: Duration, entries_max: usize) {
        if entries_max == 0 {
            return;
        }
        self.0.insert(key, (now, value));
        while self.0.len() > entries_max {
            let oldest = self.0.values().map(|(made, _)| *made).min().expect("there are entries");
            let mut left = 1;
            self.0.retain(|_, (made, _)| {
                let goes = *made == oldest && left > 0;
                left -= usize::from(goes);
                !goes
            });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic leaves behind is whole: every change is one call of the map.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bytes(context: &Context) -> Vec<u8> {
    let mut bytes = Vec::new();
    context.encode(&mut bytes);
    bytes
}

fn copy(dek: &Dek) -> Dek {
    Dek::from_unwrapped(dek.expose()).expect("a DEK has the length of a DEK")
}

fn copied(made: &Generated) -> Generated {
    Generated { dek: copy(&made.dek), recipient: made.recipient.clone() }
}
