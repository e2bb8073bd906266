//! One file per command.

pub(crate) mod inspect;
pub(crate) mod keygen;
pub(crate) mod open;
pub(crate) mod seal;
