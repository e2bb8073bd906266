//! Records sealed and opened through the engine, in a folder of their own.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use waxwing_core::SystemRandom;
use waxwing_core::content::{Legacy, Permitted};
use waxwing_engine::{Error, Input, OpenedRecord, Output, RecordOptions, Work, open_record, seal_record};
use waxwing_formats::base64::Reading;
use waxwing_formats::record::{Record, Spelling};
use waxwing_formats::scheme::{Cipher, Digest, Scheme, TagPlace, Wrap};
use waxwing_keyring::{Key, RecordKeys, RsaPrivateKey};
use waxwing_testkit::keys;
pub(crate) use waxwing_testkit::payload;
pub(crate) use waxwing_testkit::streams::SharedSink as Sink;

/// The wraps that Node has.
pub(crate) const NODE_WRAPS: [Wrap; 5] = [
    Wrap::Pkcs1,
    Wrap::oaep(Digest::Sha1),
    Wrap::oaep(Digest::Sha256),
    Wrap::oaep(Digest::Sha384),
    Wrap::oaep(Digest::Sha512),
];

/// Every cipher, GCM with its tag in both places, under each of these wraps.
pub(crate) fn schemes(wraps: &[Wrap]) -> Vec<Scheme> {
    let mut all = Vec::new();
    for &wrap in wraps {
        for cipher in Cipher::ALL {
            all.push(Scheme { wrap, cipher, tag: TagPlace::Apart });
            if cipher.is_authenticated() {
                all.push(Scheme { wrap, cipher, tag: TagPlace::Appended });
            }
        }
    }
    all
}

pub(crate) fn private_key() -> RsaPrivateKey {
    Key::read(keys::RSA_2048_PKCS8.as_bytes(), None).unwrap().into_rsa_private().unwrap()
}

pub(crate) fn record_keys() -> RecordKeys {
    RecordKeys::new([Arc::new(private_key())])
}

pub(crate) fn seal(scheme: Scheme, plaintext: &[u8]) -> (Record, Vec<u8>) {
    let sink = Sink::default();
    let sealed = seal_record(
        Input::Stream(Box::new(std::io::Cursor::new(plaintext.to_vec()))),
        Output::Stream(Box::new(sink.clone())),
        Permitted::check(scheme, Legacy::Accepted).unwrap(),
        private_key().public(),
        &SystemRandom,
        &Work::default(),
    );
    (sealed.unwrap().record, sink.take())
}

/// Opens from a file into a file; on failure nothing may be left.
pub(crate) fn open_file(record: &Record, body: &[u8], options: RecordOptions) -> Result<Vec<u8>, Error> {
    let dir = tempfile::tempdir().unwrap();
    let (input, target) = (dir.path().join("body"), dir.path().join("out"));
    fs::write(&input, body).unwrap();
    let input = Input::open(&input).unwrap();
    let opened = open_record(record, input, Output::file(&target), &record_keys(), options, &Work::default());
    if opened.is_err() {
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something is left beside the body");
    }
    opened.map(|_| fs::read(&target).unwrap())
}

/// Opens from a pipe into a pipe; on failure not one byte may have come out.
pub(crate) fn open_pipe(record: &Record, body: &[u8], options: RecordOptions) -> Result<Vec<u8>, Error> {
    let sink = Sink::default();
    let opened: Result<OpenedRecord, Error> = open_record(
        record,
        Input::Stream(Box::new(std::io::Cursor::new(body.to_vec()))),
        Output::Stream(Box::new(sink.clone())),
        &record_keys(),
        options,
        &Work::default(),
    );
    let out = sink.take();
    if opened.is_err() {
        assert!(out.is_empty(), "{} bytes came out of what does not open", out.len());
    }
    opened.map(|_| out)
}

pub(crate) fn options(stated: Option<Scheme>) -> RecordOptions {
    RecordOptions { stated, legacy: Legacy::Accepted }
}

pub(crate) fn write_record(path: &Path, record: &Record) {
    fs::write(path, record.to_json(Spelling::Job)).unwrap();
}

pub(crate) fn read_record(path: &Path) -> Record {
    Record::decode(&fs::read(path).unwrap(), Reading::Strict).unwrap().0
}

/// Runs a peer's script over a list of jobs.
pub(crate) fn run_peer(command: &mut Command, script: &str, jobs: &[Value]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/record").join(script);
    let mut child = command
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(serde_json::to_string(jobs).unwrap().as_bytes()).unwrap();
    let ran = child.wait_with_output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    // Node warns on standard output that PKCS#1 was asked for.
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(said.lines().last(), Some(format!("{} done", jobs.len()).as_str()));
}

/// Node, with what it takes to open PKCS#1 v1.5.
pub(crate) fn node(path: PathBuf) -> Command {
    let mut command = Command::new(path);
    command.arg("--security-revert=CVE-2023-46809");
    command
}
