//! The second reading of a GCM body from file to file: its pieces are independent once the tag was verified.

use std::fs::File;
use std::io::IoSlice;
use std::ops::Range;

use waxwing_core::body::{BodyCipher, VerifiedGcm};

use super::bytes::Bytes;
use super::fingerprint::Fingerprints;
use super::piece::PIECE_LEN;
use super::read::{Body, Shape};
use crate::batch::Batch;
use crate::io::{read_exact_at, write_all_at};
use crate::parallel::for_each_batch;
use crate::{Error, Work};

/// A body that may be decrypted piece by piece, in any order, after it was verified.
pub(crate) struct Positional<'a> {
    file: &'a File,
    range: Range<u64>,
    cipher: VerifiedGcm<'a>,
}

impl Body {
    /// The body as one of independent pieces, if it is one: GCM with an IV of 12 bytes, in a file, with nothing to be
    /// taken off or compared.
    pub(super) fn positional(&self) -> Option<Positional<'_>> {
        match (&self.ciphertext, &self.shape) {
            (Bytes::File(file, range), Shape::Whole { cipher: BodyCipher::Gcm, iv, .. })
                if self.proves_itself() =>
            {
                let cipher = VerifiedGcm::new(&self.key, iv.as_slice().try_into().ok()?)?;
                Some(Positional { file, range: range.clone(), cipher })
            }
            _ => None,
        }
    }
}

impl Positional<'_> {
    /// Decrypts into `target`, piece by piece on as many threads as there are. A piece that is not the one that was
    /// verified is refused before it is decrypted.
    pub(super) fn decrypt(
        &self,
        verified: &Fingerprints,
        target: &File,
        work: &Work<'_>,
    ) -> Result<u64, Error> {
        let len = self.range.end - self.range.start;
        let piece_len = PIECE_LEN as u64;
        let buffer = || Batch::for_body(PIECE_LEN, 1, len);
        for_each_batch(len.div_ceil(piece_len), work, buffer, |index, batch| {
            let at = index * piece_len;
            let now = usize::try_from(piece_len.min(len - at)).expect("a piece fits into memory");
            read_exact_at(self.file, self.range.start + at, &mut batch.parts_mut(PIECE_LEN, now))
                .map_err(Error::input)?;
            let piece = &mut batch.first_mut()[..now];
            let place = usize::try_from(index).map_err(|_| Error::InputChanged)?;
            if !verified.matches(place, piece) {
                return Err(Error::InputChanged);
            }
            self.cipher.decrypt_piece(at, piece);
            write_all_at(target, at, &mut [IoSlice::new(piece)]).map_err(Error::output)?;
            work.observer.advance(now as u64);
            Ok(())
        })?;
        Ok(len)
    }
}
