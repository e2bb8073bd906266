use std::io::Cursor;
use std::path::Path;

use serde_json::Value;

use super::*;

fn given(name: &str, bytes: &[u8]) -> Given {
    Given::read(name, Cursor::new(bytes)).unwrap()
}

/// The files of a case that its profile is given: its parts, and the bodies that the message names.
fn files_of(folder: &Path, case: &Value, profile: &crate::Profile) -> Vec<Given> {
    let files = case["files"].as_object().unwrap();
    let belongs = |name: &str| profile.part(name).is_some() || profile.repeat.is_some();
    let read = |path: &str| {
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        Given::read(name, std::fs::File::open(folder.join(path)).unwrap()).unwrap()
    };
    // In the other order: it must not matter.
    let mut found: Vec<Given> = files
        .iter()
        .filter(|(name, _)| belongs(name))
        .map(|(_, path)| read(path.as_str().unwrap()))
        .collect();
    found.reverse();
    found
}

/// Cases whose damage is exactly that nothing can be read any more.
const UNREADABLE: [&str; 4] = ["neg-doctype", "neg-len-zero", "neg-truncated", "neg-len-too-long"];

/// The preset whose messages look like random bytes from first to last: nothing without the key can tell them.
const FEATURELESS: &str = "web-crypto";

/// Presets that differ in nothing but what was wrapped and how: without the key nobody can tell them apart.
const INHERENT_TIES: [&[&str]; 2] = [
    &["record-oaep-sha1-cbc", "record-oaep-sha256-cbc", "record-pkcs1-cbc-128", "record-pkcs1-cbc-256"],
    &["record-oaep-sha1-gcm", "record-oaep-sha256-gcm", "record-pkcs1-gcm-128", "record-pkcs1-gcm-256"],
];

#[test]
fn every_vector_is_identified() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut cases = 0;
    for scheme in std::fs::read_dir(vectors).unwrap() {
        let folder = scheme.unwrap().path();
        let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        for case in manifest["cases"].as_array().unwrap() {
            let (id, profile) = (case["id"].as_str().unwrap(), case["profile"].as_str().unwrap());
            let preset = crate::preset(profile).unwrap();
            let files = files_of(&folder, case, &preset.profile);
            let found = identify(&files);
            cases += 1;
            if UNREADABLE.contains(&id) {
                assert!(found.is_empty(), "{id}: {found:#?}");
                continue;
            }
            if profile == FEATURELESS {
                let sure = found.iter().find(|found| found.certainty > Certainty::Possible);
                assert!(sure.is_none(), "{id}: {sure:#?}");
                continue;
            }
            let ids: Vec<String> = found
                .iter()
                .map(|found| format!("{} {} {}", found.preset.profile.id, found.score, found.certainty))
                .collect();
            let first = found.first().unwrap_or_else(|| panic!("{profile} {id}: nothing"));
            let tied = first.tied_with.contains(&profile);
            assert!(first.preset.profile.id == profile || tied, "{profile} {id}: {ids:?} {:#?}", first.facts);
            let expected: Vec<&str> =
                INHERENT_TIES.iter().find(|ties| ties.contains(&profile)).map_or(Vec::new(), |ties| {
                    ties.iter().copied().filter(|tie| *tie != first.preset.profile.id).collect()
                });
            let mut tied_with = first.tied_with.clone();
            tied_with.sort_unstable();
            assert_eq!(tied_with, expected, "{profile} {id}: {ids:?}");
            if case["expect"] == "plaintext" {
                assert!(first.is_complete(), "{profile} {id}: {:#?}", first.facts);
                assert!(first.unused.is_empty(), "{profile} {id}: {:?}", first.unused);
                assert!(
                    first
                        .preset
                        .profile
                        .files()
                        .all(|(part, _)| { first.parts.iter().any(|(given, _)| given == part) })
                );
            }
        }
    }
    assert!(cases >= 150, "{cases}");
}

#[test]
fn what_is_no_message_is_identified_as_nothing() {
    // Multiplication by an odd constant visits bytes in an order that looks random enough.
    let random: Vec<u8> =
        (0..4096u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) >> 13) as u8).collect();
    let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &[0; 64]].concat();
    for (name, bytes) in [
        ("random", &random[..]),
        ("one block", &random[..16]),
        ("a modulus", &random[..256]),
        ("empty", b""),
        ("json", br#"{"name": "x", "iv": 1, "list": [1, 2], "value": []}"#),
        ("xml", b"<a><b c='d'>e</b></a>"),
        ("text", b"Dear all,\n\nplease find attached.\n"),
        ("image", &png),
    ] {
        let file = given(name, bytes);
        assert_eq!(known(&file), None, "{name}");
        let found: Vec<_> = identify(&[file]).into_iter().map(|found| &found.preset.profile.id).collect();
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn other_formats_are_told_by_their_first_bytes() {
    for (bytes, title) in [
        (&b"WAXWING\x01\0\0\x01\0"[..], "Waxwing envelope"),
        (b"age-encryption.org/v1\n-> X25519 abc\n", "age file"),
        (b"-----BEGIN PGP MESSAGE-----\n\nabc", "OpenPGP message, armored"),
        (b"\x85\x01\x0c\x03ABCDEFGH\x01\0\0\0", "OpenPGP message"),
        (b"Salted__12345678", "output of `openssl enc` under a passphrase"),
        (b"\xfe\xed\xfe\xed\0\0\0\x02", "Java key store (JKS)"),
        (b"\x01\x80\x03\x78abc", "AWS Encryption SDK message, version 1"),
        (b"\x02\x05\x78abc", "AWS Encryption SDK message, version 2"),
        (b"\x30\x82\x01\x00\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0", "CMS (PKCS#7) in DER"),
        (
            b"\x30\x82\x01\x00\x02\x01\x03\x30\x82\x00\xf0\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01",
            "key store (PKCS#12)",
        ),
        (br#"{"encryptedKey": "AAAA", "encodedIV": "AAAA"}"#, "record of an RSA-wrapped AES key"),
    ] {
        assert_eq!(known(&given("x", bytes)).map(|known| known.title), Some(title));
    }
}

#[test]
fn a_jwe_is_found_bare_and_in_any_field() {
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/jwe-rsa/oaep256-a256gcm/msg.json");
    let message: Value = serde_json::from_slice(&std::fs::read(vectors).unwrap()).unwrap();
    let token = message["encData"].as_str().unwrap();
    let nested = format!(r#"{{"a": [{{"token": "{token}"}}]}}"#);
    for (bytes, place) in [(token, "bare"), (nested.as_str(), "`a.0.token`")] {
        let found = identify(&[given("token", bytes.as_bytes())]);
        let jwe = found.iter().find(|found| found.preset.profile.id == "jwe-rsa").unwrap();
        assert_eq!(jwe.score, found[0].score);
        assert!(jwe.facts(Speaks::Missing).any(|fact| fact.contains(place)), "{:?}", jwe.facts);
        assert!(!jwe.is_complete());
    }
}

#[test]
fn a_document_without_its_body_is_likely() {
    let record = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/matrix-attachment/npm-5/info.json");
    let found = identify(&[given("x", &std::fs::read(record).unwrap())]);
    assert_eq!(found[0].preset.profile.id, "matrix-attachment");
    assert_eq!(found[0].certainty, Certainty::Likely);
}
