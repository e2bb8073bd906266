use aws_lc_rs::digest::{SHA256, digest};

use super::*;
use crate::SystemRandom;

/// Figures of the draft; the file says which.
const VECTORS: &str = include_str!("vectors.txt");

#[test]
fn the_drafts_vectors() {
    let vectors: Vec<&str> = VECTORS.split("\n\n").skip(1).collect();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let field = |name: &str| {
            let digits: String =
                vector.lines().filter_map(|line| line.strip_prefix(name)).map(str::trim).collect();
            hex::decode(digits).unwrap()
        };
        let key = PrivateKey::from_seed(&field("seed").try_into().unwrap());
        assert_eq!(digest(&SHA256, key.public().as_bytes()).as_ref(), field("public"));
        assert_eq!(key.decapsulate(&field("encaps")).unwrap().as_slice(), field("secret"));
    }
}

#[test]
fn both_sides_agree_and_no_secret_comes_twice() {
    let key = PrivateKey::generate(&SystemRandom).unwrap();
    let public = PublicKey::from_bytes(key.public().as_bytes()).unwrap();
    let (first, secret) = public.encapsulate().unwrap();
    let (second, other) = public.encapsulate().unwrap();
    assert_eq!(key.decapsulate(first.as_slice()).unwrap(), secret);
    assert_eq!(key.decapsulate(second.as_slice()).unwrap(), other);
    assert_ne!(secret, other);
}

#[test]
fn a_changed_encapsulation_tells_another_secret() {
    let key = PrivateKey::generate(&SystemRandom).unwrap();
    let (encapsulation, secret) = key.public().encapsulate().unwrap();
    for at in [0, ML_KEM_CIPHERTEXT_LEN - 1, ML_KEM_CIPHERTEXT_LEN, ENCAPSULATION_LEN - 2] {
        let mut changed = encapsulation.clone();
        changed[at] ^= 1;
        assert_ne!(key.decapsulate(changed.as_slice()).unwrap(), secret, "byte {at}");
    }
    assert_eq!(key.decapsulate(&encapsulation[1..]), Err(NotAuthentic));
    // An ephemeral key of small order makes X25519's part a constant.
    let mut small = encapsulation.clone();
    small[ML_KEM_CIPHERTEXT_LEN..].fill(0);
    assert_eq!(key.decapsulate(small.as_slice()), Err(NotAuthentic));
}

#[test]
fn attack_30_public_keys_are_checked() {
    let key = PrivateKey::generate(&SystemRandom).unwrap();
    let good = key.public().as_bytes();
    assert_eq!(PublicKey::from_bytes(&good[1..]), Err(Malformed));
    // A coefficient of 4095 is not below 3329.
    let mut unreduced = *good;
    unreduced[..3].fill(0xff);
    assert_eq!(PublicKey::from_bytes(&unreduced), Err(Malformed));
    let mut small_order = *good;
    small_order[ML_KEM_PUBLIC_LEN..].fill(0);
    assert_eq!(PublicKey::from_bytes(&small_order), Err(Malformed));
}

#[test]
fn attack_16_debug_shows_nothing() {
    let key = PrivateKey::generate(&SystemRandom).unwrap();
    assert_eq!(format!("{key:?} {:?}", key.public()), "XWingPrivateKey(..) XWingPublicKey(..)");
}
