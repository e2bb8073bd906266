//! What is wrong with a profile.

/// A profile is not one: what is wrong, and in which line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct ProfileError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub fault: String,
}

impl ProfileError {
    pub(crate) fn new(line: usize, fault: impl Into<String>) -> Self {
        Self { line, fault: fault.into() }
    }
}
