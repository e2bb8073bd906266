//! Drives sealing and opening over files, pipes and async bodies.
//!
//! From file to file, independent frames are worked on by several threads with positional reads and writes; from or to a
//! pipe, by one thread with another that writes. Memory is a few batches of less than a MiB however long the input is.
//!
//! | what | how |
//! |---|---|
//! | files and pipes | [`seal`], [`open`], [`open_range`]; records with [`seal_record`], [`open_record`] |
//! | whole folders | [`seal_tree`], [`open_tree`] |
//! | anything that reads or writes | [`SealWriter`], [`OpenReader`] |
//! | anything that reads at an offset | [`RangeReader`] |
//! | streams of bytes, `AsyncRead` | `asynchronous` (feature `async`) |
//!
//! An output file has no name until everything in it has verified and is complete: dropped, failed or killed, nothing is
//! left of it.

#[cfg(feature = "async")]
pub mod asynchronous;
mod batch;
mod digest;
mod error;
mod header;
mod io;
mod open;
mod parallel;
mod pump;
mod range;
mod record;
mod seal;
mod small;
mod stream;
mod tree;
mod work;

pub use error::{Error, Side};
pub use header::{read_attached_header, read_detached_header};
pub use io::{Existing, Input, Output};
pub use open::{Opened, open, open_range};
pub use range::{RangeReader, ReadAt};
pub use record::{OpenedRecord, RecordOptions, SealedRecord, open_record, seal_record};
pub use seal::{HeaderPlace, Sealed, seal};
pub use small::{write, write_secret};
pub use stream::{OpenReader, SealWriter};
pub use tree::{Fate, LeftOut, Report, SEALED_SUFFIX, Tree, TreeSummary, open_tree, seal_tree, tree_len};
pub use waxwing_core::OpenError;
pub use work::{Observer, THREADS_DEFAULT_MAX, Work};
