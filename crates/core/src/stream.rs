//! Whole envelopes, one frame after the other, without I/O.

mod open;
mod seal;

pub use open::{Opener, Step};
pub use seal::{PlaintextTooLong, Sealer};

#[cfg(test)]
mod tests;
