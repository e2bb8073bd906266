//! What a record says of its content, checked before any key is used, and the key itself. [`body`](crate::body) decrypts.

use std::fmt;

use waxwing_formats::record::{Record, Spelling, TAG_LEN};
use waxwing_formats::scheme::{KeyLen, Scheme, TagPlace};
use zeroize::Zeroizing;

use crate::{Random, RandomError};

/// The most plaintext of one GCM message: 2^39 - 256 bits (NIST SP 800-38D, section 5.2.1.1).
pub const GCM_PLAINTEXT_LEN_MAX: u64 = (1 << 36) - 32;

/// Whether the caller consents, by name, to what proves too little.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Legacy {
    /// PKCS#1 v1.5 and CBC are refused.
    #[default]
    Refused,
    /// They are accepted, and what they yield is labelled unauthenticated.
    Accepted,
}

/// A record's content key: 16 or 32 bytes. Wiped on drop, never printed.
pub struct ContentKey(Zeroizing<Vec<u8>>);

impl ContentKey {
    /// A fresh key.
    ///
    /// # Errors
    ///
    /// [`RandomError`].
    pub fn generate(len: KeyLen, random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = Zeroizing::new(vec![0; len.bytes()]);
        random.fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// What was unwrapped, or `None` when it has another length.
    pub fn from_unwrapped(bytes: Zeroizing<Vec<u8>>, len: KeyLen) -> Option<Self> {
        (bytes.len() == len.bytes()).then_some(Self(bytes))
    }

    /// Lends the bytes to whoever wraps them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(..)")
    }
}

/// A scheme that the caller may use: parameters that passed the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permitted(Scheme);

impl Permitted {
    /// Lets a scheme through, a legacy one only with consent.
    ///
    /// # Errors
    ///
    /// [`PlanError::Legacy`].
    pub fn check(scheme: Scheme, legacy: Legacy) -> Result<Self, PlanError> {
        match (scheme.legacy_reason(), legacy) {
            (Some(reason), Legacy::Refused) => Err(PlanError::Legacy { scheme, reason }),
            _ => Ok(Self(scheme)),
        }
    }

    /// The scheme.
    pub fn scheme(self) -> Scheme {
        self.0
    }
}

/// What a record says, checked against its scheme before any key is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    scheme: Scheme,
    iv: Vec<u8>,
    tag: Option<[u8; TAG_LEN]>,
}

impl Plan {
    /// Settles how `record` is to be opened. `stated` is what the caller knows, from the agent's registration or an option:
    /// where the record has a scheme too, they must agree, since whoever can change a record could name a weaker one.
    ///
    /// # Errors
    ///
    /// [`PlanError`].
    pub fn new(record: &Record, stated: Option<Scheme>, legacy: Legacy) -> Result<Self, PlanError> {
        let scheme = match (record.scheme, stated) {
            (Some(record), Some(stated)) if record != stated => {
                return Err(PlanError::Disagree { record, stated });
            }
            (Some(scheme), _) | (None, Some(scheme)) => scheme,
            (None, None) => return Err(PlanError::NoScheme),
        };
        Permitted::check(scheme, legacy)?;
        let (iv_len, expected) = (record.iv.len(), scheme.cipher.iv_len());
        if iv_len != expected {
            return Err(PlanError::IvLength { scheme, len: iv_len, expected });
        }
        let apart = scheme.cipher.is_authenticated() && scheme.tag == TagPlace::Apart;
        match (record.tag, apart) {
            (None, true) => return Err(PlanError::NoTag { scheme }),
            (Some(_), false) => return Err(PlanError::UnexpectedTag { scheme }),
            _ => {}
        }
        Ok(Self { scheme, iv: record.iv.clone(), tag: record.tag })
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The tag that stands apart. An appended one is still in the ciphertext.
    pub fn tag(&self) -> Option<[u8; TAG_LEN]> {
        self.tag
    }
}

/// Why a record cannot be opened as it is. No key was used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Nobody says how it was made.
    #[error("the record states no scheme, and none was given")]
    NoScheme,
    /// The record says something else than the caller.
    #[error("the record states the scheme {record}, but {stated} is expected")]
    Disagree {
        /// In the record.
        record: Scheme,
        /// From the registration or the option.
        stated: Scheme,
    },
    /// Refused without consent.
    #[error("the scheme {scheme} is legacy ({reason}) and was not consented to")]
    Legacy {
        /// The scheme.
        scheme: Scheme,
        /// What is legacy about it.
        reason: &'static str,
    },
    /// An IV of the wrong length.
    #[error("the IV is {len} bytes long; {scheme} has {expected}")]
    IvLength {
        /// The scheme.
        scheme: Scheme,
        /// What it is.
        len: usize,
        /// What it must be.
        expected: usize,
    },
    /// No tag where one must be.
    #[error("the record has no `{}`, which {scheme} needs", waxwing_formats::record::Role::Tag.name(Spelling::Job))]
    NoTag {
        /// The scheme.
        scheme: Scheme,
    },
    /// A tag where none may be.
    #[error("the record has a tag of its own, which {scheme} does not have there")]
    UnexpectedTag {
        /// The scheme.
        scheme: Scheme,
    },
}

#[cfg(test)]
mod tests {
    use waxwing_formats::scheme::{Cipher, Digest, Wrap};

    use super::*;
    use crate::SystemRandom;

    fn scheme(cipher: Cipher, tag: TagPlace) -> Scheme {
        Scheme { wrap: Wrap::oaep(Digest::Sha256), cipher, tag }
    }

    fn record(scheme: Option<Scheme>, iv_len: usize, tag: bool) -> Record {
        let tag = tag.then_some([0; TAG_LEN]);
        Record { wrapped_key: vec![1], iv: vec![0; iv_len], tag, scheme, ..Record::default() }
    }

    const GCM: Cipher = Cipher::Gcm(KeyLen::Bits256);
    const CBC: Cipher = Cipher::Cbc(KeyLen::Bits128);

    #[test]
    fn legacy_needs_consent() {
        for cipher in Cipher::ALL {
            let scheme = scheme(cipher, TagPlace::Apart);
            let refused = Permitted::check(scheme, Legacy::Refused).is_err();
            assert_eq!(refused, !cipher.is_authenticated());
            assert!(Permitted::check(scheme, Legacy::Accepted).is_ok());
        }
        let pkcs1 = Scheme { wrap: Wrap::Pkcs1, ..Scheme::DEFAULT };
        assert!(Permitted::check(pkcs1, Legacy::Refused).is_err());
    }

    /// Whatever scheme a record claims, it opens as another only if the caller says so, and never against what the caller says.
    #[test]
    fn attack_03_a_record_cannot_change_the_scheme_it_is_opened_with() {
        let all: Vec<Scheme> = Cipher::ALL.map(|cipher| scheme(cipher, TagPlace::Apart)).to_vec();
        for &claimed in &all {
            for &stated in &all {
                let record =
                    record(Some(claimed), claimed.cipher.iv_len(), claimed.cipher.is_authenticated());
                let plan = Plan::new(&record, Some(stated), Legacy::Accepted);
                assert_eq!(plan.is_ok(), claimed == stated, "{claimed} as {stated}");
            }
        }
    }

    #[test]
    fn a_plan_says_what_is_missing_before_any_key() {
        let apart = scheme(GCM, TagPlace::Apart);
        let plan = |record: &Record| Plan::new(record, None, Legacy::Accepted).map(|_| ());
        assert_eq!(plan(&record(None, 12, true)), Err(PlanError::NoScheme));
        assert_eq!(plan(&record(Some(apart), 12, false)), Err(PlanError::NoTag { scheme: apart }));
        let expected = PlanError::IvLength { scheme: apart, len: 16, expected: 12 };
        assert_eq!(plan(&record(Some(apart), 16, true)), Err(expected));
        for scheme in [scheme(GCM, TagPlace::Appended), scheme(CBC, TagPlace::Apart)] {
            let iv_len = scheme.cipher.iv_len();
            assert_eq!(plan(&record(Some(scheme), iv_len, true)), Err(PlanError::UnexpectedTag { scheme }));
            assert_eq!(plan(&record(Some(scheme), iv_len, false)), Ok(()));
        }
    }

    #[test]
    fn attack_16_debug_shows_nothing() {
        let key = ContentKey::generate(KeyLen::Bits128, &SystemRandom).unwrap();
        assert_eq!(format!("{key:?}"), "ContentKey(..)");
    }
}
