//! OAEP and PKCS#1 v1.5 agree with OpenSSL, and a wrong cell of the matrix always fails alike.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use waxwing_aws_lc::{DecryptError, Digest, EncryptError, OaepParams, RsaPrivateKey};
use waxwing_testkit::keys;

const DIGESTS: [Digest; 5] = [Digest::Sha1, Digest::Sha224, Digest::Sha256, Digest::Sha384, Digest::Sha512];

fn key() -> RsaPrivateKey {
    let base64: String = keys::RSA_2048_PKCS8.lines().filter(|line| !line.starts_with('-')).collect();
    RsaPrivateKey::from_pkcs8_der(&STANDARD.decode(base64).unwrap()).unwrap()
}

fn digest(name: &str) -> Digest {
    *DIGESTS.iter().find(|digest| format!("{digest:?}") == name).expect("the vectors name known digests")
}

fn lines(vectors: &str) -> impl Iterator<Item = &str> {
    vectors.lines().filter(|line| !line.starts_with('#'))
}

#[test]
fn oaep_of_openssl_opens_in_its_own_cell_only() {
    let key = key();
    let mut vectors = 0;
    for line in lines(include_str!("vectors/oaep.txt")) {
        let [d, mgf1, label, ciphertext] =
            line.split(' ').collect::<Vec<_>>().try_into().expect("four columns");
        let label = if label == "-" { b"" } else { label.as_bytes() };
        let right = OaepParams { digest: digest(d), mgf1: digest(mgf1), label };
        let ciphertext = hex::decode(ciphertext).unwrap();
        assert_eq!(key.decrypt_oaep(&right, &ciphertext).unwrap().as_slice(), b"dek", "{right:?}");
        for digest in DIGESTS {
            for mgf1 in DIGESTS {
                for label in [&b""[..], b"waxwing", b"Waxwing"] {
                    let wrong = OaepParams { digest, mgf1, label };
                    if wrong != right {
                        assert_eq!(
                            key.decrypt_oaep(&wrong, &ciphertext),
                            Err(DecryptError),
                            "{right:?} as {wrong:?}"
                        );
                    }
                }
            }
        }
        vectors += 1;
    }
    assert_eq!(vectors, 50);
}

#[test]
fn oaep_round_trips_in_every_cell_up_to_its_limit() {
    let key = key();
    let public = key.public();
    for digest in DIGESTS {
        for mgf1 in DIGESTS {
            for label in [&b""[..], b"label"] {
                let params = OaepParams { digest, mgf1, label };
                let max = 256 - 2 * digest.output_len() - 2;
                for len in [0, 1, 32, max] {
                    let message = vec![0x5a; len];
                    let ciphertext = public.encrypt_oaep(&params, &message).unwrap();
                    assert_eq!(ciphertext.len(), 256);
                    assert_eq!(*key.decrypt_oaep(&params, &ciphertext).unwrap(), message);
                }
                let too_long = public.encrypt_oaep(&params, &vec![0; max + 1]);
                assert_eq!(too_long, Err(EncryptError::TooLong { len: max + 1, max }));
            }
        }
    }
}

#[test]
fn pkcs1_of_openssl_opens() {
    let line = lines(include_str!("vectors/pkcs1.txt")).next().expect("one vector");
    let ciphertext = hex::decode(line).unwrap();
    assert_eq!(key().decrypt_pkcs1_fixed(&ciphertext, 16).unwrap().as_slice(), b"sixteen byte key");
}

#[test]
fn pkcs1_round_trips_up_to_its_limit() {
    let key = key();
    for len in [0, 16, 24, 32, 245] {
        let message = vec![0; len];
        let ciphertext = key.public().encrypt_pkcs1(&message).unwrap();
        assert_eq!(*key.decrypt_pkcs1_fixed(&ciphertext, len).unwrap(), message);
    }
    assert_eq!(key.public().encrypt_pkcs1(&[0; 246]), Err(EncryptError::TooLong { len: 246, max: 245 }));
    let ciphertext = key.public().encrypt_pkcs1(b"").unwrap();
    assert_eq!(key.decrypt_pkcs1_fixed(&ciphertext, 246), Err(DecryptError));
}

#[test]
fn raw_decryption_shows_the_whole_block() {
    let key = key();
    let block = key.decrypt_raw(&key.public().encrypt_pkcs1(b"dek").unwrap()).unwrap();
    assert_eq!(block.len(), 256);
    assert_eq!(block[..2], [0, 2]);
    assert_eq!(block[252..], *b"\0dek");
}

#[test]
fn a_ciphertext_that_cannot_be_one_is_refused() {
    let key = key();
    let oaep = OaepParams::new(Digest::Sha1);
    let modulus = key.public().modulus();
    for ciphertext in [&[][..], &[0; 255], &[0; 257], &[0xff; 256], &modulus] {
        assert_eq!(key.decrypt_raw(ciphertext), Err(DecryptError));
        assert_eq!(key.decrypt_oaep(&oaep, ciphertext), Err(DecryptError));
        assert_eq!(key.decrypt_pkcs1_fixed(ciphertext, 32), Err(DecryptError));
    }
}
