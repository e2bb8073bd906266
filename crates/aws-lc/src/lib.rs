//! What AWS-LC has and `aws-lc-rs` does not offer, behind safe types.
//!
//! - [`RsaPublicKey`] and [`RsaPrivateKey`]: every encoding a key comes in, OAEP whose digest and MGF1 digest are chosen
//!   apart ([`OaepParams`]), PKCS#1 v1.5 without a padding oracle ([`RsaPrivateKey::decrypt_pkcs1_fixed`]).
//! - [`CipherStream`]: AES in GCM, CBC, CTR, CFB and ECB over input of any length in constant memory.
//! - [`ml_kem_768_decapsulation_key`] and [`shake256`]: what X-Wing needs beside aws-lc-rs.
//! - [`Md5`]: for formats that name it, never for security.
//! - [`Cleansed`]: buffers that are wiped as fast as memory allows.
//!
//! It does not choose algorithms, judge keys, read files or know any format; those who use it do.
//!
//! **Threat model.** Keys, ciphertexts and tags may come from an attacker; pointers and lengths never do. Everything that
//! fails after a private or secret key was used is one [`DecryptError`], which tells nothing. Secrets leave as
//! [`Zeroizing`](zeroize::Zeroizing) values and AWS-LC wipes what it frees. [`CipherStream`] gives out plaintext *before*
//! the tag was verified: it is up to the caller to release nothing until [`CipherStream::verify`] has agreed.
//!
//! This is the only crate of the workspace with `unsafe` code; each block states why it is sound.

mod cipher;
mod cleanse;
mod ffi;
mod implicit;
mod md5;
mod ml_kem;
mod rsa;
mod rsa_crypt;

pub use cipher::{
    BLOCK_LEN, Cipher, CipherError, CipherStream, GCM_INPUT_MAX, GCM_IV_LEN_MAX, GCM_TAG_LEN, KeyBits, Mode,
};
pub use cleanse::Cleansed;
pub use md5::{MD5_LEN, Md5};
pub use ml_kem::{ML_KEM_768_DECAPSULATION_KEY_LEN, ML_KEM_SEED_LEN, ml_kem_768_decapsulation_key, shake256};
pub use rsa::{KeyError, PBKDF2_ROUNDS, RsaPrivateKey, RsaPublicKey, RsaSize, spki_of_certificate};
pub use rsa_crypt::{Digest, EncryptError, OaepParams};

/// A private or secret key was used and the result is not what it should be.
///
/// One value without a reason: bad padding, a bad tag and a wrong key are told apart by nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("decryption failed")]
pub struct DecryptError;
