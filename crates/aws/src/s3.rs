//! Objects in S3 and in stores that speak like it.
//!
//! [`S3Store`] keeps ciphertexts for a provider and pre-signs URLs of them; [`S3Outputs`] is where a worker publishes plaintext. Both
//! put an object only if its name is free (`If-None-Match: *`), in one request if it is small and in parts if it is not, each
//! part with a CRC-32 beside the signature's SHA-256. An unfinished upload is visible to nobody.
//!
//! Each object carries a random token as metadata (`waxwing-upload`). When the answer to a put was lost, or the put was
//! made twice on its way, the token tells whether the object there is the one that was put.
//!
//! An upload whose process was killed leaves its parts in the bucket, where they cost and nobody reads them. A lifecycle rule
//! for incomplete multipart uploads removes them.

mod bucket;
mod encryption;
mod fault;
mod outputs;
mod probe;
mod store;
mod upload;

pub use bucket::{KEY_PREFIX_LEN_MAX, S3Options};
pub use encryption::Encryption;
pub use fault::S3Error;
pub use outputs::{CONTENT_TYPE_DEFAULT, S3OutputOptions, S3Outputs};
pub use probe::PROBE_NAME;
pub use store::{OBJECT_LEN_MAX, S3Store};
pub use upload::PART_LEN;
