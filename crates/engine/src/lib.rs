//! Drives sealing and opening over files, pipes and async bodies.
//!
//! From file to file, independent frames are worked on by several threads with positional reads and writes; from or to a
//! pipe, by one thread with another that writes. Memory is a few batches of less than a MiB however long the input is.
//!
//! | what | how |
//! |---|---|
//! | files and pipes | [`seal`], [`open`], [`open_range`]; records with [`seal_record`], [`open_record`] |
//! | other recipients, another DEK | [`rewrap_file`], [`reencrypt_file`] |
//! | a file of keys | [`KeystoreFile`] |
//! | whole folders | [`seal_tree`], [`open_tree`] |
//! | anything that reads or writes | [`SealWriter`], [`OpenReader`] |
//! | anything that reads at an offset | [`RangeReader`], [`open_range_at`] |
//! | streams of bytes, `AsyncRead` | `asynchronous` (feature `async`) |
//!
//! An output file has no name until everything in it has verified and is complete: dropped, failed or killed, nothing is
//! left of it.

#[cfg(feature = "async")]
pub mod asynchronous;
mod batch;
mod body;
mod digest;
mod error;
mod header;
mod io;
mod keystore;
mod open;
mod parallel;
mod profile;
mod pump;
mod range;
mod record;
mod relay;
mod rewrap;
mod seal;
mod small;
mod stream;
mod tree;
mod work;

pub use error::{Error, Side};
pub use header::{read_attached_header, read_detached_header, read_header_at};
pub use io::{Existing, Input, Output};
pub use keystore::{KeystoreFile, OpenKeystore};
pub use open::{Opened, open, open_range, open_range_at};
pub use profile::{
    BODIES_MAX, DIAGNOSED_LEN_MAX, Diagnosis, MessageError, OpenedMessage, PartOutputs, Parts, ProfileKeys,
    SealKeys, Secrets, Verdict, diagnose, open_message, seal_message,
};
pub use range::{RangeReader, ReadAt};
pub use record::{OpenedRecord, RecordOptions, SealedRecord, open_record, seal_record};
pub use relay::relay;
pub use rewrap::{HeaderKind, reencrypt_file, rewrap_file, rewrap_header};
pub use seal::{HeaderPlace, Sealed, seal};
pub use small::{write, write_secret};
pub use stream::{OpenReader, SealWriter};
pub use tree::{
    Fate, Found, LeftOut, Report, SEALED_SUFFIX, Tree, TreeSummary, Walk, open_tree, seal_tree, tree_len,
};
pub use waxwing_core::OpenError;
pub use work::{Observer, THREADS_DEFAULT_MAX, Work};
