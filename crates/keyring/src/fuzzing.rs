//! What the fuzz target `pem` runs, also on the committed corpus. See `fuzz/README.md`.

use crate::Key;

/// Any file is read as a key or refused, with and without a passphrase, and never a panic.
pub fn pem(bytes: &[u8]) {
    for passphrase in [None, Some(&b"waxwing"[..])] {
        let outcome = Key::read(bytes, passphrase);
        if let Err(error) = &outcome {
            assert!(!error.to_string().is_empty(), "a refusal says why");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_breaks_nothing() {
        waxwing_testkit::corpus::replay_corpus("pem", super::pem);
    }
}
