//! Byte strings: short ones in memory, long ones as stretches of a file.

use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::ops::Range;
use std::sync::Arc;

use waxwing_profiles::Slice;
use zeroize::Zeroizing;

use super::piece::PIECE_LEN;
use crate::io::{fill, read_exact_at};
use crate::{Error, Work};

/// The longest stretch of a file that is read whole: an IV, a tag, a wrapped key or a label, never a content.
pub(crate) const READ_WHOLE_MAX: u64 = 1 << 20;

/// A byte string, cheap to copy and to cut.
#[derive(Clone)]
pub(crate) enum Bytes {
    /// Wiped when nobody holds it any more.
    Held(Arc<Zeroizing<Vec<u8>>>, Range<usize>),
    File(Arc<File>, Range<u64>),
}

impl Bytes {
    pub(crate) fn held(bytes: Vec<u8>) -> Self {
        Self::secret(Zeroizing::new(bytes))
    }

    pub(crate) fn secret(bytes: Zeroizing<Vec<u8>>) -> Self {
        let range = 0..bytes.len();
        Self::Held(Arc::new(bytes), range)
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Held(_, range) => range.len() as u64,
            Self::File(_, range) => range.end - range.start,
        }
    }

    /// A part of it, which must lie in it.
    pub(crate) fn range(&self, part: Range<u64>) -> Self {
        let Range { start, end } = part;
        match self {
            Self::Held(bytes, range) => {
                let at = |offset: u64| range.start + usize::try_from(offset).expect("it lies in memory");
                Self::Held(Arc::clone(bytes), at(start)..at(end))
            }
            Self::File(file, range) => Self::File(Arc::clone(file), range.start + start..range.start + end),
        }
    }

    pub(crate) fn slice(&self, slice: Slice) -> Option<Self> {
        slice.range(self.len()).map(|range| self.range(range))
    }

    /// All of it, in memory: `None` when it is too long for that.
    pub(crate) fn whole(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        match self {
            Self::Held(bytes, range) => Ok(Some(Zeroizing::new(bytes[range.clone()].to_vec()))),
            Self::File(_, _) if self.len() > READ_WHOLE_MAX => Ok(None),
            Self::File(file, range) => {
                let mut bytes = vec![0; usize::try_from(self.len()).expect("it is short")];
                read_exact_at(file, range.start, &mut [IoSliceMut::new(&mut bytes)]).map_err(Error::input)?;
                Ok(Some(Zeroizing::new(bytes)))
            }
        }
    }

    /// Has `update` see all of it, piece by piece.
    pub(crate) fn feed(&self, work: &Work<'_>, mut update: impl FnMut(&[u8])) -> Result<(), Error> {
        let (mut reader, mut left) = (self.reader(), self.len());
        let mut buffer = vec![0; PIECE_LEN.min(usize::try_from(left).unwrap_or(usize::MAX))];
        while left > 0 {
            if work.observer.stopped() {
                return Err(Error::Stopped);
            }
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read =
                fill(&mut reader, &mut [IoSliceMut::new(&mut buffer[..piece])]).map_err(Error::input)?;
            if read < piece {
                return Err(Error::InputChanged);
            }
            update(&buffer[..read]);
            work.observer.advance(read as u64);
            left -= read as u64;
        }
        Ok(())
    }

    /// Reads it from its beginning. What a file no longer has is missing at the end.
    pub(crate) fn reader(&self) -> Box<dyn Read + Send> {
        match self {
            Self::Held(bytes, range) => {
                Box::new(HeldReader { bytes: Arc::clone(bytes), left: range.clone() })
            }
            Self::File(file, range) => Box::new(FileReader { file: Arc::clone(file), left: range.clone() }),
        }
    }
}

struct HeldReader {
    bytes: Arc<Zeroizing<Vec<u8>>>,
    left: Range<usize>,
}

impl Read for HeldReader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let len = out.len().min(self.left.len());
        out[..len].copy_from_slice(&self.bytes[self.left.start..self.left.start + len]);
        self.left.start += len;
        Ok(len)
    }
}

/// Reads at offsets, so that one file may be read by several at once.
struct FileReader {
    file: Arc<File>,
    left: Range<u64>,
}

impl Read for FileReader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        let left = self.left.end - self.left.start;
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        let read = self.file.read_at(&mut out[..len], self.left.start)?;
        self.left.start += read as u64;
        Ok(read)
    }
}
