//! Sealing and opening as machines without I/O.
//!
//! The caller owns every read, write, clock and key service; the machines here say what they need next. One loop then
//! serves files, sockets, async code, fuzzers and tests.
//!
//! | module | what |
//! |---|---|
//! | [`envelope`] | the native envelope: [`envelope::Draft`] to seal a header, [`envelope::LockedHeader`] to open one |
//! | [`frames`] | single frames and the arithmetic of a body, for whoever works on many at once |
//! | [`stream`] | [`stream::Sealer`] and [`stream::Opener`], one frame after the other |
//! | [`kek`] | the wrapping of a DEK under a 32-byte KEK |
//! | [`content`] | the content ciphers of the record scheme |
//!
//! # What this proves, and what it does not
//!
//! Plaintext leaves a machine only after its tag has verified. An envelope says what was sealed, not by whom: every
//! recipient knows the DEK and could write another body for the others.

pub mod content;
mod dek;
pub mod envelope;
mod error;
pub mod frames;
pub mod kek;
mod random;
mod schedule;
pub mod stream;

pub use dek::{DEK_LEN, Dek};
pub use error::{NotAuthentic, OpenError};
pub use random::{Random, RandomError, SystemRandom};
