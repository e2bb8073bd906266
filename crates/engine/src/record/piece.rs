use std::io::{self, IoSliceMut, Read, Write};

use waxwing_core::content::SLACK_LEN;
use zeroize::{Zeroize as _, Zeroizing};

use crate::io::fill;
use crate::pump::Buffer;

/// Bytes that travel at once: so few that all pieces on their way stay in a core's cache.
pub(super) const PIECE_LEN: usize = 128 << 10;
/// Room behind what was read for what a cipher held back, and a tag.
const ROOM_LEN: usize = 2 * SLACK_LEN;
/// How much is transformed with one call.
const STRIDE_LEN: usize = 16 << 10;

/// What was read, and then what came of it, in the same place. Wiped on drop, since one of the two is plaintext.
pub(super) struct Piece {
    bytes: Vec<u8>,
    touched: usize,
}

/// Where input waits while its place is written to: not every cipher can work in place.
pub(super) struct Stride(Zeroizing<Vec<u8>>);

impl Stride {
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(vec![0; STRIDE_LEN]))
    }
}

impl Piece {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; PIECE_LEN + ROOM_LEN], touched: 0 }
    }

    /// The first `len` bytes, as they were read.
    pub(super) fn input(&self, len: usize) -> &[u8] {
        &self.bytes[..len]
    }

    /// Puts what `update` makes of the first `len` bytes in their place, and says how many bytes that is. `update` holds back
    /// what it likes, but never has written more than it was given.
    pub(super) fn transform<E>(
        &mut self,
        len: usize,
        stride: &mut Stride,
        mut update: impl FnMut(&[u8], &mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let (mut read, mut written) = (0, 0);
        while read < len {
            let input = &mut stride.0[..(len - read).min(STRIDE_LEN)];
            input.copy_from_slice(&self.bytes[read..read + input.len()]);
            read += input.len();
            written += update(input, &mut self.bytes[written..read + ROOM_LEN])?;
        }
        self.touched = self.touched.max(len);
        Ok(written)
    }

    /// What is there from `written` on, for a cipher's end and a tag.
    pub(super) fn rest(&mut self, written: usize) -> &mut [u8] {
        &mut self.bytes[written..]
    }
}

impl Buffer for Piece {
    fn fill(&mut self, source: &mut dyn Read) -> io::Result<usize> {
        fill(source, &mut [IoSliceMut::new(&mut self.bytes[..PIECE_LEN])])
    }

    fn capacity(&self) -> usize {
        PIECE_LEN
    }

    fn drain(&self, sink: &mut dyn Write, len: usize) -> io::Result<()> {
        sink.write_all(&self.bytes[..len])
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.bytes[..self.touched + ROOM_LEN].zeroize();
    }
}
