//! What the tests of every crate share, so that a failing test can be run again and fail the same way.
//!
//! | module | holds |
//! |---|---|
//! | [`clock`] | a clock that moves only when a test winds it |
//! | [`corpus`] | the fuzz corpora, replayed by ordinary tests |
//! | [`keys`] | keys that protect nothing, in every spelling |
//! | [`peers`] | the programs of others that interop tests run |
//! | [`seeded`] | bytes and numbers that follow from a seed |
//! | [`streams`] | readers and writers that split, stall and fail; a sink whose contents a test can look at |
//!
//! Beside them, [`payload`] makes bytes to seal.
//!
//! A crate may use this one as a dev-dependency only; `cargo xtask test arrows` sees to it. Nothing here is fit for
//! production: the numbers are predictable on purpose.

pub mod clock;
pub mod corpus;
pub mod keys;
pub mod peers;
pub mod seeded;
pub mod streams;

/// A payload in which no two neighbouring pieces are alike: byte `i` is `(i * 7 + (i >> 8) * 13 + 5) mod 256`. That of the
/// vectors in `docs/formats`.
#[must_use]
pub fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + (i >> 8) * 13 + 5) as u8).collect()
}
