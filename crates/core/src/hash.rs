//! Hashes and HMACs over input of any length, for the checks that partners' schemes make.

use aws_lc_rs::{digest, hmac};
use subtle::ConstantTimeEq;
use waxwing_aws_lc as aws_lc;
use zeroize::Zeroizing;

use crate::NotAuthentic;

/// The shortest truncation of an HMAC that is taken, in bytes (RFC 2104, section 5, allows less).
pub const MAC_LEN_MIN: usize = 16;

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// MD5 (RFC 1321): whoever wants a collision has one, so it shows accidents alone.
    Md5,
    /// SHA-1 (FIPS 180-4): collisions can be bought.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// Bytes of a digest.
    pub fn output_len(self) -> usize {
        self.sha().map_or(aws_lc::MD5_LEN, digest::Algorithm::output_len)
    }

    fn sha(self) -> Option<&'static digest::Algorithm> {
        match self {
            Self::Md5 => None,
            Self::Sha1 => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha256 => Some(&digest::SHA256),
            Self::Sha384 => Some(&digest::SHA384),
            Self::Sha512 => Some(&digest::SHA512),
        }
    }
}

/// A digest in the making. Every way to split the input into calls gives the same one.
pub struct Hasher(State);

enum State {
    Md5(aws_lc::Md5),
    Sha(digest::Context),
}

impl Hasher {
    /// Starts with no input.
    pub fn new(algorithm: HashAlgorithm) -> Self {
        Self(match algorithm.sha() {
            None => State::Md5(aws_lc::Md5::new()),
            Some(sha) => State::Sha(digest::Context::new(sha)),
        })
    }

    /// Adds input.
    pub fn update(&mut self, input: &[u8]) {
        match &mut self.0 {
            State::Md5(md5) => md5.update(input),
            State::Sha(sha) => sha.update(input),
        }
    }

    /// The digest of all input. It is wiped on drop, for some schemes make keys so.
    pub fn finish(self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self.0 {
            State::Md5(md5) => md5.finish().to_vec(),
            State::Sha(sha) => sha.finish().as_ref().to_vec(),
        })
    }
}

/// HMAC (RFC 2104) with a hash function: a MAC, and what HKDF and PBKDF2 are built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacAlgorithm {
    /// HMAC-SHA-1. The collisions of SHA-1 do not touch it.
    HmacSha1,
    /// HMAC-SHA-256.
    HmacSha256,
    /// HMAC-SHA-384.
    HmacSha384,
    /// HMAC-SHA-512.
    HmacSha512,
}

impl MacAlgorithm {
    /// Bytes of a whole MAC.
    pub fn output_len(self) -> usize {
        self.hmac().tag_len()
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha384 => hmac::HMAC_SHA384,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        }
    }
}

/// A MAC in the making. Every way to split the input into calls gives the same one.
pub struct Mac(hmac::Context);

impl Mac {
    /// Starts with no input. `key` has any length.
    pub fn new(algorithm: MacAlgorithm, key: &[u8]) -> Self {
        Self(hmac::Context::with_key(&hmac::Key::new(algorithm.hmac(), key)))
    }

    /// Adds input.
    pub fn update(&mut self, input: &[u8]) {
        self.0.update(input);
    }

    /// The whole MAC of all input. Never compare it with `==`: that is what [`Mac::verify`] is for.
    pub fn finish(self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.sign().as_ref().to_vec())
    }

    /// Compares the first `truncated_to` bytes of the MAC with `expected`, in constant time.
    ///
    /// # Errors
    ///
    /// [`NotAuthentic`] when they differ, and when `expected` is not `truncated_to` bytes long or `truncated_to` is below
    /// [`MAC_LEN_MIN`] or above [`MacAlgorithm::output_len`].
    pub fn verify(self, expected: &[u8], truncated_to: usize) -> Result<(), NotAuthentic> {
        let mac = self.finish();
        let mac = mac.get(..truncated_to).filter(|mac| mac.len() >= MAC_LEN_MIN).ok_or(NotAuthentic)?;
        if bool::from(mac.ct_eq(expected)) { Ok(()) } else { Err(NotAuthentic) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(algorithm: HashAlgorithm, input: &[u8], piece: usize) -> String {
        let mut hasher = Hasher::new(algorithm);
        input.chunks(piece).for_each(|piece| hasher.update(piece));
        hex::encode(hasher.finish())
    }

    fn mac(algorithm: MacAlgorithm, key: &[u8], input: &[u8]) -> Mac {
        let mut mac = Mac::new(algorithm, key);
        input.chunks(7).for_each(|piece| mac.update(piece));
        mac
    }

    #[test]
    fn known_answers_of_abc() {
        // RFC 1321, appendix A.5, and the examples that NIST gives with FIPS 180-4.
        for (algorithm, expected) in [
            (HashAlgorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (HashAlgorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (HashAlgorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                HashAlgorithm::Sha384,
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                 8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                HashAlgorithm::Sha512,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            for piece in 1..=3 {
                assert_eq!(hash(algorithm, b"abc", piece), expected, "{algorithm:?}");
            }
            assert_eq!(algorithm.output_len() * 2, expected.len());
        }
    }

    #[test]
    fn rfc_4231_and_2202_known_answers() {
        let hi = (&[0x0b; 20][..], &b"Hi There"[..]);
        let jefe = (&b"Jefe"[..], &b"what do ya want for nothing?"[..]);
        let long = (&[0xaa; 131][..], &b"Test Using Larger Than Block-Size Key - Hash Key First"[..]);
        for (algorithm, (key, input), expected) in [
            (MacAlgorithm::HmacSha1, hi, "b617318655057264e28bc0b6fb378c8ef146be00"),
            (
                MacAlgorithm::HmacSha256,
                hi,
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                MacAlgorithm::HmacSha256,
                jefe,
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                MacAlgorithm::HmacSha256,
                long,
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                MacAlgorithm::HmacSha384,
                hi,
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c\
                 faea9ea9076ede7f4af152e8b2fa9cb6",
            ),
            (
                MacAlgorithm::HmacSha512,
                hi,
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
                 daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ),
        ] {
            assert_eq!(hex::encode(mac(algorithm, key, input).finish()), expected, "{algorithm:?}");
            let expected = hex::decode(expected).unwrap();
            let len = algorithm.output_len();
            assert_eq!(mac(algorithm, key, input).verify(&expected, len), Ok(()));
        }
        // RFC 4231, section 4.6: truncated to 128 bits.
        let expected = hex::decode("a3b6167473100ee06e0c796c2955552b").unwrap();
        let truncated = mac(MacAlgorithm::HmacSha256, &[0x0c; 20], b"Test With Truncation");
        assert_eq!(truncated.verify(&expected, 16), Ok(()));
    }

    #[test]
    fn a_mac_that_differs_or_has_another_length_is_not_authentic() {
        let mac = || mac(MacAlgorithm::HmacSha256, b"key", b"message");
        let whole = mac().finish();
        for bit in 0..256 {
            let mut bad = whole.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(mac().verify(&bad, 32), Err(NotAuthentic), "bit {bit}");
        }
        for len in 0..=33 {
            let expected = &whole[..len.min(32)];
            assert_eq!(mac().verify(expected, len).is_ok(), (MAC_LEN_MIN..=32).contains(&len), "{len}");
            assert_eq!(mac().verify(expected, 24).is_ok(), len == 24, "{len}");
        }
    }
}
