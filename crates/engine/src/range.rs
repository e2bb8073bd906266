//! The plaintext of an envelope, read wherever one likes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use waxwing_core::OpenError;
use waxwing_core::envelope::{LockedHeader, VerifiedHeader};
use waxwing_core::frames::{BodyShape, TAG_LEN};
use waxwing_formats::envelope::Context;
use waxwing_keyring::Keyring;

use crate::Error;
use crate::batch::Batch;
use crate::header::{header_at_front, unlock};
use crate::open::open_frame;

/// Something that is read at an offset, such as a file, an object in a store, bytes in memory.
pub trait ReadAt {
    /// Fills `bytes` with what lies at `offset`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] when it ends before.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// How many bytes there are.
    ///
    /// # Errors
    ///
    /// The system's.
    fn size(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = self.get(start..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.as_slice().size()
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }
}

/// Reads the plaintext of an envelope at any place, in any order, one frame at a time in memory.
///
/// Opening proves the header and the final frame, and with it the length; after that, only the frames are read that hold
/// what is asked for. No byte comes out of a frame that did not verify. A [`Read`] or [`Seek`] error that comes from the
/// envelope wraps an [`Error`].
pub struct RangeReader<R> {
    source: R,
    header: VerifiedHeader,
    /// Where the body begins.
    offset: u64,
    shape: BodyShape,
    /// Where the next read begins, in the plaintext.
    position: u64,
    frame: Batch,
    /// The index of the frame in `frame`, when it verified.
    opened: Option<u64>,
}

impl<R: ReadAt> RangeReader<R> {
    /// Opens the envelope in `source` with whichever key of `keyring` opens it. It must have been sealed with `required`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn attached(source: R, keyring: &Keyring, required: &Context) -> Result<Self, Error> {
        let bytes = header_at_front(&source)?;
        let locked = LockedHeader::decode(&bytes).map_err(OpenError::Header)?;
        Self::new(source, bytes.len() as u64, &locked, keyring, required)
    }

    /// Opens an envelope whose header was kept apart; `source` has its body.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn detached(
        source: R,
        header: &LockedHeader,
        keyring: &Keyring,
        required: &Context,
    ) -> Result<Self, Error> {
        Self::new(source, 0, header, keyring, required)
    }

    fn new(
        source: R,
        offset: u64,
        locked: &LockedHeader,
        keyring: &Keyring,
        required: &Context,
    ) -> Result<Self, Error> {
        let header = pollster::block_on(unlock(locked, keyring, required))?;
        let len = source.size().map_err(Error::input)?;
        let shape = BodyShape::of_body(header.frame_len(), len.saturating_sub(offset))?;
        let frame = Batch::for_body(shape.frame_len().bytes() + TAG_LEN, 1, shape.body_len());
        let mut reader = Self { source, header, offset, shape, position: 0, frame, opened: None };
        reader.frame(shape.frames() - 1)?;
        Ok(reader)
    }

    /// Bytes of plaintext.
    pub fn plaintext_len(&self) -> u64 {
        self.shape.plaintext_len()
    }

    /// The header, proven.
    pub fn header(&self) -> &VerifiedHeader {
        &self.header
    }

    pub(crate) fn into_header(self) -> VerifiedHeader {
        self.header
    }

    /// What the frame that holds the plaintext byte `at` holds from there on; nothing at the end.
    pub(crate) fn plaintext_at(&mut self, at: u64) -> Result<&[u8], Error> {
        if at >= self.plaintext_len() {
            return Ok(&[]);
        }
        let frame_len = self.shape.frame_len().bytes() as u64;
        // The remainder is less than a frame.
        Ok(&self.frame(at / frame_len)?[(at % frame_len) as usize..])
    }

    /// The plaintext of the frame with this index.
    fn frame(&mut self, index: u64) -> Result<&[u8], Error> {
        let len = self.shape.frame_plaintext_len(index);
        if self.opened != Some(index) {
            self.opened = None;
            let mut parts = self.frame.parts_mut(len + TAG_LEN, len + TAG_LEN);
            self.source
                .read_exact_at(&mut parts[0], self.offset + self.shape.frame_offset(index))
                .map_err(Error::input)?;
            let frame = &mut self.frame.first_mut()[..len + TAG_LEN];
            let frame_len = self.shape.frame_len().bytes();
            open_frame(self.header.frame_key(), self.shape.place(index), frame_len, frame)?;
            self.opened = Some(index);
        }
        Ok(&self.frame.first_mut()[..len])
    }
}

impl<R: ReadAt> Read for RangeReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let piece = self.plaintext_at(self.position).map_err(Error::into_io)?;
        let len = piece.len().min(out.len());
        out[..len].copy_from_slice(&piece[..len]);
        self.position += len as u64;
        Ok(len)
    }
}

impl<R: ReadAt> Seek for RangeReader<R> {
    /// Positions behind the end are allowed, as in files, and read as nothing.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.plaintext_len().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl<R> std::fmt::Debug for RangeReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RangeReader").field("shape", &self.shape).finish_non_exhaustive()
    }
}
