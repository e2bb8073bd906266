//! Passphrases: Argon2id (RFC 9106) makes the KEK.

use std::fmt;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use unicode_normalization::UnicodeNormalization as _;
use waxwing_core::envelope::Binding;
use waxwing_core::{Dek, Random, kek};
use waxwing_formats::envelope::{Kind, PassphraseCost, PassphraseKeyId, Recipient};
use zeroize::Zeroizing;

use crate::{BoxFuture, KeyProvider, UnwrapError, WrapError};

/// The longest passphrase, in bytes.
pub const PASSPHRASE_LEN_MAX: usize = 4096;

/// What somebody knows by heart. Seals and opens; never printed, wiped on drop.
pub struct Passphrase {
    secret: Zeroizing<Vec<u8>>,
    cost: PassphraseCost,
    random: Arc<dyn Random>,
}

/// Why a text cannot be a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Nothing there.
    #[error("the passphrase is empty")]
    Empty,
    /// Over [`PASSPHRASE_LEN_MAX`].
    #[error("the passphrase is longer than {PASSPHRASE_LEN_MAX} bytes")]
    TooLong,
    /// Text that is not UTF-8 has several spellings and would open on one machine alone.
    #[error("the passphrase is not UTF-8 text")]
    NotText,
}

impl Passphrase {
    /// A passphrase as a file or a terminal gave it: UTF-8, one line end behind it taken off, brought into NFC. `cost` is
    /// that of sealing; an envelope states its own.
    ///
    /// # Errors
    ///
    /// [`PassphraseError`].
    pub fn new(
        written: &[u8],
        cost: PassphraseCost,
        random: Arc<dyn Random>,
    ) -> Result<Self, PassphraseError> {
        let line = written.strip_suffix(b"\r\n").or_else(|| written.strip_suffix(b"\n")).unwrap_or(written);
        if line.len() > PASSPHRASE_LEN_MAX {
            return Err(PassphraseError::TooLong);
        }
        let text = std::str::from_utf8(line).map_err(|_| PassphraseError::NotText)?;
        // Room for everything: NFC makes no text more than three times as long (UAX #15), so no copy is left by growing.
        let mut normal = Zeroizing::new(String::with_capacity(3 * text.len()));
        normal.extend(text.nfc());
        if normal.is_empty() {
            return Err(PassphraseError::Empty);
        }
        let secret = Zeroizing::new(normal.as_bytes().to_vec());
        Ok(Self { secret, cost, random })
    }

    /// Whether two people, or one person twice, wrote the same.
    pub fn is_same(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.secret, &other.secret).is_ok()
    }

    fn kek(&self, key_id: &PassphraseKeyId) -> Zeroizing<[u8; 32]> {
        let PassphraseCost { memory_kib, passes, lanes } = key_id.cost;
        let params = Params::new(memory_kib, passes, lanes.into(), Some(32));
        let params = params.expect("a cost is within Argon2's own limits");
        let mut kek = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&self.secret, &key_id.salt, kek.as_mut())
            .expect("the lengths are within Argon2's limits");
        kek
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl KeyProvider for Passphrase {
    /// Any passphrase looks like any other.
    fn is_for(&self, recipient: &Recipient) -> bool {
        recipient.kind.as_str() == Kind::PASSPHRASE && PassphraseKeyId::decode(&recipient.key_id).is_some()
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        Box::pin(async move {
            let mut key_id = PassphraseKeyId { salt: [0; 16], cost: self.cost };
            self.random.fill(&mut key_id.salt)?;
            Ok(Recipient {
                kind: Kind::new(Kind::PASSPHRASE).expect("the kind is spelt right"),
                key_id: key_id.encode().to_vec(),
                wrapped: kek::wrap(&self.kek(&key_id), Kind::PASSPHRASE, dek, &binding),
            })
        })
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        binding: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async move {
            let key_id = PassphraseKeyId::decode(&recipient.key_id);
            let (Kind::PASSPHRASE, Some(key_id), kek::WRAPPED_LEN) =
                (recipient.kind.as_str(), key_id, recipient.wrapped.len())
            else {
                return Ok(None);
            };
            let dek = kek::unwrap(&self.kek(&key_id), Kind::PASSPHRASE, &recipient.wrapped, &binding);
            dek.map(Some).map_err(|_| UnwrapError::NotAuthentic)
        })
    }
}

#[cfg(test)]
mod tests {
    use waxwing_core::SystemRandom;

    use super::*;

    fn passphrase(written: &str) -> Result<Passphrase, PassphraseError> {
        Passphrase::new(written.as_bytes(), PassphraseCost::MIN, Arc::new(SystemRandom))
    }

    /// The figure is of Python's `cryptography` (OpenSSL), `Argon2id(salt, 32, iterations=1, lanes=1, memory_cost=19456)`:
    /// the vector of RFC 9106, section 5.3, has a secret and data, which no passphrase here has.
    #[test]
    fn argon2id_is_that_of_others() {
        let key_id = PassphraseKeyId { salt: *b"somesalt16bytes!", cost: PassphraseCost::MIN };
        let kek = passphrase("password").unwrap().kek(&key_id);
        let expected = "ae05a8f35698d51016d9a048d6d77647d1f700cfeb5520a26e780c960ff3bb26";
        assert_eq!(kek.iter().map(|b| format!("{b:02x}")).collect::<String>(), expected);
    }

    #[test]
    fn one_text_has_one_spelling() {
        let composed = passphrase("caf\u{e9}").unwrap();
        for other in ["cafe\u{301}", "caf\u{e9}\n", "caf\u{e9}\r\n"] {
            assert!(composed.is_same(&passphrase(other).unwrap()), "{other:?}");
        }
        for other in ["caf\u{e9}\n\n", "caf\u{e9}\r", "cafe", " caf\u{e9}"] {
            assert!(!composed.is_same(&passphrase(other).unwrap()), "{other:?}");
        }
    }

    #[test]
    fn what_is_no_passphrase_is_refused() {
        assert_eq!(passphrase("\n").unwrap_err(), PassphraseError::Empty);
        assert_eq!(passphrase(&"a".repeat(4097)).unwrap_err(), PassphraseError::TooLong);
        let random = Arc::new(SystemRandom);
        let bytes = Passphrase::new(&[0xff], PassphraseCost::MIN, random).unwrap_err();
        assert_eq!(bytes, PassphraseError::NotText);
    }

    #[test]
    fn attack_16_debug_shows_nothing() {
        assert_eq!(format!("{:?}", passphrase("secret").unwrap()), "Passphrase(..)");
    }
}
