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
//! | [`x_wing`] | X25519 and ML-KEM-768 together, for recipients whom no quantum computer may read later |
//! | [`kek`] | the wrapping of a DEK under a 32-byte KEK |
//! | [`content`] | the content ciphers of the record scheme |
//! | [`body`] | the body ciphers of partners' schemes |
//! | [`hash`], [`derive`](mod@derive), [`key_wrap`] | hashes, HMACs, HKDF, PBKDF2 and AES key wrap, for partners' schemes |
//!
//! # What this proves, and what it does not
//!
//! Plaintext leaves a machine only after its tag has verified. An envelope says what was sealed, not by whom: every
//! recipient knows the DEK and could write another body for the others.

pub mod body;
pub mod content;
mod dek;
pub mod derive;
pub mod envelope;
mod error;
pub mod frames;
pub mod hash;
pub mod kek;
pub mod key_wrap;
mod random;
mod schedule;
pub mod stream;
pub mod x_wing;

pub use dek::{DEK_LEN, Dek};
pub use error::{NotAuthentic, OpenError};
pub use random::{Random, RandomError, SystemRandom};
