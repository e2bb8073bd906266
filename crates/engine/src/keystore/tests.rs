use std::fs;
use std::sync::Arc;

use waxwing_core::SystemRandom;
use waxwing_formats::envelope::PassphraseCost;
use waxwing_formats::keystore::VersionState;
use waxwing_keyring::{KeyProvider, NewKey, Passphrase};

use super::*;

fn passphrase(text: &str) -> Arc<dyn KeyProvider> {
    Arc::new(Passphrase::new(text.as_bytes(), PassphraseCost::MIN, Arc::new(SystemRandom)).unwrap())
}

fn kek(name: &str) -> Arc<dyn KeyProvider> {
    Arc::new(Kek::generate(name, &SystemRandom).unwrap())
}

fn ring(provider: &Arc<dyn KeyProvider>) -> Keyring {
    Keyring::new([provider.clone()])
}

/// A keystore with the key `a`, sealed for `provider`.
fn made(dir: &tempfile::TempDir, provider: &Arc<dyn KeyProvider>) -> KeystoreFile {
    let file = KeystoreFile::new(dir.path().join("keystore.wax"));
    let mut keys = Keystore::default();
    keys.create("a", NewKey::Aes256, false, 0, &SystemRandom).unwrap();
    file.create(&keys, &ring(provider), &SystemRandom).unwrap();
    file
}

#[test]
fn what_was_changed_is_there_when_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let key = passphrase("correct horse");
    let file = made(&dir, &key);
    let rotate = |keys: &mut Keystore| keys.rotate("a", 1, &SystemRandom);
    assert_eq!(file.update(&ring(&key), &SystemRandom, rotate).unwrap(), 2);
    assert_eq!(file.open(&ring(&key)).unwrap().keys.keys()[0].versions.len(), 2);
    assert!(matches!(file.open(&ring(&passphrase("wrong"))), Err(Error::Open(_))));
    let again = file.create(&Keystore::default(), &ring(&key), &SystemRandom);
    assert!(matches!(again, Err(Error::OutputExists)));
}

#[test]
fn changes_at_once_are_all_kept() {
    let dir = tempfile::tempdir().unwrap();
    let key = kek("root/1");
    let file = made(&dir, &key);
    thread::scope(|scope| {
        for n in 0..8 {
            let (file, keyring) = (&file, ring(&key));
            scope.spawn(move || {
                let create = |keys: &mut Keystore| {
                    keys.create(&format!("k{n}"), NewKey::Aes256, false, 0, &SystemRandom)
                };
                file.update(&keyring, &SystemRandom, create).unwrap();
            });
        }
    });
    assert_eq!(file.open(&ring(&key)).unwrap().keys.keys().len(), 9);
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let key = kek("root/1");
    let file = made(&dir, &key);
    let before = fs::read(file.path()).unwrap();
    let failing = |keys: &mut Keystore| {
        keys.set_state(&"a".parse()?, VersionState::Disabled)?;
        keys.rotate("b", 0, &SystemRandom)
    };
    assert!(matches!(file.update(&ring(&key), &SystemRandom, failing), Err(Error::Keystore(_))));
    assert_eq!(fs::read(file.path()).unwrap(), before);
}

#[test]
fn other_recipients_open_the_same_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (passphrase("old"), kek("recovery/1"));
    let file = made(&dir, &old);
    let change = Change { add: ring(&new), remove_others: true, ..Change::default() };
    file.rewrap(&ring(&old), &change).unwrap();
    assert!(file.open(&ring(&old)).is_err());
    assert_eq!(file.open(&ring(&new)).unwrap().keys.keys()[0].name, "a");
    assert_eq!(file.recipients().unwrap().len(), 1);
}

/// What docs/formats/keystore-v1.md says a rewrap does not do: the root KEK stays.
#[test]
fn an_old_front_opens_what_was_written_since() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (kek("old/1"), kek("new/1"));
    let file = made(&dir, &old);
    let before = fs::read(file.path()).unwrap();
    let change = Change { add: ring(&new), remove: ring(&old), ..Change::default() };
    file.rewrap(&ring(&old), &change).unwrap();
    let create = |keys: &mut Keystore| keys.create("b", NewKey::Aes256, false, 0, &SystemRandom);
    file.update(&ring(&new), &SystemRandom, create).unwrap();
    let now = fs::read(file.path()).unwrap();
    let (front, back) = (front_len(&before).unwrap(), front_len(&now).unwrap());
    fs::write(file.path(), [&before[..front], &now[back..]].concat()).unwrap();
    assert_eq!(file.open(&ring(&old)).unwrap().keys.keys().len(), 2);
}

#[test]
fn an_old_front_opens_nothing_of_a_keystore_that_was_sealed_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (kek("old/1"), kek("new/1"));
    let file = made(&dir, &old);
    let before = fs::read(file.path()).unwrap();
    file.reseal(&ring(&old), &ring(&new), &SystemRandom).unwrap();
    assert_eq!(file.open(&ring(&new)).unwrap().keys.keys()[0].name, "a");
    assert!(file.open(&ring(&old)).is_err());
    let now = fs::read(file.path()).unwrap();
    let (front, back) = (front_len(&before).unwrap(), front_len(&now).unwrap());
    fs::write(file.path(), [&before[..front], &now[back..]].concat()).unwrap();
    assert!(file.open(&ring(&old)).is_err());
}

#[test]
fn attack_11_another_envelope_of_the_same_recipients_is_no_keystore() {
    let dir = tempfile::tempdir().unwrap();
    let key = kek("root/1");
    let file = KeystoreFile::new(dir.path().join("keystore.wax"));
    let other = seal_small(&ring(&key), Context::default(), &[7; ROOT_LEN], &SystemRandom).unwrap();
    fs::write(file.path(), &other).unwrap();
    let change = Change { add: ring(&kek("new/1")), ..Change::default() };
    assert!(matches!(file.rewrap(&ring(&key), &change), Err(Error::Open(_))));
    assert!(matches!(file.open(&ring(&key)), Err(Error::Open(_))));
}

#[test]
fn attack_11_no_byte_can_be_changed_and_no_part_exchanged() {
    let dir = tempfile::tempdir().unwrap();
    let key = kek("root/1");
    let file = made(&dir, &key);
    let good = fs::read(file.path()).unwrap();
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        fs::write(file.path(), &changed).unwrap();
        assert!(file.open(&ring(&key)).is_err(), "byte {at}");
    }
    for len in 0..good.len() {
        fs::write(file.path(), &good[..len]).unwrap();
        assert!(file.open(&ring(&key)).is_err(), "cut to {len}");
    }
    let other_dir = tempfile::tempdir().unwrap();
    let other = fs::read(made(&other_dir, &key).path()).unwrap();
    let (front, back) = (front_len(&good).unwrap(), front_len(&other).unwrap());
    fs::write(file.path(), [&good[..front], &other[back..]].concat()).unwrap();
    assert!(file.open(&ring(&key)).is_err(), "the keys of another keystore");
}

#[test]
fn attack_28_a_keystore_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = made(&dir, &kek("root/1"));
    assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
}
