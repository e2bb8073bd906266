//! MD5, for formats that name it.

use std::mem::MaybeUninit;

use aws_lc_sys as sys;

/// MD5 over input of any length (RFC 1321). **Never for security.**
///
/// Two inputs with one MD5 take seconds to make, so a match says that nothing was damaged by accident and nothing more. It
/// is here because peers' formats carry such checksums and derive IVs with it; nothing new may use it.
///
/// ```
/// use waxwing_aws_lc::Md5;
///
/// let mut md5 = Md5::new();
/// md5.update(b"message ");
/// md5.update(b"digest");
/// assert_eq!(md5.finish()[..4], [0xf9, 0x6b, 0x69, 0x7d]);
/// ```
pub struct Md5(sys::MD5_CTX);

impl Md5 {
    /// Starts with no input.
    #[must_use]
    pub fn new() -> Self {
        let mut ctx = MaybeUninit::uninit();
        // SAFETY: MD5_Init sets every field that counts, zeroing the rest, and cannot fail (md5.h).
        Self(unsafe {
            sys::MD5_Init(ctx.as_mut_ptr());
            ctx.assume_init()
        })
    }

    /// Adds input. Every way to split it into calls gives the same result.
    pub fn update(&mut self, input: &[u8]) {
        // SAFETY: the context was initialised and the length is that of `input`; the call cannot fail (md5.h).
        unsafe { sys::MD5_Update(&mut self.0, input.as_ptr().cast(), input.len()) };
    }

    /// The digest of all input.
    #[must_use]
    pub fn finish(mut self) -> [u8; MD5_LEN] {
        let mut digest = [0; MD5_LEN];
        // SAFETY: the context was initialised and `digest` has the length that is written; the call cannot fail (md5.h).
        unsafe { sys::MD5_Final(digest.as_mut_ptr(), &mut self.0) };
        digest
    }
}

impl Default for Md5 {
    fn default() -> Self {
        Self::new()
    }
}

/// The input may have been a key.
impl Drop for Md5 {
    fn drop(&mut self) {
        // SAFETY: the context is plain numbers, of this size, for which zeros are a value.
        unsafe { sys::OPENSSL_cleanse((&raw mut self.0).cast(), size_of::<sys::MD5_CTX>()) };
    }
}

/// Bytes of an MD5 digest.
pub const MD5_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_1321_known_answers_however_the_input_is_split() {
        for (input, expected) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            (
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                "d174ab98d277d9f5a5611c2c9f419d9f",
            ),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            for piece in 1..=input.len().max(1) {
                let mut md5 = Md5::new();
                input.as_bytes().chunks(piece).for_each(|piece| md5.update(piece));
                assert_eq!(hex::encode(md5.finish()), expected, "{input:?} in pieces of {piece}");
            }
        }
    }
}
