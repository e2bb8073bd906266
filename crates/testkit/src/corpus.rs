//! The fuzz corpora, replayed by ordinary tests.
//!
//! `fuzz/corpus/TARGET/` holds inputs for the fuzz target TARGET: seeds written by hand and inputs that once broke
//! something. Fuzzing needs a special build; replaying needs none, so every `cargo test` covers them.

use std::fs;
use std::path::{Path, PathBuf};

/// Calls `run` with the content of every file in `fuzz/corpus/TARGET`, in the order of their names.
///
/// ```no_run
/// # fn decode(_: &[u8]) {}
/// # fn corpus() {
/// waxwing_testkit::corpus::replay_corpus("envelope_header", |bytes| decode(bytes));
/// # }
/// ```
///
/// # Panics
///
/// When `run` does, after naming the file; when the folder is missing or has no file, since a test that replays
/// nothing shows nothing.
pub fn replay_corpus(target: &str, run: impl Fn(&[u8])) {
    replay(&corpus_dir().join(target), run);
}

/// `fuzz/corpus` of this work tree.
#[must_use]
pub fn corpus_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

fn replay(folder: &Path, run: impl Fn(&[u8])) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the folder stays").path()).filter(|path| path.is_file()).collect();
    assert!(!files.is_empty(), "{} has no file to replay", folder.display());
    files.sort();
    for file in files {
        let bytes = fs::read(&file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&bytes)));
        if let Err(panic) = outcome {
            eprintln!("the corpus file {} fails", file.display());
            std::panic::resume_unwind(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    #[test]
    fn replays_every_file_in_order() {
        let folder = folder(&[("b", b"two"), ("a", b"one"), ("c", b"")]);
        let seen = RefCell::new(Vec::new());
        replay(folder.path(), |bytes| seen.borrow_mut().push(bytes.to_vec()));
        assert_eq!(*seen.borrow(), [&b"one"[..], b"two", b""]);
    }

    #[test]
    #[should_panic(expected = "has no file to replay")]
    fn an_empty_corpus_fails() {
        replay(folder(&[]).path(), |_| ());
    }

    #[test]
    #[should_panic(expected = "cannot list")]
    fn a_missing_corpus_fails() {
        replay_corpus("no_such_target", |_| ());
    }

    #[test]
    #[should_panic(expected = "broken by two")]
    fn a_file_that_fails_fails_the_test() {
        replay(folder(&[("a", b"one"), ("b", b"two")]).path(), |bytes| {
            assert!(bytes != b"two", "broken by two");
        });
    }
}
