//! Keys: who wraps a DEK and who unwraps it, and how keys are read and made.

mod keyring;
mod provider;

pub use keyring::{CANDIDATES_MAX, Keyring, UnlockError, describe};
pub use provider::{BoxFuture, KeyProvider, UnwrapError, WrapError};
