//! Inputs, outputs and the system calls between them.

mod input;
mod output;
mod pipe;
mod vectored;

pub use input::Input;
pub(crate) use input::Spool;
pub use output::{Existing, Output};
pub(crate) use output::{PendingFile, Privacy, Sink, anonymous_file};
pub(crate) use vectored::{fill, read_exact_at, write_all, write_all_at};
