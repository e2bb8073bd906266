//! Messages that were changed, cut and mixed on their way.

use std::collections::BTreeSet;
use std::fs;

use waxwing_engine::{Error, MessageError, OpenError};
use waxwing_profiles::{Profile, Protection, preset};

use crate::support::{Case, Expected, cases, folder, sha256_hex};

fn profile_of(case: &Case) -> &'static Profile {
    &preset(&case.profile).unwrap().profile
}

/// How a changed message ended.
#[derive(PartialEq, Eq)]
enum Ended {
    Same,
    Different,
    Refused,
    Failed,
}

fn end(case: &Case, texts: &mut BTreeSet<String>) -> Ended {
    let Expected::Opens { sha256 } = &case.expected else { unreachable!("only what opens is changed") };
    match case.open(profile_of(case)) {
        Ok((_, plaintext)) if sha256_hex(&plaintext) == *sha256 => Ended::Same,
        Ok(_) => Ended::Different,
        Err(Error::Message(_)) => Ended::Refused,
        Err(err @ Error::Open(OpenError::NotAuthentic(_))) => {
            texts.insert(format!("{err} {err:?}"));
            Ended::Failed
        }
        Err(err) => panic!("{}: {err:?}", case.id),
    }
}

/// Where a message was changed does not show: everything after the key was used is one failure, and where the profile
/// proves integrity, nothing but the plaintext that was sealed ever comes out.
#[test]
fn attack_09_no_changed_byte_of_any_message_yields_another_plaintext() {
    const PLACES: usize = 48;
    let (mut texts, mut failed, mut refused) = (BTreeSet::new(), 0, 0);
    let dir = tempfile::tempdir().unwrap();
    for (number, case) in
        cases(&folder()).into_iter().filter(|case| case.expected != Expected::Rejected).enumerate()
    {
        let proves = profile_of(&case).protection() >= Protection::IntegrityAfter;
        let place = dir.path().join(number.to_string());
        fs::create_dir(&place).unwrap();
        let changed = case.copied(&place, case.expected.clone());
        for path in changed.files.values() {
            let good = fs::read(path).unwrap();
            let step = (good.len() / PLACES).max(1);
            let flipped = (0..good.len()).step_by(step).map(|at| {
                let mut bytes = good.clone();
                bytes[at] ^= 1;
                bytes
            });
            let cut = [0, good.len() / 2, good.len().saturating_sub(1)].map(|len| good[..len].to_vec());
            for bytes in flipped.chain(cut) {
                fs::write(path, bytes).unwrap();
                match end(&changed, &mut texts) {
                    Ended::Different => assert!(!proves, "{}: {}", case.id, path.display()),
                    Ended::Failed => failed += 1,
                    Ended::Refused => refused += 1,
                    Ended::Same => {}
                }
            }
            fs::write(path, good).unwrap();
        }
    }
    assert!(failed > 500 && refused > 500, "{failed} {refused}");
    assert_eq!(texts.len(), 1, "{texts:?}");
}

#[test]
fn attack_13_a_field_stands_once_in_one_spelling_and_is_not_empty() {
    let all = cases(&folder());
    let case = all.iter().find(|case| case.id == "record/oaep-sha256-aes-256-gcm").unwrap();
    let good = fs::read_to_string(&case.files["record"]).unwrap();
    let wrapped = good.split("\"EncryptedAESKey\"").nth(1).unwrap().split('"').nth(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let changed = case.copied(dir.path(), Expected::Rejected);
    let open = |text: String| {
        fs::write(&changed.files["record"], text).unwrap();
        match changed.open(profile_of(case)) {
            Err(Error::Message(err)) => err,
            other => panic!("{:?}", other.map(|_| ())),
        }
    };
    let twice = open(good.replacen('{', &format!("{{\"EncryptedAESKey\":\"{wrapped}\","), 1));
    assert!(format!("{twice:?}").contains("Duplicate { name: \"EncryptedAESKey\" }"), "{twice:?}");
    let both = open(good.replacen('{', &format!("{{\"encryptedKey\":\"{wrapped}\","), 1));
    assert_eq!(
        both.to_string(),
        "the message has both `record:EncryptedAESKey` and `record:encryptedKey`, which are spellings of one thing"
    );
    let empty = open(good.replace(wrapped, ""));
    assert!(format!("{empty:?}").contains("Empty { path: \"EncryptedAESKey\" }"), "{empty:?}");
    let absent = open(good.replace("EncryptedAESKey", "Encrypted"));
    assert!(matches!(absent, MessageError::Absent { .. }), "{absent:?}");
}

/// Attack 07: a wrap with other digests, another key and a damaged one end alike.
#[test]
fn attack_07_a_wrong_wrap_is_like_a_wrong_key() {
    let all = cases(&folder());
    let mut texts = BTreeSet::new();
    for id in [
        "whatsapp-flows/neg-wrap-sha1",
        "mastercard-fle/neg-hash-swapped",
        "xml-enc/neg-transport-relabelled",
        "azure-cse/neg-v2-relabelled-v1",
        "ides/neg-key-without-iv",
        "ms-graph/neg-hmac-flipped",
        "s3ec/neg-v3-commitment",
    ] {
        let case = all.iter().find(|case| case.id == id).unwrap();
        match case.open(profile_of(case)) {
            Err(err @ Error::Open(_)) => texts.insert(format!("{err} {err:?}")),
            other => panic!("{id}: {:?}", other.map(|_| ())),
        };
    }
    assert_eq!(texts.len(), 1, "{texts:?}");
}
