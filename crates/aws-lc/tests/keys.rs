//! Every encoding of an RSA key is read as the same key, and what is not one is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use waxwing_aws_lc::{
    Digest, KeyError, OaepParams, RsaPrivateKey, RsaPublicKey, RsaSize, spki_of_certificate,
};
use waxwing_testkit::keys;

fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with('-') && !line.contains(':')).collect();
    STANDARD.decode(base64).expect("test keys are valid PEM")
}

/// One key pair in all its encodings.
struct Encodings {
    bits: usize,
    spki: &'static str,
    pkcs1_public: &'static str,
    certificate: &'static str,
    pkcs8: &'static str,
    pkcs1: &'static str,
    encrypted_pkcs8: &'static str,
    encrypted_pkcs1: &'static str,
}

macro_rules! encodings {
    ($bits:literal, $($field:ident: $name:ident),* $(,)?) => {
        Encodings { bits: $bits, $($field: keys::$name),* }
    };
}

const ALL: [Encodings; 3] = [
    encodings! { 2048, spki: RSA_2048_SPKI, pkcs1_public: RSA_2048_PKCS1_PUBLIC, certificate: RSA_2048_CERTIFICATE,
    pkcs8: RSA_2048_PKCS8, pkcs1: RSA_2048_PKCS1, encrypted_pkcs8: RSA_2048_ENCRYPTED_PKCS8, encrypted_pkcs1: RSA_2048_ENCRYPTED_PKCS1 },
    encodings! { 3072, spki: RSA_3072_SPKI, pkcs1_public: RSA_3072_PKCS1_PUBLIC, certificate: RSA_3072_CERTIFICATE,
    pkcs8: RSA_3072_PKCS8, pkcs1: RSA_3072_PKCS1, encrypted_pkcs8: RSA_3072_ENCRYPTED_PKCS8, encrypted_pkcs1: RSA_3072_ENCRYPTED_PKCS1 },
    encodings! { 4096, spki: RSA_4096_SPKI, pkcs1_public: RSA_4096_PKCS1_PUBLIC, certificate: RSA_4096_CERTIFICATE,
    pkcs8: RSA_4096_PKCS8, pkcs1: RSA_4096_PKCS1, encrypted_pkcs8: RSA_4096_ENCRYPTED_PKCS8, encrypted_pkcs1: RSA_4096_ENCRYPTED_PKCS1 },
];

#[test]
fn public_encodings_agree() {
    for key in &ALL {
        let spki = der(key.spki);
        for public in [
            RsaPublicKey::from_spki_der(&spki).unwrap(),
            RsaPublicKey::from_pkcs1_der(&der(key.pkcs1_public)).unwrap(),
            RsaPublicKey::from_certificate_der(&der(key.certificate)).unwrap(),
        ] {
            assert_eq!(public.to_spki_der(), spki);
            assert_eq!(public.to_pkcs1_der(), der(key.pkcs1_public));
            assert_eq!(public.modulus_len() * 8, key.bits);
            assert_eq!(public.modulus().len() * 8, key.bits);
            assert_eq!(public.exponent(), [1, 0, 1]);
        }
        assert_eq!(spki_of_certificate(&der(key.certificate)).unwrap(), spki);
    }
}

#[test]
fn private_encodings_agree() {
    for key in &ALL {
        let pkcs8 = der(key.pkcs8);
        for private in [
            RsaPrivateKey::from_pkcs8_der(&pkcs8).unwrap(),
            RsaPrivateKey::from_pkcs1_der(&der(key.pkcs1)).unwrap(),
            RsaPrivateKey::from_encrypted_pkcs8_der(&der(key.encrypted_pkcs8), keys::PASSPHRASE).unwrap(),
            RsaPrivateKey::from_legacy_pem(key.encrypted_pkcs1.as_bytes(), keys::PASSPHRASE).unwrap(),
        ] {
            assert_eq!(private.to_pkcs8_der().as_slice(), pkcs8);
            assert_eq!(private.public().to_spki_der(), der(key.spki));
            assert_eq!(private.modulus_len() * 8, key.bits);
        }
    }
}

#[test]
fn legacy_pem_may_use_3des() {
    let private =
        RsaPrivateKey::from_legacy_pem(keys::RSA_2048_ENCRYPTED_PKCS1_3DES.as_bytes(), keys::PASSPHRASE)
            .unwrap();
    assert_eq!(private.to_pkcs8_der().as_slice(), der(keys::RSA_2048_PKCS8));
}

#[test]
fn an_encrypted_export_reads_back() {
    let key = RsaPrivateKey::from_pkcs8_der(&der(keys::RSA_2048_PKCS8)).unwrap();
    let encrypted = key.to_encrypted_pkcs8_der(b"correct horse").unwrap();
    let read = RsaPrivateKey::from_encrypted_pkcs8_der(&encrypted, b"correct horse").unwrap();
    assert_eq!(read.to_pkcs8_der(), key.to_pkcs8_der());
    let wrong = RsaPrivateKey::from_encrypted_pkcs8_der(&encrypted, b"battery staple");
    assert_eq!(wrong.unwrap_err(), KeyError::WrongPassphrase);
}

#[test]
fn a_generated_key_has_the_length_asked_for_and_works() {
    for size in [RsaSize::Rsa2048, RsaSize::Rsa3072, RsaSize::Rsa4096] {
        let key = RsaPrivateKey::generate(size).unwrap();
        assert_eq!(key.public().modulus_len() * 8, usize::from(size.bits()));
        assert_eq!(key.public().exponent(), [1, 0, 1]);
        let params = OaepParams::new(Digest::Sha256);
        let wrapped = key.public().encrypt_oaep(&params, b"dek").unwrap();
        assert_eq!(key.decrypt_oaep(&params, &wrapped).unwrap().as_slice(), b"dek");
    }
}

#[test]
fn wrong_passphrases_are_told_as_such() {
    // One wrong passphrase in 256 leaves well-padded garbage, so a few of them take both ways through AWS-LC.
    for n in 0..600u32 {
        let wrong = n.to_be_bytes();
        let legacy = RsaPrivateKey::from_legacy_pem(keys::RSA_2048_ENCRYPTED_PKCS1.as_bytes(), &wrong);
        assert_eq!(legacy.unwrap_err(), KeyError::WrongPassphrase);
    }
    let encrypted = der(keys::RSA_2048_ENCRYPTED_PKCS8);
    for wrong in [&b""[..], b"Waxwing", &[0; 2000]] {
        let result = RsaPrivateKey::from_encrypted_pkcs8_der(&encrypted, wrong);
        assert_eq!(result.unwrap_err(), KeyError::WrongPassphrase);
        let legacy = RsaPrivateKey::from_legacy_pem(keys::RSA_2048_ENCRYPTED_PKCS1.as_bytes(), wrong);
        assert_eq!(legacy.unwrap_err(), KeyError::WrongPassphrase);
    }
}

#[test]
fn unknown_encryption_is_told_as_such() {
    let scrypt =
        RsaPrivateKey::from_encrypted_pkcs8_der(&der(keys::RSA_2048_ENCRYPTED_SCRYPT), keys::PASSPHRASE);
    assert_eq!(scrypt.unwrap_err(), KeyError::UnsupportedEncryption);
    let pem = keys::RSA_2048_ENCRYPTED_PKCS1.replace("AES-256-CBC", "CAMELLIA-256-CBC");
    let legacy = RsaPrivateKey::from_legacy_pem(pem.as_bytes(), keys::PASSPHRASE);
    assert_eq!(legacy.unwrap_err(), KeyError::UnsupportedEncryption);
}

#[test]
fn keys_of_other_algorithms_are_told_as_such() {
    for pem in [keys::EC_PKCS8, keys::ED25519_PKCS8, keys::RSA_PSS_PKCS8] {
        assert_eq!(RsaPrivateKey::from_pkcs8_der(&der(pem)).unwrap_err(), KeyError::NotRsa);
    }
    for pem in [keys::EC_SPKI, keys::ED25519_SPKI] {
        assert_eq!(RsaPublicKey::from_spki_der(&der(pem)).unwrap_err(), KeyError::NotRsa);
    }
    let encrypted = RsaPrivateKey::from_encrypted_pkcs8_der(&der(keys::EC_ENCRYPTED_PKCS8), keys::PASSPHRASE);
    assert_eq!(encrypted.unwrap_err(), KeyError::NotRsa);
}

#[test]
fn cut_and_extended_keys_are_malformed() {
    let (spki, pkcs1_public) = (der(keys::RSA_2048_SPKI), der(keys::RSA_2048_PKCS1_PUBLIC));
    let (pkcs8, pkcs1) = (der(keys::RSA_2048_PKCS8), der(keys::RSA_2048_PKCS1));
    let (certificate, encrypted) = (der(keys::RSA_2048_CERTIFICATE), der(keys::RSA_2048_ENCRYPTED_PKCS8));
    let results = |cut: &dyn Fn(&[u8]) -> Vec<u8>| {
        [
            RsaPublicKey::from_spki_der(&cut(&spki)).err(),
            RsaPublicKey::from_pkcs1_der(&cut(&pkcs1_public)).err(),
            RsaPublicKey::from_certificate_der(&cut(&certificate)).err(),
            RsaPrivateKey::from_pkcs8_der(&cut(&pkcs8)).err(),
            RsaPrivateKey::from_pkcs1_der(&cut(&pkcs1)).err(),
            RsaPrivateKey::from_encrypted_pkcs8_der(&cut(&encrypted), keys::PASSPHRASE).err(),
        ]
    };
    for kept in [0, 1, 2, 20, 100, 200] {
        assert_eq!(results(&|der| der[..kept].to_vec()), [Some(KeyError::Malformed); 6], "{kept} bytes kept");
    }
    assert_eq!(results(&|der| [der, &[0]].concat()), [Some(KeyError::Malformed); 6]);
}

#[test]
fn a_private_key_whose_numbers_disagree_is_malformed() {
    let mut pkcs1 = der(keys::RSA_2048_PKCS1);
    pkcs1[300] ^= 1; // within the private exponent
    assert_eq!(RsaPrivateKey::from_pkcs1_der(&pkcs1).unwrap_err(), KeyError::Malformed);
}

#[test]
fn debug_shows_sizes_only() {
    let key = RsaPrivateKey::from_pkcs8_der(&der(keys::RSA_2048_PKCS8)).unwrap();
    assert_eq!(format!("{key:?}"), "RsaPrivateKey(256 bytes, ..)");
    assert_eq!(format!("{:?}", key.public()), "RsaPublicKey(256 bytes)");
}
