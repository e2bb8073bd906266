//! What a profile proves, computed from what it does.

use std::fmt;

use waxwing_formats::body::BodyCipher;

use crate::model::{Check, Origin, Profile, Source, UnwrapAlgorithm};

/// What opening proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// Nothing: whoever could change the message could change the content.
    Nothing,
    /// That nothing was damaged. A forger computes the digests anew.
    Damage,
    /// That each region is whole and at its place, not that the last one is there.
    Regions,
    /// That nothing was changed, but the proof comes after decryption.
    IntegrityAfter,
    /// That nothing was changed since somebody who had the content key sealed it.
    Integrity,
}

impl Protection {
    /// Whether what comes out may be taken for what was sealed.
    pub fn is_authenticated(self) -> bool {
        self >= Self::Regions
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing: whoever can change the message can change what comes out",
            Self::Damage => "damage only: a digest without a key, which a forger computes anew",
            Self::Regions => "that each region is whole and in its place; not that the last one is there",
            Self::IntegrityAfter => "integrity under the key, by a MAC that is checked after decryption",
            Self::Integrity => "integrity under the key",
        })
    }
}

impl Profile {
    /// What opening by this profile proves, at the least.
    pub fn protection(&self) -> Protection {
        let ciphers = || self.content.cipher.possible();
        if !self.key_is_secret() {
            // Whoever writes the message writes the key too: only what authenticates the message from outside helps.
            return if self.verifies.iter().any(|verify| matches!(verify.check, Check::Hash(_))) {
                Protection::Damage
            } else {
                Protection::Nothing
            };
        }
        if self.content.regions.is_some() {
            return Protection::Regions;
        }
        if ciphers().all(|cipher| cipher.is_authenticated()) {
            return Protection::Integrity;
        }
        // A MAC over the ciphertext alone leaves the IV, and with it the first block, to whoever can change the message.
        let iv_bound = !self.bytes.contains_key("iv") && self.layout_of("iv").is_none()
            || self.is_keyed("iv")
            || self.bytes.get("iv").is_some_and(|iv| matches!(iv.origin, Origin::Bytes(_)));
        let mac = |after: bool| {
            self.verifies.iter().any(|verify| match &verify.check {
                Check::Hmac { key, .. } => {
                    verify.is_after() == after
                        && matches!(verify.over.as_str(), "ct" | "plaintext")
                        && self.depends_on_key(key)
                }
                _ => false,
            })
        };
        let totals = self.repeat.iter().flat_map(|repeat| &repeat.totals);
        let digest = self.verifies.iter().chain(totals).any(|verify| {
            matches!(verify.check, Check::Hash(_)) && matches!(verify.over.as_str(), "ct" | "plaintext")
        });
        match () {
            () if mac(false) && iv_bound => Protection::Integrity,
            () if mac(true) => Protection::IntegrityAfter,
            () if digest => Protection::Damage,
            () => Protection::Nothing,
        }
    }

    /// Why this profile may need consent by name, each reason in a few words: whatever a message may choose.
    pub fn legacy_reasons(&self) -> Vec<&'static str> {
        let mut reasons: Vec<&str> = Vec::new();
        for &algorithm in self.unwrap.algorithm.possible() {
            let new = self.legacy_reasons_with(algorithm);
            reasons.extend(new.into_iter().filter(|reason| !reasons.contains(reason)).collect::<Vec<_>>());
        }
        reasons
    }

    /// Whether every message needs consent, whatever it chooses.
    pub fn is_always_legacy(&self) -> bool {
        self.unwrap.algorithm.possible().all(|&algorithm| !self.legacy_reasons_with(algorithm).is_empty())
    }

    /// Why a message whose key is unwrapped so needs consent by name.
    pub fn legacy_reasons_with(&self, algorithm: UnwrapAlgorithm) -> Vec<&'static str> {
        let mut reasons = Vec::new();
        match algorithm {
            UnwrapAlgorithm::RsaPkcs1 => reasons.push("PKCS#1 v1.5 key wrapping"),
            UnwrapAlgorithm::AesEcbPkcs7 => reasons.push("AES-ECB key wrapping"),
            _ => {}
        }
        if self.content.cipher.possible().any(|&cipher| cipher == BodyCipher::EcbPkcs7) {
            reasons.push("AES-ECB content");
        }
        if !self.protection().is_authenticated() {
            reasons.push("content that nothing authenticates");
        }
        reasons
    }

    /// Whether the content key comes from a key or a secret, not from the message itself.
    pub fn key_is_secret(&self) -> bool {
        self.is_keyed("key")
    }

    /// Whether a source depends on a key.
    pub fn depends_on_key(&self, source: &Source) -> bool {
        match &source.origin {
            Origin::Of(name) => self.is_keyed(name),
            Origin::Secret { .. } => true,
            Origin::At { or, .. } => or.as_ref().is_some_and(|or| self.depends_on_key(or)),
            Origin::Computed(_, args) => args.iter().any(|arg| self.depends_on_key(arg)),
            Origin::Bytes(_) | Origin::Index => false,
        }
    }
}
