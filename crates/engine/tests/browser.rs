//! Web Crypto in a real browser: a page in headless Chromium opens what we seal, and seals what we open.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use waxwing_core::content::Legacy;
use waxwing_core::{Dek, SystemRandom};
use waxwing_engine::{
    Error, Input, Output, PartOutputs, Parts, ProfileKeys, SealKeys, Secrets, Work, open_message,
    seal_message,
};
use waxwing_keyring::{BoxFuture, DataKey, KeyService, UnwrapError, WrapError};
use waxwing_profiles::{Profile, preset};
use waxwing_testkit::streams::SharedSink;
use waxwing_testkit::{payload, peers};
use zeroize::Zeroizing;

const KEY: [u8; 32] = [0x77; 32];
const SHORT_KEY: [u8; 16] = [0x55; 16];
/// What stands for the data key in a KMS blob. Its length is nothing to rely on.
const BLOB: [u8; 167] = [0xb1; 167];
const LENS: [usize; 5] = [0, 1, 31, (64 << 10) + 3, 20 << 20];

/// A KMS that knows one key.
struct Kms;

impl KeyService for Kms {
    fn unwrap<'a>(
        &'a self,
        wrapped: &'a [u8],
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, UnwrapError>> {
        Box::pin(async move {
            match wrapped == BLOB {
                true => Ok(Zeroizing::new(KEY.to_vec())),
                false => Err(UnwrapError::NotAuthentic),
            }
        })
    }

    fn generate(&self) -> BoxFuture<'_, Result<Option<DataKey>, WrapError>> {
        Box::pin(async {
            let key = Dek::from_unwrapped(&KEY).expect("it is 32 bytes long");
            Ok(Some(DataKey { key, wrapped: BLOB.to_vec() }))
        })
    }
}

/// One of the two shapes, and the key.
#[derive(Clone, Copy)]
struct Shape {
    preset: &'static str,
    key: &'static [u8],
}

const SHAPES: [Shape; 3] = [
    Shape { preset: "web-crypto", key: &KEY },
    Shape { preset: "web-crypto", key: &SHORT_KEY },
    Shape { preset: "kms-blob", key: &KEY },
];

impl Shape {
    fn profile(self) -> &'static Profile {
        &preset(self.preset).unwrap().profile
    }

    fn secrets(self) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.insert("key".to_owned(), Zeroizing::new(self.key.to_vec()));
        secrets
    }

    fn seal(self, plaintext: &[u8], to: &Path) {
        let keys = SealKeys { recipient: None, secrets: self.secrets(), service: Some(&Kms) };
        let parts = PartOutputs::from([("body".to_owned(), Output::file(to))]);
        let input = Input::Stream(Box::new(std::io::Cursor::new(plaintext.to_vec())));
        let work = Work::default();
        seal_message(self.profile(), input, parts, &keys, &SystemRandom, Legacy::Refused, &work).unwrap();
    }

    fn open(self, from: &Path) -> Result<Vec<u8>, Error> {
        let keys = ProfileKeys { rsa: None, secrets: Arc::new(self.secrets()), service: Some(Box::new(Kms)) };
        let mut parts = Parts::default();
        parts.insert("body", Input::open(from).unwrap());
        let sink = SharedSink::default();
        let output = Output::Stream(Box::new(sink.clone()));
        open_message(self.profile(), parts, output, &keys, Legacy::Refused, &Work::default())?;
        Ok(sink.take())
    }

    /// What the page is to do.
    fn job(self, op: &str, from: &str, to: &str) -> Value {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        json!({ "op": op, "shape": self.preset, "key": hex(self.key), "blob": hex(&BLOB), "from": from, "to": to })
    }
}

/// The folder that the page's files are in.
struct Browser {
    node: PathBuf,
    dir: tempfile::TempDir,
}

impl Browser {
    fn new() -> Option<Self> {
        let node = peers::node().filter(|_| peers::browser().is_some())?;
        Some(Self { node, dir: tempfile::tempdir().unwrap() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Does the jobs one after the other, and says how each ended.
    fn run(&self, jobs: Vec<Value>) -> Vec<String> {
        fs::write(self.path("jobs.json"), Value::from(jobs).to_string()).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser.mjs");
        let ran = Command::new(&self.node).arg(script).arg(self.dir.path()).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        serde_json::from_slice(&ran.stdout).unwrap()
    }
}

#[test]
fn a_page_opens_what_we_seal_and_we_what_a_page_seals() {
    let Some(browser) = Browser::new() else { return };
    let mut jobs = Vec::new();
    let cases: Vec<_> = SHAPES.iter().flat_map(|shape| LENS.map(|len| (shape, len))).collect();
    for (n, (shape, len)) in cases.iter().enumerate() {
        fs::write(browser.path(&format!("{n}.plain")), payload(*len)).unwrap();
        shape.seal(&payload(*len), &browser.path(&format!("{n}.ours")));
        jobs.push(shape.job("open", &format!("{n}.ours"), &format!("{n}.opened")));
        jobs.push(shape.job("seal", &format!("{n}.plain"), &format!("{n}.theirs")));
    }
    assert!(browser.run(jobs).iter().all(|result| result == "done"));
    for (n, (shape, len)) in cases.iter().enumerate() {
        let plaintext = payload(*len);
        let opened = fs::read(browser.path(&format!("{n}.opened"))).unwrap();
        assert!(opened == plaintext, "the page opened {} of {len} bytes", shape.preset);
        let theirs = shape.open(&browser.path(&format!("{n}.theirs"))).unwrap();
        assert!(theirs == plaintext, "we opened {} of {len} bytes", shape.preset);
        let lens =
            ["ours", "theirs"].map(|ext| fs::metadata(browser.path(&format!("{n}.{ext}"))).unwrap().len());
        assert_eq!(lens[0], lens[1], "both sides write as many bytes");
    }
}

#[test]
fn attack_09_both_sides_refuse_what_was_changed() {
    let Some(browser) = Browser::new() else { return };
    let mut jobs = Vec::new();
    let mut names = Vec::new();
    for (n, shape) in SHAPES.iter().enumerate() {
        shape.seal(&payload(1000), &browser.path("good"));
        let good = fs::read(browser.path("good")).unwrap();
        fs::remove_file(browser.path("good")).unwrap();
        let iv = good.len() - 1000 - 16 - 12;
        for (what, at) in [("iv", iv), ("first", iv + 12), ("tag", good.len() - 1)] {
            let mut changed = good.clone();
            changed[at] ^= 1;
            names.push((*shape, format!("{n}-{what}"), changed));
        }
        names.push((*shape, format!("{n}-cut"), good[..good.len() - 1].to_vec()));
        let stranger = Shape { key: &[0x11; 32], ..*shape };
        if shape.preset == "web-crypto" {
            names.push((stranger, format!("{n}-stranger"), good));
        }
    }
    for (shape, name, bytes) in &names {
        fs::write(browser.path(name), bytes).unwrap();
        jobs.push(shape.job("open", name, &format!("{name}.opened")));
        assert!(matches!(shape.open(&browser.path(name)), Err(Error::Open(_))), "we open {name}");
    }
    for (result, (_, name, _)) in browser.run(jobs).iter().zip(&names) {
        assert_eq!(result, "OperationError", "the page opens {name}");
        assert!(!browser.path(&format!("{name}.opened")).exists());
    }
}

/// What docs/profiles/web-crypto.md says of keys of 24 bytes.
#[test]
fn chromium_takes_no_key_of_24_bytes() {
    let Some(browser) = Browser::new() else { return };
    fs::write(browser.path("plain"), b"x").unwrap();
    let shape = Shape { preset: "web-crypto", key: &[0x24; 24] };
    assert_eq!(browser.run(vec![shape.job("seal", "plain", "sealed")]), ["OperationError"]);
}
