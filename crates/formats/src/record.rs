//! The JSON records of the record scheme (`docs/formats/record-v1.md`): an RSA-wrapped AES key, an IV and perhaps a tag,
//! beside a ciphertext.
//!
//! Partners spell the same few values in several ways; [`FIELDS`] is the whole list. A reader takes any spelling, but
//! only one of each value; a writer picks a [`Spelling`]. Fields it does not know are kept, in order.

mod error;
mod unique;

pub use error::RecordError;
use serde_json::{Map, Value};

use crate::base64::{self, Reading, Tolerated};
use crate::scheme::Scheme;

/// The most bytes of JSON that are read. A body this large does not belong in a record.
pub const RECORD_LEN_MAX: usize = 8 << 20;
/// The longest wrapped key: an RSA modulus of 8192 bits.
pub const WRAPPED_KEY_LEN_MAX: usize = 1024;
/// The longest IV that any scheme has.
pub const IV_LEN_MAX: usize = 16;
/// Bytes of a GCM tag. Shorter ones are refused, always.
pub const TAG_LEN: usize = 16;

/// How a record spells its fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spelling {
    /// The job record: `PresignedURL`, `EncryptedAESKey`, `EncodedAESIV`, `FileID`.
    #[default]
    Job,
    /// What a file provider returns: `presignedUrl`, `encryptedKey`, `encodedIV`.
    Provider,
    /// The minimal example, body and all: `encryptedData`, `encryptedAESKey`, `iv`.
    Inline,
}

/// A value that a record may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The content key under the recipient's RSA key, base64.
    WrappedKey,
    /// The IV or nonce, base64.
    Iv,
    /// The GCM tag when it stands apart, base64.
    Tag,
    /// The ciphertext when it is in the record, base64.
    Body,
    /// The scheme's text.
    Scheme,
    /// SHA-256 of the recipient's SubjectPublicKeyInfo, lower-case hex.
    KeyId,
    /// SHA-256 of the ciphertext, base64.
    CiphertextSha256,
    /// Where the ciphertext can be fetched.
    Url,
    /// What the file is called.
    FileId,
}

/// One role's names: as a job, a provider result and an inline example write it, and others that are read.
pub struct Field {
    /// The value.
    pub role: Role,
    /// By [`Spelling`].
    written: [&'static str; 3],
    /// Read as well.
    also_read: &'static [&'static str],
}

/// Every field a reader understands.
pub const FIELDS: [Field; 9] = [
    field(Role::WrappedKey, ["EncryptedAESKey", "encryptedKey", "encryptedAESKey"], &[]),
    field(Role::Iv, ["EncodedAESIV", "encodedIV", "iv"], &["nonce"]),
    field(Role::Tag, ["AuthTag", "authTag", "authTag"], &["EncodedAuthTag"]),
    field(Role::Body, ["encryptedData"; 3], &["ciphertext"]),
    field(Role::Scheme, ["Scheme", "scheme", "scheme"], &[]),
    field(Role::KeyId, ["KeyId", "keyId", "keyId"], &[]),
    field(Role::CiphertextSha256, ["CiphertextSHA256", "ciphertextSha256", "ciphertextSha256"], &[]),
    field(Role::Url, ["PresignedURL", "presignedUrl", "presignedUrl"], &[]),
    field(Role::FileId, ["FileID", "fileId", "fileId"], &[]),
];

const fn field(role: Role, written: [&'static str; 3], also_read: &'static [&'static str]) -> Field {
    Field { role, written, also_read }
}

impl Field {
    /// The name under which `spelling` writes this field.
    pub fn name(&self, spelling: Spelling) -> &'static str {
        self.written[spelling as usize]
    }

    /// Every name under which this field is read; some stand there twice.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.written.iter().chain(self.also_read).copied()
    }
}

impl Role {
    fn field(self) -> &'static Field {
        FIELDS.iter().find(|field| field.role == self).expect("every role has its field")
    }

    /// The name under which `spelling` writes this value.
    pub fn name(self, spelling: Spelling) -> &'static str {
        self.field().name(spelling)
    }
}

/// A record: well formed, not yet believed. Every value but the wrapped key and the IV is optional.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The content key, wrapped; `1..=WRAPPED_KEY_LEN_MAX` bytes.
    pub wrapped_key: Vec<u8>,
    /// The IV; `1..=IV_LEN_MAX` bytes.
    pub iv: Vec<u8>,
    /// The tag, when it stands apart.
    pub tag: Option<[u8; TAG_LEN]>,
    /// The ciphertext, when it is in the record.
    pub body: Option<Vec<u8>>,
    /// How it was made, when the record says so.
    pub scheme: Option<Scheme>,
    /// For which key it was wrapped, when the record says so.
    pub key_id: Option<[u8; 32]>,
    /// The ciphertext's SHA-256, when the record has it. Proves nothing unless the record itself is authentic.
    pub ciphertext_sha256: Option<[u8; 32]>,
    /// Where the ciphertext can be fetched: a bearer secret.
    pub url: Option<String>,
    /// What the file is called; checked by whoever uses it.
    pub file_id: Option<String>,
    /// Fields that no role names, in order.
    pub others: Map<String, Value>,
}

/// A record, and the fields whose base64 was not in the written form.
pub type Decoded = (Record, Vec<(&'static str, Tolerated)>);

impl std::fmt::Debug for Record {
    /// Shows no value that could serve to fetch or open anything.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("scheme", &self.scheme)
            .field("file_id", &self.file_id)
            .finish_non_exhaustive()
    }
}

impl Record {
    /// Reads a record, and says which fields were base64 beyond the written form.
    ///
    /// # Errors
    ///
    /// [`RecordError`], naming the field. No message quotes a value.
    pub fn decode(json: &[u8], reading: Reading) -> Result<Decoded, RecordError> {
        if json.len() > RECORD_LEN_MAX {
            return Err(RecordError::TooLong { len: json.len() });
        }
        let map = unique::object(json)?;
        Self::from_map(map, reading)
    }

    /// Takes the values out of an object that was already parsed.
    ///
    /// # Errors
    ///
    /// As [`Record::decode`].
    pub fn from_map(map: Map<String, Value>, reading: Reading) -> Result<Decoded, RecordError> {
        let mut fields = Fields { map, reading, tolerated: Vec::new() };
        let record = Self {
            wrapped_key: fields
                .bytes(Role::WrappedKey, 1..=WRAPPED_KEY_LEN_MAX)?
                .ok_or(RecordError::Missing { role: Role::WrappedKey })?,
            iv: fields.bytes(Role::Iv, 1..=IV_LEN_MAX)?.ok_or(RecordError::Missing { role: Role::Iv })?,
            tag: fields.array(Role::Tag)?,
            body: fields.bytes(Role::Body, 0..=RECORD_LEN_MAX)?,
            scheme: match fields.text(Role::Scheme)? {
                None => None,
                Some((name, text)) => {
                    Some(text.parse().map_err(|source| RecordError::Scheme { name, source })?)
                }
            },
            key_id: match fields.text(Role::KeyId)? {
                None => None,
                Some((name, text)) => Some(hex_32(&text).ok_or(RecordError::Hex { name })?),
            },
            ciphertext_sha256: fields.array(Role::CiphertextSha256)?,
            url: fields.text(Role::Url)?.map(|(_, text)| text),
            file_id: fields.text(Role::FileId)?.map(|(_, text)| text),
            others: Map::new(),
        };
        let Fields { map: others, tolerated, .. } = fields;
        Ok((Self { others, ..record }, tolerated))
    }

    /// The record as an object in this spelling: known fields first, then the others.
    pub fn to_map(&self, spelling: Spelling) -> Map<String, Value> {
        let b64 = |bytes: &[u8]| base64::encode(bytes);
        let known = [
            (Role::Url, self.url.clone()),
            (Role::Body, self.body.as_deref().map(b64)),
            (Role::WrappedKey, Some(b64(&self.wrapped_key))),
            (Role::Iv, Some(b64(&self.iv))),
            (Role::FileId, self.file_id.clone()),
            (Role::Tag, self.tag.as_ref().map(|tag| b64(tag))),
            (Role::Scheme, self.scheme.map(|scheme| scheme.to_string())),
            (Role::KeyId, self.key_id.map(|id| id.iter().map(|b| format!("{b:02x}")).collect())),
            (Role::CiphertextSha256, self.ciphertext_sha256.as_ref().map(|digest| b64(digest))),
        ];
        let known = known
            .into_iter()
            .filter_map(|(role, text)| Some((role.name(spelling).to_owned(), Value::String(text?))));
        known.chain(self.others.clone()).collect()
    }

    /// The record as JSON in this spelling, on one line.
    pub fn to_json(&self, spelling: Spelling) -> String {
        Value::Object(self.to_map(spelling)).to_string()
    }
}

/// Takes known fields out of an object, so that what is left is unknown.
struct Fields {
    map: Map<String, Value>,
    reading: Reading,
    tolerated: Vec<(&'static str, Tolerated)>,
}

impl Fields {
    fn text(&mut self, role: Role) -> Result<Option<(&'static str, String)>, RecordError> {
        let mut found: Option<(&'static str, Value)> = None;
        for name in role.field().names() {
            let Some(value) = self.map.shift_remove(name) else { continue };
            if let Some((first, _)) = found {
                return Err(RecordError::TwoSpellings { first, second: name });
            }
            found = Some((name, value));
        }
        match found {
            None => Ok(None),
            Some((name, Value::String(text))) if text.is_empty() && role != Role::Body => {
                Err(RecordError::Empty { name })
            }
            Some((name, Value::String(text))) => Ok(Some((name, text))),
            Some((name, _)) => Err(RecordError::NotText { name }),
        }
    }

    fn bytes(
        &mut self,
        role: Role,
        lens: std::ops::RangeInclusive<usize>,
    ) -> Result<Option<Vec<u8>>, RecordError> {
        let Some((name, text)) = self.text(role)? else { return Ok(None) };
        let (bytes, tolerated) =
            base64::decode(&text, self.reading).map_err(|source| RecordError::Base64 { name, source })?;
        if !lens.contains(&bytes.len()) {
            let (min, max) = lens.into_inner();
            return Err(RecordError::Length { name, len: bytes.len(), min, max });
        }
        if !tolerated.nothing() {
            self.tolerated.push((name, tolerated));
        }
        Ok(Some(bytes))
    }

    fn array<const N: usize>(&mut self, role: Role) -> Result<Option<[u8; N]>, RecordError> {
        let bytes = self.bytes(role, N..=N)?;
        Ok(bytes.map(|bytes| bytes.try_into().expect("the length was checked")))
    }
}

/// 32 bytes from 64 lower-case hex digits.
fn hex_32(text: &str) -> Option<[u8; 32]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let bytes: Vec<u8> =
        pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect::<Option<_>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests;
