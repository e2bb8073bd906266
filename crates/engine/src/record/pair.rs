use std::io::{self, Read, Write};

use waxwing_core::content::SLACK_LEN;
use zeroize::Zeroize as _;

use crate::pump::Buffer;

/// Bytes that travel at once: small enough that both halves stay in a core's cache.
pub(super) const PAIR_LEN: usize = 256 << 10;
/// Room behind the output for what a cipher held back, and a tag.
const ROOM_LEN: usize = 2 * SLACK_LEN;

/// What was read, and what came of it. Wiped on drop, since one of the two is plaintext.
pub(super) struct Pair {
    input: Vec<u8>,
    output: Vec<u8>,
    touched: usize,
}

impl Pair {
    pub(super) fn new() -> Self {
        Self { input: vec![0; PAIR_LEN], output: vec![0; PAIR_LEN + ROOM_LEN], touched: 0 }
    }

    /// The first `len` bytes that were read, and where to put what comes of them.
    pub(super) fn halves(&mut self, len: usize) -> (&[u8], &mut [u8]) {
        self.touched = self.touched.max(len);
        (&self.input[..len], &mut self.output[..len + ROOM_LEN])
    }
}

impl Buffer for Pair {
    fn fill(&mut self, source: &mut dyn Read) -> io::Result<usize> {
        let mut filled = 0;
        while filled < PAIR_LEN {
            match source.read(&mut self.input[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(filled)
    }

    fn capacity(&self) -> usize {
        PAIR_LEN
    }

    fn drain(&self, sink: &mut dyn Write, len: usize) -> io::Result<()> {
        sink.write_all(&self.output[..len])
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.input[..self.touched].zeroize();
        self.output[..self.touched + ROOM_LEN].zeroize();
    }
}
