//! ML-KEM-768 keys from their seeds (FIPS 203, section 6.1), and SHAKE-256 (FIPS 202).

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::ffi::{Owned, cbs, drain_errors};

/// Bytes of the seed `d ‖ z` that an ML-KEM key pair follows from.
pub const ML_KEM_SEED_LEN: usize = 64;
/// Bytes of an ML-KEM-768 decapsulation key in its expanded form (FIPS 203, table 3).
pub const ML_KEM_768_DECAPSULATION_KEY_LEN: usize = 2400;

/// A PKCS#8 structure around the seed: version 0, the OID 2.16.840.1.101.3.4.4.2 (id-alg-ml-kem-768), and the seed as `[0]`.
const PKCS8_PREFIX: [u8; 22] = [
    0x30, 84, 0x02, 1, 0, 0x30, 11, 0x06, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 0x02, 0x04, 66,
    0x80, 64,
];

/// The expanded decapsulation key that follows from `seed`.
#[must_use]
pub fn ml_kem_768_decapsulation_key(seed: &[u8; ML_KEM_SEED_LEN]) -> Zeroizing<Vec<u8>> {
    let mut pkcs8 = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + seed.len()));
    pkcs8.extend_from_slice(&PKCS8_PREFIX);
    pkcs8.extend_from_slice(seed);
    let mut rest = cbs(&pkcs8);
    // SAFETY: `rest` views `pkcs8`, which outlives the call; the result is a new reference or null.
    let pkey = unsafe { Owned::new(sys::EVP_parse_private_key(&mut rest)) };
    let pkey = pkey.expect("every seed is one of a key");
    let mut key = Zeroizing::new(vec![0; ML_KEM_768_DECAPSULATION_KEY_LEN]);
    let mut len = key.len();
    // SAFETY: `pkey` lives; `key` has `len` bytes to write to.
    let got = unsafe { sys::EVP_PKEY_get_raw_private_key(pkey.as_ptr(), key.as_mut_ptr(), &mut len) };
    drain_errors();
    assert!(got == 1 && len == key.len(), "AWS-LC gives out a key that it holds");
    key
}

/// Fills `out` with SHAKE-256 of `input`.
pub fn shake256(input: &[u8], out: &mut [u8]) {
    // SAFETY: the context is made, used and freed here; pointers and lengths are those of the slices.
    let done = unsafe {
        let context = Owned::new(sys::EVP_MD_CTX_new()).expect("AWS-LC has memory for a digest");
        sys::EVP_DigestInit_ex(context.as_ptr(), sys::EVP_shake256(), std::ptr::null_mut()) == 1
            && sys::EVP_DigestUpdate(context.as_ptr(), input.as_ptr().cast(), input.len()) == 1
            && sys::EVP_DigestFinalXOF(context.as_ptr(), out.as_mut_ptr(), out.len()) == 1
    };
    assert!(done, "hashing cannot fail");
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::kem::{DecapsulationKey, ML_KEM_768};

    use super::*;

    #[test]
    fn shake256_of_nothing() {
        // FIPS 202's examples: SHAKE256 of the empty message.
        let mut out = [0; 32];
        shake256(b"", &mut out);
        let begins =
            [0x46, 0xb9, 0xdd, 0x2b, 0x0b, 0xa8, 0x8d, 0x13, 0x23, 0x3b, 0x3f, 0xeb, 0x74, 0x3e, 0xeb, 0x24];
        assert_eq!(out[..16], begins);
    }

    #[test]
    fn a_seed_gives_one_key_that_works() {
        let key = ml_kem_768_decapsulation_key(&[7; ML_KEM_SEED_LEN]);
        assert_eq!(*key, *ml_kem_768_decapsulation_key(&[7; ML_KEM_SEED_LEN]));
        assert_ne!(*key, *ml_kem_768_decapsulation_key(&[8; ML_KEM_SEED_LEN]));
        assert!(DecapsulationKey::new(&ML_KEM_768, &key).is_ok());
        // FIPS 203, algorithm 16: the key ends in z, the second half of the seed.
        assert_eq!(key[ML_KEM_768_DECAPSULATION_KEY_LEN - 32..], [7; 32]);
    }
}
