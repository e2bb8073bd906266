//! AES agrees with NIST and with OpenSSL however the message is split, and what was changed does not verify.

use aws_lc_rs::digest::{SHA256, digest};
use waxwing_aws_lc::{
    BLOCK_LEN, Cipher, CipherError, CipherStream, DecryptError, GCM_INPUT_MAX, KeyBits, Mode,
};

const AAD: &[u8] = b"header";

fn key(cipher: Cipher) -> Vec<u8> {
    (0..cipher.key_len()).map(|i| i as u8).collect()
}

fn iv(len: usize) -> Vec<u8> {
    (0..len).map(|i| (0xf0 + i) as u8).collect()
}

fn message() -> Vec<u8> {
    (0..100u32).map(|i| (i * 7 + 3) as u8).collect()
}

/// Feeds `input` in pieces of `piece` bytes and collects what comes out before the end.
fn feed(stream: &mut CipherStream, input: &[u8], piece: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for piece in input.chunks(piece) {
        let mut out = vec![0; piece.len() + BLOCK_LEN];
        let written = stream.update(piece, &mut out).unwrap();
        all.extend_from_slice(&out[..written]);
    }
    all
}

/// Runs a whole message through a mode without a tag.
fn run(mut stream: CipherStream, input: &[u8], piece: usize) -> Result<Vec<u8>, CipherError> {
    let mut all = feed(&mut stream, input, piece);
    let mut last = [0; BLOCK_LEN];
    let written = stream.finish(&mut last)?;
    all.extend_from_slice(&last[..written]);
    Ok(all)
}

fn seal_gcm(cipher: Cipher, iv: &[u8], piece: usize) -> (Vec<u8>, [u8; 16]) {
    let mut stream = CipherStream::encrypt(cipher, &key(cipher), iv).unwrap();
    for aad in AAD.chunks(piece) {
        stream.aad(aad).unwrap();
    }
    let ciphertext = feed(&mut stream, &message(), piece);
    (ciphertext, stream.finish_with_tag().unwrap())
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

#[test]
fn nist_gcm_known_answers() {
    // The GCM specification's test cases 13 and 14: a key and an IV of zeros.
    let stream = CipherStream::encrypt(Cipher::AES_256_GCM, &[0; 32], &[0; 12]).unwrap();
    assert_eq!(hex::encode(stream.finish_with_tag().unwrap()), "530f8afbc74536b9a963b4f1c4cb738b");

    let mut stream = CipherStream::encrypt(Cipher::AES_256_GCM, &[0; 32], &[0; 12]).unwrap();
    let mut block = [0; 16];
    stream.update_in_place(&mut block).unwrap();
    assert_eq!(hex::encode(block), "cea7403d4d606b6e074ec5d3baf39d18");
    assert_eq!(hex::encode(stream.finish_with_tag().unwrap()), "d0d1c8a799996bf0265b98b5d48ab919");
}

#[test]
fn nist_sp_800_38a_known_answers() {
    let key = hex::decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").unwrap();
    let plaintext = hex::decode("6bc1bee22e409f96e93d7e117393172a").unwrap();
    let counter: [u8; 16] = std::array::from_fn(|i| 0xf0 + i as u8);
    let iv: [u8; 16] = std::array::from_fn(|i| i as u8);
    for (cipher, iv, expected) in [
        (Cipher::AES_256_CTR, counter, "601ec313775789a5b7a7f504bbf3d228"), // F.5.5
        (Cipher::AES_256_CBC_PKCS7, iv, "f58c4c04d6e5f1ba779eabfb5f7bfbd6"), // F.2.5
        (Cipher::AES_256_CFB128, iv, "dc7e84bfda79164b7ecd8486985d3860"),   // F.3.17
    ] {
        let ciphertext = run(CipherStream::encrypt(cipher, &key, &iv).unwrap(), &plaintext, 16).unwrap();
        assert_eq!(hex::encode(&ciphertext[..16]), expected, "{cipher:?}");
    }
}

/// The four blocks that every example of SP 800-38A, appendix F, encrypts.
const NIST_PLAINTEXT: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                              30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

#[test]
fn nist_sp_800_38a_cbc_and_ecb_known_answers_however_the_message_is_split() {
    let iv: [u8; 16] = std::array::from_fn(|i| i as u8);
    let (key_128, key_192, key_256) = (
        "2b7e151628aed2a6abf7158809cf4f3c",
        "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    );
    for (cipher, key, iv, expected) in [
        (
            Cipher::AES_128_ECB_PKCS7, // F.1.1
            key_128,
            &[][..],
            "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf\
             43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4",
        ),
        (
            Cipher::AES_192_ECB_PKCS7, // F.1.3
            key_192,
            &[],
            "bd334f1d6e45f25ff712a214571fa5cc974104846d0ad3ad7734ecb3ecee4eef\
             ef7afd2270e2e60adce0ba2face6444e9a4b41ba738d6c72fb16691603c18e0e",
        ),
        (
            Cipher::AES_256_ECB_PKCS7, // F.1.5
            key_256,
            &[],
            "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870\
             b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7",
        ),
        (
            Cipher::AES_128_CBC, // F.2.1
            key_128,
            &iv,
            "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2\
             73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
        ),
        (
            Cipher::AES_192_CBC, // F.2.3
            key_192,
            &iv,
            "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a\
             571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
        ),
        (
            Cipher::AES_256_CBC, // F.2.5
            key_256,
            &iv,
            "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
             39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
        ),
    ] {
        let (key, plaintext) = (hex::decode(key).unwrap(), hex::decode(NIST_PLAINTEXT).unwrap());
        for piece in 1..=plaintext.len() {
            let encrypt = CipherStream::encrypt(cipher, &key, iv).unwrap();
            let ciphertext = run(encrypt, &plaintext, piece).unwrap();
            let padding_len = if cipher.mode == Mode::EcbPkcs7 { BLOCK_LEN } else { 0 };
            let (blocks, padding) = ciphertext.split_at(plaintext.len());
            assert_eq!(hex::encode(blocks), expected, "{cipher:?}, pieces of {piece}");
            assert_eq!(padding.len(), padding_len, "{cipher:?}, pieces of {piece}");
            let decrypt = CipherStream::decrypt(cipher, &key, iv).unwrap();
            assert_eq!(run(decrypt, &ciphertext, piece).unwrap(), plaintext, "{cipher:?}, pieces of {piece}");
        }
    }
}

#[test]
fn gcm_agrees_with_openssl_however_the_message_is_split() {
    // Python `cryptography` 48; the IV of one byte, which it does not take, is Node 20's.
    for (cipher, iv_len, ciphertext_sha256, tag) in [
        (
            Cipher::AES_128_GCM,
            12,
            "7191403d3f78ab1b1448900569f9cabbe2709b66f83bd68dfe110936075ae9dc",
            "c566558e384b7e71e3e8f1c22ffc768f",
        ),
        (
            Cipher::AES_128_GCM,
            16,
            "96f30b6cf781e0fff91fee68eae8e1844922d74f817a25ed09a0336dd3bb37b0",
            "8d943cc94ec9c91921b34334116884ae",
        ),
        (
            Cipher::AES_128_GCM,
            128,
            "3f1d9b526d2c0af85199a1ff3c1c29f43ea398119932d776d0a567fdc1e3838c",
            "4dabd528a54f1a513059c313cf999705",
        ),
        (
            Cipher::AES_192_GCM,
            12,
            "d3f93acfcdcee44877285e19f52ed19dda14511407ad7f79e450604367493d79",
            "88d83de5a1dbd11916ddbd09643462c1",
        ),
        (
            Cipher::AES_192_GCM,
            16,
            "fa66f2591d3314e8e706eb81ae4ae251954afff3ce2b006d7672ae919f92581f",
            "e51b459aedcf7e078db079f99d07bb76",
        ),
        (
            Cipher::AES_192_GCM,
            128,
            "45cd001a114d9265f3274663ec4dd7fb58942c08d32e34f968441049b6c2a743",
            "4a90836a390fc66113920d469e1f4ac9",
        ),
        (
            Cipher::AES_256_GCM,
            12,
            "bef3558e72db46b4490ab13bd4b0df5972d35c0b0fd12ad4c3c14b6d200cb290",
            "7345c3a84f6ff30fe0fb8d59d8deb48e",
        ),
        (
            Cipher::AES_256_GCM,
            16,
            "0eff32197c04c666afe2e43541957c83b285901cf53843a2f2d03663f53a429d",
            "f6ddbf6d04fc39c8cf0e374b8564efaa",
        ),
        (
            Cipher::AES_256_GCM,
            128,
            "ba3806499466cca0ce95110b67a6118244139985e6fad37d4acc3331d00447b1",
            "0a2f49535f03e175a4e5d1c4c2ad9bd8",
        ),
        (
            Cipher::AES_256_GCM,
            1,
            "29a74c5e36d8bf687f2b4c61945c1395da6530af8bc1710be30f55fe099567c2",
            "6938b3c914b60aad64c122c9b251ff7e",
        ),
    ] {
        for piece in 1..=message().len() {
            let (ciphertext, actual_tag) = seal_gcm(cipher, &iv(iv_len), piece);
            assert_eq!(sha256(&ciphertext), ciphertext_sha256, "{cipher:?}, IV {iv_len}, pieces of {piece}");
            assert_eq!(hex::encode(actual_tag), tag, "{cipher:?}, IV {iv_len}, pieces of {piece}");

            let mut stream = CipherStream::decrypt(cipher, &key(cipher), &iv(iv_len)).unwrap();
            stream.aad(AAD).unwrap();
            assert_eq!(feed(&mut stream, &ciphertext, piece), message());
            stream.verify(&actual_tag).unwrap();
        }
    }
}

#[test]
fn the_other_modes_agree_with_openssl_however_the_message_is_split() {
    for (cipher, ciphertext_sha256) in [
        (Cipher::AES_128_CBC_PKCS7, "62f7f6b66edec4303490918ae5e57711450b8f7a9aaeac8d05f6011f1d529277"),
        (Cipher::AES_192_CBC_PKCS7, "068e8410299ec7add20fc445429711683a21f98291adeb6e5db4d16607c9d661"),
        (Cipher::AES_256_CBC_PKCS7, "46728f4b0c669e592e6ad4488221dbc66e42ac8a0415c2b5c9e2ac7fffeb1133"),
        (Cipher::AES_128_CTR, "beac78b89d367d44e6fd60baa736672cd0a541cee9f952224cdbeeacfe856bbc"),
        (Cipher::AES_192_CTR, "7f14a08ab096b8db852371c59c83e1b7b3371fb537cbff0ec2a1475e9692698a"),
        (Cipher::AES_256_CTR, "e20692222c8bb0590877dbdbd045dc9bb842ef5ef42862c28e6c73ec02903dab"),
        (Cipher::AES_128_CFB128, "d951b2f913c40150825422024d548b22ccac1a001acbadeb8e541549721ba4fa"),
        (Cipher::AES_192_CFB128, "0ecda582b3695e24552661691e8cfe9608a54b21d3c7c3531c3a709701ff7787"),
        (Cipher::AES_256_CFB128, "c11070be7ff20dab633264037d66fd36244d984c682b6ba58c8b270ab3700e0a"),
    ] {
        for piece in 1..=message().len() {
            let encrypt = CipherStream::encrypt(cipher, &key(cipher), &iv(16)).unwrap();
            let ciphertext = run(encrypt, &message(), piece).unwrap();
            assert_eq!(sha256(&ciphertext), ciphertext_sha256, "{cipher:?}, pieces of {piece}");
            let decrypt = CipherStream::decrypt(cipher, &key(cipher), &iv(16)).unwrap();
            assert_eq!(run(decrypt, &ciphertext, piece).unwrap(), message(), "{cipher:?}, pieces of {piece}");
        }
    }
}

#[test]
fn cbc_round_trips_at_every_length_with_exactly_the_room_it_asks_for() {
    let cipher = Cipher::AES_256_CBC_PKCS7;
    for len in 0..=50 {
        for piece in [1, 15, 16, 17, 50] {
            let message = vec![0xab; len];
            let ciphertext =
                run(CipherStream::encrypt(cipher, &[1; 32], &[2; 16]).unwrap(), &message, piece).unwrap();
            assert_eq!(ciphertext.len(), len / 16 * 16 + 16);
            let opened = run(CipherStream::decrypt(cipher, &[1; 32], &[2; 16]).unwrap(), &ciphertext, piece);
            assert_eq!(opened.unwrap(), message);
        }
    }
}

#[test]
fn in_place_gives_what_two_buffers_give() {
    for mode in [Mode::Gcm, Mode::Ctr, Mode::Cfb128] {
        for bits in [KeyBits::Aes128, KeyBits::Aes192, KeyBits::Aes256] {
            let cipher = Cipher { key: bits, mode };
            for piece in [1, 3, 16, 33, 100] {
                let mut apart = CipherStream::encrypt(cipher, &key(cipher), &iv(16)).unwrap();
                let expected = feed(&mut apart, &message(), piece);
                let mut in_place = CipherStream::encrypt(cipher, &key(cipher), &iv(16)).unwrap();
                let mut data = message();
                for piece in data.chunks_mut(piece) {
                    in_place.update_in_place(piece).unwrap();
                }
                assert_eq!(data, expected, "{cipher:?}, pieces of {piece}");
                let mut back = CipherStream::decrypt(cipher, &key(cipher), &iv(16)).unwrap();
                back.update_in_place(&mut data).unwrap();
                assert_eq!(data, message(), "{cipher:?}");
            }
        }
    }
}

#[test]
fn whatever_was_changed_does_not_verify() {
    let cipher = Cipher::AES_256_GCM;
    let (ciphertext, tag) = seal_gcm(cipher, &iv(12), 100);
    let verify = |key: &[u8], iv: &[u8], aad: &[u8], ciphertext: &[u8], tag: &[u8; 16]| {
        let mut stream = CipherStream::decrypt(cipher, key, iv).unwrap();
        stream.aad(aad).unwrap();
        feed(&mut stream, ciphertext, 64);
        stream.verify(tag)
    };
    let refused = Err(CipherError::Decrypt(DecryptError));
    assert_eq!(verify(&key(cipher), &iv(12), AAD, &ciphertext, &tag), Ok(()));
    assert_eq!(verify(&[0; 32], &iv(12), AAD, &ciphertext, &tag), refused);
    assert_eq!(verify(&key(cipher), &iv(13), AAD, &ciphertext, &tag), refused);
    assert_eq!(verify(&key(cipher), &iv(12), b"", &ciphertext, &tag), refused);
    assert_eq!(verify(&key(cipher), &iv(12), AAD, &ciphertext[1..], &tag), refused);
    for bit in 0..128 {
        let mut bad = tag;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(&key(cipher), &iv(12), AAD, &ciphertext, &bad), refused, "bit {bit} of the tag");
    }
    for bit in 0..ciphertext.len() * 8 {
        let mut bad = ciphertext.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(&key(cipher), &iv(12), AAD, &bad, &tag), refused, "bit {bit} of the ciphertext");
    }
}

#[test]
fn cbc_padding_and_length_fail_alike() {
    let cipher = Cipher::AES_128_CBC_PKCS7;
    let ciphertext = run(CipherStream::encrypt(cipher, &[1; 16], &[2; 16]).unwrap(), &[0; 20], 20).unwrap();
    let mut bad_padding = ciphertext.clone();
    bad_padding[15] ^= 0x80; // flips the last byte of the last block: the padding's length
    for bad in [&bad_padding[..], &ciphertext[..31], &ciphertext[..1], &[]] {
        let result = run(CipherStream::decrypt(cipher, &[1; 16], &[2; 16]).unwrap(), bad, 100);
        assert_eq!(result, Err(CipherError::Decrypt(DecryptError)));
    }
}

#[test]
fn ecb_padding_and_length_fail_alike() {
    let cipher = Cipher::AES_128_ECB_PKCS7;
    let encrypt = || CipherStream::encrypt(cipher, &[1; 16], &[]).unwrap();
    let ciphertext = run(encrypt(), &[0; 20], 20).unwrap();
    let unpadded = &run(encrypt(), &[0; 16], 16).unwrap()[..16];
    for bad in [unpadded, &ciphertext[..16], &ciphertext[..31], &ciphertext[..1], &[]] {
        let result = run(CipherStream::decrypt(cipher, &[1; 16], &[]).unwrap(), bad, 100);
        assert_eq!(result, Err(CipherError::Decrypt(DecryptError)));
    }
}

#[test]
fn cbc_without_padding_takes_whole_blocks_alone() {
    let cipher = Cipher::AES_128_CBC;
    for len in 0..=50 {
        for piece in [1, 15, 16, 17, 50] {
            let message = vec![0xab; len];
            let encrypted = run(CipherStream::encrypt(cipher, &[1; 16], &[2; 16]).unwrap(), &message, piece);
            let decrypted = run(CipherStream::decrypt(cipher, &[1; 16], &[2; 16]).unwrap(), &message, piece);
            if len.is_multiple_of(BLOCK_LEN) {
                assert_eq!((encrypted.unwrap().len(), decrypted.unwrap().len()), (len, len));
            } else {
                assert!(matches!(encrypted, Err(CipherError::Misuse(_))), "{encrypted:?}");
                assert_eq!(decrypted, Err(CipherError::Decrypt(DecryptError)));
            }
        }
    }
}

#[test]
fn keys_and_ivs_of_other_lengths_are_refused() {
    for len in [0, 15, 16, 24, 31, 33] {
        let result = CipherStream::encrypt(Cipher::AES_256_GCM, &vec![0; len], &[0; 12]);
        assert_eq!(result.err(), Some(CipherError::KeyLength { len, expected: 32 }));
    }
    for len in [0, 129, 4096] {
        let result = CipherStream::decrypt(Cipher::AES_256_GCM, &[0; 32], &vec![0; len]);
        assert_eq!(result.err(), Some(CipherError::IvLength { len }));
    }
    for len in 1..=128 {
        CipherStream::decrypt(Cipher::AES_256_GCM, &[0; 32], &vec![0; len]).unwrap();
    }
    for cipher in
        [Cipher::AES_256_CBC_PKCS7, Cipher::AES_256_CBC, Cipher::AES_256_CTR, Cipher::AES_256_CFB128]
    {
        for len in [0, 12, 15, 17] {
            let result = CipherStream::encrypt(cipher, &[0; 32], &vec![0; len]);
            assert_eq!(result.err(), Some(CipherError::IvLength { len }));
        }
    }
    for len in [1, 12, 16] {
        let result = CipherStream::encrypt(Cipher::AES_256_ECB_PKCS7, &[0; 32], &vec![0; len]);
        assert_eq!(result.err(), Some(CipherError::IvLength { len }));
    }
}

#[test]
fn a_buffer_without_room_is_refused_before_anything_is_written() {
    let mut gcm = CipherStream::encrypt(Cipher::AES_256_GCM, &[0; 32], &[0; 12]).unwrap();
    assert_eq!(gcm.update(&[0; 16], &mut [0; 15]), Err(CipherError::OutputTooShort { len: 15, needed: 16 }));
    let mut cbc = CipherStream::encrypt(Cipher::AES_256_CBC_PKCS7, &[0; 32], &[0; 16]).unwrap();
    assert_eq!(cbc.update(&[0; 16], &mut [0; 31]), Err(CipherError::OutputTooShort { len: 31, needed: 32 }));
    assert_eq!(cbc.finish(&mut [0; 15]), Err(CipherError::OutputTooShort { len: 15, needed: 16 }));
}

#[test]
fn calls_that_do_not_fit_are_misuse() {
    let gcm = || CipherStream::encrypt(Cipher::AES_256_GCM, &[0; 32], &[0; 12]).unwrap();
    let gcm_decrypt = || CipherStream::decrypt(Cipher::AES_256_GCM, &[0; 32], &[0; 12]).unwrap();
    let cbc = || CipherStream::encrypt(Cipher::AES_256_CBC_PKCS7, &[0; 32], &[0; 16]).unwrap();
    let misuse = |result: Result<(), CipherError>| {
        assert!(matches!(result, Err(CipherError::Misuse(_))), "{result:?}")
    };
    misuse(gcm().finish(&mut [0; 16]).map(drop));
    misuse(gcm().verify(&[0; 16]));
    misuse(gcm_decrypt().finish_with_tag().map(drop));
    misuse(cbc().finish_with_tag().map(drop));
    misuse(cbc().verify(&[0; 16]));
    misuse(cbc().aad(b"aad"));
    misuse(cbc().update_in_place(&mut [0; 16]));
    let ecb = || CipherStream::encrypt(Cipher::AES_256_ECB_PKCS7, &[0; 32], &[]).unwrap();
    misuse(ecb().update_in_place(&mut [0; 16]));
    misuse(ecb().aad(b"aad"));
    let mut late = gcm();
    late.update_in_place(&mut [0]).unwrap();
    misuse(late.aad(b"aad"));
}

#[test]
fn the_gcm_limit_is_that_of_sp_800_38d() {
    assert_eq!(GCM_INPUT_MAX, ((1u64 << 39) - 256) / 8);
}

#[test]
fn debug_shows_no_key() {
    let stream = CipherStream::encrypt(Cipher::AES_256_GCM, &[7; 32], &[1; 12]).unwrap();
    assert_eq!(format!("{stream:?}"), "CipherStream(Encrypt Aes256 Gcm, ..)");
}
