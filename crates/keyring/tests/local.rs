//! The keys of this process keep to what every provider keeps to.

mod conformance;

use std::sync::Arc;

use conformance::{Binds, Sort, check};
use waxwing_core::SystemRandom;
use waxwing_formats::envelope::PassphraseCost;
use waxwing_keyring::{Kek, Key, KeyProvider, Passphrase, RsaPrivateKey, RsaSize, XWingPrivateKey};

#[test]
fn an_rsa_key_keeps_the_laws() {
    let (key, stranger) = (rsa(), rsa());
    let Key::RsaPublic(public) = Key::read(key.public().to_pem().as_bytes(), None).unwrap() else {
        panic!("a public key")
    };
    let (key, public, stranger): (Arc<dyn KeyProvider>, Arc<dyn KeyProvider>, Arc<dyn KeyProvider>) =
        (Arc::new(key), Arc::new(public), Arc::new(stranger));
    let sort = Sort::new(Binds::Nothing, true);
    check(&key, &key, &stranger, sort);
    check(&public, &key, &stranger, sort);
}

#[test]
fn a_kek_keeps_the_laws() {
    let kek = |name| -> Arc<dyn KeyProvider> { Arc::new(Kek::generate(name, &SystemRandom).unwrap()) };
    let (key, stranger) = (kek("archive/3"), kek("archive/4"));
    check(&key, &key, &stranger, Sort::new(Binds::Envelope, true));
}

#[test]
fn an_x_wing_key_keeps_the_laws() {
    let key = || XWingPrivateKey::generate(&SystemRandom).unwrap();
    let (key, stranger): (Arc<dyn KeyProvider>, Arc<dyn KeyProvider>) = (Arc::new(key()), Arc::new(key()));
    check(&key, &key, &stranger, Sort::new(Binds::Envelope, true));
}

#[test]
fn a_passphrase_keeps_the_laws() {
    let passphrase = |text: &str| -> Arc<dyn KeyProvider> {
        Arc::new(Passphrase::new(text.as_bytes(), PassphraseCost::MIN, Arc::new(SystemRandom)).unwrap())
    };
    let (key, stranger) = (passphrase("correct horse"), passphrase("battery staple"));
    check(&key, &key, &stranger, Sort::new(Binds::Envelope, false));
}

fn rsa() -> RsaPrivateKey {
    RsaPrivateKey::generate(RsaSize::Rsa2048).unwrap()
}
