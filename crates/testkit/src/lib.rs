//! What the tests of every crate share, so that a failing test can be run again and fail the same way.
//!
//! | module | holds |
//! |---|---|
//! | [`clock`] | a clock that moves only when a test winds it |
//! | [`corpus`] | the fuzz corpora, replayed by ordinary tests |
//! | [`exposition`] | pages of metrics, read and checked |
//! | [`keys`] | keys that protect nothing, in every spelling |
//! | [`logs`] | everything that a process logs |
//! | [`peers`] | the programs of others that interop tests run |
//! | [`proxy`] | a server in front of another that answers badly now and then |
//! | [`server`] | real servers and stand-ins on loopback, ended by pid |
//! | [`seeded`] | bytes and numbers that follow from a seed |
//! | [`streams`] | readers and writers that split, stall and fail; a sink whose contents a test can look at |
//! | [`token`] | PKCS#11 tokens in software, each in a folder and a process of its own |
//!
//! Beside them, [`payload`] makes bytes to seal.
//!
//! A crate may use this one as a dev-dependency only; `cargo xtask test arrows` sees to it. Nothing here is fit for
//! production: the numbers are predictable on purpose.

pub mod clock;
pub mod corpus;
pub mod exposition;
pub mod keys;
pub mod logs;
pub mod peers;
pub mod proxy;
pub mod seeded;
pub mod server;
pub mod streams;
pub mod token;

/// A payload in which no two neighbouring pieces are alike: byte `i` is `(i * 7 + (i >> 8) * 13 + 5) mod 256`. That of the
/// vectors in `docs/formats`.
#[must_use]
pub fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + (i >> 8) * 13 + 5) as u8).collect()
}
