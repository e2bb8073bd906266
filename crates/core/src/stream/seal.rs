use waxwing_formats::envelope::{FrameLen, PLAINTEXT_LEN_MAX};
use zeroize::Zeroize as _;

use crate::frames::{FrameKey, Place, TAG_LEN};

/// Seals a body as its plaintext arrives, in pieces of any size.
///
/// A full frame waits for the byte after it, since only the end tells which frame is the final one.
pub struct Sealer {
    key: FrameKey,
    frame_len: usize,
    index: u64,
    pending: Vec<u8>,
}

/// The plaintext is longer than an envelope can hold (2^48 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the plaintext is longer than {PLAINTEXT_LEN_MAX} bytes, the most an envelope holds")]
pub struct PlaintextTooLong;

impl Sealer {
    /// Seals frames of this size with `key`, which must be fresh from a header.
    pub fn new(key: FrameKey, frame_len: FrameLen) -> Self {
        let frame_len = frame_len.bytes();
        Self { key, frame_len, index: 0, pending: Vec::with_capacity(frame_len + TAG_LEN) }
    }

    /// Takes plaintext and appends the frames that it completes to `out`.
    ///
    /// # Errors
    ///
    /// [`PlaintextTooLong`].
    pub fn push(&mut self, mut plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), PlaintextTooLong> {
        while !plaintext.is_empty() {
            if self.pending.len() == self.frame_len {
                self.seal_pending(false, out);
                if self.index * self.frame_len as u64 >= PLAINTEXT_LEN_MAX {
                    return Err(PlaintextTooLong);
                }
            }
            let taken = plaintext.len().min(self.frame_len - self.pending.len());
            let (now, later) = plaintext.split_at(taken);
            self.pending.extend_from_slice(now);
            plaintext = later;
        }
        Ok(())
    }

    /// Appends the final frame to `out`.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.seal_pending(true, out);
    }

    fn seal_pending(&mut self, last: bool, out: &mut Vec<u8>) {
        self.pending.extend([0; TAG_LEN]);
        self.key.seal(Place { index: self.index, last }, &mut self.pending);
        out.extend_from_slice(&self.pending);
        self.pending.clear();
        self.index += 1;
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        self.pending.zeroize();
    }
}
