use waxwing_core::SystemRandom;
use waxwing_core::envelope::{LockedHeader, SealOptions};

use super::*;
use crate::{Keyring, UnlockError};

const NOW: u64 = 1_800_000_000;

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

fn sealed(sealer: Arc<dyn KeyProvider>) -> LockedHeader {
    let keyring = Keyring::new([sealer]);
    let drafted = pollster::block_on(keyring.draft(SealOptions::default(), None, &SystemRandom));
    let (draft, recipients) = drafted.unwrap();
    LockedHeader::decode(&draft.seal_header(&recipients).unwrap().0).unwrap()
}

fn open(store: &Keystore, header: &LockedHeader) -> Result<(), UnlockError> {
    let keyring = Keyring::new(store.openers(None).unwrap());
    pollster::block_on(keyring.unlock(header)).map(|_| ())
}

#[test]
fn versions_rotate_are_disabled_and_destroyed() {
    for kind in [NewKey::Aes256, NewKey::Rsa(RsaSize::Rsa2048), NewKey::XWing] {
        let mut store = Keystore::default();
        assert_eq!(store.create("archive", kind, false, NOW, &SystemRandom), Ok(1));
        let old = sealed(store.sealer(&name("archive")).unwrap());
        assert_eq!(store.rotate("archive", NOW + 1, &SystemRandom), Ok(2));
        let new = sealed(store.sealer(&name("archive")).unwrap());
        let mut store = Keystore::decode(&store.encode()).unwrap();
        assert!(open(&store, &old).is_ok() && open(&store, &new).is_ok());

        assert_eq!(store.set_state(&name("archive/1"), VersionState::Disabled), Ok(1));
        let Err(UnlockError::Unavailable(failed)) = open(&store, &old) else { panic!("it is disabled") };
        assert!(failed.to_string().starts_with("`archive/1`: the key is disabled"), "{failed}");
        assert!(open(&store, &new).is_ok());
        store.set_state(&name("archive/1"), VersionState::Enabled).unwrap();
        assert!(open(&store, &old).is_ok());

        store.destroy(&name("archive/2")).unwrap();
        assert!(matches!(open(&store, &new), Err(UnlockError::NoUsableKey { .. })));
        assert_eq!(store.rotate("archive", NOW, &SystemRandom), Ok(3), "no number is given twice");
        assert_eq!(store.key("archive").unwrap().kind as u8, store.keys()[0].kind as u8);
    }
}

#[test]
fn rotation_keeps_the_size_of_an_rsa_key() {
    let mut store = Keystore::default();
    store.create("a", NewKey::Rsa(RsaSize::Rsa4096), false, NOW, &SystemRandom).unwrap();
    store.rotate("a", NOW, &SystemRandom).unwrap();
    assert_eq!(store.keys()[0].versions.iter().map(rsa_modulus_len).collect::<Vec<_>>(), [512, 512]);
}

#[test]
fn a_disabled_key_neither_seals_nor_leaves() {
    let mut store = Keystore::default();
    store.create("a", NewKey::Aes256, true, NOW, &SystemRandom).unwrap();
    store.set_state(&name("a"), VersionState::Disabled).unwrap();
    assert_eq!(store.sealer(&name("a")).unwrap_err(), KeystoreError::Disabled { name: "a".into() });
    assert_eq!(store.export(&name("a/1")).unwrap_err(), KeystoreError::Disabled { name: "a/1".into() });
}

#[test]
fn keys_leave_only_when_they_were_made_to() {
    let mut store = Keystore::default();
    store.create("stays", NewKey::Aes256, false, NOW, &SystemRandom).unwrap();
    store.create("goes", NewKey::XWing, true, NOW, &SystemRandom).unwrap();
    let stays = store.export(&name("stays")).unwrap_err();
    assert_eq!(stays, KeystoreError::NotExportable { name: "stays".into() });
    let exported = store.export(&name("goes")).unwrap();
    let mut other = Keystore::default();
    let key = Key::read(exported.as_bytes(), None).unwrap();
    assert_eq!(other.import("goes", key, false, NOW), Ok(1));
    let header = sealed(store.sealer(&name("goes")).unwrap());
    assert!(open(&other, &header).is_ok());
    let kek = Key::Kek(Kek::generate("x", &SystemRandom).unwrap());
    let another = other.import("goes", kek, false, NOW).unwrap_err();
    assert_eq!(another, KeystoreError::AnotherKind { name: "goes".into() });
}

#[test]
fn names_are_checked_and_not_taken_twice() {
    let mut store = Keystore::default();
    store.create("a", NewKey::Aes256, false, NOW, &SystemRandom).unwrap();
    let mut create = |name: &str| store.create(name, NewKey::Aes256, false, NOW, &SystemRandom);
    assert_eq!(create("a"), Err(KeystoreError::Exists { name: "a".into() }));
    for bad in ["", "a/1", "../a", "a b", &"a".repeat(201)] {
        assert_eq!(create(bad), Err(KeystoreError::Name), "{bad}");
    }
    for bad in ["", "/1", "a/", "a/x", "a/1/2", "a/4294967296"] {
        assert_eq!(bad.parse::<KeyName>(), Err(KeystoreError::Name), "{bad}");
    }
    assert!(matches!(store.openers(Some(&name("a/2"))), Err(KeystoreError::NotFound { .. })));
}
