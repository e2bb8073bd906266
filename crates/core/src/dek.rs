use std::fmt;

use zeroize::Zeroizing;

use crate::{Random, RandomError};

/// Bytes of a DEK.
pub const DEK_LEN: usize = 32;

/// The random key that seals one envelope (NIST SP 800-57 Part 1). Wiped on drop, never printed, never compared. Its bytes stay in
/// one place: whoever moves it leaves no copy on a stack.
pub struct Dek(Box<Zeroizing<[u8; DEK_LEN]>>);

impl Dek {
    /// A fresh DEK.
    ///
    /// # Errors
    ///
    /// [`RandomError`].
    pub fn generate(random: &dyn Random) -> Result<Self, RandomError> {
        let mut dek = Self(Box::default());
        random.fill(dek.0.as_mut_slice())?;
        Ok(dek)
    }

    /// What a key provider unwrapped, or `None` when it is not [`DEK_LEN`] bytes.
    pub fn from_unwrapped(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == DEK_LEN).then(|| {
            let mut dek = Self(Box::default());
            dek.0.copy_from_slice(bytes);
            dek
        })
    }

    /// Lends the bytes to whoever wraps them.
    pub fn expose(&self) -> &[u8; DEK_LEN] {
        &self.0
    }
}

impl fmt::Debug for Dek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dek(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemRandom;

    #[test]
    fn attack_16_debug_shows_nothing() {
        assert_eq!(format!("{:?}", Dek::generate(&SystemRandom).unwrap()), "Dek(..)");
    }

    #[test]
    fn attack_26_a_failing_random_source_is_fatal() {
        struct Dead;
        impl Random for Dead {
            fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
                Err(RandomError)
            }
        }
        assert!(Dek::generate(&Dead).is_err());
    }
}
