//! Attacks on records, named by their row in SECURITY.md.

use std::io::{Seek as _, Write as _};

use waxwing_core::SystemRandom;
use waxwing_core::body::{BodyCipher, BodyDecryptor, BodyParams, SLACK_LEN};
use waxwing_core::content::ContentKey;
use waxwing_engine::{Error, Input, OpenError, Output, RecordOptions, Work, open_record};
use waxwing_formats::record::Record;
use waxwing_formats::scheme::{Digest, KeyLen, Scheme, Wrap};

use crate::support::*;

fn scheme(text: &str) -> Scheme {
    text.parse().unwrap()
}

fn not_authentic(result: Result<Vec<u8>, Error>) -> bool {
    matches!(result, Err(Error::Open(OpenError::NotAuthentic(_))))
}

/// CBC accepts about one wrong key in 256: the reason why what it yields is labelled, and why a digest in the record is
/// checked before a key is used.
#[test]
fn attack_05_cbc_accepts_wrong_keys_and_a_digest_does_not() {
    let cbc = scheme("oaep-sha256+aes-256-cbc");
    let (record, body) = seal(cbc, &payload(100));
    let trials = 20_000;
    let accepted = (0..trials)
        .filter(|_| {
            let wrong = ContentKey::generate(KeyLen::Bits256, &SystemRandom).unwrap();
            let params = BodyParams { key: wrong.expose(), iv: &record.iv, aad: &[] };
            let mut decryptor = BodyDecryptor::new(BodyCipher::CbcPkcs7, params).unwrap();
            let mut out = vec![0; body.len() + SLACK_LEN];
            decryptor.update(&body, &mut out).unwrap();
            decryptor.finish(None, &mut out).is_ok()
        })
        .count();
    assert!((20..300).contains(&accepted), "{accepted} of {trials}: about one in 256 was expected");
    assert!(record.ciphertext_sha256.is_some(), "a CBC record carries the digest of its ciphertext");
    for at in 0..body.len() {
        let mut body = body.clone();
        body[at] ^= 1;
        assert!(matches!(open_file(&record, &body, options(None)), Err(Error::DigestMismatch)), "byte {at}");
    }
    for len in 0..body.len() {
        assert!(matches!(open_pipe(&record, &body[..len], options(None)), Err(Error::DigestMismatch)));
    }
}

#[test]
fn attack_05_what_cbc_yields_is_labelled() {
    for text in ["oaep-sha256+aes-256-cbc", "pkcs1+aes-128-gcm", "oaep-sha256+aes-256-gcm"] {
        let (record, body) = seal(scheme(text), b"x");
        let opened = open_record(
            &record,
            Input::Stream(Box::new(std::io::Cursor::new(body))),
            Output::Stream(Box::new(Sink::default())),
            &record_keys(),
            options(None),
            &Work::default(),
        );
        assert_eq!(opened.unwrap().is_authenticated(), !text.ends_with("cbc"), "{text}");
    }
}

/// Whatever is wrong with a PKCS#1 block, the outcome is the one of a wrong key.
#[test]
fn attack_06_malformed_blocks_have_one_outcome() {
    let (mut record, body) = seal(scheme("pkcs1+aes-256-gcm"), &payload(100));
    assert_eq!(open_file(&record, &body, options(None)).unwrap(), payload(100), "the control opens");
    record.wrapped_key[0] = 0; // below the modulus, whatever follows
    let mut outcomes = std::collections::HashSet::new();
    for i in 0..2_000u32 {
        record.wrapped_key[1..5].copy_from_slice(&i.to_be_bytes());
        let err = open_pipe(&record, &body, options(None)).unwrap_err();
        outcomes.insert((format!("{err:?}"), err.to_string()));
    }
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    // A good block around a key of another length is one more of them.
    let key = ContentKey::generate(KeyLen::Bits128, &SystemRandom).unwrap();
    let wrapped_key = waxwing_keyring::wrap_content_key(private_key().public(), Wrap::Pkcs1, &key).unwrap();
    let err = open_pipe(&Record { wrapped_key, ..record }, &body, options(None)).unwrap_err();
    assert!(outcomes.contains(&(format!("{err:?}"), err.to_string())));
}

#[test]
fn attack_07_a_wrong_wrap_is_like_a_wrong_key() {
    let wraps: Vec<Wrap> = Digest::ALL
        .into_iter()
        .flat_map(|digest| Digest::ALL.map(|mgf1| Wrap::Oaep { digest, mgf1 }))
        .chain([Wrap::Pkcs1])
        .collect();
    for &made in &wraps {
        let (record, body) = seal(Scheme { wrap: made, ..Scheme::DEFAULT }, b"payload");
        for &tried in &wraps {
            let record = Record { scheme: None, ..record.clone() };
            let opened = open_pipe(&record, &body, options(Some(Scheme { wrap: tried, ..Scheme::DEFAULT })));
            match made == tried {
                true => assert_eq!(opened.unwrap(), b"payload"),
                false => assert!(not_authentic(opened), "{made} as {tried}"),
            }
        }
    }
}

/// Any byte of body, tag, IV or wrapped key: no output file, and not one byte into a pipe (the helpers check that).
#[test]
fn attack_09_nothing_comes_of_a_changed_record() {
    for text in ["oaep-sha256+aes-128-gcm", "oaep-sha256+aes-256-gcm+tag-appended", "pkcs1+aes-256-gcm"] {
        let (record, body) = seal(scheme(text), &payload(300));
        let refused = |record: &Record, body: &[u8]| {
            assert!(not_authentic(open_file(record, body, options(None))), "{text}");
            assert!(not_authentic(open_pipe(record, body, options(None))), "{text}");
        };
        for at in (0..body.len()).step_by(7).chain([body.len() - 1]) {
            let mut body = body.clone();
            body[at] ^= 0x40;
            refused(&record, &body);
        }
        for len in [16, 100, body.len() - 1] {
            refused(&record, &body[..len]);
        }
        refused(&record, &[&body[..], &[0]].concat());
        let changed = |change: fn(&mut Record)| {
            let mut record = record.clone();
            change(&mut record);
            record
        };
        refused(&changed(|record| record.iv[0] ^= 1), &body);
        refused(&changed(|record| record.wrapped_key[9] ^= 1), &body);
        if record.tag.is_some() {
            refused(&changed(|record| record.tag.as_mut().unwrap()[15] ^= 1), &body);
        }
    }
}

#[test]
fn attack_10_a_body_shorter_than_its_tag_is_refused_before_a_key_is_used() {
    let (record, body) = seal(scheme("oaep-sha256+aes-256-gcm+tag-appended"), b"");
    for len in 0..16 {
        assert!(matches!(open_file(&record, &body[..len], options(None)), Err(Error::NoRoomForTag { .. })));
    }
}

/// A file that is exchanged after it was verified and before it is decrypted: nothing of the new one reaches a pipe.
#[test]
fn attack_09_an_exchanged_file_reaches_no_pipe() {
    let (record, body) = seal(Scheme::DEFAULT, &payload(1 << 20));
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&body).unwrap();
    file.rewind().unwrap();
    let exchanged =
        Exchange { file: file.try_clone().unwrap(), done: false.into(), verified: body.len() as u64 };
    let sink = Sink::default();
    let work = Work { observer: &exchanged, ..Work::default() };
    let input = Input::from_file(file).unwrap();
    let options = RecordOptions::default();
    let opened =
        open_record(&record, input, Output::Stream(Box::new(sink.clone())), &record_keys(), options, &work);
    assert!(matches!(opened, Err(Error::InputChanged)), "{opened:?}");
    let out = sink.take();
    assert!(payload(1 << 20).starts_with(&out), "something else came out");
}

/// Writes into the file as soon as all of it has been verified.
struct Exchange {
    file: std::fs::File,
    done: std::sync::Mutex<bool>,
    verified: u64,
}

impl waxwing_engine::Observer for Exchange {
    fn advance(&self, bytes: u64) {
        use std::os::unix::fs::FileExt as _;
        static SEEN: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let seen = SEEN.fetch_add(bytes, std::sync::atomic::Ordering::SeqCst) + bytes;
        let mut done = self.done.lock().unwrap();
        if seen >= self.verified && !*done {
            *done = true;
            self.file.write_all_at(&[0xaa; 4096], self.verified - 4096).unwrap();
        }
    }
}
