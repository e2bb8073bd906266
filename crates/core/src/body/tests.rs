use proptest::prelude::*;

use super::*;
use crate::SystemRandom;

const KEY: [u8; 64] = [7; 64];
const IV: [u8; 16] = [9; 16];

/// The longest key and IV that the cipher takes.
fn params(cipher: BodyCipher) -> BodyParams<'static> {
    let aad = if cipher.is_authenticated() { &b"aad"[..] } else { b"" };
    let iv_len = cipher.iv_lens().last().unwrap();
    BodyParams { key: &KEY[..cipher.key_lens()[2]], iv: &IV[..*iv_len], aad }
}

/// Cuts `input` into pieces of these lengths, in turn and over again.
fn pieces<'a>(mut input: &'a [u8], lens: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    lens.iter().cycle().map_while(move |len| {
        let piece = input.split_off(..(*len).min(input.len()))?;
        (!piece.is_empty()).then_some(piece)
    })
}

type Sealed = (Vec<u8>, Option<Vec<u8>>);

fn encrypt(cipher: BodyCipher, params: BodyParams<'_>, plaintext: &[u8], lens: &[usize]) -> Sealed {
    let mut encryptor = BodyEncryptor::new(cipher, params, &SystemRandom).unwrap();
    let mut all = Vec::new();
    for piece in pieces(plaintext, lens) {
        let mut out = vec![0; piece.len() + SLACK_LEN];
        let written = encryptor.update(piece, &mut out).unwrap();
        all.extend_from_slice(&out[..written]);
    }
    let mut out = [0; SLACK_LEN];
    let (written, tag) = encryptor.finish(&mut out).unwrap();
    all.extend_from_slice(&out[..written]);
    (all, tag)
}

fn decrypt(
    cipher: BodyCipher,
    params: BodyParams<'_>,
    ciphertext: &[u8],
    tag: Option<&[u8]>,
    lens: &[usize],
) -> Result<Vec<u8>, NotAuthentic> {
    let mut decryptor = BodyDecryptor::new(cipher, params)?;
    let mut all = Vec::new();
    for piece in pieces(ciphertext, lens) {
        let mut out = vec![0; piece.len() + SLACK_LEN];
        let written = decryptor.update(piece, &mut out)?;
        all.extend_from_slice(&out[..written]);
    }
    let mut out = [0; SLACK_LEN];
    let written = decryptor.finish(tag, &mut out)?;
    all.extend_from_slice(&out[..written]);
    Ok(all)
}

/// The padded plaintext, as the bare mode sees it.
fn padded(cipher: BodyCipher, mode: Mode, ciphertext: &[u8]) -> Vec<u8> {
    let BodyParams { key, iv, .. } = params(cipher);
    let mut stream = CipherStream::decrypt(Cipher { key: KeyBits::Aes256, mode }, key, iv).unwrap();
    let mut out = vec![0; ciphertext.len() + BLOCK_LEN];
    let written = stream.update(ciphertext, &mut out).unwrap();
    out.truncate(written);
    out
}

proptest! {
    #[test]
    fn any_split_of_any_body_round_trips(
        cipher in prop::sample::select(&BodyCipher::ALL),
        len in prop::sample::select(&[0, 1, 15, 16, 17, 31, 32, 33, 1000]),
        key_len in 0..3usize,
        short_iv: bool,
        lens in prop::collection::vec(1..70usize, 1..8),
        other_lens in prop::collection::vec(1..70usize, 1..8),
    ) {
        let mut params = BodyParams { key: &KEY[..cipher.key_lens()[key_len]], ..params(cipher) };
        if short_iv {
            params.iv = &IV[..cipher.iv_lens()[0]];
        }
        let plaintext: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let (ciphertext, tag) = encrypt(cipher, params, &plaintext, &lens);
        let padded_len = match cipher {
            BodyCipher::Gcm | BodyCipher::Ctr => len,
            BodyCipher::CbcPkcs7Block32 => len / 32 * 32 + 32,
            _ => len / 16 * 16 + 16,
        };
        prop_assert_eq!(ciphertext.len(), padded_len);
        prop_assert_eq!(tag.as_ref().map(Vec::len), cipher.tag_len(params.key.len()));
        if cipher != BodyCipher::CbcIso10126 {
            prop_assert_eq!(&encrypt(cipher, params, &plaintext, &other_lens).0, &ciphertext);
        }
        let opened = decrypt(cipher, params, &ciphertext, tag.as_deref(), &other_lens);
        prop_assert_eq!(opened, Ok(plaintext));
    }
}

#[test]
fn rfc_7518_appendix_b_known_answers() {
    let key: [u8; 64] = std::array::from_fn(|i| i as u8);
    let iv = hex::decode("1af38c2dc2b96ffdd86694092341bc04").unwrap();
    let plaintext = b"A cipher system must not be required to be secret, and it must be able to fall into \
                      the hands of the enemy without inconvenience";
    let aad = b"The second principle of Auguste Kerckhoffs";
    let ciphertext_128 = "c80edfa32ddf39d5ef00c0b468834279a2e46a1b8049f792f76bfe54b903a9c9\
                          a94ac9b47ad2655c5f10f9aef71427e2fc6f9b3f399a221489f16362c7032336\
                          09d45ac69864e3321cf82935ac4096c86e133314c54019e8ca7980dfa4b9cf1b\
                          384c486f3a54c51078158ee5d79de59fbd34d848b3d69550a67646344427ade5\
                          4b8851ffb598f7f80074b9473c82e2db";
    for (key_len, tag) in [
        (32, "652c3fa36b0a7c5b3219fab3a30bc1c4"),                 // B.1
        (48, "8490ac0e58949bfe51875d733f93ac2075168039ccc733d7"), // B.2
        (64, "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5"), // B.3
    ] {
        let params = BodyParams { key: &key[..key_len], iv: &iv, aad };
        let (ciphertext, made) = encrypt(BodyCipher::CbcHmac, params, plaintext, &[5, 50]);
        assert_eq!(hex::encode(made.unwrap()), tag);
        if key_len == 32 {
            assert_eq!(hex::encode(&ciphertext), ciphertext_128);
        }
        let tag = hex::decode(tag).unwrap();
        let opened = decrypt(BodyCipher::CbcHmac, params, &ciphertext, Some(&tag), &[33]);
        assert_eq!(opened.as_deref(), Ok(&plaintext[..]));
    }
}

#[test]
fn paddings_are_what_they_are_called() {
    for (cipher, mode, len, count) in [
        (BodyCipher::CbcPkcs7, Mode::Cbc, 20, 12),
        (BodyCipher::CbcPkcs7, Mode::Cbc, 16, 16),
        (BodyCipher::CbcPkcs7Block32, Mode::Cbc, 20, 12),
        (BodyCipher::CbcPkcs7Block32, Mode::Cbc, 32, 32),
        (BodyCipher::CbcPkcs7Block32, Mode::Cbc, 33, 31),
        (BodyCipher::Cfb128Pkcs7, Mode::Cfb128, 20, 12),
    ] {
        let message = vec![0xaa; len];
        let (ciphertext, _) = encrypt(cipher, params(cipher), &message, &[16]);
        let expected = [message, vec![count; usize::from(count)]].concat();
        assert_eq!(padded(cipher, mode, &ciphertext), expected, "{cipher} {len}");
    }
}

struct Fixed(Option<u8>);

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill(self.0.ok_or(RandomError)?);
        Ok(())
    }
}

#[test]
fn iso_10126_pads_with_random_bytes_and_reads_the_last_alone() {
    let cipher = BodyCipher::CbcIso10126;
    let encryptor = BodyEncryptor::new(cipher, params(cipher), &Fixed(Some(0xee))).unwrap();
    let mut out = [0; SLACK_LEN];
    let (written, _) = encryptor.finish(&mut out).unwrap();
    let expected = [&[0xee; 15][..], &[16]].concat();
    assert_eq!(padded(cipher, Mode::Cbc, &out[..written]), expected);
    assert_eq!(decrypt(cipher, params(cipher), &out[..written], None, &[16]), Ok(vec![]));
}

#[test]
fn attack_26_a_failing_random_source_stops_what_needs_it() {
    for cipher in BodyCipher::ALL {
        let result = BodyEncryptor::new(cipher, params(cipher), &Fixed(None)).map(drop);
        let expected = if cipher == BodyCipher::CbcIso10126 { Err(RandomError.into()) } else { Ok(()) };
        assert_eq!(result, expected, "{cipher}");
    }
}

fn refused(cipher: BodyCipher, params: BodyParams<'_>, ciphertext: &[u8], tag: Option<&[u8]>) {
    assert_eq!(decrypt(cipher, params, ciphertext, tag, &[40]), Err(NotAuthentic), "{cipher}");
}

#[test]
fn what_is_authenticated_notices_every_change() {
    for cipher in [BodyCipher::Gcm, BodyCipher::CbcHmac] {
        let params = params(cipher);
        let (ciphertext, tag) = encrypt(cipher, params, &[1; 40], &[40]);
        let tag = tag.unwrap();
        for bit in 0..ciphertext.len() * 8 {
            let mut bad = ciphertext.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            refused(cipher, params, &bad, Some(&tag));
        }
        for bit in 0..tag.len() * 8 {
            let mut bad = tag.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            refused(cipher, params, &ciphertext, Some(&bad));
        }
        for at in 0..params.key.len() {
            let mut key = params.key.to_vec();
            key[at] ^= 1;
            refused(cipher, BodyParams { key: &key, ..params }, &ciphertext, Some(&tag));
        }
        refused(cipher, BodyParams { iv: &[8; 16], ..params }, &ciphertext, Some(&tag));
        refused(cipher, BodyParams { aad: b"AAD", ..params }, &ciphertext, Some(&tag));
        refused(cipher, params, &ciphertext[..ciphertext.len() - 16], Some(&tag));
        refused(cipher, params, &[], Some(&tag));
        refused(cipher, params, &ciphertext, Some(&tag[..tag.len() - 1]));
        refused(cipher, params, &ciphertext, Some(&[]));
        refused(cipher, params, &ciphertext, None);
    }
}

#[test]
fn a_padded_body_of_another_length_and_a_tag_too_many_are_not_authentic() {
    for cipher in BodyCipher::ALL.into_iter().filter(|cipher| !cipher.is_authenticated()) {
        let (ciphertext, tag) = encrypt(cipher, params(cipher), &[0xaa; 40], &[40]);
        assert_eq!(tag, None);
        let decrypt = |ciphertext: &[u8], tag| decrypt(cipher, params(cipher), ciphertext, tag, &[7]);
        assert_eq!(decrypt(&ciphertext, None), Ok(vec![0xaa; 40]), "{cipher}");
        assert_eq!(decrypt(&ciphertext, Some(&[0; 16])), Err(NotAuthentic), "{cipher}");
        if cipher == BodyCipher::Ctr {
            continue;
        }
        for len in 0..ciphertext.len() {
            assert_eq!(decrypt(&ciphertext[..len], None), Err(NotAuthentic), "{cipher} {len}");
        }
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    for cipher in BodyCipher::ALL {
        let good = params(cipher);
        let refused = |params, expected| {
            let result = BodyEncryptor::new(cipher, params, &SystemRandom).map(drop);
            assert_eq!(result, Err(expected), "{cipher}");
            assert_eq!(BodyDecryptor::new(cipher, params).map(drop), Err(NotAuthentic), "{cipher}");
        };
        for len in (0..=64).filter(|len| !cipher.key_lens().contains(len)) {
            let params = BodyParams { key: &KEY[..len], ..good };
            refused(params, BodyError::KeyLength { cipher, len });
        }
        for len in (0..=16).filter(|len| !cipher.iv_lens().contains(len)) {
            let params = BodyParams { iv: &IV[..len], ..good };
            refused(params, BodyError::IvLength { cipher, len });
        }
        if !cipher.is_authenticated() {
            refused(BodyParams { aad: b"aad", ..good }, BodyError::Aad { cipher });
        }
    }
}

#[test]
fn any_piece_of_a_verified_gcm_body_decrypts_by_itself() {
    let (key, iv) = ([7; 32], [9; 12]);
    let plaintext: Vec<u8> = (0..5000usize).map(|at| (at % 251) as u8).collect();
    let params = BodyParams { key: &key, iv: &iv, aad: b"aad" };
    let mut encryptor = BodyEncryptor::new(BodyCipher::Gcm, params, &crate::SystemRandom).unwrap();
    let mut ciphertext = vec![0; plaintext.len() + SLACK_LEN];
    let len = encryptor.update(&plaintext, &mut ciphertext).unwrap();
    ciphertext.truncate(len);
    let verified = VerifiedGcm::new(&key, iv).unwrap();
    for (at, end) in [(0, 5000), (0, 16), (16, 33), (4096, 5000), (4992, 5000), (5000 / 16 * 16, 5000)] {
        let mut piece = ciphertext[at..end].to_vec();
        verified.decrypt_piece(at as u64, &mut piece);
        assert_eq!(piece, plaintext[at..end], "{at}..{end}");
    }
    assert!(VerifiedGcm::new(&key[..31], iv).is_none());
}
