//! Inputs that somebody writes to while they are read.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Once;

use waxwing_core::SystemRandom;
use waxwing_core::envelope::SealOptions;
use waxwing_engine::{Error, HeaderPlace, Input, Observer, Output, Work, open, seal};
use waxwing_formats::envelope::Context;
use waxwing_keyring::{Kek, Keyring};

const LEN: u64 = 8 << 20;

/// Gives the file another length once something of it was read.
struct Resizes<'a> {
    file: &'a Path,
    to: u64,
    once: Once,
}

impl Observer for Resizes<'_> {
    fn advance(&self, _: u64) {
        self.once
            .call_once(|| File::options().write(true).open(self.file).unwrap().set_len(self.to).unwrap());
    }
}

/// Runs `work` on `LEN` bytes while they become `to` bytes, and says what came of it. Nothing may be left.
fn while_resized(
    to: u64,
    threads: usize,
    run: impl Fn(&Path, &Path, &Work<'_>) -> Result<(), Error>,
) -> Error {
    let dir = tempfile::tempdir().unwrap();
    let (input, out) = (dir.path().join("in"), dir.path().join("out"));
    fs::create_dir(&out).unwrap();
    File::create(&input).unwrap().set_len(LEN).unwrap();
    let observer = Resizes { file: &input, to, once: Once::new() };
    let threads = NonZeroUsize::new(threads).unwrap();
    let err =
        run(&input, &out.join("x"), &Work { threads, observer: &observer, ..Work::default() }).unwrap_err();
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "something is left");
    err
}

fn keyring() -> Keyring {
    let mut keyring = Keyring::default();
    keyring.push(Kek::generate("k/1", &SystemRandom).unwrap());
    keyring
}

#[test]
fn a_file_that_grows_or_shrinks_is_not_sealed() {
    for to in [LEN / 2, LEN + 1] {
        for threads in [1, 4] {
            let err = while_resized(to, threads, |input, output, work| {
                let input = Input::open(input).unwrap();
                let (header, options) = (HeaderPlace::Attached, SealOptions::default());
                seal(input, Output::file(output), header, &keyring(), options, &SystemRandom, work).map(drop)
            });
            assert!(matches!(err, Error::InputChanged), "{to} bytes, {threads} threads: {err}");
        }
    }
}

#[test]
fn an_envelope_that_shrinks_is_not_opened() {
    let keyring = keyring();
    let err = while_resized(LEN / 2, 2, |input, output, work| {
        let sealed = input.with_extension("wax");
        let (header, options) = (HeaderPlace::Attached, SealOptions::default());
        let plain = Input::open(input).unwrap();
        seal(plain, Output::file(&sealed), header, &keyring, options, &SystemRandom, &Work::default())?;
        fs::rename(&sealed, input).unwrap();
        let opened = open(
            Input::open(input).unwrap(),
            None,
            Output::file(output),
            &keyring,
            &Context::default(),
            work,
        );
        opened.map(drop)
    });
    assert!(matches!(err, Error::InputChanged), "{err}");
}
