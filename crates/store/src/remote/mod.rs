//! Files that their user keeps elsewhere (feature `connectors`): read at any place, written once, published at the end.
//!
//! A [`Location`] is a URL. A [`RemoteFile`] is one version of what lies there: an object that is replaced meanwhile is an
//! error, never a mixture. A [`RemoteWriter`] leaves nothing behind unless it is told to publish. Both block: what is
//! asynchronous beneath them runs on one lazily started runtime, so they must not be used from within an async task.
//!
//! | place | library | how it is pinned | how it is published |
//! |---|---|---|---|
//! | S3 | OpenDAL | `If-Match` on the ETag | multipart upload, completed with `If-None-Match: *`; aborted on failure |
//! | HTTP | reqwest | `If-Match`, and ETag, date and length of every answer | read only |
//! | WebDAV | reqwest | as HTTP | PUT to a hidden name, MOVE (`Overwrite: F`), DELETE on failure |
//! | SFTP | the system's `ssh`, openssh-sftp-client | the open handle; size and date after every piece | hidden name, then link or rename |
//! | drives | OpenDAL | `If-Match` where there is one, else size and date after every piece | one request at the end, from memory |
//!
//! OpenDAL's WebDAV service is not used because it holds the whole object in memory to write it, its HTTP service because
//! it cannot read pre-signed URLs, and its SFTP service because it opens a file anew for every piece of it.
//!
//! # Threat model
//!
//! The services are not trusted with anything but the bytes: opening authenticates them. They are trusted to keep a
//! promise about names (`If-None-Match`, `Overwrite: F`); where a store is known to ignore it, an object that appears
//! between the first look and the end is replaced. Nothing is read from the environment, `ssh` and an S3 credential chain
//! that was asked for excepted.

mod error;
mod location;
mod object;
mod options;
mod read;
mod runtime;
mod sftp;
mod web;
mod write;

pub use error::{Fault, RemoteError};
pub use location::{Location, LocationError, Login};
pub use options::{RemoteOptions, S3Credentials, SftpOptions};
pub use read::{RemoteFile, RemoteReader};
pub use write::{NewFile, RemoteWriter};
