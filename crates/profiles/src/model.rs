//! What a profile says, once it was read and checked (`docs/formats/profile-v1.md`).

use std::collections::{BTreeMap, BTreeSet};

use waxwing_formats::body::BodyCipher;
use waxwing_formats::scheme::Digest;

use crate::encoding::Encoding;

/// The name of a byte string, a part or a secret.
pub type Name = String;

/// The result of unwrapping: defined by the profile's `[unwrap]`, never by `[bytes]`.
pub const UNWRAPPED: &str = "unwrapped";
/// What the content decrypts to: known to `[[verify]]` alone.
pub const PLAINTEXT: &str = "plaintext";
/// The part that stands for an entry of the list that `[repeat]` goes through.
pub const ITEM: &str = "item";

/// A scheme, described. Made by [`Profile::parse`](crate::Profile::parse) alone, which checks it.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name: lower-case letters, digits and dashes.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// The page of the manual that describes it, without its suffix.
    pub page: Option<String>,
    /// Where its facts come from.
    pub evidence: Vec<String>,
    /// Which independent implementation made or opened its vectors, if any did.
    pub peer: Option<String>,
    /// Its place among the presets, lowest first.
    pub order: u32,
    /// What a reader must know that the profile cannot express.
    pub remark: Option<String>,
    /// What a message consists of, in the order of the file.
    pub parts: Vec<(Name, Part)>,
    /// Every byte string.
    pub bytes: BTreeMap<Name, Source>,
    /// How byte strings are cut into others.
    pub layouts: BTreeMap<Name, Layout>,
    /// How the key is unwrapped.
    pub unwrap: Unwrap,
    /// How the content is encrypted.
    pub content: Content,
    /// What stands around the content inside the plaintext.
    pub frame: Option<Frame>,
    /// What the message must say about itself.
    pub expects: Vec<Expect>,
    /// Digests, MACs and equalities.
    pub verifies: Vec<Verify>,
    /// Several bodies under one key.
    pub repeat: Option<Repeat>,
    /// The names whose value depends on a key.
    pub(crate) keyed: BTreeSet<Name>,
}

/// One piece of a message: a file, or a document inside another.
#[derive(Debug, Clone)]
pub struct Part {
    /// How it is read.
    pub kind: PartKind,
    /// The place in another part that holds it.
    pub from: Option<Selector>,
    /// What a writer fills in.
    pub template: Option<String>,
    /// Where the profile says so, counted from 1.
    pub line: usize,
}

/// How a part is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// A JSON document.
    Json,
    /// An XML document.
    Xml,
    /// Names and texts, as HTTP has them.
    Headers,
    /// One text.
    Text,
    /// A JWE in its compact form (RFC 7516, section 7.1).
    Jwe,
    /// Bytes of any length.
    Raw,
    /// A ZIP archive.
    Zip,
}

impl PartKind {
    /// Every kind with its word.
    pub const ALL: [(&'static str, Self); 7] = [
        ("json", Self::Json),
        ("xml", Self::Xml),
        ("headers", Self::Headers),
        ("text", Self::Text),
        ("jwe", Self::Jwe),
        ("raw", Self::Raw),
        ("zip", Self::Zip),
    ];

    /// Whether it may be of any length, and so is not read at once.
    pub fn is_unbounded(self) -> bool {
        matches!(self, Self::Raw | Self::Zip)
    }
}

/// A place in a part: `part:path`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// The part, or [`ITEM`].
    pub part: Name,
    /// The place, in the spelling of the part's kind.
    pub path: String,
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.part, self.path)
    }
}

/// Where bytes come from.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where they begin to come from.
    pub origin: Origin,
    /// The part of them that is meant.
    pub slice: Option<Slice>,
    /// The lengths they may have, in bytes; any when empty.
    pub lens: Vec<usize>,
    /// Which of several lengths a writer makes.
    pub write: Option<usize>,
    /// Where the profile says so, counted from 1.
    pub line: usize,
}

/// The kinds of [`Source`].
#[derive(Debug, Clone)]
pub enum Origin {
    /// A place in the message.
    At {
        /// The place.
        at: Selector,
        /// Other places, where some writers put it. A message has one of them.
        also: Vec<Selector>,
        /// How bytes are written there.
        encoding: Encoding,
        /// What stands for it where it is absent.
        or: Option<Box<Source>>,
    },
    /// Another byte string.
    Of(Name),
    /// These bytes.
    Bytes(Vec<u8>),
    /// What the key holder gives.
    Secret {
        /// Its name.
        name: Name,
        /// How it is written.
        encoding: Encoding,
    },
    /// Computed from others.
    Computed(Function, Vec<Source>),
    /// The position of the entry of `[repeat]`, as eight bytes, big-endian, from 0.
    Index,
}

/// A function of byte strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// The digest of all of them, joined.
    Hash(Hash),
    /// All of them, joined.
    Concat,
    /// Two of one length, bit by bit.
    Xor,
    /// One, every bit turned.
    Not,
    /// PBKDF2 (RFC 8018, section 5.2) of a passphrase and a salt.
    Pbkdf2 {
        /// The digest of its HMAC.
        hash: Digest,
        /// How often.
        iterations: u32,
        /// Bytes that come out.
        out: usize,
    },
    /// HKDF (RFC 5869) of key material, salt and info.
    Hkdf {
        /// The digest of its HMAC.
        hash: Digest,
        /// Bytes that come out.
        out: usize,
    },
    /// ODK's IV of a file: the MD5 of instance and key, its bytes counted up in turn, once for each file before and for this one.
    OdkIv,
}

/// A digest that profiles may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// MD5: damage only.
    Md5,
    /// SHA-1: damage only.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// Every digest with its word.
    pub const ALL: [(&'static str, Self); 5] = [
        ("md5", Self::Md5),
        ("sha1", Self::Sha1),
        ("sha256", Self::Sha256),
        ("sha384", Self::Sha384),
        ("sha512", Self::Sha512),
    ];
}

impl Hash {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// `a..b` of a byte string, each bound absent, from the front, or negative from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The first byte.
    pub start: i32,
    /// The byte behind the last; the end when absent.
    pub end: Option<i32>,
}

impl Slice {
    /// The range of a byte string of `len` bytes, or `None` when it has none there.
    pub fn range(self, len: u64) -> Option<std::ops::Range<u64>> {
        let place = |bound: i32| match u64::try_from(bound) {
            Ok(front) => Some(front),
            Err(_) => len.checked_sub(u64::from(bound.unsigned_abs())),
        };
        let (start, end) = (place(self.start)?, self.end.map_or(Some(len), place)?);
        (start <= end && end <= len).then_some(start..end)
    }

    /// The length that the bounds alone tell.
    pub fn fixed_len(self) -> Option<usize> {
        match (self.start, self.end) {
            (start, Some(end)) if (start < 0) == (end < 0) => usize::try_from(end - start).ok(),
            (start, None) if start < 0 => usize::try_from(start.unsigned_abs()).ok(),
            _ => None,
        }
    }
}

/// Fields that a byte string is made of, in order. At most one takes what the others leave.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The fields.
    pub fields: Vec<Field>,
    /// Where the profile says so, counted from 1.
    pub line: usize,
}

/// One field of a [`Layout`].
#[derive(Debug, Clone)]
pub struct Field {
    /// What the bytes are called.
    pub name: Name,
    /// How many there are.
    pub size: FieldSize,
}

/// How long a [`Field`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldSize {
    /// Always so many bytes.
    Fixed(usize),
    /// As many as a big-endian number of this many bytes before it says: one at least.
    Prefixed(usize),
    /// Whatever the others leave.
    Rest,
}

/// A word or number that is fixed, or that the message chooses from a list.
#[derive(Debug, Clone)]
pub enum Value<T> {
    /// Fixed.
    Fixed(T),
    /// Chosen.
    Chosen(Choice<T>),
}

/// What the message may choose from.
#[derive(Debug, Clone)]
pub struct Choice<T> {
    /// Where it says so.
    pub at: Selector,
    /// Its words, and what each means.
    pub map: Vec<(String, T)>,
    /// What is meant where it says nothing.
    pub or: Option<T>,
    /// The word that a writer puts there.
    pub write: Option<String>,
}

impl<T> Value<T> {
    /// Everything that it may come to.
    pub fn possible(&self) -> impl Iterator<Item = &T> {
        let (fixed, chosen) = match self {
            Self::Fixed(value) => (Some(value), None),
            Self::Chosen(choice) => (None, Some(choice)),
        };
        let chosen =
            chosen.into_iter().flat_map(|choice| choice.map.iter().map(|(_, value)| value).chain(&choice.or));
        fixed.into_iter().chain(chosen)
    }
}

/// How the key is unwrapped.
#[derive(Debug, Clone)]
pub struct Unwrap {
    /// The algorithm.
    pub algorithm: Value<UnwrapAlgorithm>,
    /// OAEP's digest.
    pub hash: Option<Value<Digest>>,
    /// OAEP's mask digest; [`Self::hash`] when absent.
    pub mgf1: Option<Value<Digest>>,
    /// OAEP's label; empty when absent.
    pub label: Option<Source>,
    /// The key that wraps, for AES.
    pub kek: Option<Source>,
    /// What AES-GCM authenticates beside the wrapped key.
    pub aad: Option<Source>,
    /// A KMS's encryption context: a JSON object.
    pub context: Option<Selector>,
    /// Where the profile says so, counted from 1.
    pub line: usize,
}

/// The ways to unwrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnwrapAlgorithm {
    /// RSAES-PKCS1-v1_5 (RFC 8017, section 7.2): legacy.
    RsaPkcs1,
    /// RSAES-OAEP (RFC 8017, section 7.1).
    RsaOaep,
    /// AES key wrap (RFC 3394).
    AesKw,
    /// AES-GCM: a 12-byte IV, the wrapped key, a 16-byte tag.
    AesGcm,
    /// AES-ECB with PKCS#7 padding: it proves nothing.
    AesEcbPkcs7,
    /// A key management service.
    Kms,
    /// Nothing is wrapped: the key comes from a secret or the message.
    Direct,
}

impl UnwrapAlgorithm {
    /// Every algorithm with its word.
    pub const ALL: [(&'static str, Self); 7] = [
        ("rsa-pkcs1", Self::RsaPkcs1),
        ("rsa-oaep", Self::RsaOaep),
        ("aes-kw", Self::AesKw),
        ("aes-gcm", Self::AesGcm),
        ("aes-ecb-pkcs7", Self::AesEcbPkcs7),
        ("kms", Self::Kms),
        ("direct", Self::Direct),
    ];

    /// Whether a private RSA key unwraps.
    pub fn is_rsa(self) -> bool {
        matches!(self, Self::RsaPkcs1 | Self::RsaOaep)
    }

    /// Whether a symmetric key unwraps.
    pub fn is_aes(self) -> bool {
        matches!(self, Self::AesKw | Self::AesGcm | Self::AesEcbPkcs7)
    }
}

/// How the content is encrypted.
#[derive(Debug, Clone)]
pub struct Content {
    /// The cipher.
    pub cipher: Value<BodyCipher>,
    /// The sizes that the key may have, in bits.
    pub key_bits: Value<Vec<usize>>,
    /// What the cipher authenticates beside the content.
    pub aad: Option<Source>,
    /// The content is cut, and each region is encrypted by itself.
    pub regions: Option<Regions>,
    /// Where the profile says so, counted from 1.
    pub line: usize,
}

/// Regions of a content: nonce, ciphertext and tag, one after the other.
#[derive(Debug, Clone)]
pub struct Regions {
    /// Bytes of plaintext in each but the last.
    pub data_len: Number,
    /// How the nonces count, each a way that some writer has. One content keeps to one of them.
    pub nonces: Vec<NonceCounter>,
}

/// A number that is fixed, or that the message says.
#[derive(Debug, Clone)]
pub enum Number {
    /// Fixed.
    Fixed(u64),
    /// Said by the message.
    At(Selector),
}

/// How the nonces of regions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceCounter {
    /// From 0, big-endian over all 12 bytes.
    Be0,
    /// From 0, big-endian in the first eight.
    Be8Lead0,
    /// From 1, little-endian in the last eight.
    Le8Trail1,
}

impl NonceCounter {
    /// Every way with its word.
    pub const ALL: [(&'static str, Self); 3] =
        [("be-0", Self::Be0), ("be8-lead-0", Self::Be8Lead0), ("le8-trail-1", Self::Le8Trail1)];

    /// The nonce of a region, counted from 0.
    pub fn nonce(self, index: u64) -> [u8; 12] {
        let mut nonce = [0; 12];
        match self {
            Self::Be0 => nonce[4..].copy_from_slice(&index.to_be_bytes()),
            Self::Be8Lead0 => nonce[..8].copy_from_slice(&index.to_be_bytes()),
            Self::Le8Trail1 => nonce[4..].copy_from_slice(&index.wrapping_add(1).to_le_bytes()),
        }
        nonce
    }
}

/// What stands around the content inside the plaintext: bytes without meaning, a length, the content, a trailer.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Bytes without meaning in front.
    pub skip: usize,
    /// What must stand behind the content, and all that may.
    pub trailer: Option<Source>,
}

/// A text that the message must hold.
#[derive(Debug, Clone)]
pub struct Expect {
    /// Where.
    pub at: Selector,
    /// One of these. A writer puts the first there.
    pub is: Vec<String>,
    /// Where the profile says so, counted from 1.
    pub line: usize,
}

/// A comparison.
#[derive(Debug, Clone)]
pub struct Verify {
    /// Of what.
    pub check: Check,
    /// Over which byte string.
    pub over: Name,
    /// With what.
    pub equals: Source,
    /// How many bytes of a digest count; all when absent.
    pub truncate: Option<usize>,
    /// Where the profile says so, counted from 1.
    pub line: usize,
}

/// What a [`Verify`] compares.
#[derive(Debug, Clone)]
pub enum Check {
    /// The bytes themselves.
    Bytes,
    /// How many there are, as decimal text.
    Size,
    /// Their digest.
    Hash(Hash),
    /// Their HMAC (RFC 2104).
    Hmac {
        /// Its digest.
        hash: Digest,
        /// Its key.
        key: Source,
    },
}

impl Verify {
    /// Whether it needs the plaintext, and so comes after decryption.
    pub fn is_after(&self) -> bool {
        self.over == PLAINTEXT
    }
}

/// Several bodies under one key, joined in order.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// The list.
    pub over: Selector,
    /// The path in an entry that numbers it: 1, 2, 3 without gaps, in whatever order the entries come.
    pub order: Option<String>,
    /// The path in an entry that names its file.
    pub name: String,
    /// The part that the file becomes.
    pub body: Name,
    /// Comparisons over everything joined.
    pub totals: Vec<Verify>,
    /// Where the profile says so, counted from 1.
    pub line: usize,
}

impl Profile {
    /// The same profile after a change, checked anew.
    ///
    /// # Errors
    ///
    /// [`ProfileError`](crate::ProfileError) when it is none any more.
    pub fn changed(&self, change: impl FnOnce(&mut Self)) -> Result<Self, crate::ProfileError> {
        let mut changed = self.clone();
        change(&mut changed);
        Self::parse(&changed.to_toml())
    }

    /// The part of this name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|(part, _)| part == name).map(|(_, part)| part)
    }

    /// The parts that are files of their own, which whoever opens must give. Bodies of `[repeat]` are not among them: their
    /// names come from the message.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Part)> {
        let body = self.repeat.as_ref().map(|repeat| repeat.body.as_str());
        self.parts
            .iter()
            .filter(move |(name, part)| part.from.is_none() && Some(name.as_str()) != body)
            .map(|(name, part)| (name.as_str(), part))
    }

    /// The shared secrets that the key holder gives: each with how it is written, and its length in bytes where the profile
    /// tells one.
    pub fn secrets(&self) -> BTreeMap<&str, (Encoding, Option<usize>)> {
        let mut secrets = BTreeMap::new();
        crate::lint::each_source(self, &mut |source| {
            if let Origin::Secret { name, encoding } = &source.origin {
                let len =
                    source.write.or(source.lens.iter().max().copied()).filter(|_| source.slice.is_none());
                secrets.insert(name.as_str(), (*encoding, len));
            }
        });
        secrets
    }

    /// Whether the value of this name depends on a key: nothing about it may be told.
    pub fn is_keyed(&self, name: &str) -> bool {
        self.keyed.contains(name)
    }

    /// The layout that a name comes from, and the byte string that it cuts.
    pub fn layout_of(&self, name: &str) -> Option<(&str, &Layout)> {
        let made = |layout: &Layout| layout.fields.iter().any(|field| field.name == name);
        self.layouts.iter().find(|(_, layout)| made(layout)).map(|(whole, layout)| (whole.as_str(), layout))
    }
}
