//! What a keystore holds, once it is open (`docs/formats/keystore-v1.md`): named keys in numbered versions.
//!
//! The bytes are secret. They are decoded from, and encoded into, buffers that the caller wipes; secrets in the types are
//! wiped on drop.

use std::fmt;

use zeroize::Zeroizing;

use crate::codec::{Cut, Encode, Reader};

/// Begins the contents.
const MAGIC: &[u8; 17] = b"waxwing-keystore\x01";
/// The most keys.
pub const KEYS_MAX: usize = 4096;
/// The most versions of one key.
pub const VERSIONS_MAX: usize = 1024;
/// The longest name, in bytes.
pub const NAME_LEN_MAX: usize = 200;
/// The longest secret, in bytes: an RSA key of 8192 bits takes less.
pub const SECRET_LEN_MAX: usize = 8 << 10;
/// The longest contents.
pub const CONTENTS_LEN_MAX: usize = 4 << 20;

/// What kind of key a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyType {
    /// A 32-byte KEK.
    Aes256 = 1,
    /// An RSA key, PKCS#8 in DER.
    Rsa = 2,
    /// An X-Wing key: its 32-byte seed.
    XWing = 3,
}

impl KeyType {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Aes256, Self::Rsa, Self::XWing].into_iter().find(|&kind| kind as u8 == byte)
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256 => "aes-256",
            Self::Rsa => "rsa",
            Self::XWing => "x-wing",
        }
    }
}

/// What a version may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum VersionState {
    /// Opens; the newest enabled one seals.
    Enabled = 1,
    /// Neither, until it is enabled again.
    Disabled = 2,
}

/// One version of a key.
#[derive(PartialEq, Eq)]
pub struct StoredVersion {
    /// Counted from 1; never given twice.
    pub number: u32,
    /// What it may be used for.
    pub state: VersionState,
    /// When it was made, in seconds since 1970.
    pub created_unix_secs: u64,
    /// The key, in the spelling of its type.
    pub secret: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for StoredVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredVersion({}, {:?}, ..)", self.number, self.state)
    }
}

/// A key: a name and its versions.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// 1 to [`NAME_LEN_MAX`] of the characters `A-Z a-z 0-9 . _ -`.
    pub name: String,
    /// Its type; all versions have the same.
    pub kind: KeyType,
    /// Whether its secrets may leave the keystore.
    pub exportable: bool,
    /// The number of the next version.
    pub next_version: u32,
    /// In ascending order of their numbers, all below `next_version`.
    pub versions: Vec<StoredVersion>,
}

/// Everything in a keystore.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// In ascending order of their names.
    pub keys: Vec<StoredKey>,
}

/// Why contents were not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreFormatError {
    /// Of something else, or of a later version.
    #[error("these are no contents of a keystore of version 1")]
    Magic,
    /// Cut.
    #[error(transparent)]
    Cut(#[from] Cut),
    /// A count or length over its limit.
    #[error("{what} {value}; the limit is {limit}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// What it is.
        value: usize,
        /// What it may be.
        limit: usize,
    },
    /// A byte that has no meaning, names or numbers out of order.
    #[error("{0} is not possible")]
    Field(&'static str),
}

/// Whether `name` can be a key's.
pub fn is_key_name(name: &str) -> bool {
    (1..=NAME_LEN_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

impl Contents {
    /// Decodes contents from exactly their own bytes.
    ///
    /// # Errors
    ///
    /// [`KeystoreFormatError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, KeystoreFormatError> {
        at_most("the contents' length is", bytes.len(), CONTENTS_LEN_MAX)?;
        let mut r = Reader::new(bytes);
        if r.bytes(MAGIC.len(), "the magic").map_err(|_| KeystoreFormatError::Magic)? != MAGIC {
            return Err(KeystoreFormatError::Magic);
        }
        let count = at_most("the number of keys is", r.u16("the number of keys")?.into(), KEYS_MAX)?;
        let mut keys: Vec<StoredKey> = Vec::new();
        for _ in 0..count {
            let key = StoredKey::decode(&mut r)?;
            if keys.last().is_some_and(|before| before.name >= key.name) {
                return Err(KeystoreFormatError::Field("the order of the keys"));
            }
            keys.push(key);
        }
        match r.rest() {
            [] => Ok(Self { keys }),
            _ => Err(KeystoreFormatError::Field("a byte behind the last key")),
        }
    }

    /// Bytes of the encoding, so that a buffer need not grow and leave copies of secrets behind.
    pub fn encoded_len(&self) -> usize {
        let version = |version: &StoredVersion| 4 + 1 + 8 + 2 + version.secret.len();
        let key = |key: &StoredKey| {
            1 + key.name.len() + 1 + 1 + 4 + 2 + key.versions.iter().map(version).sum::<usize>()
        };
        MAGIC.len() + 2 + self.keys.iter().map(key).sum::<usize>()
    }
}

impl Encode for Contents {
    /// Counts and lengths must be within their limits.
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        out.extend((self.keys.len() as u16).to_be_bytes());
        for key in &self.keys {
            out.push(key.name.len() as u8);
            out.extend(key.name.as_bytes());
            out.push(key.kind as u8);
            out.push(key.exportable.into());
            out.extend(key.next_version.to_be_bytes());
            out.extend((key.versions.len() as u16).to_be_bytes());
            for version in &key.versions {
                out.extend(version.number.to_be_bytes());
                out.push(version.state as u8);
                out.extend(version.created_unix_secs.to_be_bytes());
                out.extend((version.secret.len() as u16).to_be_bytes());
                out.extend(version.secret.iter());
            }
        }
    }
}

impl StoredKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, KeystoreFormatError> {
        let len = r.u8("the length of a name")?;
        let name = std::str::from_utf8(r.bytes(len.into(), "a name")?).ok().filter(|name| is_key_name(name));
        let name = name.ok_or(KeystoreFormatError::Field("a name"))?.to_owned();
        let kind = KeyType::from_byte(r.u8("a type")?).ok_or(KeystoreFormatError::Field("a type"))?;
        let exportable = match r.u8("a flag")? {
            0 => false,
            1 => true,
            _ => return Err(KeystoreFormatError::Field("a flag")),
        };
        let next_version = r.u32("the next version")?;
        let count = r.u16("the number of versions")?;
        let count = at_most("the number of versions is", count.into(), VERSIONS_MAX)?;
        let mut versions: Vec<StoredVersion> = Vec::new();
        for _ in 0..count {
            let version = StoredVersion::decode(r)?;
            let above = versions.last().map_or(0, |before| before.number);
            if version.number <= above || version.number >= next_version {
                return Err(KeystoreFormatError::Field("the number of a version"));
            }
            versions.push(version);
        }
        Ok(Self { name, kind, exportable, next_version, versions })
    }
}

impl StoredVersion {
    fn decode(r: &mut Reader<'_>) -> Result<Self, KeystoreFormatError> {
        let number = r.u32("the number of a version")?;
        let state = match r.u8("a state")? {
            1 => VersionState::Enabled,
            2 => VersionState::Disabled,
            _ => return Err(KeystoreFormatError::Field("a state")),
        };
        let created_unix_secs = u64::from_be_bytes(r.array("a time")?);
        let len =
            at_most("the length of a secret is", r.u16("the length of a secret")?.into(), SECRET_LEN_MAX)?;
        let secret = Zeroizing::new(r.bytes(len, "a secret")?.to_vec());
        Ok(Self { number, state, created_unix_secs, secret })
    }
}

fn at_most(what: &'static str, value: usize, limit: usize) -> Result<usize, KeystoreFormatError> {
    if value > limit { Err(KeystoreFormatError::TooMuch { what, value, limit }) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::laws;

    fn version(number: u32) -> StoredVersion {
        let state = if number == 1 { VersionState::Disabled } else { VersionState::Enabled };
        StoredVersion { number, state, created_unix_secs: 1_800_000_000, secret: Zeroizing::new(vec![7; 32]) }
    }

    fn contents() -> Contents {
        let key = |name: &str, kind| StoredKey {
            name: name.to_owned(),
            kind,
            exportable: kind == KeyType::Rsa,
            next_version: 4,
            versions: vec![version(1), version(3)],
        };
        Contents { keys: vec![key("archive", KeyType::Aes256), key("partner", KeyType::Rsa)] }
    }

    #[test]
    fn obeys_the_codec_laws() {
        for value in [Contents::default(), contents()] {
            laws::check_value(&value, Contents::decode);
            assert_eq!(value.to_bytes().len(), value.encoded_len());
        }
        let good = contents().to_bytes();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            laws::check_bytes(&changed, Contents::decode);
        }
    }

    #[test]
    fn each_broken_field_has_its_own_name() {
        let broken = |change: &dyn Fn(&mut Contents)| {
            let mut contents = contents();
            change(&mut contents);
            Contents::decode(&contents.to_bytes()).unwrap_err().to_string()
        };
        assert_eq!(broken(&|c| c.keys.swap(0, 1)), "the order of the keys is not possible");
        assert_eq!(broken(&|c| c.keys[0].name = "a/b".into()), "a name is not possible");
        assert_eq!(broken(&|c| c.keys[0].versions.swap(0, 1)), "the number of a version is not possible");
        assert_eq!(broken(&|c| c.keys[0].next_version = 3), "the number of a version is not possible");
        assert_eq!(
            broken(&|c| c.keys[0].versions[0].secret = Zeroizing::new(vec![0; SECRET_LEN_MAX + 1])),
            "the length of a secret is 8193; the limit is 8192"
        );
        assert_eq!(Contents::decode(b"x"), Err(KeystoreFormatError::Magic));
    }

    #[test]
    fn attack_16_debug_shows_no_secret() {
        let shown = format!("{:?}", contents());
        assert!(shown.contains("StoredVersion(3, Enabled, ..)") && !shown.contains('7'), "{shown}");
    }
}
