use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use waxwing_core::SystemRandom;
use waxwing_core::content::Legacy;
use waxwing_engine::{
    Input, Output, PartOutputs, Parts, ProfileKeys, SealKeys, Secrets, Work, open_message, seal_message,
};
use waxwing_keyring::RsaPrivateKey;
use waxwing_profiles::{Profile, presets};
use waxwing_testkit::streams::SharedSink;
use zeroize::Zeroizing;

use crate::support::{TestKms, rsa_2048};

/// Secrets that fit every preset, by name.
pub(crate) const SECRETS: [(&str, &str); 10] = [
    ("kek", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
    ("key", "0123456789abcdef0123456789abcdef"),
    ("passphrase", "a passphrase"),
    ("encrypt_key", "some key"),
    ("query_stage_master_key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ("apiv3_key", "0123456789abcdef0123456789abcdef"),
    ("encoding_aes_key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
    ("receive_id", "wx1234"),
    ("position", "0000000000000000"),
    ("unused", ""),
];

pub(crate) fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    for (name, text) in SECRETS {
        secrets.insert(name.to_owned(), Zeroizing::new(text.as_bytes().to_vec()));
    }
    secrets
}

pub(crate) fn seal(profile: &Profile, plaintext: &[u8], dir: &Path, key: &RsaPrivateKey) {
    let outputs: PartOutputs =
        profile.files().map(|(name, _)| (name.to_owned(), Output::file(dir.join(name)))).collect();
    let keys = SealKeys { recipient: Some(key.public()), secrets: secrets(), service: Some(&TestKms) };
    let input = Input::Stream(Box::new(std::io::Cursor::new(plaintext.to_vec())));
    seal_message(profile, input, outputs, &keys, &SystemRandom, Legacy::Accepted, &Work::default())
        .unwrap_or_else(|err| panic!("{}: {err:?}", profile.id));
}

fn open(profile: &Profile, dir: &Path, key: &Arc<RsaPrivateKey>) -> Vec<u8> {
    let mut parts = Parts::default();
    profile.files().for_each(|(name, _)| parts.insert(name, Input::open(&dir.join(name)).unwrap()));
    let keys = ProfileKeys {
        rsa: Some(Arc::clone(key)),
        secrets: Arc::new(secrets()),
        service: Some(Box::new(TestKms)),
    };
    let sink = SharedSink::default();
    let output = Output::Stream(Box::new(sink.clone()));
    open_message(profile, parts, output, &keys, Legacy::Accepted, &Work::default())
        .unwrap_or_else(|err| panic!("{}: {err:?}", profile.id));
    sink.take()
}

#[test]
fn what_a_preset_writes_it_reads() {
    let key = rsa_2048();
    let mut written = Vec::new();
    for preset in presets().iter().filter(|preset| preset.profile.writing().is_ok()) {
        for len in [0, 1, 15, 16, 17, 4096, 300_000] {
            let dir = tempfile::tempdir().unwrap();
            let plaintext: Vec<u8> = (0..len).map(|at: usize| (at % 251) as u8).collect();
            seal(&preset.profile, &plaintext, dir.path(), &key);
            assert!(open(&preset.profile, dir.path(), &key) == plaintext, "{} at {len}", preset.profile.id);
        }
        written.push(preset.profile.id.as_str());
    }
    let not: BTreeMap<&str, String> = presets()
        .iter()
        .filter_map(|preset| Some((preset.profile.id.as_str(), preset.profile.writing().err()?)))
        .collect();
    assert_eq!(
        not.keys().copied().collect::<Vec<_>>(),
        ["ides-package", "jpk", "ksef-batch", "s3ec-v2-kms", "s3ec-v3-kms"],
        "{not:?}"
    );
}

/// A partner who knows the scheme's page opens what we write.
#[test]
fn python_opens_what_presets_write() {
    let Some(python) = waxwing_testkit::peers::python() else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/profile/peer.py");
    let key = rsa_2048();
    let mut wrong = Vec::new();
    for preset in presets().iter().filter(|preset| preset.profile.writing().is_ok()) {
        let dir = tempfile::tempdir().unwrap();
        let plaintext = b"what a partner reads, in more than one block";
        seal(&preset.profile, plaintext, dir.path(), &key);
        let pem = dir.path().join("key.pem");
        std::fs::write(&pem, waxwing_testkit::keys::RSA_2048_PKCS8).unwrap();
        let ran = Command::new(&python)
            .arg(script)
            .arg(&preset.profile.id)
            .arg(&pem)
            .arg(dir.path())
            .output()
            .unwrap();
        if ran.stdout != plaintext {
            wrong.push(format!("{}: {}", preset.profile.id, String::from_utf8_lossy(&ran.stderr)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
