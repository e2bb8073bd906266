//! The record scheme as the command line names it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use waxwing_core::content::Legacy;
use waxwing_formats::base64::Reading;
use waxwing_formats::record::Spelling;
use waxwing_formats::scheme::{Cipher, Scheme, TagPlace, Wrap};

use crate::exit::{Code, Failure};

/// Options that say how a record is made.
#[derive(Debug, Args)]
pub(crate) struct SchemeArgs {
    /// How the content key is wrapped: pkcs1, oaep-sha1, oaep-sha256, oaep-sha384, oaep-sha512, or oaep-HASH-mgf1-HASH
    #[arg(long, value_name = "WRAP")]
    wrap: Option<Wrap>,
    /// The content cipher: aes-128-cbc, aes-256-cbc, aes-128-gcm or aes-256-gcm
    #[arg(long, value_name = "CIPHER")]
    cipher: Option<Cipher>,
    /// Where a GCM tag stands
    #[arg(long, value_enum)]
    tag: Option<TagArg>,
    /// Accept PKCS#1 v1.5 and CBC, which protect too little
    #[arg(long)]
    legacy: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TagArg {
    /// In the record
    Apart,
    /// Behind the ciphertext
    Appended,
}

impl SchemeArgs {
    /// Whether the caller consents to legacy schemes.
    pub(crate) fn legacy(&self) -> Legacy {
        legacy_from(self.legacy)
    }

    /// The scheme to write: what is not said is the default.
    pub(crate) fn to_write(&self) -> Result<Scheme, Failure> {
        let wrap = self.wrap.unwrap_or(Scheme::DEFAULT.wrap);
        let cipher = self.cipher.unwrap_or(Scheme::DEFAULT.cipher);
        self.scheme(wrap, cipher)
    }

    /// The scheme that a record must have, when the caller says it.
    pub(crate) fn stated(&self) -> Result<Option<Scheme>, Failure> {
        match (self.wrap, self.cipher, self.tag) {
            (None, None, None) => Ok(None),
            (Some(wrap), Some(cipher), _) => self.scheme(wrap, cipher).map(Some),
            _ => Err(Failure::new(Code::Usage, "--wrap and --cipher go together: nothing is guessed")),
        }
    }

    /// Whether the scheme was said, in part at least.
    pub(crate) fn is_stated(&self) -> bool {
        self.wrap.is_some() || self.cipher.is_some() || self.tag.is_some()
    }

    /// Whether any of the options was given.
    pub(crate) fn is_used(&self) -> bool {
        self.is_stated() || self.legacy
    }

    fn scheme(&self, wrap: Wrap, cipher: Cipher) -> Result<Scheme, Failure> {
        let tag = match self.tag {
            Some(TagArg::Appended) if !cipher.is_authenticated() => {
                return Err(Failure::new(Code::Usage, format!("{cipher} has no tag to append")));
            }
            Some(TagArg::Appended) => TagPlace::Appended,
            Some(TagArg::Apart) | None => TagPlace::Apart,
        };
        Ok(Scheme { wrap, cipher, tag })
    }
}

/// The consent that `--legacy` gives.
pub(crate) fn legacy_from(flag: bool) -> Legacy {
    if flag { Legacy::Accepted } else { Legacy::Refused }
}

/// Options of reading a record.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// The record (JSON) that belongs to the ciphertext
    #[arg(long, value_name = "JSON")]
    pub(crate) record: Option<PathBuf>,
    /// Read base64 as Node does: skip what does not belong there
    #[arg(long, requires = "record")]
    lenient: bool,
}

impl RecordArgs {
    pub(crate) fn reading(&self) -> Reading {
        if self.lenient { Reading::Lenient } else { Reading::Strict }
    }
}

/// How a written record spells its fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpellingArg {
    /// PresignedURL, EncryptedAESKey, EncodedAESIV, FileID
    #[default]
    Job,
    /// presignedUrl, encryptedKey, encodedIV
    Provider,
    /// encryptedData, encryptedAESKey, iv: the ciphertext itself is in the record
    Inline,
}

impl From<SpellingArg> for Spelling {
    fn from(spelling: SpellingArg) -> Self {
        match spelling {
            SpellingArg::Job => Self::Job,
            SpellingArg::Provider => Self::Provider,
            SpellingArg::Inline => Self::Inline,
        }
    }
}
