//! The header of the native envelope, version 1 (`docs/formats/envelope-v1.md`).
//!
//! A decoded [`Header`] is well formed, nothing more: until a DEK reproduces its commitment and MAC, anybody may have
//! written it.

mod context;
mod error;
mod passphrase;
mod recipient;

pub use context::{CONTEXT_LEN_MAX, Context};
pub use error::HeaderError;
pub use passphrase::{PassphraseCost, PassphraseKeyId};
pub use recipient::{KIND_LEN_MAX, Kind, Recipient};

use crate::codec::{Encode, Reader};

/// The first seven bytes of every envelope.
pub const MAGIC: &[u8; 7] = b"WAXWING";
/// The byte after [`MAGIC`].
pub const VERSION: u8 = 1;
/// Bytes before those that `header_len` counts: magic, version and `header_len` itself.
pub const PREFIX_LEN: usize = 12;
/// The most that `header_len` may say.
pub const HEADER_LEN_MAX: usize = 1 << 20;
/// The most recipients an envelope may have.
pub const RECIPIENTS_MAX: usize = 1024;
/// The most plaintext one envelope may hold.
pub const PLAINTEXT_LEN_MAX: u64 = 1 << 48;
/// Bytes of a commitment, a MAC and a message id.
pub const HASH_LEN: usize = 32;

/// The fixed choice of AEAD that an envelope's frames are sealed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-256-GCM (NIST SP 800-38D), 0x0001.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439), 0x0002.
    ChaCha20Poly1305,
}

impl Suite {
    /// The suite's number on the wire.
    pub fn id(self) -> u16 {
        match self {
            Self::Aes256Gcm => 0x0001,
            Self::ChaCha20Poly1305 => 0x0002,
        }
    }

    /// The suite with this number.
    pub fn from_id(id: u16) -> Option<Self> {
        [Self::Aes256Gcm, Self::ChaCha20Poly1305].into_iter().find(|suite| suite.id() == id)
    }

    /// The suite's name, as people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }
}

/// How much plaintext a frame holds: a power of two from 4 KiB to 16 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameLen {
    log2: u8,
}

impl FrameLen {
    /// 64 KiB.
    pub const DEFAULT: Self = Self { log2: 16 };
    /// The smallest and largest `frame_len_log2`.
    pub const LOG2_RANGE: std::ops::RangeInclusive<u8> = 12..=24;

    /// A frame of 2^`log2` plaintext bytes, or `None` outside [`Self::LOG2_RANGE`].
    pub fn from_log2(log2: u8) -> Option<Self> {
        Self::LOG2_RANGE.contains(&log2).then_some(Self { log2 })
    }

    /// The exponent on the wire.
    pub fn log2(self) -> u8 {
        self.log2
    }

    /// Plaintext bytes of a full frame.
    pub fn bytes(self) -> usize {
        1 << self.log2
    }
}

/// What never changes in an envelope's life. Its bytes enter every key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The content cipher.
    pub suite: Suite,
    /// The size of the frames.
    pub frame_len: FrameLen,
    /// Random, unique to this envelope.
    pub message_id: [u8; HASH_LEN],
    /// Named values, public but authenticated.
    pub context: Context,
}

impl Fixed {
    fn decode(r: &mut Reader<'_>) -> Result<Self, HeaderError> {
        let suite = r.u16("suite")?;
        let suite = Suite::from_id(suite).ok_or(HeaderError::UnknownSuite { suite })?;
        let log2 = r.u8("frame length")?;
        let frame_len = FrameLen::from_log2(log2).ok_or(HeaderError::FrameLen { log2 })?;
        let reserved = r.u8("reserved byte")?;
        if reserved != 0 {
            return Err(HeaderError::Reserved { value: reserved });
        }
        let message_id = r.array("message id")?;
        let context = Context::decode(r)?;
        Ok(Self { suite, frame_len, message_id, context })
    }
}

impl Encode for Fixed {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.suite.id().to_be_bytes());
        out.extend([self.frame_len.log2(), 0]);
        out.extend(self.message_id);
        self.context.encode(out);
    }
}

/// A whole header, well formed but not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What never changes.
    pub fixed: Fixed,
    /// Proves which DEK the envelope was sealed with.
    pub commitment: [u8; HASH_LEN],
    /// For whom the DEK is wrapped; `1..=RECIPIENTS_MAX`.
    pub recipients: Vec<Recipient>,
    /// HMAC-SHA-256 over every byte before it.
    pub mac: [u8; HASH_LEN],
}

impl Header {
    /// Decodes a header from exactly its own bytes, magic to MAC.
    ///
    /// # Errors
    ///
    /// [`HeaderError`], naming the field and its offset.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let total = match Self::total_len(bytes)? {
            Some(total) => total,
            None => return Err(HeaderError::Cut { needed: PREFIX_LEN, present: bytes.len() }),
        };
        if bytes.len() < total {
            return Err(HeaderError::Cut { needed: total, present: bytes.len() });
        }
        let mut r = Reader::new(bytes.get(..total).unwrap_or_default());
        r.bytes(PREFIX_LEN, "prefix")?;
        let fixed = Fixed::decode(&mut r)?;
        let commitment = r.array("commitment")?;
        let recipients = Recipient::decode_list(&mut r)?;
        let mac = r.array("mac")?;
        match (r.rest().len(), bytes.len() - total) {
            (0, 0) => Ok(Self { fixed, commitment, recipients, mac }),
            (0, extra) | (extra, _) => Err(HeaderError::Trailing { extra }),
        }
    }

    /// How long the header that begins with `prefix` is, all of it; `None` while fewer than [`PREFIX_LEN`] bytes are there.
    ///
    /// # Errors
    ///
    /// [`HeaderError::Magic`], [`HeaderError::Version`] as soon as a byte shows it, and [`HeaderError::TooLong`].
    pub fn total_len(prefix: &[u8]) -> Result<Option<usize>, HeaderError> {
        let seen = prefix.len().min(MAGIC.len());
        if prefix.get(..seen) != MAGIC.get(..seen) {
            return Err(HeaderError::Magic);
        }
        let mut r = Reader::new(prefix);
        if r.bytes(MAGIC.len(), "magic").is_err() {
            return Ok(None);
        }
        match r.u8("version") {
            Err(_) => return Ok(None),
            Ok(VERSION) => {}
            Ok(version) => return Err(HeaderError::Version { version }),
        }
        let Ok(header_len) = r.u32("header length") else { return Ok(None) };
        match usize::try_from(header_len) {
            Ok(len) if len <= HEADER_LEN_MAX => Ok(Some(PREFIX_LEN + len)),
            _ => Err(HeaderError::TooLong { len: header_len.into() }),
        }
    }

    /// The bytes that the MAC covers: everything before it.
    ///
    /// # Errors
    ///
    /// [`HeaderError::RecipientCount`] and [`HeaderError::TooLong`] when the header would break a limit.
    pub fn maced_bytes(
        fixed: &Fixed,
        commitment: &[u8; HASH_LEN],
        recipients: &[Recipient],
    ) -> Result<Vec<u8>, HeaderError> {
        let count = u16::try_from(recipients.len()).unwrap_or(u16::MAX);
        if !(1..=RECIPIENTS_MAX).contains(&recipients.len()) {
            return Err(HeaderError::RecipientCount { count });
        }
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.push(VERSION);
        out.extend([0; 4]);
        fixed.encode(&mut out);
        out.extend(commitment);
        out.extend(count.to_be_bytes());
        for recipient in recipients {
            recipient.encode(&mut out);
        }
        let header_len = out.len() - PREFIX_LEN + HASH_LEN;
        if header_len > HEADER_LEN_MAX {
            return Err(HeaderError::TooLong { len: header_len as u64 });
        }
        // The cast cannot cut: HEADER_LEN_MAX fits.
        out[MAGIC.len() + 1..PREFIX_LEN].copy_from_slice(&(header_len as u32).to_be_bytes());
        Ok(out)
    }
}

impl Encode for Header {
    /// # Panics
    ///
    /// When the header breaks a limit that [`Header::maced_bytes`] checks: a decoded header never does, and a sealed one
    /// was made by it.
    fn encode(&self, out: &mut Vec<u8>) {
        let maced = Self::maced_bytes(&self.fixed, &self.commitment, &self.recipients);
        out.extend(maced.expect("a header is only made within its limits"));
        out.extend(self.mac);
    }
}

#[cfg(test)]
mod tests;
