//! Ownership of AWS-LC's objects, its byte builder and its error queue.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use aws_lc_sys as sys;
use zeroize::Zeroizing;

/// An AWS-LC object that this value alone owns and frees.
pub(crate) struct Owned<T: Free>(NonNull<T>);

impl<T: Free> Owned<T> {
    /// Takes ownership of `object`; `None` when AWS-LC returned null.
    ///
    /// # Safety
    ///
    /// `object` is null, or was made by AWS-LC, is valid, and nobody else frees it.
    pub(crate) unsafe fn new(object: *mut T) -> Option<Self> {
        NonNull::new(object).map(Self)
    }

    /// The object, valid as long as `self` lives.
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }

    /// Gives the object away, to an AWS-LC function that takes ownership.
    pub(crate) fn into_raw(self) -> *mut T {
        let object = self.0.as_ptr();
        std::mem::forget(self);
        object
    }
}

impl<T: Free> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new` was promised a valid object that only this value frees, and `drop` runs once.
        unsafe { T::free(self.0.as_ptr()) }
    }
}

// SAFETY: an EVP_PKEY is reference counted and used, never changed, once it was made; AWS-LC documents (rsa.h, evp.h)
// that such functions may run at the same time on one object, and guards its lazy state (blinding, Montgomery) with locks.
unsafe impl Send for Owned<sys::EVP_PKEY> {}
// SAFETY: as above.
unsafe impl Sync for Owned<sys::EVP_PKEY> {}
// SAFETY: an EVP_CIPHER_CTX has no ties to the thread that made it.
unsafe impl Send for Owned<sys::EVP_CIPHER_CTX> {}
// SAFETY: every function that touches the context takes `&mut self`; a shared reference can do nothing with it.
unsafe impl Sync for Owned<sys::EVP_CIPHER_CTX> {}

/// How AWS-LC frees an object.
pub(crate) trait Free {
    /// # Safety
    ///
    /// `object` is valid, owned by the caller and not used afterwards.
    unsafe fn free(object: *mut Self);
}

macro_rules! free_with {
    ($($object:ty => $free:ident),* $(,)?) => {$(
        impl Free for $object {
            unsafe fn free(object: *mut Self) {
                // SAFETY: the caller's promise is this function's requirement.
                unsafe { sys::$free(object) };
            }
        }
    )*};
}

free_with! {
    sys::BIO => BIO_free,
    sys::EVP_CIPHER_CTX => EVP_CIPHER_CTX_free,
    sys::EVP_MD_CTX => EVP_MD_CTX_free,
    sys::EVP_PKEY => EVP_PKEY_free,
    sys::EVP_PKEY_CTX => EVP_PKEY_CTX_free,
    sys::RSA => RSA_free,
    sys::X509 => X509_free,
}

/// A view of `bytes` for AWS-LC's parsers.
pub(crate) fn cbs(bytes: &[u8]) -> sys::CBS {
    sys::CBS { data: bytes.as_ptr(), len: bytes.len() }
}

/// Collects what `write` adds to a byte builder; `None` when it reports a failure.
///
/// The bytes may be a private key: they are wiped with the result, and AWS-LC wipes its own buffer as it frees it.
pub(crate) fn build(write: impl FnOnce(*mut sys::CBB) -> c_int) -> Option<Zeroizing<Vec<u8>>> {
    /// Enough for most keys, so that the builder seldom grows.
    const CAPACITY: usize = 2048;
    let mut cbb = std::mem::MaybeUninit::<sys::CBB>::uninit();
    let mut data = ptr::null_mut();
    let mut len = 0;
    // SAFETY: CBB_init sets every field of `cbb` also when it fails, after which CBB_cleanup is sound; `write` gets a live
    // builder. CBB_finish hands over `len` initialised bytes at `data`, allocated with OPENSSL_malloc, copied here before
    // they are freed once.
    unsafe {
        let cbb = cbb.as_mut_ptr();
        if sys::CBB_init(cbb, CAPACITY) != 1
            || write(cbb) != 1
            || sys::CBB_finish(cbb, &mut data, &mut len) != 1
        {
            sys::CBB_cleanup(cbb);
            drain_errors();
            return None;
        }
        if data.is_null() {
            return None;
        }
        let bytes = Zeroizing::new(std::slice::from_raw_parts(data, len).to_vec());
        sys::OPENSSL_free(data.cast::<c_void>());
        Some(bytes)
    }
}

/// One entry of AWS-LC's error queue.
#[derive(Clone, Copy)]
pub(crate) struct ErrorCode {
    pub(crate) library: i32,
    pub(crate) reason: i32,
}

/// Empties this thread's error queue and returns what was in it.
///
/// After every failure: whatever stays behind would be taken for the next caller's error, `aws-lc-rs` included.
pub(crate) fn drain_errors() -> Vec<ErrorCode> {
    /// AWS-LC keeps no more than this many (`ERR_NUM_ERRORS`).
    const QUEUED_MAX: usize = 16;
    // SAFETY: the queue is the thread's own and the function has no other precondition.
    let next = || unsafe { sys::ERR_get_error() };
    std::iter::repeat_with(next).take(QUEUED_MAX).take_while(|&packed| packed != 0).map(unpack).collect()
}

/// `ERR_GET_LIB` and `ERR_GET_REASON` of err.h, which are inline functions there.
fn unpack(packed: u32) -> ErrorCode {
    ErrorCode { library: (packed >> 24 & 0xff) as i32, reason: (packed & 0xfff) as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Cipher, CipherError, CipherStream, DecryptError, Digest, OaepParams, RsaPrivateKey, RsaPublicKey,
        RsaSize,
    };

    #[test]
    fn failures_leave_an_empty_error_queue() {
        let key = RsaPrivateKey::generate(RsaSize::Rsa2048).unwrap();
        let refused = CipherError::Decrypt(DecryptError);
        let cbc = CipherStream::decrypt(Cipher::AES_128_CBC_PKCS7, &[0; 16], &[0; 16]).unwrap();
        let gcm = CipherStream::decrypt(Cipher::AES_128_GCM, &[0; 16], &[0; 12]).unwrap();
        let failures: [&dyn Fn() -> bool; 7] = [
            &|| RsaPublicKey::from_spki_der(b"not a key").is_err(),
            &|| RsaPublicKey::from_certificate_der(b"not a key").is_err(),
            &|| RsaPrivateKey::from_pkcs1_der(b"not a key").is_err(),
            &|| RsaPrivateKey::from_encrypted_pkcs8_der(b"not a key", b"").is_err(),
            &|| RsaPrivateKey::from_legacy_pem(b"not a key", b"").is_err(),
            &|| key.decrypt_oaep(&OaepParams::new(Digest::Sha1), &[1; 256]).is_err(),
            &|| key.decrypt_raw(&[0xff; 256]).is_err(),
        ];
        for (n, fail) in failures.iter().enumerate() {
            assert!(fail(), "failure {n}");
            assert!(drain_errors().is_empty(), "failure {n}");
        }
        assert_eq!(cbc.finish(&mut [0; 16]), Err(refused));
        assert!(drain_errors().is_empty(), "CBC");
        let mut unpadded = CipherStream::decrypt(Cipher::AES_128_CBC, &[0; 16], &[0; 16]).unwrap();
        unpadded.update(&[0; 17], &mut [0; 33]).unwrap();
        assert_eq!(unpadded.finish(&mut []), Err(refused));
        assert!(drain_errors().is_empty(), "CBC without padding");
        assert_eq!(gcm.verify(&[0; 16]), Err(refused));
        assert!(drain_errors().is_empty(), "GCM");
    }
}
