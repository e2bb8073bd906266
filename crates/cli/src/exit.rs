//! How a command ends: its exit code, its message, its hint.

use std::error::Error as StdError;
use std::fmt;
use std::process::ExitCode;

/// Why a process ended. The numbers are part of the interface (docs/manual/exit-codes.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// Anything that has no number of its own: a full disk, a file that exists already.
    Failed = 1,
    /// The command line is wrong; also what `clap` ends with.
    Usage = 2,
    /// What was opened is not authentic.
    NotAuthentic = 3,
    /// No key that was given opens it, or a key cannot be read.
    NoUsableKey = 4,
    /// The input ends early.
    Truncated = 5,
    /// The scheme needs a consent that was not given, or a policy forbids it.
    Refused = 6,
    /// A file, agent or job that was named is not there.
    NotFound = 7,
}

/// A command's failure: what failed on which input, why, and what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    what: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    hint: Option<String>,
    /// Nothing is to be said: the reader of our output has gone.
    pub(crate) quiet: bool,
}

impl Failure {
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), source: None, hint: None, quiet: false }
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An I/O error on a named file.
    pub(crate) fn io(what: impl Into<String>, err: std::io::Error) -> Self {
        let code = match err.kind() {
            std::io::ErrorKind::NotFound => Code::NotFound,
            _ => Code::Failed,
        };
        Self { quiet: err.kind() == std::io::ErrorKind::BrokenPipe, ..Self::new(code, what).because(err) }
    }

    /// The same failure under another number.
    pub(crate) fn code(self, code: Code) -> Self {
        Self { code, ..self }
    }

    /// Says it on standard error, and ends.
    pub(crate) fn report(self) -> ExitCode {
        if !self.quiet {
            eprint!("{self}");
        }
        ExitCode::from(self.code as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        let mut source = self.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(err) = source {
            write!(f, ": {err}")?;
            source = err.source();
        }
        writeln!(f)?;
        match &self.hint {
            Some(hint) => writeln!(f, "  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// What every command returns.
pub(crate) type Outcome = Result<(), Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_prints_its_chain_and_its_hint() {
        let err = std::io::Error::other("the disk is on fire");
        let failure = Failure::io("cannot seal `a`", err).hint("put it out");
        assert_eq!(failure.to_string(), "error: cannot seal `a`: the disk is on fire\n  hint: put it out\n");
    }

    #[test]
    fn a_closed_pipe_is_quiet() {
        assert!(Failure::io("x", std::io::ErrorKind::BrokenPipe.into()).quiet);
    }
}
