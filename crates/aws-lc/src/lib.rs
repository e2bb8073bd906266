//! What AWS-LC has and `aws-lc-rs` does not offer, behind safe types.
//!
//! - [`RsaPublicKey`] and [`RsaPrivateKey`]: every encoding a key comes in, OAEP whose digest and MGF1 digest are chosen
//!   apart ([`OaepParams`]), PKCS#1 v1.5 without a padding oracle ([`RsaPrivateKey::decrypt_pkcs1_fixed`]).
//! - [`CipherStream`]: AES in GCM, CBC, CTR and CFB over input of any length in constant memory.
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
mod ffi;
mod implicit;
mod rsa;
mod rsa_crypt;

pub use cipher::{
    BLOCK_LEN, Cipher, CipherError, CipherStream, GCM_INPUT_MAX, GCM_IV_LEN_MAX, GCM_TAG_LEN, KeyBits, Mode,
};
pub use rsa::{KeyError, PBKDF2_ROUNDS, RsaPrivateKey, RsaPublicKey, RsaSize, spki_of_certificate};
pub use rsa_crypt::{Digest, EncryptError, OaepParams};

/// A private or secret key was used and the result is not what it should be.
///
/// One value without a reason: bad padding, a bad tag and a wrong key are told apart by nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("decryption failed")]
pub struct DecryptError;
