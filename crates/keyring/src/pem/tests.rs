use std::error::Error as _;

use waxwing_testkit::keys;

use super::*;
use crate::KeyId;

const PASSPHRASE: Option<&[u8]> = Some(keys::PASSPHRASE);

/// One key pair in every encoding: first those with the private half, then those without.
const ENCODINGS: [([&str; 4], [&str; 3]); 3] = [
    (
        [
            keys::RSA_2048_PKCS8,
            keys::RSA_2048_PKCS1,
            keys::RSA_2048_ENCRYPTED_PKCS8,
            keys::RSA_2048_ENCRYPTED_PKCS1,
        ],
        [keys::RSA_2048_SPKI, keys::RSA_2048_PKCS1_PUBLIC, keys::RSA_2048_CERTIFICATE],
    ),
    (
        [
            keys::RSA_3072_PKCS8,
            keys::RSA_3072_PKCS1,
            keys::RSA_3072_ENCRYPTED_PKCS8,
            keys::RSA_3072_ENCRYPTED_PKCS1,
        ],
        [keys::RSA_3072_SPKI, keys::RSA_3072_PKCS1_PUBLIC, keys::RSA_3072_CERTIFICATE],
    ),
    (
        [
            keys::RSA_4096_PKCS8,
            keys::RSA_4096_PKCS1,
            keys::RSA_4096_ENCRYPTED_PKCS8,
            keys::RSA_4096_ENCRYPTED_PKCS1,
        ],
        [keys::RSA_4096_SPKI, keys::RSA_4096_PKCS1_PUBLIC, keys::RSA_4096_CERTIFICATE],
    ),
];

fn der(pem: &str) -> Vec<u8> {
    Block::only(pem).and_then(|block| block.der()).expect("a test key").to_vec()
}

fn read(file: impl AsRef<[u8]>) -> Result<Key, KeyError> {
    Key::read(file.as_ref(), PASSPHRASE)
}

/// The private key's and the public key's way to the id.
fn id(key: &Key) -> String {
    match key {
        Key::RsaPrivate(key) => key.key_id().to_string(),
        Key::RsaPublic(key) => key.key_id().to_string(),
        other => panic!("{other:?} is no RSA key"),
    }
}

/// What a person is shown: the error and its sources.
fn message(result: Result<Key, KeyError>) -> String {
    let error = result.expect_err("the key is refused");
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

#[test]
fn every_encoding_is_the_same_key_in_pem_and_der() {
    for (private, public) in ENCODINGS {
        let expected = KeyId::new(sha256(&der(public[0]))).to_string();
        for pem in private {
            let key = read(pem).unwrap();
            assert_eq!(id(&key), expected);
            assert!(matches!(key, Key::RsaPrivate(_)));
        }
        for pem in public {
            let key = read(pem).unwrap();
            assert_eq!(id(&key), expected);
            assert!(matches!(key, Key::RsaPublic(_)));
            assert_eq!(id(&read(der(pem)).unwrap()), expected);
        }
        for pem in &private[..3] {
            assert_eq!(id(&read(der(pem)).unwrap()), expected);
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().try_into().unwrap()
}

#[test]
fn what_environments_and_editors_do_to_a_pem_is_undone() {
    for pem in [keys::RSA_2048_PKCS8, keys::RSA_2048_ENCRYPTED_PKCS1, keys::RSA_2048_CERTIFICATE] {
        let expected = id(&read(pem).unwrap());
        let escaped = pem.replace('\n', "\\n");
        let crlf = pem.replace('\n', "\r\n");
        for changed in [
            escaped.clone(),
            format!("\"{escaped}\""),
            format!("'{escaped}'\n"),
            pem.replace('\n', "\\r\\n"),
            crlf.clone(),
            format!("\u{feff}{crlf}"),
            format!("\n\n  {pem}\n\t\n"),
            pem.trim_end().to_owned(),
            format!("subject=CN = somebody\n{pem}"),
        ] {
            assert_eq!(id(&read(&changed).unwrap()), expected, "{changed}");
        }
    }
}

#[test]
fn a_pem_on_one_line_with_spaces_for_line_ends_is_read() {
    assert!(read(keys::RSA_2048_PKCS8.replace('\n', " ")).is_ok());
}

#[test]
fn each_way_to_be_wrong_has_its_message() {
    let pem = keys::RSA_2048_PKCS8;
    let (first_lines, _) = pem.split_at(400);
    let bad_letter = pem.replacen("\nM", "\n!", 1);
    let mut lines: Vec<&str> = pem.lines().collect();
    lines[5] = "not-base64";
    let bad_line = lines.join("\n");
    lines.remove(5);
    let lost_line = lines.join("\n");
    for (file, expected) in [
        ("", "the key is empty"),
        (" \n\t", "the key is empty"),
        ("hunter2", "this is no key: neither PEM (\"-----BEGIN …\") nor DER nor a Waxwing key file"),
        (
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:k",
            "this is the ARN of a key, not the key; give the PEM itself",
        ),
        (first_lines, "the PEM block `PRIVATE KEY` is cut: it has no END line"),
        (
            &pem.replace("END PRIVATE", "END PUBLIC"),
            "the PEM block begins as `PRIVATE KEY` and ends as `PUBLIC KEY`",
        ),
        (
            &bad_letter,
            "the PEM block `PRIVATE KEY` is not base64 at its line 2: character 0 is not of the base64 alphabet",
        ),
        (
            &bad_line,
            "the PEM block `PRIVATE KEY` is not base64 at its line 6: the standard and the URL-safe alphabet are mixed",
        ),
        (&lost_line, "the private key (PKCS#8) is malformed"),
        (
            keys::RSA_2048_OPENSSH,
            "this is an OpenSSH key; convert it with `ssh-keygen -p -m PKCS8 -f KEY` (public: `ssh-keygen -e -m PKCS8 -f KEY.pub`)",
        ),
        (
            keys::RSA_2048_OPENSSH_PUBLIC,
            "this is an OpenSSH key; convert it with `ssh-keygen -p -m PKCS8 -f KEY` (public: `ssh-keygen -e -m PKCS8 -f KEY.pub`)",
        ),
        (
            "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\n",
            "this is a PuTTY key; export it as an OpenSSH key and convert that to PKCS#8",
        ),
        (
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOY\n-----END PGP PRIVATE KEY BLOCK-----\n",
            "this is a PGP key; Waxwing uses RSA keys in PEM",
        ),
        (keys::RSA_2048_REQUEST, "this is a certificate request; give the certificate, or the public key"),
        (keys::EC_SEC1, "this is an elliptic-curve key; an RSA key is needed"),
        (keys::EC_SEC1_WITH_PARAMETERS, "this is an elliptic-curve key; an RSA key is needed"),
        (keys::EC_PKCS8, "this is an elliptic-curve key; an RSA key is needed"),
        (keys::EC_SPKI, "this is an elliptic-curve key; an RSA key is needed"),
        (keys::EC_ENCRYPTED_PKCS8, "this is another key; an RSA key is needed"),
        (keys::ED25519_PKCS8, "this is an Ed25519 key; an RSA key is needed"),
        (keys::ED25519_SPKI, "this is an Ed25519 key; an RSA key is needed"),
        (keys::RSA_PSS_PKCS8, "this is an RSA-PSS (signing) key; an RSA key is needed"),
        (
            keys::RSA_2048_ENCRYPTED_SCRYPT,
            "the key is encrypted in an unsupported way; re-encrypt it with `openssl pkcs8 -topk8 -v2 aes-256-cbc`",
        ),
        (
            &format!("{}{}", keys::RSA_2048_CERTIFICATE, keys::RSA_2048_PKCS8),
            "the file has 2 PEM blocks; keep the one key in a file of its own",
        ),
        ("-----BEGIN CRL-----\nAAAA\n-----END CRL-----", "the PEM block `CRL` is no key"),
        (
            "waxwing-aes-256 name",
            "the key file is malformed: it must be `waxwing-aes-256 NAME BASE64` with 32 bytes of base64",
        ),
    ] {
        assert_eq!(message(read(file)), expected, "{file}");
    }
    assert_eq!(
        message(read(keys::RSA_2048_PKCS12)),
        "this is a PKCS#12 file; take the key out with `openssl pkcs12 -nocerts -in FILE`"
    );
    assert_eq!(message(read(der(keys::RSA_2048_REQUEST))), message(Err(KeyError::Request)));
    assert_eq!(message(read([0x80; 40])), message(Err(KeyError::NotAKey)));
    assert_eq!(message(read(vec![b'-'; 65537])), "the key is 65537 bytes long; the limit is 65536");
}

#[test]
fn a_passphrase_that_lacks_or_is_wrong_is_told() {
    for pem in [keys::RSA_2048_ENCRYPTED_PKCS8, keys::RSA_2048_ENCRYPTED_PKCS1] {
        let missing = Key::read(pem.as_bytes(), None);
        assert_eq!(message(missing), "the key is encrypted; its passphrase is needed");
        let wrong = Key::read(pem.as_bytes(), Some(b"Waxwing"));
        assert_eq!(message(wrong), "the passphrase is wrong, or the encrypted key is damaged");
    }
}

#[test]
fn a_key_of_the_wrong_kind_is_told() {
    for public in [keys::RSA_2048_SPKI, keys::RSA_2048_CERTIFICATE] {
        let error = read(public).unwrap().into_rsa_private().unwrap_err();
        assert_eq!(error.to_string(), "this is a public key or certificate; the private key is needed");
    }
    let kek = format!("waxwing-aes-256 archive/3 {}=\n", "A".repeat(43));
    let error = read(kek).unwrap().into_rsa_private().unwrap_err();
    assert_eq!(error.to_string(), "this is an AES-256 key; an RSA key is needed");
}

/// A key may stand in for its public half, and comes back from its own PEM.
#[test]
fn keys_round_trip_through_their_pem() {
    let private = read(keys::RSA_2048_PKCS1).unwrap().into_rsa_private().unwrap();
    assert_eq!(*private.to_pem(), keys::RSA_2048_PKCS8);
    assert_eq!(private.public().to_pem(), keys::RSA_2048_SPKI);
    assert_eq!(private.public().bits(), 2048);
    let fingerprint = private.key_id().fingerprint();
    assert_eq!(fingerprint, format!("sha256:{}", private.key_id()));
    assert_eq!(fingerprint.len(), "sha256:".len() + 64);
}

#[test]
fn attack_16_no_message_quotes_a_cut_or_bent_key() {
    let pem = keys::RSA_2048_PKCS1;
    let secret: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let quotes =
        |text: &str| text.as_bytes().windows(8).any(|part| secret.as_bytes().windows(8).any(|w| w == part));
    for at in (0..pem.len()).step_by(7) {
        let mut bent = pem.as_bytes().to_vec();
        bent[at] = b'~';
        for file in [&pem.as_bytes()[..at], &bent] {
            if let Err(error) = read(file) {
                let text = format!("{} {error:?}", message(Err(error.clone())));
                assert!(!quotes(&text), "{text}");
            }
        }
    }
    let key = read(pem).unwrap();
    assert_eq!(format!("{key:?}"), format!("RsaPrivate(RsaPrivateKey(.., sha256:{}))", id(&key)));
}

#[test]
fn cut_and_bent_der_never_panics_and_cut_der_is_never_a_key() {
    for pem in [keys::RSA_2048_PKCS8, keys::RSA_2048_SPKI, keys::RSA_2048_CERTIFICATE, keys::EC_PKCS8] {
        let whole = der(pem);
        for at in 0..whole.len() {
            assert!(read(&whole[..at]).is_err(), "{at} bytes of {} are taken for a key", whole.len());
            let mut bent = whole.clone();
            bent[at] ^= 0x55;
            drop(read(bent));
        }
    }
}

#[test]
fn attack_30_weak_keys_are_refused_for_what_they_are() {
    let exponent =
        "the key is too weak: its public exponent is even, smaller than 65537 or longer than 33 bits";
    for (pem, expected) in [
        (
            keys::WEAK_1024_BITS_SPKI,
            "the key is too weak: its modulus has 1024 bits; 2048 to 8192 are accepted",
        ),
        (
            keys::WEAK_1024_BITS_PKCS8,
            "the key is too weak: its modulus has 1024 bits; 2048 to 8192 are accepted",
        ),
        (
            keys::WEAK_16384_BITS_SPKI,
            "the key is too weak: its modulus has 16384 bits; 2048 to 8192 are accepted",
        ),
        (keys::WEAK_EXPONENT_1_SPKI, exponent),
        (keys::WEAK_EXPONENT_3_SPKI, exponent),
        (keys::WEAK_EXPONENT_EVEN_SPKI, exponent),
        (keys::WEAK_EXPONENT_HUGE_SPKI, exponent),
        (keys::WEAK_MODULUS_EVEN_SPKI, "the key is too weak: its modulus is divisible by 2"),
        (keys::WEAK_SMALL_FACTOR_1021_SPKI, "the key is too weak: its modulus is divisible by 1021"),
        (
            keys::WEAK_ROCA_SPKI,
            "the key is too weak: its modulus has the ROCA pattern (CVE-2017-15361): it can be factored",
        ),
    ] {
        assert_eq!(message(read(pem)), expected);
    }
    // The control: strong keys of every size pass the same judge.
    for (private, public) in ENCODINGS {
        assert!(read(private[0]).is_ok() && read(public[0]).is_ok());
    }
}
