//! Object stores: put once, get, ranged get, delete, pre-signed URLs, and the download of such URLs.
//!
//! What is stored here is ciphertext, or plaintext that its owner may keep on this disk; nothing in this crate knows a
//! DEK. Four stories live side by side:
//!
//! * [`ObjectStore`] is the small trait that stores implement; [`DirStore`] keeps objects in a directory (a local disk, a
//!   NAS). An object appears whole and once: [`publish_once`] is the same promise for a worker's output directory.
//! * [`SigningKey`] and [`UrlSigner`] make and check the pre-signed URLs of the embedded server; a [`PresignedUrl`] is a
//!   secret while it lives, and prints as nothing.
//! * `Downloader` (feature `download`) fetches a URL that a stranger wrote, with bounded time, bytes and reach.
//! * `remote` (feature `connectors`) reads and writes files that their user keeps elsewhere: S3, WebDAV, SFTP, drives.
//!
//! # Threat model
//!
//! Names and URLs come from strangers. An [`ObjectName`] cannot leave its store's root, whatever text it was parsed from.
//! The directory itself belongs to the operator: who can write there can replace ciphertext, which opening then detects.
//! Symbolic links are not followed in an object's last component.

#[cfg(feature = "download")]
pub mod download;

mod dir;
pub mod fuzzing;
mod name;
mod object_store;
mod presign;
mod publish;
#[cfg(feature = "connectors")]
pub mod remote;
mod signing_key;
mod url_scheme;

pub use dir::DirStore;
#[cfg(feature = "download")]
pub use download::{Downloader, UrlPolicy};
pub use name::{NameError, ObjectName, RandomFailed};
pub use object_store::{
    ETag, Object, ObjectBody, ObjectMeta, ObjectStore, Put, StoreError, Upload, UploadSource,
};
pub use presign::{PresignError, PresignedUrl, Rejected, SignedMethod, UrlSigner};
pub use publish::{Durability, Publication, publish_once, stage, sweep};
pub use signing_key::{SigningKey, SigningKeyError};
pub use url_scheme::url_scheme;
