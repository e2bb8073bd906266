//! Keeps what is sent and received out of every log: at its finest level the SDK logs whole items, messages and answers, and
//! they hold pre-signed URLs and keys.

use std::future::IntoFuture;

use tracing::instrument::{WithDispatch, WithSubscriber as _};
use tracing::subscriber::NoSubscriber;

/// A call that nobody is told of while it goes on. Its result tells what matters.
pub(crate) fn quiet<C: IntoFuture>(call: C) -> WithDispatch<C::IntoFuture> {
    call.into_future().with_subscriber(NoSubscriber::default())
}
