//! The vectors of docs/formats/vectors/record-v1.
//!
//! `cargo test -p waxwing-engine --test record -- --ignored` writes them anew, with Node as their maker.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use waxwing_core::content::{Legacy, PlanError};
use waxwing_engine::{Error, OpenError, RecordOptions};
use waxwing_formats::base64::Reading;
use waxwing_formats::record::Record;
use waxwing_formats::scheme::{Scheme, TagPlace};
use waxwing_keyring::RecordKeyError;
use waxwing_testkit::keys;

use crate::support::*;

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/vectors/record-v1")
}

/// The failure's name in docs/formats/vectors.md.
fn name(err: &Error) -> &'static str {
    match err {
        Error::Plan(PlanError::NoScheme) => "no-scheme",
        Error::Plan(PlanError::Disagree { .. }) => "scheme-differs",
        Error::Plan(PlanError::Legacy { .. }) => "legacy-refused",
        Error::Plan(PlanError::IvLength { .. }) => "iv-length",
        Error::Plan(PlanError::NoTag { .. }) => "no-tag",
        Error::Plan(PlanError::UnexpectedTag { .. }) => "unexpected-tag",
        Error::RecordKey(RecordKeyError::NoUsableKey { .. }) => "no-usable-key",
        Error::RecordKey(RecordKeyError::WrappedKeyLength { .. }) => "wrapped-key-length",
        Error::NoRoomForTag { .. } => "too-short-for-tag",
        Error::DigestMismatch => "digest-mismatch",
        Error::Open(OpenError::NotAuthentic(_)) => "not-authentic",
        err => panic!("no failure of a record: {err}"),
    }
}

#[test]
fn every_case_gives_what_it_states() {
    let manifest: Value = serde_json::from_slice(&fs::read(dir().join("manifest.json")).unwrap()).unwrap();
    let cases = manifest["cases"].as_array().unwrap();
    assert!(cases.len() > 50, "{} cases", cases.len());
    for case in cases {
        let expect = case["expect"].as_str().unwrap();
        let flag = |name: &str| case[name].as_bool().unwrap_or(false);
        let reading = if flag("lenient") { Reading::Lenient } else { Reading::Strict };
        let json = fs::read(dir().join(case["record"].as_str().unwrap())).unwrap();
        let Ok((mut record, _)) = Record::decode(&json, reading) else {
            assert_eq!(expect, "malformed-record", "{case}");
            continue;
        };
        let body = match (record.body.take(), case["body"].as_str()) {
            (Some(body), None) => body,
            (None, Some(file)) => fs::read(dir().join(file)).unwrap(),
            _ => panic!("one body: {case}"),
        };
        let stated = case["scheme"].as_str().map(|text| text.parse::<Scheme>().unwrap());
        let legacy = if flag("legacy") { Legacy::Accepted } else { Legacy::Refused };
        let options = RecordOptions { stated, legacy };
        for opened in [open_file(&record, &body, options), open_pipe(&record, &body, options)] {
            match opened {
                Ok(plaintext) => {
                    assert_eq!(expect, "plaintext", "{case}");
                    assert!(plaintext == payload(case["plaintext_len"].as_u64().unwrap() as usize), "{case}");
                }
                Err(err) => assert_eq!(name(&err), expect, "{case}"),
            }
        }
    }
}

#[test]
#[ignore = "writes the vectors anew; all of them are random"]
fn regenerate() {
    let node_path = waxwing_testkit::peers::node().expect("Node makes the vectors");
    let dir = dir();
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("keys")).unwrap();
    fs::write(dir.join("keys/rsa-2048.pem"), keys::RSA_2048_PKCS8).unwrap();
    let mut maker = Maker { dir: &dir, cases: Vec::new() };
    let (jobs, good) = maker.by_node();
    run_peer(&mut node(node_path), "peer.mjs", &jobs);
    fs::remove_file(dir.join("plain")).unwrap();
    fs::remove_file(dir.join("public.pem")).unwrap();
    for claim in good {
        maker.cases.push(claim);
    }
    maker.by_us();
    let manifest = json!({ "format": "waxwing-record-1", "key": "keys/rsa-2048.pem", "cases": maker.cases });
    fs::write(dir.join("manifest.json"), format!("{manifest:#}\n")).unwrap();
}

struct Maker<'a> {
    dir: &'a Path,
    cases: Vec<Value>,
}

impl Maker<'_> {
    /// Every scheme that Node has: its jobs, and the cases that come of them.
    fn by_node(&self) -> (Vec<Value>, Vec<Value>) {
        const LEN: usize = 46;
        fs::write(self.dir.join("plain"), payload(LEN)).unwrap();
        fs::write(self.dir.join("public.pem"), keys::RSA_2048_SPKI).unwrap();
        schemes(&NODE_WRAPS)
            .into_iter()
            .map(|scheme| {
                let id = format!("node-{}", scheme.to_string().replace('+', "-"));
                let (record, body) = (format!("{id}.json"), format!("{id}.bin"));
                let job = json!({
                    "op": "seal", "wrap": scheme.wrap.to_string(), "cipher": scheme.cipher.to_string(),
                    "tag": if scheme.tag == TagPlace::Appended { "appended" } else { "apart" },
                    "key": self.dir.join("public.pem"), "input": self.dir.join("plain"),
                    "output": self.dir.join(&body), "record": self.dir.join(&record),
                });
                let case = json!({
                    "id": id, "made_by": "Node's crypto", "record": record, "body": body, "scheme": scheme.to_string(),
                    "legacy": scheme.legacy_reason().is_some(), "expect": "plaintext", "plaintext_len": LEN,
                    "why": "as a partner's script makes it, which states no scheme",
                });
                (job, case)
            })
            .unzip()
    }

    /// Writes a record's JSON and a body, and lists them as a case.
    fn add(&mut self, id: &str, expect: &str, why: &str, json: String, body: Option<&[u8]>, more: Value) {
        let mut case = Map::new();
        case.insert("id".into(), id.into());
        case.insert("made_by".into(), "Waxwing".into());
        case.insert("record".into(), format!("{id}.json").into());
        fs::write(self.dir.join(format!("{id}.json")), json).unwrap();
        if let Some(body) = body {
            case.insert("body".into(), format!("{id}.bin").into());
            fs::write(self.dir.join(format!("{id}.bin")), body).unwrap();
        }
        case.extend(more.as_object().unwrap().clone());
        case.insert("expect".into(), expect.into());
        if expect == "plaintext" {
            case.insert("plaintext_len".into(), 46.into());
        }
        case.insert("why".into(), why.into());
        self.cases.push(case.into());
    }

    fn by_us(&mut self) {
        use waxwing_formats::record::Spelling::{Inline, Job, Provider};
        let gcm = Scheme::DEFAULT;
        let fresh = |text: &str| seal(text.parse().unwrap(), &payload(46));
        let none = || json!({});
        let legacy = || json!({ "legacy": true });
        for (spelling, word) in [(Job, "job"), (Provider, "provider")] {
            let (record, body) = seal(gcm, &payload(46));
            self.add(
                &format!("spelling-{word}"),
                "plaintext",
                "each spelling reads",
                record.to_json(spelling),
                Some(&body),
                none(),
            );
        }
        let (mut record, body) = fresh("oaep-sha256+aes-256-gcm+tag-appended");
        record.body = Some(body);
        self.add(
            "spelling-inline",
            "plaintext",
            "the body is in the record",
            record.to_json(Inline),
            None,
            none(),
        );
        for text in [
            "oaep-sha256-mgf1-sha1+aes-256-gcm",
            "oaep-sha512-mgf1-sha1+aes-128-gcm",
            "oaep-sha1-mgf1-sha256+aes-256-gcm",
            "oaep-sha224+aes-256-gcm",
        ] {
            let (record, body) = fresh(text);
            let id = text.replace('+', "-");
            self.add(
                &id,
                "plaintext",
                "digests that Node cannot set apart",
                record.to_json(Job),
                Some(&body),
                none(),
            );
        }
        // One thing is wrong with each of these.
        let changed = |text: &str, change: fn(&mut Record, &mut Vec<u8>)| {
            let (mut record, mut body) = fresh(text);
            change(&mut record, &mut body);
            (record.to_json(Job), body)
        };
        let plain = "oaep-sha256+aes-256-gcm";
        type Change = fn(&mut Record, &mut Vec<u8>);
        let rows: [(&str, &str, &str, &str, Value, Change); 20] = [
            ("body-flipped", "not-authentic", "a flipped bit in the ciphertext", plain, none(), |_, body| {
                body[3] ^= 1
            }),
            ("body-cut", "not-authentic", "the last byte is missing", plain, none(), |_, body| {
                body.pop();
            }),
            ("body-longer", "not-authentic", "a byte more", plain, none(), |_, body| body.push(0)),
            ("iv-flipped", "not-authentic", "a flipped bit in the IV", plain, none(), |r, _| r.iv[0] ^= 1),
            ("tag-flipped", "not-authentic", "a flipped bit in the tag", plain, none(), |r, _| {
                r.tag.as_mut().unwrap()[0] ^= 1
            }),
            (
                "wrapped-flipped",
                "not-authentic",
                "a flipped bit in the wrapped key",
                plain,
                none(),
                |r, _| r.wrapped_key[255] ^= 1,
            ),
            (
                "pkcs1-wrapped-flipped",
                "not-authentic",
                "implicit rejection: like a wrong key",
                "pkcs1+aes-256-gcm",
                legacy(),
                |r, _| r.wrapped_key[255] ^= 1,
            ),
            (
                "appended-flipped",
                "not-authentic",
                "a flipped bit in the appended tag",
                "oaep-sha256+aes-256-gcm+tag-appended",
                none(),
                |_, body| *body.last_mut().unwrap() ^= 1,
            ),
            (
                "appended-too-short",
                "too-short-for-tag",
                "no room for the tag",
                "oaep-sha256+aes-256-gcm+tag-appended",
                none(),
                |_, body| body.truncate(15),
            ),
            ("other-oaep", "not-authentic", "relabelled as OAEP with SHA-1", plain, none(), |r, _| {
                r.scheme = Some("oaep-sha1+aes-256-gcm".parse().unwrap())
            }),
            (
                "other-key-size",
                "not-authentic",
                "relabelled as AES-128: the unwrapped key has another length",
                plain,
                none(),
                |r, _| r.scheme = Some("oaep-sha256+aes-128-gcm".parse().unwrap()),
            ),
            (
                "downgraded-to-cbc",
                "iv-length",
                "relabelled as CBC, whose IV is longer",
                plain,
                legacy(),
                |r, _| {
                    r.scheme = Some("oaep-sha256+aes-256-cbc".parse().unwrap());
                    r.tag = None;
                },
            ),
            (
                "wrapped-too-short",
                "wrapped-key-length",
                "no wrapped key of this modulus",
                plain,
                none(),
                |r, _| {
                    r.wrapped_key.pop();
                },
            ),
            ("iv-of-16", "iv-length", "GCM with the IV of CBC", plain, none(), |r, _| r.iv = vec![0; 16]),
            ("no-tag", "no-tag", "GCM without its tag", plain, none(), |r, _| r.tag = None),
            (
                "tag-with-cbc",
                "unexpected-tag",
                "CBC has no tag",
                "oaep-sha256+aes-256-cbc",
                legacy(),
                |r, _| r.tag = Some([0; 16]),
            ),
            (
                "cbc-digest",
                "digest-mismatch",
                "the record's digest finds the change before a key is used",
                "oaep-sha256+aes-256-cbc",
                legacy(),
                |_, body| body[20] ^= 1,
            ),
            (
                "cbc-odd-length",
                "not-authentic",
                "no whole number of blocks",
                "oaep-sha256+aes-256-cbc",
                legacy(),
                |r, body| {
                    body.pop();
                    r.ciphertext_sha256 = None;
                },
            ),
            (
                "cbc-empty",
                "not-authentic",
                "CBC is never empty",
                "oaep-sha256+aes-256-cbc",
                legacy(),
                |r, body| {
                    body.clear();
                    r.ciphertext_sha256 = None;
                },
            ),
            ("key-id", "no-usable-key", "the record is for another key", plain, none(), |r, _| {
                r.key_id = Some([1; 32])
            }),
        ];
        for (id, expect, why, text, more, change) in rows {
            let (json, body) = changed(text, change);
            self.add(id, expect, why, json, Some(&body), more);
        }
        for (id, text) in [("legacy-pkcs1", "pkcs1+aes-256-gcm"), ("legacy-cbc", "oaep-sha256+aes-256-cbc")] {
            let (record, body) = fresh(text);
            self.add(id, "legacy-refused", "no consent was given", record.to_json(Job), Some(&body), none());
        }
        let (record, body) = fresh(plain);
        let json = record.to_json(Job);
        self.add(
            "scheme-differs",
            "scheme-differs",
            "the caller expects another scheme",
            json.clone(),
            Some(&body),
            json!({ "scheme": "oaep-sha1+aes-256-gcm" }),
        );
        let silent = Record { scheme: None, ..record.clone() };
        self.add(
            "no-scheme",
            "no-scheme",
            "nobody says how it was made",
            silent.to_json(Job),
            Some(&body),
            none(),
        );
        // The same record with its base64 spelt otherwise.
        let url_safe = json.replace('+', "-").replace('/', "_").replace("sha256-aes", "sha256+aes");
        self.add("base64-url-safe", "plaintext", "the URL-safe alphabet", url_safe, Some(&body), none());
        self.add("base64-unpadded", "plaintext", "no padding", json.replace('=', ""), Some(&body), none());
        let spaced = json.replacen("\"EncryptedAESKey\":\"", "\"EncryptedAESKey\":\" ", 1);
        self.add(
            "base64-white-space",
            "malformed-record",
            "white space, read strictly",
            spaced.clone(),
            Some(&body),
            none(),
        );
        self.add(
            "base64-white-space-lenient",
            "plaintext",
            "white space, read as Node does",
            spaced,
            Some(&body),
            json!({ "lenient": true }),
        );
        for (id, why, from, to) in [
            ("missing-key", "no wrapped key", "EncryptedAESKey", "Unknown"),
            ("missing-iv", "no IV", "EncodedAESIV", "Unknown"),
            ("two-spellings", "one value under two names", "\"AuthTag\"", "\"iv\":\"AAAA\",\"AuthTag\""),
            ("duplicate", "one name twice", "\"AuthTag\"", "\"EncodedAESIV\":\"AAAA\",\"AuthTag\""),
            ("not-an-object", "a list", "{", "[{"),
            ("unknown-scheme", "a scheme that nobody knows", "+aes-256-gcm", "+aes-256-xts"),
            ("tag-null", "null is no text", "\"AuthTag\":\"", "\"AuthTag\":null,\"x\":\""),
        ] {
            self.add(id, "malformed-record", why, json.replacen(from, to, 1), Some(&body), none());
        }
        for len in [0, 1, 4, 12, 15, 17] {
            let tag = waxwing_formats::base64::encode(&vec![0; len]);
            let good = waxwing_formats::base64::encode(&record.tag.unwrap());
            self.add(
                &format!("tag-of-{len}"),
                "malformed-record",
                "tags have 16 bytes",
                json.replace(&good, &tag),
                Some(&body),
                none(),
            );
        }
    }
}
