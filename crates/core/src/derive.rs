//! Keys derived from other secrets: HKDF and PBKDF2.

use std::num::NonZeroU32;

use aws_lc_rs::{hkdf, pbkdf2};
use zeroize::Zeroizing;

use crate::hash::MacAlgorithm;

/// The most iterations of PBKDF2 that are run: a hostile description could ask for 2^32.
pub const PBKDF2_ITERATIONS_MAX: u32 = 10_000_000;
/// The longest output of PBKDF2, in bytes: its time grows with it.
pub const PBKDF2_LEN_MAX: usize = 1024;
/// HKDF gives at most so many digests (RFC 5869, section 2.3).
pub const HKDF_DIGESTS_MAX: usize = 255;

/// Why nothing was derived. No secret was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// Nothing, or too much.
    #[error("{len} bytes cannot be derived; it must be 1 to {max}")]
    Length {
        /// Bytes asked for.
        len: usize,
        /// The most there are.
        max: usize,
    },
    /// None, or too many.
    #[error("PBKDF2 cannot run {iterations} iterations; it must be 1 to {PBKDF2_ITERATIONS_MAX}")]
    Iterations {
        /// Iterations asked for.
        iterations: u32,
    },
}

/// `len` bytes of HKDF (RFC 5869): extracted from `secret` with `salt`, which may be empty, then expanded with `info`.
///
/// # Errors
///
/// [`DeriveError::Length`] for 0 and above [`HKDF_DIGESTS_MAX`] digests.
pub fn hkdf(
    algorithm: MacAlgorithm,
    secret: &[u8],
    salt: &[u8],
    info: &[u8],
    len: usize,
) -> Result<Zeroizing<Vec<u8>>, DeriveError> {
    let hkdf_algorithm = match algorithm {
        MacAlgorithm::HmacSha1 => hkdf::HKDF_SHA1_FOR_LEGACY_USE_ONLY,
        MacAlgorithm::HmacSha256 => hkdf::HKDF_SHA256,
        MacAlgorithm::HmacSha384 => hkdf::HKDF_SHA384,
        MacAlgorithm::HmacSha512 => hkdf::HKDF_SHA512,
    };
    let mut out = buffer(len, HKDF_DIGESTS_MAX * algorithm.output_len())?;
    let prk = hkdf::Salt::new(hkdf_algorithm, salt).extract(secret);
    let filled = prk.expand(&[info], Len(len)).and_then(|okm| okm.fill(&mut out));
    filled.expect("the length is within HKDF's limit");
    Ok(out)
}

/// `len` bytes of PBKDF2 (RFC 8018, section 5.2).
///
/// # Errors
///
/// [`DeriveError::Length`] for 0 and above [`PBKDF2_LEN_MAX`]; [`DeriveError::Iterations`] for 0 and above
/// [`PBKDF2_ITERATIONS_MAX`].
pub fn pbkdf2(
    algorithm: MacAlgorithm,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    len: usize,
) -> Result<Zeroizing<Vec<u8>>, DeriveError> {
    let algorithm = match algorithm {
        MacAlgorithm::HmacSha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        MacAlgorithm::HmacSha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        MacAlgorithm::HmacSha384 => pbkdf2::PBKDF2_HMAC_SHA384,
        MacAlgorithm::HmacSha512 => pbkdf2::PBKDF2_HMAC_SHA512,
    };
    let allowed = NonZeroU32::new(iterations).filter(|count| count.get() <= PBKDF2_ITERATIONS_MAX);
    let allowed = allowed.ok_or(DeriveError::Iterations { iterations })?;
    let mut out = buffer(len, PBKDF2_LEN_MAX)?;
    pbkdf2::derive(algorithm, allowed, salt, password, &mut out);
    Ok(out)
}

struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

fn buffer(len: usize, max: usize) -> Result<Zeroizing<Vec<u8>>, DeriveError> {
    match len {
        1.. if len <= max => Ok(Zeroizing::new(vec![0; len])),
        _ => Err(DeriveError::Length { len, max }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(bytes: std::ops::RangeInclusive<u8>) -> Vec<u8> {
        bytes.collect()
    }

    #[test]
    fn rfc_5869_known_answers() {
        for (algorithm, secret, salt, info, expected) in [
            (
                MacAlgorithm::HmacSha256, // A.1
                vec![0x0b; 22],
                range(0..=0x0c),
                range(0xf0..=0xf9),
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
            ),
            (
                MacAlgorithm::HmacSha256, // A.2
                range(0..=0x4f),
                range(0x60..=0xaf),
                range(0xb0..=0xff),
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
                 da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
            ),
            (
                MacAlgorithm::HmacSha256, // A.3
                vec![0x0b; 22],
                vec![],
                vec![],
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
            ),
            (
                MacAlgorithm::HmacSha1, // A.4
                vec![0x0b; 11],
                range(0..=0x0c),
                range(0xf0..=0xf9),
                "085a01ea1b10f36933068b56efa5ad81a4f14b822f5b091568a9cdd4f155fda2c22e422478d305f3f896",
            ),
        ] {
            let okm = hkdf(algorithm, &secret, &salt, &info, expected.len() / 2).unwrap();
            assert_eq!(hex::encode(okm), expected);
        }
    }

    #[test]
    fn the_longer_digests_agree_with_python() {
        // `hmac` and `hashlib` of Python 3.
        for (algorithm, hkdf_okm, pbkdf2_key) in [
            (
                MacAlgorithm::HmacSha256,
                "f6d2fcc47cb939deafe3853a1e641a27e6924aff7a63d09cb04ccfffbe4776efdda39ae362b13460",
                "632c2812e46d4604102ba7618e9d6d7d2f8128f6266b4a03264d2a0460b7dcb388b3b1131f741bcb",
            ),
            (
                MacAlgorithm::HmacSha384,
                "29c042775183ec5dbc2c085eb49502b15d9e8abe4a4c1ef98e8e0fb95ad5f6a9fa0e85c3523ecd2f",
                "3bd37e2236941d4a77b1b5b714c6f913fabb6b0841a6d7d8656b99d611e900fe06edb93b5b809efa",
            ),
            (
                MacAlgorithm::HmacSha512,
                "90e269f053d383c4b2070be93238adf358f3d67bd7b17ca3de95f10a50a8385e66d8241c8c22c91c",
                "afe6c5530785b6cc6b1c6453384731bd5ee432ee549fd42fb6695779ad8a1c5bf59de69c48f774ef",
            ),
        ] {
            assert_eq!(hex::encode(hkdf(algorithm, b"secret", b"salt", b"info", 40).unwrap()), hkdf_okm);
            assert_eq!(hex::encode(pbkdf2(algorithm, b"password", b"salt", 1000, 40).unwrap()), pbkdf2_key);
        }
    }

    #[test]
    fn rfc_6070_known_answers() {
        for (password, salt, iterations, expected) in [
            (&b"password"[..], &b"salt"[..], 1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
            (b"password", b"salt", 2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
            (b"password", b"salt", 4096, "4b007901b765489abead49d926f721d065a429c1"),
            (
                b"passwordPASSWORDpassword",
                b"saltSALTsaltSALTsaltSALTsaltSALTsalt",
                4096,
                "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038",
            ),
            (b"pass\0word", b"sa\0lt", 4096, "56fa6aa75548099dcc37d7f03425e0c3"),
        ] {
            let key = pbkdf2(MacAlgorithm::HmacSha1, password, salt, iterations, expected.len() / 2).unwrap();
            assert_eq!(hex::encode(key), expected);
        }
    }

    #[test]
    fn the_limits_are_kept() {
        for (algorithm, max) in [(MacAlgorithm::HmacSha1, 5100), (MacAlgorithm::HmacSha512, 16320)] {
            assert_eq!(hkdf(algorithm, b"", b"", b"", max).unwrap().len(), max);
            for len in [0, max + 1] {
                assert_eq!(hkdf(algorithm, b"", b"", b"", len), Err(DeriveError::Length { len, max }));
            }
        }
        let pbkdf2 = |iterations, len| pbkdf2(MacAlgorithm::HmacSha256, b"", b"", iterations, len);
        assert_eq!(pbkdf2(1, PBKDF2_LEN_MAX).unwrap().len(), PBKDF2_LEN_MAX);
        for len in [0, PBKDF2_LEN_MAX + 1] {
            assert_eq!(pbkdf2(1, len), Err(DeriveError::Length { len, max: PBKDF2_LEN_MAX }));
        }
        for iterations in [0, PBKDF2_ITERATIONS_MAX + 1, u32::MAX] {
            assert_eq!(pbkdf2(iterations, 1), Err(DeriveError::Iterations { iterations }));
        }
    }
}
