//! Where random bytes come from: an argument, so that tests can fix it or make it fail.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom as AwsLcRandom};

/// A cryptographically secure source of random bytes.
pub trait Random: Send + Sync {
    /// Fills `bytes`, all of them.
    ///
    /// # Errors
    ///
    /// [`RandomError`]; what was filled until then must not be used.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// The system gave no random bytes. Nothing can be sealed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random source failed; nothing was sealed")]
pub struct RandomError;

/// AWS-LC's generator, seeded by the operating system and safe across forks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        AwsLcRandom::new().fill(bytes).map_err(|_| RandomError)
    }
}
