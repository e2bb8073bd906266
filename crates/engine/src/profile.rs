//! Messages of partners' schemes, opened and sealed as a profile says (`docs/formats/profile-v1.md`).

mod diagnose;
mod error;
mod evaluate;
mod keys;
mod message;
mod open;
mod seal;

pub use diagnose::{DIAGNOSED_LEN_MAX, Diagnosis, Verdict, diagnose};
pub use error::MessageError;
pub use keys::{ProfileKeys, Secrets};
pub use message::Parts;
pub use open::{BODIES_MAX, OpenedMessage, open_message};
pub use seal::{PartOutputs, SealKeys, seal_message};
