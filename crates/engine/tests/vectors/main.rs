//! The vectors of docs/formats/vectors/envelope-v1, opened in every way the engine has, and by the Python reader that was
//! written from the specification alone.
//!
//! `cargo test -p waxwing-engine --test vectors -- --ignored` writes them anew.

mod cases;
mod kinds;
mod writer;

use std::fs;
use std::io::{Read, Seek as _, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use waxwing_core::SystemRandom;
use waxwing_core::stream::{Opener, Step};
use waxwing_engine::{
    Error, Input, OpenError, OpenReader, Output, RangeReader, Work, open, open_range, read_detached_header,
};
use waxwing_formats::envelope::{Context, PassphraseCost};
use waxwing_keyring::{Key, KeyProvider, Keyring, Passphrase, UnlockError, XWingPrivateKey};
use waxwing_testkit::streams::SharedSink as Sink;

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/vectors/envelope-v1")
}

#[test]
#[ignore = "writes the vectors anew; wrapping for RSA and X-Wing is random, so those files change"]
fn regenerate() {
    cases::write_all(&dir());
}

struct Case {
    value: Value,
    keyring: Keyring,
    required: Context,
}

impl Case {
    fn all() -> Vec<Self> {
        let manifest: Value =
            serde_json::from_slice(&fs::read(dir().join("manifest.json")).unwrap()).unwrap();
        let read = |case: &Value| {
            let mut keyring = Keyring::default();
            for name in case["keys"].as_array().unwrap() {
                let entry = &manifest["keys"][name.as_str().unwrap()];
                let bytes = fs::read(dir().join(entry["file"].as_str().unwrap())).unwrap();
                if entry["type"] == "passphrase" {
                    let random = Arc::new(SystemRandom);
                    keyring.push(Passphrase::new(&bytes, PassphraseCost::MIN, random).unwrap());
                } else {
                    keyring.push_shared(Key::read(&bytes, None).unwrap().into_opener().unwrap());
                }
            }
            let required = case["context"].as_object().into_iter().flatten();
            let required = Context::new(required.map(|(k, v)| (k.clone(), v.as_str().unwrap()))).unwrap();
            Self { value: case.clone(), keyring, required }
        };
        manifest["cases"].as_array().unwrap().iter().map(read).collect()
    }

    fn id(&self) -> &str {
        self.value["id"].as_str().unwrap()
    }

    fn bytes(&self, field: &str) -> Option<Vec<u8>> {
        let file = self.value[field].as_str()?;
        Some(fs::read(dir().join(file)).unwrap())
    }

    fn input(&self) -> PathBuf {
        dir().join(self.value["file"].as_str().or(self.value["body"].as_str()).unwrap())
    }

    fn header(&self) -> Option<Input> {
        self.value["header"].as_str().map(|file| Input::open(&dir().join(file)).unwrap())
    }

    fn range(&self) -> Option<std::ops::Range<u64>> {
        let range = self.value["range"].as_array()?;
        Some(range[0].as_u64().unwrap()..range[1].as_u64().unwrap())
    }

    /// Compares what came of one way of opening with what the manifest says.
    fn check(&self, way: &str, outcome: Result<Vec<u8>, String>) {
        let expect = self.value["expect"].as_str().unwrap();
        let id = self.id();
        match outcome {
            Ok(plaintext) => {
                assert_eq!(expect, "plaintext", "{id} opened as {way}");
                let digest = digest(&SHA256, &plaintext);
                let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(self.value["plaintext_len"], plaintext.len(), "{id} as {way}");
                assert_eq!(self.value["plaintext_sha256"], hex, "{id} as {way}");
            }
            Err(name) => assert_eq!(name, expect, "{id} as {way}"),
        }
    }
}

/// The failure's name in the specification.
fn name(err: &Error) -> String {
    match err {
        Error::Open(err) => err.name().to_owned(),
        Error::Unlock(err) => err.name().to_owned(),
        err => panic!("no failure of an envelope: {err}"),
    }
}

/// From a file into a file, with several threads; on failure nothing is left.
fn from_file(case: &Case, threads: usize) -> Result<Vec<u8>, String> {
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("out");
    let work = Work { threads: NonZeroUsize::new(threads).unwrap(), ..Work::default() };
    let (input, output) = (Input::open(&case.input()).unwrap(), Output::file(&target));
    let result = match case.range() {
        None => open(input, case.header(), output, &case.keyring, &case.required, &work),
        Some(range) => open_range(input, case.header(), range, output, &case.keyring, &case.required, &work),
    };
    match result {
        Ok(_) => Ok(fs::read(&target).unwrap()),
        Err(err) => {
            assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "{}: something is left", case.id());
            Err(name(&err))
        }
    }
}

/// From a pipe into a pipe; what came out before a failure is a prefix of the payload in whole frames.
fn from_pipe(case: &Case) -> Result<Vec<u8>, String> {
    let sink = Sink::default();
    let stream: Box<dyn Read + Send> = Box::new(fs::File::open(case.input()).unwrap());
    let output = Output::Stream(Box::new(sink.clone()));
    let opened =
        open(Input::Stream(stream), case.header(), output, &case.keyring, &case.required, &Work::default());
    let out = sink.take();
    match opened {
        Ok(_) => Ok(out),
        Err(err) => {
            assert!(writer::payload(0..out.len() as u64) == out, "{}: something else came out", case.id());
            assert_eq!(out.len() % 4096, 0, "{}: part of a frame came out", case.id());
            Err(name(&err))
        }
    }
}

/// Through the machine without I/O, in pieces of this many bytes.
fn in_pieces(case: &Case, piece: usize) -> Result<Vec<u8>, String> {
    let open_err = |err: OpenError| err.name().to_owned();
    let unlock = |locked: &waxwing_core::envelope::LockedHeader| {
        locked.require_context(&case.required).map_err(open_err)?;
        pollster::block_on(case.keyring.unlock(locked)).map_err(|err: UnlockError| err.name().to_owned())
    };
    let (mut opener, bytes) = match case.bytes("file") {
        Some(bytes) => (Opener::attached(), bytes),
        None => {
            let locked = read_detached_header(case.header().unwrap()).map_err(|err| name(&err))?;
            (Opener::detached(unlock(&locked)?), case.bytes("body").unwrap())
        }
    };
    let (mut pieces, mut out) = (bytes.chunks(piece), Vec::new());
    loop {
        let verified = match opener.step().map_err(open_err)? {
            Step::Done => return Ok(out),
            Step::Plaintext(frame) => {
                out.extend_from_slice(frame);
                None
            }
            Step::NeedKey(locked) => Some(unlock(locked)?),
            Step::NeedInput => {
                match pieces.next() {
                    Some(piece) => opener.input(piece),
                    None => opener.end(),
                }
                None
            }
        };
        if let Some(verified) = verified {
            opener.unlock(verified);
        }
    }
}

/// The error that a reader wraps.
fn wrapped(err: &std::io::Error) -> String {
    name(err.get_ref().and_then(|err| err.downcast_ref()).expect("errors of an envelope wrap ours"))
}

/// Through the reader of anything that reads.
fn through_reader(case: &Case) -> Result<Vec<u8>, String> {
    let (mut out, source) = (Vec::new(), fs::File::open(case.input()).unwrap());
    let reader = match case.header() {
        None => OpenReader::attached(source, &case.keyring, &case.required),
        Some(header) => {
            let header = read_detached_header(header).map_err(|err| name(&err))?;
            OpenReader::detached(source, &header, &case.keyring, &case.required)
        }
    };
    let mut reader = reader.map_err(|err| name(&err))?;
    let read = reader.read_to_end(&mut out);
    assert!(writer::payload(0..out.len() as u64) == out, "{}: something else came out", case.id());
    read.map(|_| out).map_err(|err| wrapped(&err))
}

/// Through the reader of anything that reads at an offset.
fn at_offsets(case: &Case) -> Result<Vec<u8>, String> {
    let bytes = fs::read(case.input()).unwrap();
    let (source, keyring, required) = (bytes.as_slice(), &case.keyring, &case.required);
    let reader = match case.header() {
        None => RangeReader::attached(source, keyring, required),
        Some(header) => {
            let header = read_detached_header(header).map_err(|err| name(&err))?;
            RangeReader::detached(source, &header, keyring, required)
        }
    };
    let mut reader = reader.map_err(|err| name(&err))?;
    let (mut out, range) = (Vec::new(), case.range().unwrap_or(0..u64::MAX));
    reader.seek(SeekFrom::Start(range.start)).unwrap();
    let read = reader.take(range.end - range.start).read_to_end(&mut out);
    read.map(|_| out).map_err(|err| wrapped(&err))
}

/// Through a stream, in pieces of this many bytes.
#[cfg(feature = "async")]
fn through_stream(case: &Case, piece: usize) -> Result<Vec<u8>, String> {
    use futures_util::{StreamExt as _, TryStreamExt as _, stream};
    let bytes = fs::read(case.input()).unwrap();
    let pieces: Vec<_> = bytes.chunks(piece).map(|piece| Ok(piece.to_vec().into())).collect();
    let header = match case.header() {
        None => None,
        Some(header) => Some(read_detached_header(header).map_err(|err| name(&err))?),
    };
    let body = stream::iter(pieces).boxed();
    let opened =
        waxwing_engine::asynchronous::open_body(body, header, case.keyring.clone(), case.required.clone());
    let out = pollster::block_on(opened.try_collect::<Vec<_>>());
    out.map(|pieces| pieces.concat()).map_err(|err| name(&err))
}

#[test]
fn every_case_gives_what_it_states_in_every_way() {
    let cases = Case::all();
    assert!(cases.len() > 100, "{} cases", cases.len());
    for case in &cases {
        case.check("a file, one thread", from_file(case, 1));
        case.check("a file, four threads", from_file(case, 4));
        case.check("offsets", at_offsets(case));
        if case.range().is_none() {
            case.check("a pipe", from_pipe(case));
            case.check("a reader", through_reader(case));
            #[cfg(feature = "async")]
            for piece in [1000, 1 << 20] {
                case.check("a stream", through_stream(case, piece));
            }
            for piece in [1, 1000, 4112, 1 << 20] {
                case.check("pieces", in_pieces(case, piece));
            }
        }
    }
}

#[test]
fn every_failure_that_a_local_key_can_meet_has_a_case() {
    let cases = Case::all();
    for name in [
        "plaintext",
        "bad-magic",
        "unsupported-version",
        "header-too-long",
        "header-cut",
        "header-length-mismatch",
        "trailing-header-bytes",
        "unknown-suite",
        "frame-len-out-of-range",
        "reserved-not-zero",
        "context-too-long",
        "context-empty-key",
        "context-invalid-text",
        "context-not-ascending",
        "recipient-count-out-of-range",
        "recipient-kind-invalid",
        "context-mismatch",
        "no-usable-key",
        "not-authentic",
        "truncated",
    ] {
        assert!(cases.iter().any(|case| case.value["expect"] == name), "no case expects {name}");
    }
}

/// Every single bit of every header and of the first bytes of every body, flipped: nothing panics, and no changed envelope
/// opens. (A flipped bit in a skipped recipient breaks the MAC.)
#[test]
fn attack_09_no_flipped_bit_opens() {
    for case in
        Case::all().iter().filter(|case| case.value["expect"] == "plaintext" && case.range().is_none())
    {
        let Some(bytes) = case.bytes("file") else { continue };
        // One passphrase is enough: each try takes its time.
        if bytes.len() > 1000 || case.id().starts_with("passphrase-") {
            continue;
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            let input = Input::Stream(Box::new(std::io::Cursor::new(bytes)));
            let output = Output::Stream(Box::new(Sink::default()));
            let opened = open(input, None, output, &case.keyring, &case.required, &Work::default());
            assert!(opened.is_err(), "{}: byte {at} does not matter", case.id());
        }
    }
}

#[test]
fn the_reader_that_was_written_from_the_text_alone_agrees() {
    let Some(python) = waxwing_testkit::peers::python() else { return };
    let reader = dir().join("../../reader/waxwing_reader.py");
    let ran =
        Command::new(python).arg(reader).arg("check").arg(dir().join("manifest.json")).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains(&format!("{} passed, 0 failed", Case::all().len())), "{said}");
}

/// An envelope that Python wrote for an X-Wing public key, as we write it into a file, and for a passphrase: either opens it.
#[test]
fn what_python_writes_for_x_wing_and_a_passphrase_opens() {
    let Some(python) = waxwing_testkit::peers::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let x_wing = XWingPrivateKey::generate(&SystemRandom).unwrap();
    let passphrase = "caf\u{e9} de l'apr\u{e8}s-midi";
    let payload = writer::payload(0..100_000);
    let ran = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/write_envelope.py"))
        .arg(dir().join("../../reader"))
        .arg(file("public.pem", x_wing.public().to_pem().as_bytes()))
        .arg(file("passphrase.txt", passphrase.as_bytes()))
        .stdin(fs::File::open(file("payload", &payload)).unwrap())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let cost = PassphraseCost::MIN;
    let passphrase = Passphrase::new(passphrase.as_bytes(), cost, Arc::new(SystemRandom)).unwrap();
    let keys: [Arc<dyn KeyProvider>; 2] = [Arc::new(x_wing), Arc::new(passphrase)];
    for key in keys {
        let sink = Sink::default();
        let input = Input::Stream(Box::new(std::io::Cursor::new(ran.stdout.clone())));
        let (output, keyring) = (Output::Stream(Box::new(sink.clone())), Keyring::new([key.clone()]));
        open(input, None, output, &keyring, &Context::default(), &Work::default()).unwrap();
        assert!(sink.take() == payload, "{key:?}");
    }
}
