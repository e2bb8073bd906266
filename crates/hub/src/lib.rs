//! The HTTP surface of an embedded delivery: an object server for pre-signed URLs.
//!
//! [`serve`] answers `GET` and `HEAD` of `/data/…` when the query carries a valid signature (made by
//! [`waxwing_store::UrlSigner`] with the same key), and `GET /healthz`. Ranges and conditions follow RFC 9110, so that
//! downloads resume. Objects are put by writing to the store, never over HTTP.
//!
//! # Threat model
//!
//! Anybody can connect. Without a valid signature every object, existing or not, is the same 403: a code and a request
//! id, the reason being in the log only. Connections, header bytes and idle times are limited; a slow peer holds one
//! connection and a buffer. There is no TLS here: off this machine, put a terminating proxy in front. The log carries
//! request id, object name, status and bytes, never a query.
//!
//! [`serve_vitals`] is another, smaller server: how a worker does, for whoever watches it. It is nothing for strangers.

mod conditions;
mod object;
mod serve;
mod stall;
mod vitals;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use waxwing_store::{ObjectStore, SigningKey};

pub use serve::serve;
pub use vitals::{Vitals, serve_vitals};

/// Tells the time by which URLs expire.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What a server serves, and within which limits.
#[derive(Clone)]
pub struct Hub {
    store: Arc<dyn ObjectStore>,
    key: Arc<SigningKey>,
    clock: Clock,
    limits: HubLimits,
}

impl Hub {
    /// Serves the objects of `store` to holders of URLs that were signed with `key`, within the default limits.
    pub fn new(store: Arc<dyn ObjectStore>, key: Arc<SigningKey>, clock: Clock) -> Self {
        Self { store, key, clock, limits: HubLimits::default() }
    }

    /// The same within other limits.
    #[must_use]
    pub fn with_limits(self, limits: HubLimits) -> Self {
        Self { limits, ..self }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("store", &self.store)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What strangers may take from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubLimits {
    /// Open connections; further ones wait in the operating system's queue.
    pub connections_max: usize,
    /// Bytes of a request's line and headers; more is answered with 431.
    pub head_len_max: usize,
    /// Time for a request's head to arrive, counted from the connection's start or the answer before.
    pub head: Duration,
    /// Longest time in which a peer takes nothing of an answer.
    pub stall: Duration,
    /// Time for answers in progress to end after shutdown has begun; then they are cut.
    pub drain: Duration,
}

impl Default for HubLimits {
    /// 512 connections, 16 KiB of head within 15 s, 30 s without progress, 30 s to drain.
    fn default() -> Self {
        Self {
            connections_max: 512,
            head_len_max: 16 << 10,
            head: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(30),
        }
    }
}
