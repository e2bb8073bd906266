//! Frames, and the arithmetic of a body (docs/formats/envelope-v1.md, "Frames").
//!
//! Frames are independent of each other: any number may be sealed or opened at once, in any order, by as many threads.

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use waxwing_formats::envelope::{FrameLen, PLAINTEXT_LEN_MAX, Suite};
use zeroize::Zeroize as _;

use crate::{NotAuthentic, OpenError};

/// Bytes that a frame is longer than its plaintext: its tag.
pub const TAG_LEN: usize = 16;

/// Which frame of its body: part of its nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Counted from 0.
    pub index: u64,
    /// Whether it is the final one.
    pub last: bool,
}

impl Place {
    /// `u8 last ‖ 0x00 × 3 ‖ u64 index`: unique under a key that seals one body.
    fn nonce(self) -> Nonce {
        let mut bytes = [0; 12];
        bytes[0] = self.last.into();
        bytes[4..].copy_from_slice(&self.index.to_be_bytes());
        Nonce::assume_unique_for_key(bytes)
    }
}

/// The key of one body's frames.
pub struct FrameKey(LessSafeKey);

impl FrameKey {
    pub(crate) fn new(suite: Suite, key: &[u8; 32]) -> Self {
        let algorithm = match suite {
            Suite::Aes256Gcm => &AES_256_GCM,
            Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(algorithm, key).expect("both suites have 32-byte keys");
        Self(LessSafeKey::new(key))
    }

    /// Seals a frame in place: `frame` is its plaintext and [`TAG_LEN`] bytes of room behind it.
    ///
    /// The caller never seals two plaintexts at one place: the place is the nonce.
    ///
    /// # Panics
    ///
    /// When `frame` has no room for the tag, or more than 16 MiB.
    pub fn seal(&self, place: Place, frame: &mut [u8]) {
        let (plaintext, room) = frame.split_at_mut(frame.len() - TAG_LEN);
        let tag = self
            .0
            .seal_in_place_separate_tag(place.nonce(), Aad::empty(), plaintext)
            .expect("a frame is far below the AEAD's limit");
        room.copy_from_slice(tag.as_ref());
    }

    /// Opens a frame in place and lends its plaintext. On failure nothing of it is left in `frame`.
    ///
    /// # Errors
    ///
    /// [`NotAuthentic`].
    pub fn open<'a>(&self, place: Place, frame: &'a mut [u8]) -> Result<&'a mut [u8], NotAuthentic> {
        let plaintext_len = frame.len().checked_sub(TAG_LEN).ok_or(NotAuthentic)?;
        if self.0.open_in_place(place.nonce(), Aad::empty(), frame).is_err() {
            frame.zeroize();
            return Err(NotAuthentic);
        }
        Ok(&mut frame[..plaintext_len])
    }

    /// Opens the final frame, and tells a body that was cut at a frame's end from one that was changed.
    ///
    /// # Errors
    ///
    /// [`OpenError::Truncated`] when `frame` is `full` and opens as one with more behind it; its plaintext is withheld.
    /// Otherwise [`OpenError::NotAuthentic`].
    pub fn open_last<'a>(
        &self,
        index: u64,
        full: bool,
        frame: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        // A failed attempt wipes the frame, and only a full one can be cut.
        let mut copy = if full { frame.to_vec() } else { Vec::new() };
        let opened = self.open(Place { index, last: true }, frame);
        if opened.is_err() && full && self.open(Place { index, last: false }, &mut copy).is_ok() {
            copy.zeroize();
            return Err(OpenError::Truncated);
        }
        Ok(opened?)
    }
}

impl std::fmt::Debug for FrameKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrameKey(..)")
    }
}

/// Where the frames of a whole body lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyShape {
    frame_len: FrameLen,
    plaintext_len: u64,
}

impl BodyShape {
    /// The body that this much plaintext gets, or `None` above [`PLAINTEXT_LEN_MAX`].
    pub fn of_plaintext(frame_len: FrameLen, plaintext_len: u64) -> Option<Self> {
        (plaintext_len <= PLAINTEXT_LEN_MAX).then_some(Self { frame_len, plaintext_len })
    }

    /// The shape of a body of `body_len` bytes.
    ///
    /// # Errors
    ///
    /// [`OpenError::Truncated`] for a length that no whole body has, [`OpenError::TooLong`].
    pub fn of_body(frame_len: FrameLen, body_len: u64) -> Result<Self, OpenError> {
        let sealed = sealed_len(frame_len);
        let (full, rest) = (body_len / sealed, body_len % sealed);
        let tag = TAG_LEN as u64;
        let last = match (full, rest) {
            (0, 0) => return Err(OpenError::Truncated),
            (_, 0) => 0,
            (0, rest) if rest == tag => 0,
            (_, rest) if rest <= tag => return Err(OpenError::Truncated),
            (_, rest) => rest - tag,
        };
        // `full` is at most 2^64 / 4096.
        let plaintext_len = full.checked_mul(frame_len.bytes() as u64).and_then(|len| len.checked_add(last));
        plaintext_len.and_then(|len| Self::of_plaintext(frame_len, len)).ok_or(OpenError::TooLong)
    }

    /// Bytes of plaintext.
    pub fn plaintext_len(self) -> u64 {
        self.plaintext_len
    }

    /// Bytes of body.
    pub fn body_len(self) -> u64 {
        self.plaintext_len + self.frames() * TAG_LEN as u64
    }

    /// How many frames; at least one.
    pub fn frames(self) -> u64 {
        self.plaintext_len.div_ceil(self.frame_len.bytes() as u64).max(1)
    }

    /// The place of the frame with this index.
    pub fn place(self, index: u64) -> Place {
        Place { index, last: index + 1 == self.frames() }
    }

    /// Plaintext bytes of the frame with this index.
    pub fn frame_plaintext_len(self, index: u64) -> usize {
        let start = index * self.frame_len.bytes() as u64;
        // The cast cannot cut: it is at most a frame.
        self.plaintext_len.saturating_sub(start).min(self.frame_len.bytes() as u64) as usize
    }

    /// Whether the final frame is full, so that a cut right behind it would not show in the length.
    pub fn last_is_full(self) -> bool {
        self.frame_plaintext_len(self.frames() - 1) == self.frame_len.bytes()
    }

    /// Where the frame with this index begins in the body.
    pub fn frame_offset(self, index: u64) -> u64 {
        index * sealed_len(self.frame_len)
    }

    /// The size of the frames.
    pub fn frame_len(self) -> FrameLen {
        self.frame_len
    }
}

fn sealed_len(frame_len: FrameLen) -> u64 {
    (frame_len.bytes() + TAG_LEN) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: u8 = 12;

    fn frame_len() -> FrameLen {
        FrameLen::from_log2(SMALL).unwrap()
    }

    fn key() -> FrameKey {
        FrameKey::new(Suite::Aes256Gcm, &[3; 32])
    }

    fn sealed(place: Place, plaintext: &[u8]) -> Vec<u8> {
        let mut frame = plaintext.to_vec();
        frame.extend([0; TAG_LEN]);
        key().seal(place, &mut frame);
        frame
    }

    #[test]
    fn a_frame_opens_only_at_its_place() {
        let place = Place { index: 7, last: false };
        let frame = sealed(place, b"hello");
        assert_eq!(key().open(place, &mut frame.clone()).unwrap(), b"hello");
        for other in [Place { index: 8, ..place }, Place { last: true, ..place }] {
            let mut frame = frame.clone();
            assert_eq!(key().open(other, &mut frame), Err(NotAuthentic));
            assert!(frame.iter().all(|&b| b == 0), "nothing is left of it");
        }
    }

    #[test]
    fn a_cut_behind_a_full_frame_is_told_apart_from_a_change() {
        let mut frame = sealed(Place { index: 0, last: false }, &[1; 1 << SMALL]);
        assert_eq!(key().open_last(0, true, &mut frame.clone()), Err(OpenError::Truncated));
        frame[5] ^= 1;
        assert_eq!(key().open_last(0, true, &mut frame), Err(NotAuthentic.into()));
    }

    #[test]
    fn body_lengths_that_no_body_has_are_truncated() {
        let sealed = sealed_len(frame_len());
        let shape = |len| BodyShape::of_body(frame_len(), len);
        for len in [0, 1, 15, sealed + 1, sealed + 15, sealed + 16] {
            assert_eq!(shape(len), Err(OpenError::Truncated), "{len}");
        }
        assert_eq!(shape(16).unwrap().plaintext_len(), 0);
        assert_eq!(shape(17).unwrap().plaintext_len(), 1);
        assert_eq!(shape(sealed).unwrap().plaintext_len(), 1 << SMALL);
        assert_eq!(shape(sealed + 17).unwrap().plaintext_len(), (1 << SMALL) + 1);
        assert_eq!(shape(u64::MAX - 4000).unwrap_err(), OpenError::TooLong);
    }

    proptest! {
        #[test]
        fn shapes_of_plaintext_and_body_agree(len in 0..=PLAINTEXT_LEN_MAX, log2 in FrameLen::LOG2_RANGE) {
            let frame_len = FrameLen::from_log2(log2).unwrap();
            let shape = BodyShape::of_plaintext(frame_len, len).unwrap();
            prop_assert_eq!(BodyShape::of_body(frame_len, shape.body_len()), Ok(shape));
            let last = shape.frames() - 1;
            let end = shape.frame_offset(last) + (shape.frame_plaintext_len(last) + TAG_LEN) as u64;
            prop_assert_eq!(end, shape.body_len());
            prop_assert!(shape.place(last).last && (last == 0 || !shape.place(last - 1).last));
        }
    }
}
