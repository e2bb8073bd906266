use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::Path;

use super::output::anonymous_file;
use super::pipe::widen_pipe;
use crate::Error;

/// Where bytes come from.
pub enum Input {
    /// A regular file, read at offsets by as many threads as there are.
    File {
        /// Open for reading.
        file: File,
        /// Its length when it was opened. A file that changes while it is read is an error.
        len: u64,
    },
    /// Anything that can only be read once, from its beginning.
    Stream(Box<dyn Read + Send>),
}

impl Input {
    /// Opens the file at `path`; a pipe or a device becomes a stream.
    ///
    /// # Errors
    ///
    /// The system's; [`io::ErrorKind::IsADirectory`] for a directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::from_file(File::open(path)?)
    }

    /// [`Input::open`] as a step of sealing or opening.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] at the input.
    pub fn open_file(path: &Path) -> Result<Self, Error> {
        Self::open(path).map_err(Error::input)
    }

    /// Takes a file that is open already, such as standard input.
    ///
    /// # Errors
    ///
    /// As [`Input::open`].
    pub fn from_file(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // A file whose beginning was consumed is a stream of the rest; one in /proc says it is empty and is not.
        if metadata.is_file() && metadata.len() > 0 && file.stream_position()? == 0 {
            return Ok(Self::File { file, len: metadata.len() });
        }
        widen_pipe(&file);
        Ok(Self::Stream(Box::new(file)))
    }

    /// How many bytes there are, when that is known.
    pub fn known_len(&self) -> Option<u64> {
        match self {
            Self::File { len, .. } => Some(*len),
            Self::Stream(_) => None,
        }
    }

    /// The input as something to be read from its beginning.
    pub(crate) fn into_stream(self) -> Box<dyn Read + Send> {
        match self {
            Self::File { file, .. } => Box::new(file),
            Self::Stream(stream) => stream,
        }
    }
}

/// Ciphertext that could only be read once, kept in a file without a name (mode 0600) so that it can be read twice. It
/// vanishes with the process, however that ends.
pub(crate) struct Spool;

impl Spool {
    /// A file of all that `input` has: the file itself, or a copy below `dir`.
    pub(crate) fn file(input: Input, dir: &Path) -> io::Result<(File, u64)> {
        match input {
            Input::File { file, len } => Ok((file, len)),
            Input::Stream(mut stream) => {
                let mut file = anonymous_file(dir)?;
                let len = io::copy(&mut stream, &mut file)?;
                Ok((file, len))
            }
        }
    }
}
