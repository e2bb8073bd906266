//! The bytes of every format Waxwing reads or writes: plain types, their codecs, their limits.
//!
//! Nothing here touches a key, a file or a clock. What a decoder returns is well formed, not authentic: that is for
//! `waxwing-core` to prove. Every length is compared with a named limit before anything is allocated, and every codec
//! obeys four laws (see [`codec`]).
//!
//! | module | format |
//! |---|---|
//! | [`envelope`] | the header of the native envelope (`docs/formats/envelope-v1.md`) |
//! | [`record`] | the JSON records of the record scheme (`docs/formats/record-v1.md`) |
//! | [`scheme`] | how a record's content was encrypted and its key wrapped, as one value |
//! | [`keystore`] | what a keystore holds, once it is open (`docs/formats/keystore-v1.md`) |
//! | [`names`] | the ids of files, agents, jobs, workers and keys |
//! | [`base64`] | the spellings of base64 that partners send |
//!
//! [`fuzzing`] and [`codec::laws`] are for tests and fuzzers.

pub mod base64;
pub mod body;
pub mod codec;
pub mod envelope;
pub mod fuzzing;
pub mod keystore;
pub mod names;
pub mod record;
pub mod scheme;
