//! The key schedule of the envelope (docs/formats/envelope-v1.md, "Key schedule").

use aws_lc_rs::digest::{SHA512, SHA512_OUTPUT_LEN, digest};
use aws_lc_rs::hkdf::{HKDF_SHA512, KeyType, Prk, Salt};
use aws_lc_rs::hmac;
use waxwing_formats::codec::Encode as _;
use waxwing_formats::envelope::{Fixed, HASH_LEN};
use zeroize::Zeroizing;

use crate::Dek;
use crate::frames::FrameKey;

/// Begins the info of every key derived from a DEK.
const LABEL_PREFIX: &[u8] = b"waxwing/1 ";
/// Begins the info of every key derived from a KEK.
const WRAP_PREFIX: &[u8] = b"waxwing/1 wrap ";

/// Everything that one DEK and one `fixed` determine.
pub(crate) struct Schedule {
    pub(crate) commitment: [u8; HASH_LEN],
    header_key: hmac::Key,
    frame_key: FrameKey,
}

impl Schedule {
    pub(crate) fn new(dek: &Dek, fixed: &Fixed) -> Self {
        let prk = Salt::new(HKDF_SHA512, &fixed.message_id).extract(dek.expose());
        let fixed_digest = sha512(&fixed.to_bytes());
        let key = |label: &[u8]| expand(&prk, &[LABEL_PREFIX, label, &[0], &fixed_digest]);
        Self {
            commitment: *key(b"commit"),
            header_key: hmac::Key::new(hmac::HMAC_SHA256, key(b"header").as_slice()),
            frame_key: FrameKey::new(fixed.suite, &key(b"frames")),
        }
    }

    /// The MAC of a header whose bytes before it are `maced`.
    pub(crate) fn mac(&self, maced: &[u8]) -> [u8; HASH_LEN] {
        let tag = hmac::sign(&self.header_key, maced);
        tag.as_ref().try_into().expect("HMAC-SHA-256 gives 32 bytes")
    }

    /// Whether `mac` is the MAC of `maced`, in constant time.
    pub(crate) fn mac_matches(&self, maced: &[u8], mac: &[u8; HASH_LEN]) -> bool {
        hmac::verify(&self.header_key, maced, mac).is_ok()
    }

    pub(crate) fn into_frame_key(self) -> FrameKey {
        self.frame_key
    }
}

/// The key under which a KEK wraps one DEK: bound to the kind, the envelope and the DEK's commitment, so that it never
/// wraps a second DEK.
pub(crate) fn wrap_key(
    kek: &[u8; 32],
    kind: &str,
    fixed: &Fixed,
    commitment: &[u8; HASH_LEN],
) -> Zeroizing<[u8; 32]> {
    let prk = Salt::new(HKDF_SHA512, &fixed.message_id).extract(kek);
    let mut bound = fixed.to_bytes();
    bound.extend(commitment);
    expand(&prk, &[WRAP_PREFIX, kind.as_bytes(), &[0], &sha512(&bound)])
}

fn expand(prk: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    struct Len32;
    impl KeyType for Len32 {
        fn len(&self) -> usize {
            32
        }
    }
    let mut out = Zeroizing::new([0; 32]);
    let filled = prk.expand(info, Len32).and_then(|okm| okm.fill(out.as_mut()));
    filled.expect("32 bytes are within HKDF-SHA-512's limit");
    out
}

fn sha512(bytes: &[u8]) -> [u8; SHA512_OUTPUT_LEN] {
    digest(&SHA512, bytes).as_ref().try_into().expect("SHA-512 gives 64 bytes")
}
