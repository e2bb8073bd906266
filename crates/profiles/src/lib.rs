//! Partners' encryption schemes as data.
//!
//! A random AES key per file, wrapped by RSA, beside an IV and perhaps a tag: tax authorities, card networks, messaging
//! platforms and clouds all do this, and each spells it differently. A [`Profile`] is such a spelling as a small TOML
//! file (`docs/formats/profile-v1.md`); [`Profile::parse`] reads it and refuses whatever could be understood in two ways.
//!
//! Nothing here decrypts: `waxwing-engine` follows a profile over files and keys. What a profile proves is computed from
//! what it does ([`Profile::protection`]), never taken from its words.

pub mod document;
mod emit;
mod encoding;
mod error;
pub mod fuzzing;
pub mod identify;
mod lint;
mod load;
mod model;
pub mod policy;
mod presets;
mod protection;
mod words;
mod writing;

pub use encoding::{Encoding, EncodingError};
pub use error::ProfileError;
pub use lint::UnwrappedLen;
pub use load::{
    BYTES_LEN_MAX, DERIVED_LEN_MAX, NAME_LEN_MAX, NAMES_MAX, PBKDF2_ITERATIONS_MAX, PROFILE_LEN_MAX,
    REGION_LEN_MAX,
};
pub use model::{
    Check, Choice, Content, Expect, Field, FieldSize, Frame, Function, Hash, ITEM, Layout, Name,
    NonceCounter, Number, Origin, PLAINTEXT, Part, PartKind, Profile, Regions, Repeat, Selector, Slice,
    Source, UNWRAPPED, Unwrap, UnwrapAlgorithm, Value, Verify,
};
pub use presets::{Preset, preset, presets};
pub use protection::Protection;
pub use writing::{BlobPiece, Composition, Writing};
