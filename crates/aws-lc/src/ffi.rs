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
    sys::BIGNUM => BN_free,
    sys::BIO => BIO_free,
    sys::EVP_CIPHER_CTX => EVP_CIPHER_CTX_free,
    sys::EVP_PKEY => EVP_PKEY_free,
    sys::EVP_PKEY_CTX => EVP_PKEY_CTX_free,
    sys::RSA => RSA_free,
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

/// Empties this thread's error queue.
///
/// After every failure: whatever stays behind would be taken for the next caller's error, `aws-lc-rs` included.
pub(crate) fn drain_errors() {
    // SAFETY: the queue is the thread's own and the function has no other precondition.
    unsafe { sys::ERR_clear_error() }
}
