//! Buffers that are wiped when they are dropped.

use std::ops::{Deref, DerefMut};

use aws_lc_sys as sys;

/// Bytes that are wiped when they are dropped, in one call: [`Zeroizing`](zeroize::Zeroizing) wipes byte by byte, which for
/// megabytes of plaintext costs more than encrypting them. What is outgrown is wiped too.
#[derive(Default)]
pub struct Cleansed(Vec<u8>);

impl Cleansed {
    /// A buffer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// How many bytes have room in it.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Appends `bytes`.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        if self.0.capacity() - self.0.len() < bytes.len() {
            let len = self.0.len() + bytes.len();
            let mut larger = Self::with_capacity(len.max(2 * self.0.capacity()));
            larger.0.extend_from_slice(&self.0);
            *self = larger;
        }
        self.0.extend_from_slice(bytes);
    }
}

impl Drop for Cleansed {
    fn drop(&mut self) {
        // SAFETY: the pointer is to as many bytes, which are ours, and bytes may all be zero.
        unsafe { sys::OPENSSL_cleanse(self.0.as_mut_ptr().cast(), self.0.len()) };
    }
}

impl Deref for Cleansed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Cleansed {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl AsRef<[u8]> for Cleansed {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Cleansed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cleansed({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_keeps_what_is_in_it() {
        let mut buffer = Cleansed::with_capacity(4);
        for n in 0..=255 {
            buffer.extend_from_slice(&[n, n]);
        }
        assert_eq!(buffer.len(), 512);
        assert!(buffer.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at / 2));
        assert_eq!(format!("{buffer:?}"), "Cleansed(512 bytes)");
        drop(Cleansed::default());
    }
}
