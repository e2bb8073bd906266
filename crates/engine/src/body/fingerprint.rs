use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::constant_time;
use waxwing_core::{Dek, RandomError, SystemRandom};

/// Bytes that identify one piece.
const FINGERPRINT_LEN: usize = 16;

/// What tells that the pieces of a second reading are those of the first: GMAC (NIST SP 800-38D, section 3) under a key
/// that this process drew for this one purpose. A MAC, since whoever can write the file could make a checksum fit.
///
/// At most `2^36 / PIECE_LEN` pieces come, whose fingerprints are 8 MiB.
pub(crate) struct Fingerprints {
    key: LessSafeKey,
    macs: Vec<[u8; FINGERPRINT_LEN]>,
}

impl Fingerprints {
    pub(crate) fn new() -> Result<Self, RandomError> {
        let key = Dek::generate(&SystemRandom)?;
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).expect("the key has 32 bytes");
        Ok(Self { key: LessSafeKey::new(key), macs: Vec::new() })
    }

    /// Remembers the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.macs.push(self.mac(self.macs.len(), piece));
    }

    /// Whether the piece with this index is the one that was remembered.
    pub(crate) fn matches(&self, index: usize, piece: &[u8]) -> bool {
        self.macs.get(index).is_some_and(|known| {
            constant_time::verify_slices_are_equal(known, &self.mac(index, piece)).is_ok()
        })
    }

    fn mac(&self, index: usize, piece: &[u8]) -> [u8; FINGERPRINT_LEN] {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&(index as u64).to_be_bytes());
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(piece), &mut [])
            .expect("a piece is far below the limit");
        tag.as_ref().try_into().expect("a GCM tag has 16 bytes")
    }
}
