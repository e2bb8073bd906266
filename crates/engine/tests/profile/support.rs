//! The vectors of the presets, as others made them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use waxwing_core::content::Legacy;
use waxwing_core::{Dek, SystemRandom, key_wrap};
use waxwing_engine::{Error, Input, OpenedMessage, Output, Parts, ProfileKeys, Secrets, Work, open_message};
use waxwing_keyring::{BoxFuture, DataKey, Key, KeyService, RsaPrivateKey, UnwrapError, WrapError};
use waxwing_profiles::Profile;
use waxwing_testkit::streams::SharedSink;
use zeroize::Zeroizing;

/// What a vector must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Open as this, also where it is damaged in a way that nobody could notice.
    Opens {
        sha256: String,
    },
    Rejected,
}

#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) profile: String,
    pub(crate) files: BTreeMap<String, PathBuf>,
    pub(crate) expected: Expected,
    secrets: BTreeMap<String, String>,
    kms_answers: BTreeMap<Vec<u8>, Vec<u8>>,
    rsa: Option<Arc<RsaPrivateKey>>,
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles/vectors")
}

/// Every vector below `folder`, whose folders have a `manifest.json` each.
pub(crate) fn cases(folder: &Path) -> Vec<Case> {
    let mut schemes: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    schemes.sort();
    schemes.iter().flat_map(|scheme| scheme_cases(scheme)).collect()
}

fn scheme_cases(scheme: &Path) -> Vec<Case> {
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(scheme.join("manifest.json")).unwrap()).unwrap();
    let rsa = manifest["rsa_private_key"].as_str().map(|name| {
        let pem = std::fs::read(scheme.join(name)).unwrap();
        Arc::new(Key::read(&pem, None).unwrap().into_rsa_private().unwrap())
    });
    let texts = |value: &Value| -> BTreeMap<String, String> {
        let map = value.as_object().cloned().unwrap_or_default();
        map.into_iter().map(|(name, value)| (name, value.as_str().unwrap().to_owned())).collect()
    };
    let name = scheme.file_name().unwrap().to_str().unwrap();
    let case = |case: &Value| Case {
        id: format!("{name}/{}", case["id"].as_str().unwrap()),
        profile: case["profile"].as_str().unwrap().to_owned(),
        files: texts(&case["files"]).into_iter().map(|(name, path)| (name, scheme.join(path))).collect(),
        expected: match case["expect"].as_str().unwrap() {
            "reject" => Expected::Rejected,
            "plaintext" | "undetectable" => {
                Expected::Opens { sha256: case["plaintext_sha256"].as_str().unwrap().to_owned() }
            }
            other => panic!("{other}"),
        },
        secrets: texts(&case["secrets"]),
        kms_answers: texts(&case["kms_answers"])
            .into_iter()
            .map(|(blob, key)| (waxwing_profiles::Encoding::Base64.decode(&blob).unwrap(), hex(&key)))
            .collect(),
        rsa: rsa.clone(),
    };
    manifest["cases"].as_array().unwrap().iter().map(case).collect()
}

pub(crate) fn rsa_2048() -> Arc<RsaPrivateKey> {
    let key = Key::read(waxwing_testkit::keys::RSA_2048_PKCS8.as_ref(), None).unwrap();
    Arc::new(key.into_rsa_private().unwrap())
}

fn hex(text: &str) -> Vec<u8> {
    waxwing_profiles::Encoding::Hex.decode(text).unwrap()
}

/// A KMS that knows the answers.
struct Answers(BTreeMap<Vec<u8>, Vec<u8>>);

impl KeyService for Answers {
    fn unwrap<'a>(
        &'a self,
        wrapped: &'a [u8],
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, UnwrapError>> {
        let key = self.0.get(wrapped).map(|key| Zeroizing::new(key.clone()));
        Box::pin(async { key.ok_or(UnwrapError::NotAuthentic) })
    }
}

/// A KMS of one process, which `peer.py` knows too: AES key wrap under a fixed key.
pub(crate) struct TestKms;

const TEST_KMS_KEK: [u8; 32] = [7; 32];

impl KeyService for TestKms {
    fn unwrap<'a>(
        &'a self,
        wrapped: &'a [u8],
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, UnwrapError>> {
        let key = key_wrap::unwrap(&TEST_KMS_KEK, wrapped).map_err(|_| UnwrapError::NotAuthentic);
        Box::pin(async { key })
    }

    fn generate(&self) -> BoxFuture<'_, Result<Option<DataKey>, WrapError>> {
        Box::pin(async {
            let key = Dek::generate(&SystemRandom)?;
            let wrapped = key_wrap::wrap(&TEST_KMS_KEK, key.expose()).unwrap();
            Ok(Some(DataKey { key, wrapped }))
        })
    }
}

impl Case {
    /// A message that this test made, with the keys of the tests.
    pub(crate) fn made(profile: &Profile, what: &str, dir: &Path, expected: Expected) -> Self {
        let secrets = crate::sealing::SECRETS.iter().map(|&(name, text)| (name.to_owned(), text.to_owned()));
        Self {
            id: format!("{}: {what}", profile.id),
            profile: profile.id.clone(),
            files: profile.files().map(|(name, _)| (name.to_owned(), dir.join(name))).collect(),
            expected,
            secrets: secrets.collect(),
            kms_answers: BTreeMap::new(),
            rsa: Some(rsa_2048()),
        }
    }

    /// The same with files of its own, in `dir`.
    pub(crate) fn copied(&self, dir: &Path, expected: Expected) -> Self {
        let copy = |(at, (name, path)): (usize, (&String, &PathBuf))| {
            let to = dir.join(at.to_string());
            std::fs::copy(path, &to).unwrap();
            (name.clone(), to)
        };
        Self {
            id: format!("{}, changed", self.id),
            files: self.files.iter().enumerate().map(copy).collect(),
            expected,
            ..self.clone()
        }
    }

    pub(crate) fn keys(&self) -> ProfileKeys {
        let mut secrets = Secrets::default();
        for (name, text) in &self.secrets {
            secrets.insert(name.clone(), Zeroizing::new(text.clone().into_bytes()));
        }
        let mut keys =
            ProfileKeys { rsa: self.rsa.clone(), secrets: Arc::new(secrets), ..ProfileKeys::default() };
        keys.service = match self.kms_answers.is_empty() {
            true => Some(Box::new(TestKms)),
            false => Some(Box::new(Answers(self.kms_answers.clone()))),
        };
        keys
    }

    /// The files that the profile asks for. Some vectors bring more than one profile's files.
    pub(crate) fn parts(&self, profile: &Profile) -> Parts {
        let asked = |name: &String| profile.repeat.is_some() || profile.part(name).is_some();
        let files = self.files.iter().filter(|(name, _)| asked(name));
        let mut parts = Parts::default();
        files.for_each(|(name, path)| parts.insert(name, Input::open(path).unwrap()));
        parts
    }

    /// Opens it, to a stream.
    pub(crate) fn open(&self, profile: &Profile) -> Result<(OpenedMessage, Vec<u8>), Error> {
        let sink = SharedSink::default();
        let output = Output::Stream(Box::new(sink.clone()));
        let opened = open_message(
            profile,
            self.parts(profile),
            output,
            &self.keys(),
            Legacy::Accepted,
            &Work::default(),
        );
        let written = sink.take();
        assert!(opened.is_ok() || written.is_empty(), "{} gave out something", self.id);
        opened.map(|opened| (opened, written))
    }

    /// Whether it does what it must.
    pub(crate) fn holds(&self, profile: &Profile) -> bool {
        match (self.open(profile), &self.expected) {
            (Ok((_, plaintext)), Expected::Opens { sha256 }) => sha256_hex(&plaintext) == *sha256,
            (Err(_), Expected::Rejected) => true,
            _ => false,
        }
    }
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
