//! PKCS#1 v1.5 unpadding that has no oracle to offer.
//!
//! Bleichenbacher's attack, and Marvin's after it, needs only to learn whether a decrypted block was well padded. Here
//! nobody learns it: a block with any defect yields a key all the same, one that the private key and the ciphertext
//! determine and that nobody else can predict. What is sealed under it then fails to authenticate like any wrong key.

use aws_lc_rs::{digest, hmac};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// Bytes of padding that RFC 8017, section 7.2.1, demands at the least.
const PADDING_LEN_MIN: usize = 8;

/// The secret of the synthetic keys: HMAC-SHA-256 under the SHA-256 of the private exponent. Boxed, for it is over a kilobyte
/// and keys are moved about.
pub(crate) struct Rejection(Box<hmac::Key>);

impl Rejection {
    /// `private_exponent` is big-endian and as long as the modulus.
    pub(crate) fn new(private_exponent: &[u8]) -> Self {
        let key = digest::digest(&digest::SHA256, private_exponent);
        Self(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())))
    }

    /// The last `message_len` bytes of `block` when it reads `00 02 ‖ padding ‖ 00 ‖ message` with a message of
    /// exactly that length, else the synthetic key of `ciphertext`; which of the two, not even the time tells.
    ///
    /// `None` when a block of this length has no room for such a message, which depends on the lengths alone.
    pub(crate) fn unpad(
        &self,
        block: &[u8],
        message_len: usize,
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let separator_at = block.len().checked_sub(message_len)?.checked_sub(1)?;
        let (front, message) = block.split_at_checked(separator_at + 1)?;
        let (&separator, front) = front.split_last()?;
        let (&[zero, two], padding) = front.split_first_chunk()?;
        if padding.len() < PADDING_LEN_MIN {
            return None;
        }
        let mut good = zero.ct_eq(&0) & two.ct_eq(&2) & separator.ct_eq(&0);
        for byte in padding {
            good &= !byte.ct_eq(&0);
        }
        Some(select(good, message, self.synthetic_key(message_len, ciphertext)))
    }

    /// HMAC over a counter and the ciphertext, as many blocks as `len` needs.
    fn synthetic_key(&self, len: usize, ciphertext: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut key = Zeroizing::new(Vec::with_capacity(len + digest::SHA256_OUTPUT_LEN));
        for counter in 0u32.. {
            if key.len() >= len {
                break;
            }
            let mut mac = hmac::Context::with_key(&self.0);
            mac.update(b"waxwing/1 implicit rejection");
            mac.update(&counter.to_be_bytes());
            mac.update(ciphertext);
            key.extend_from_slice(mac.sign().as_ref());
        }
        key.truncate(len);
        key
    }
}

/// `message` where `good`, else `synthetic`, without a branch.
fn select(good: Choice, message: &[u8], mut synthetic: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    for (out, byte) in synthetic.iter_mut().zip(message) {
        out.conditional_assign(byte, good);
    }
    synthetic
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: [u8; 16] = *b"sixteen byte key";

    fn block(padding_len: usize, message: &[u8]) -> Vec<u8> {
        [&[0, 2], &vec![0xaa; padding_len][..], &[0], message].concat()
    }

    #[test]
    fn a_good_block_yields_its_message() {
        let rejection = Rejection::new(b"exponent");
        assert_eq!(&**rejection.unpad(&block(8, &MESSAGE), 16, b"c").unwrap(), &MESSAGE);
        assert_eq!(&**rejection.unpad(&block(237, &MESSAGE), 16, b"c").unwrap(), &MESSAGE);
    }

    #[test]
    fn each_defect_yields_the_same_synthetic_key() {
        let rejection = Rejection::new(b"exponent");
        let good = block(237, &MESSAGE);
        let expected = rejection.synthetic_key(16, b"c");
        // Every byte before the message matters: the two markers and the separator by value, the padding by not being 0.
        for at in 0..good.len() - MESSAGE.len() {
            let mut bad = good.clone();
            bad[at] = if bad[at] == 0 { 1 } else { 0 };
            assert_eq!(rejection.unpad(&bad, 16, b"c").unwrap(), expected, "byte {at}");
        }
        let mut signature_block = good;
        signature_block[1] = 1;
        assert_eq!(rejection.unpad(&signature_block, 16, b"c").unwrap(), expected);
    }

    #[test]
    fn the_synthetic_key_depends_on_key_ciphertext_and_length_only() {
        let one = Rejection::new(b"exponent");
        assert_eq!(one.synthetic_key(32, b"c"), one.synthetic_key(32, b"c"));
        assert_ne!(one.synthetic_key(32, b"c"), one.synthetic_key(32, b"d"));
        assert_ne!(one.synthetic_key(32, b"c"), Rejection::new(b"other").synthetic_key(32, b"c"));
        for len in [0, 1, 31, 32, 33, 64, 100] {
            assert_eq!(one.synthetic_key(len, b"c").len(), len);
        }
    }

    #[test]
    fn a_block_without_room_is_refused_by_its_length() {
        let rejection = Rejection::new(b"exponent");
        assert!(rejection.unpad(&block(7, &MESSAGE), 16, b"c").is_none());
        assert!(rejection.unpad(&[0, 2, 0], 16, b"c").is_none());
        assert!(rejection.unpad(&[], 0, b"c").is_none());
    }
}
