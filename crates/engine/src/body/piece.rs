//! Pieces of a ciphertext, and what comes of them.

use std::io::{IoSliceMut, Read};

use waxwing_core::body::SLACK_LEN;
use zeroize::Zeroize as _;

use crate::Error;
use crate::pump::Ahead;

/// Bytes that are read at once.
pub(crate) const PIECE_LEN: usize = 128 << 10;
/// Room behind what came of a piece for what a cipher held back, and a tag.
const ROOM_LEN: usize = 2 * SLACK_LEN;

/// A piece, or what came of it. Wiped on drop, since it may be plaintext, as far as it was used.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    used: usize,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; PIECE_LEN + ROOM_LEN], used: 0 }
    }

    /// The next piece of `source`: how long it is, and whether it is the last. An empty source has one empty piece.
    pub(crate) fn read(&mut self, source: &mut Ahead<impl Read>) -> Result<(usize, bool), Error> {
        let (len, last) = source.fill(&mut [IoSliceMut::new(&mut self.bytes[..PIECE_LEN])])?;
        self.used = self.used.max(len);
        Ok((len, last))
    }

    /// Room for what comes of a piece of this length.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        self.used = self.used.max(len + ROOM_LEN);
        &mut self.bytes[..len + ROOM_LEN]
    }

    /// The first `len` bytes.
    pub(crate) fn written(&self, len: usize) -> &[u8] {
        &self.bytes[..len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.bytes[..self.used].zeroize();
    }
}

/// Reads a source piece by piece, each into the same place: that stays in the cache of the core that reads, where buffers
/// that travel to another core do not.
pub(crate) struct Pieces<R> {
    source: Ahead<R>,
    piece: Buffer,
}

impl<R: Read> Pieces<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source: Ahead::new(source), piece: Buffer::new() }
    }

    /// The next piece, and whether it is the last.
    pub(crate) fn read(&mut self) -> Result<(&[u8], bool), Error> {
        let (len, last) = self.piece.read(&mut self.source)?;
        Ok((self.piece.written(len), last))
    }
}
