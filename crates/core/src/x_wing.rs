//! X-Wing: X25519 and ML-KEM-768 together (draft-connolly-cfrg-xwing-kem-06). A reader of today's traffic who builds a
//! quantum computer later still has to break ML-KEM; a break of ML-KEM still leaves X25519.

use std::fmt;

use aws_lc_rs::agreement::{PrivateKey as X25519Key, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::digest::{Context, SHA3_256};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use waxwing_aws_lc as aws_lc;
use zeroize::Zeroizing;

use crate::{NotAuthentic, Random, RandomError};

/// Bytes of a private key: the seed of both halves.
pub const PRIVATE_KEY_LEN: usize = 32;
/// Bytes of a public key: ML-KEM's, then X25519's.
pub const PUBLIC_KEY_LEN: usize = ML_KEM_PUBLIC_LEN + X25519_LEN;
/// Bytes of an encapsulation: ML-KEM's ciphertext, then an ephemeral X25519 key.
pub const ENCAPSULATION_LEN: usize = ML_KEM_CIPHERTEXT_LEN + X25519_LEN;

const X25519_LEN: usize = 32;
const ML_KEM_PUBLIC_LEN: usize = 1184;
/// Where the public key lies in an expanded decapsulation key (FIPS 203, algorithm 16).
const ML_KEM_PUBLIC_AT: usize = 1152;
const ML_KEM_CIPHERTEXT_LEN: usize = 1088;
/// Ends what is hashed into the shared secret: `\.//^\`.
const LABEL: [u8; 6] = [0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c];

/// Bytes that a key agreed on. Wiped on drop.
pub type SharedSecret = Zeroizing<[u8; 32]>;

/// A public key, both of whose halves were checked.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Box<[u8; PUBLIC_KEY_LEN]>);

/// These bytes are no X-Wing public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the X-Wing public key is malformed")]
pub struct Malformed;

impl PublicKey {
    /// The key with these bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for another length, an ML-KEM key that is not reduced (FIPS 203, section 7.2), and an X25519 key of
    /// small order (RFC 7748, section 6.1).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes: Box<[u8; PUBLIC_KEY_LEN]> = bytes.to_vec().try_into().map_err(|_| Malformed)?;
        let (ml_kem, x25519) = bytes.split_at(ML_KEM_PUBLIC_LEN);
        // AWS-LC checks ML-KEM's half as it encapsulates, and X25519's as it agrees.
        let ml_kem = EncapsulationKey::new(&ML_KEM_768, ml_kem).map_err(|_| Malformed)?;
        ml_kem.encapsulate().map_err(|_| Malformed)?;
        x25519_agree(&x25519_private(&[1; X25519_LEN]), x25519).map_err(|NotAuthentic| Malformed)?;
        Ok(Self(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; PUBLIC_KEY_LEN] {
        &self.0
    }

    /// A fresh secret, and what tells it to the holder of the private key. Both halves draw from AWS-LC's own generator.
    ///
    /// # Errors
    ///
    /// [`RandomError`].
    pub fn encapsulate(&self) -> Result<(Box<[u8; ENCAPSULATION_LEN]>, SharedSecret), RandomError> {
        let (ml_kem, x25519) = self.0.split_at(ML_KEM_PUBLIC_LEN);
        let key = EncapsulationKey::new(&ML_KEM_768, ml_kem).expect("the key was checked");
        let (ciphertext, ml_kem_secret) = key.encapsulate().map_err(|_| RandomError)?;
        let ephemeral = X25519Key::generate(&X25519).map_err(|_| RandomError)?;
        let ephemeral_public = ephemeral.compute_public_key().expect("an X25519 key has a public key");
        let x25519_secret = x25519_agree(&ephemeral, x25519).expect("keys of small order were refused");
        let secret =
            combine(ml_kem_secret.as_ref(), x25519_secret.as_slice(), ephemeral_public.as_ref(), x25519);
        let encapsulation = [ciphertext.as_ref(), ephemeral_public.as_ref()].concat();
        Ok((encapsulation.try_into().expect("both halves have their lengths"), secret))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XWingPublicKey(..)")
    }
}

/// A private key. Never printed, wiped on drop.
pub struct PrivateKey {
    seed: Zeroizing<[u8; PRIVATE_KEY_LEN]>,
    ml_kem: DecapsulationKey,
    x25519: X25519Key,
    public: PublicKey,
}

impl PrivateKey {
    /// A fresh key.
    ///
    /// # Errors
    ///
    /// [`RandomError`].
    pub fn generate(random: &dyn Random) -> Result<Self, RandomError> {
        let mut seed = Zeroizing::new([0; PRIVATE_KEY_LEN]);
        random.fill(seed.as_mut())?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of this seed (section 5.2).
    pub fn from_seed(seed: &[u8; PRIVATE_KEY_LEN]) -> Self {
        let mut expanded = Zeroizing::new([0; aws_lc::ML_KEM_SEED_LEN + X25519_LEN]);
        aws_lc::shake256(seed, expanded.as_mut());
        let (ml_kem_seed, x25519_key) = expanded.split_at(aws_lc::ML_KEM_SEED_LEN);
        let ml_kem_seed = ml_kem_seed.try_into().expect("it was split there");
        let ml_kem_key = aws_lc::ml_kem_768_decapsulation_key(ml_kem_seed);
        let ml_kem_public = &ml_kem_key[ML_KEM_PUBLIC_AT..][..ML_KEM_PUBLIC_LEN];
        let ml_kem =
            DecapsulationKey::new(&ML_KEM_768, &ml_kem_key).expect("AWS-LC takes the key that it made");
        let x25519 = x25519_private(x25519_key);
        let x25519_public = x25519.compute_public_key().expect("an X25519 key has a public key");
        let public = [ml_kem_public, x25519_public.as_ref()].concat();
        let public = PublicKey(Box::new(public.try_into().expect("both halves have their lengths")));
        Self { seed: Zeroizing::new(*seed), ml_kem, x25519, public }
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Lends the seed to whoever writes it down.
    pub fn expose(&self) -> &[u8; PRIVATE_KEY_LEN] {
        &self.seed
    }

    /// The secret that `encapsulation` tells. Any bytes of the right length tell some secret.
    ///
    /// # Errors
    ///
    /// [`NotAuthentic`] for another length, and for an ephemeral key of small order.
    pub fn decapsulate(&self, encapsulation: &[u8]) -> Result<SharedSecret, NotAuthentic> {
        if encapsulation.len() != ENCAPSULATION_LEN {
            return Err(NotAuthentic);
        }
        let (ciphertext, ephemeral) = encapsulation.split_at(ML_KEM_CIPHERTEXT_LEN);
        let ml_kem_secret =
            self.ml_kem.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| NotAuthentic)?;
        let x25519_secret = x25519_agree(&self.x25519, ephemeral)?;
        let (_, own) = self.public.0.split_at(ML_KEM_PUBLIC_LEN);
        Ok(combine(ml_kem_secret.as_ref(), x25519_secret.as_slice(), ephemeral, own))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XWingPrivateKey(..)")
    }
}

/// The combiner (section 5.3).
fn combine(ml_kem_secret: &[u8], x25519_secret: &[u8], ephemeral: &[u8], public: &[u8]) -> SharedSecret {
    let mut hash = Context::new(&SHA3_256);
    for part in [ml_kem_secret, x25519_secret, ephemeral, public, &LABEL] {
        hash.update(part);
    }
    Zeroizing::new(hash.finish().as_ref().try_into().expect("SHA3-256 gives 32 bytes"))
}

fn x25519_private(bytes: &[u8]) -> X25519Key {
    X25519Key::from_private_key(&X25519, bytes).expect("any 32 bytes are a key")
}

fn x25519_agree(own: &X25519Key, other: &[u8]) -> Result<SharedSecret, NotAuthentic> {
    agree(own, UnparsedPublicKey::new(&X25519, other), NotAuthentic, |secret| {
        Ok(Zeroizing::new(secret.try_into().map_err(|_| NotAuthentic)?))
    })
}

#[cfg(test)]
mod tests;
