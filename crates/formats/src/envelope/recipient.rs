use std::fmt;

use super::{HeaderError, RECIPIENTS_MAX};
use crate::codec::{Encode, Reader};

/// The longest name of a recipient kind.
pub const KIND_LEN_MAX: usize = 64;

/// How a DEK was wrapped: 1..=64 characters of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kind(String);

impl Kind {
    /// RSAES-OAEP with SHA-256 and MGF1-SHA-256 (RFC 8017, section 7.1).
    pub const RSA_OAEP_SHA256: &'static str = "rsa-oaep-sha256";
    /// AES-256-GCM under a key derived from a 32-byte KEK.
    pub const AES_256: &'static str = "aes-256";
    /// The same under the secret that X-Wing agreed on (draft-connolly-cfrg-xwing-kem-06).
    pub const X_WING: &'static str = "x-wing";
    /// The same under Argon2id of a passphrase (RFC 9106).
    pub const PASSPHRASE: &'static str = "passphrase";
    /// AWS KMS, a symmetric key.
    pub const AWS_KMS: &'static str = "aws-kms";
    /// The transit engine of Vault or OpenBao.
    pub const VAULT_TRANSIT: &'static str = "vault-transit";

    /// The kind of this name, or `None` when it is no name of a kind.
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=KIND_LEN_MAX).contains(&name.len());
        let spelt = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        (fits && spelt).then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One recipient's copy of the DEK.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipient {
    /// How it was wrapped.
    pub kind: Kind,
    /// Which key wrapped it, in the kind's own spelling; at most 65535 bytes.
    pub key_id: Vec<u8>,
    /// The wrapped DEK, in the kind's own spelling; at most 65535 bytes.
    pub wrapped: Vec<u8>,
}

impl Recipient {
    pub(super) fn decode_list(r: &mut Reader<'_>) -> Result<Vec<Self>, HeaderError> {
        let count = r.u16("recipient count")?;
        if !(1..=RECIPIENTS_MAX).contains(&usize::from(count)) {
            return Err(HeaderError::RecipientCount { count });
        }
        // Grows with the bytes present: `count` is only a claim.
        let mut recipients = Vec::new();
        for index in 0..count.into() {
            recipients.push(Self::decode(r, index)?);
        }
        Ok(recipients)
    }

    fn decode(r: &mut Reader<'_>, index: usize) -> Result<Self, HeaderError> {
        let malformed = HeaderError::RecipientKind { index };
        let len = usize::from(r.u8("recipient kind")?);
        if !(1..=KIND_LEN_MAX).contains(&len) {
            return Err(malformed);
        }
        let kind = std::str::from_utf8(r.bytes(len, "recipient kind")?).ok().and_then(Kind::new);
        Ok(Self {
            kind: kind.ok_or(malformed)?,
            key_id: r.bytes_u16("key id")?.to_vec(),
            wrapped: r.bytes_u16("wrapped key")?.to_vec(),
        })
    }
}

impl Encode for Recipient {
    /// # Panics
    ///
    /// When `key_id` or `wrapped` is over 65535 bytes: no kind has such.
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.kind.0.len() as u8);
        out.extend(self.kind.0.as_bytes());
        for bytes in [&self.key_id, &self.wrapped] {
            let len = u16::try_from(bytes.len()).expect("key ids and wrapped keys are short");
            out.extend(len.to_be_bytes());
            out.extend(bytes);
        }
    }
}
