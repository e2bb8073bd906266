//! Keys in the encodings that they come in: PEM (RFC 7468) around PKCS#1, PKCS#8, encrypted PKCS#8, SPKI or X.509; bare DER
//! of the same; PEM with its line ends escaped, as an environment variable carries it; and our own KEK file.

use std::sync::Arc;

use der::{Decode as _, Encode as _};
use pkcs1::UintRef;
use pkcs8::{EncryptedPrivateKeyInfo, ObjectIdentifier, PrivateKeyInfo};
use spki::SubjectPublicKeyInfoRef;
use waxwing_aws_lc as aws_lc;
use waxwing_formats::base64::{self, Reading};
use x509_cert::Certificate;
use x509_cert::request::CertReq;
use zeroize::Zeroizing;

use crate::kek::KEK_WORD;
use crate::x_wing::X_WING;
use crate::{
    Kek, KeyError, KeyProvider, RsaPrivateKey, RsaRecipientKey, XWingPrivateKey, XWingRecipientKey, weak,
};

/// The longest key file.
pub const KEY_FILE_LEN_MAX: usize = 64 << 10;
/// Characters of a line of base64 (RFC 7468, section 2).
const LINE_LEN: usize = 64;
/// The longest label of a block, in bytes.
const LABEL_LEN_MAX: usize = 40;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A key that was read.
#[derive(Debug)]
pub enum Key {
    /// Opens, and seals with its public half.
    RsaPrivate(RsaPrivateKey),
    /// Seals.
    RsaPublic(RsaRecipientKey),
    /// Seals and opens.
    Kek(Kek),
    /// Opens, and seals with its public half.
    XWingPrivate(Box<XWingPrivateKey>),
    /// Seals.
    XWingPublic(XWingRecipientKey),
}

impl Key {
    /// Reads a key file. `passphrase` is used only if the key is encrypted.
    ///
    /// # Errors
    ///
    /// [`KeyError`], one for each way a key file can be wrong. No message quotes the file.
    pub fn read(file: &[u8], passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        if file.len() > KEY_FILE_LEN_MAX {
            return Err(KeyError::TooLong { len: file.len() });
        }
        if file.first() == Some(&0x30) {
            return from_der(file, passphrase);
        }
        let text = std::str::from_utf8(file).map_err(|_| KeyError::NotAKey)?;
        let text = unescape(text);
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.starts_with(KEK_WORD) {
            return Kek::parse(&text).map(Self::Kek);
        }
        let block = Block::only(&text)?;
        from_block(&block, passphrase)
    }

    /// The key as one that seals.
    pub fn into_recipient(self) -> Arc<dyn KeyProvider> {
        match self {
            Self::RsaPrivate(key) => Arc::new(key),
            Self::RsaPublic(key) => Arc::new(key),
            Self::Kek(key) => Arc::new(key),
            Self::XWingPrivate(key) => Arc::new(*key),
            Self::XWingPublic(key) => Arc::new(key),
        }
    }

    /// The key as one that opens.
    ///
    /// # Errors
    ///
    /// [`KeyError::PublicOnly`].
    pub fn into_opener(self) -> Result<Arc<dyn KeyProvider>, KeyError> {
        match self {
            Self::RsaPublic(_) | Self::XWingPublic(_) => Err(KeyError::PublicOnly),
            private => Ok(private.into_recipient()),
        }
    }

    /// The private RSA key, for what only such a key can do.
    ///
    /// # Errors
    ///
    /// [`KeyError::PublicOnly`], [`KeyError::KekNotRsa`], [`KeyError::NotRsa`].
    pub fn into_rsa_private(self) -> Result<RsaPrivateKey, KeyError> {
        match self {
            Self::RsaPrivate(key) => Ok(key),
            Self::RsaPublic(_) => Err(KeyError::PublicOnly),
            other => Err(other.not_rsa()),
        }
    }

    /// The public RSA key, for what only such a key can do.
    ///
    /// # Errors
    ///
    /// [`KeyError::KekNotRsa`], [`KeyError::NotRsa`].
    pub fn into_rsa_public(self) -> Result<RsaRecipientKey, KeyError> {
        match self {
            Self::RsaPublic(key) => Ok(key),
            Self::RsaPrivate(key) => Ok(key.into_public()),
            other => Err(other.not_rsa()),
        }
    }

    fn not_rsa(&self) -> KeyError {
        match self {
            Self::Kek(_) => KeyError::KekNotRsa,
            _ => KeyError::NotRsa { algorithm: "an X-Wing" },
        }
    }
}

/// One PEM block.
struct Block<'a> {
    label: &'a str,
    /// From `-----BEGIN` to `-----END …-----`.
    whole: &'a str,
    body: &'a str,
}

impl<'a> Block<'a> {
    /// The only block of a file.
    fn only(text: &'a str) -> Result<Self, KeyError> {
        let mut blocks = Vec::new();
        let mut rest = text;
        while let Some((block, after)) = Self::next(rest)? {
            blocks.push(block);
            rest = after;
        }
        // OpenSSL writes the parameters of an EC key as a block of their own.
        if blocks.iter().any(|block| block.label.starts_with("EC ")) {
            return Err(KeyError::NotRsa { algorithm: "an elliptic-curve" });
        }
        match (blocks.pop(), blocks.len()) {
            (Some(block), 0) => Ok(block),
            (Some(_), others) => Err(KeyError::Several { count: others + 1 }),
            (None, _) => Err(not_pem(text)),
        }
    }

    fn next(text: &'a str) -> Result<Option<(Self, &'a str)>, KeyError> {
        const BEGIN: &str = "-----BEGIN ";
        const END: &str = "-----END ";
        let Some(start) = text.find(BEGIN) else { return Ok(None) };
        let from_begin = &text[start..];
        let label = from_begin[BEGIN.len()..].split_once("-----").filter(|(label, _)| is_label(label));
        let (label, after_label) = label.ok_or(KeyError::NotAKey)?;
        let no_end = || KeyError::NoEnd { label: label.to_owned() };
        let end_at = after_label.find(END).ok_or_else(no_end)?;
        let end_label =
            after_label[end_at + END.len()..].split_once("-----").filter(|(label, _)| is_label(label));
        let (end_label, rest) = end_label.ok_or_else(no_end)?;
        if end_label != label {
            return Err(KeyError::EndDiffers { begin: label.to_owned(), end: end_label.to_owned() });
        }
        let whole = &from_begin[..from_begin.len() - rest.len()];
        Ok(Some((Self { label, whole, body: &after_label[..end_at] }, rest)))
    }

    fn is_encrypted(&self) -> bool {
        self.body.contains("Proc-Type: 4,ENCRYPTED")
    }

    fn der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let mut letters = Zeroizing::new(String::with_capacity(self.body.len()));
        letters.extend(self.body.chars().filter(|c| !c.is_ascii_whitespace()));
        let decoded = base64::decode(&letters, Reading::Strict);
        decoded.map(|(der, _)| Zeroizing::new(der)).map_err(|source| KeyError::Base64 {
            label: self.label.to_owned(),
            line: self.first_foreign_line(),
            source,
        })
    }

    /// The first line that holds something else than base64, counted from the BEGIN line as 1; else the last line.
    fn first_foreign_line(&self) -> usize {
        let foreign = |c: char| !(c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "+/=".contains(c));
        let lines = self.body.trim_end().lines();
        lines.clone().position(|line| line.contains(foreign)).map_or(lines.count(), |before| before + 1)
    }
}

fn from_block(block: &Block<'_>, passphrase: Option<&[u8]>) -> Result<Key, KeyError> {
    match block.label {
        "RSA PRIVATE KEY" if block.is_encrypted() => {
            let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
            // AWS-LC's reader wants its lines as they were written.
            let pem = Zeroizing::new(format!("{}\n", block.whole));
            private(aws_lc::RsaPrivateKey::from_legacy_pem(pem.as_bytes(), passphrase))
        }
        "RSA PRIVATE KEY" => private_pkcs1(&block.der()?),
        "PRIVATE KEY" => private_pkcs8(&block.der()?),
        "ENCRYPTED PRIVATE KEY" => private_encrypted(&block.der()?, passphrase),
        "PUBLIC KEY" => public_spki(&block.der()?),
        "RSA PUBLIC KEY" => public_pkcs1(&block.der()?),
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => public_certificate(&block.der()?),
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Err(KeyError::Request),
        "OPENSSH PRIVATE KEY" => Err(KeyError::OpenSsh),
        "PGP PRIVATE KEY BLOCK" | "PGP PUBLIC KEY BLOCK" => Err(KeyError::Pgp),
        "DSA PRIVATE KEY" => Err(KeyError::NotRsa { algorithm: "a DSA" }),
        label => Err(KeyError::Label { label: label.to_owned() }),
    }
}

/// DER says nothing of what it is, but the structures differ in their first fields.
fn from_der(der: &[u8], passphrase: Option<&[u8]>) -> Result<Key, KeyError> {
    if PrivateKeyInfo::from_der(der).is_ok() {
        private_pkcs8(der)
    } else if pkcs1::RsaPrivateKey::from_der(der).is_ok() {
        private_pkcs1(der)
    } else if SubjectPublicKeyInfoRef::from_der(der).is_ok() {
        public_spki(der)
    } else if pkcs1::RsaPublicKey::from_der(der).is_ok() {
        public_pkcs1(der)
    } else if Certificate::from_der(der).is_ok() {
        public_certificate(der)
    } else if EncryptedPrivateKeyInfo::from_der(der).is_ok() {
        private_encrypted(der, passphrase)
    } else if CertReq::from_der(der).is_ok() {
        Err(KeyError::Request)
    } else if der.windows(PKCS12_DATA.len()).take(32).any(|window| window == PKCS12_DATA) {
        Err(KeyError::Pkcs12)
    } else {
        Err(KeyError::NotAKey)
    }
}

/// The content type `data` of PKCS#7, which stands near the front of every PKCS#12 file.
const PKCS12_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];

fn private_pkcs8(der: &[u8]) -> Result<Key, KeyError> {
    let info =
        PrivateKeyInfo::from_der(der).map_err(|_| KeyError::Malformed { what: "private key (PKCS#8)" })?;
    if info.algorithm.oid == X_WING {
        return XWingPrivateKey::from_pkcs8(&info).map(|key| Key::XWingPrivate(Box::new(key)));
    }
    rsa_only(&info.algorithm.oid)?;
    private_pkcs1(info.private_key)
}

fn private_pkcs1(der: &[u8]) -> Result<Key, KeyError> {
    let malformed = KeyError::Malformed { what: "private key (PKCS#1)" };
    let numbers = pkcs1::RsaPrivateKey::from_der(der).map_err(|_| malformed.clone())?;
    judge(&numbers.modulus, &numbers.public_exponent)?;
    match aws_lc::RsaPrivateKey::from_pkcs1_der(der) {
        Ok(key) => Ok(Key::RsaPrivate(RsaPrivateKey::new(key))),
        Err(_) => Err(malformed),
    }
}

fn private_encrypted(der: &[u8], passphrase: Option<&[u8]>) -> Result<Key, KeyError> {
    let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
    private(aws_lc::RsaPrivateKey::from_encrypted_pkcs8_der(der, passphrase))
}

fn private(key: Result<aws_lc::RsaPrivateKey, aws_lc::KeyError>) -> Result<Key, KeyError> {
    let key = key.map_err(|err| match err {
        aws_lc::KeyError::NotRsa => KeyError::NotRsa { algorithm: "another" },
        aws_lc::KeyError::UnsupportedEncryption => KeyError::Encryption,
        aws_lc::KeyError::Malformed => KeyError::Malformed { what: "encrypted private key" },
        _ => KeyError::PassphraseWrong,
    })?;
    weak::check(&key.public().modulus(), &key.public().exponent()).map_err(KeyError::Weak)?;
    Ok(Key::RsaPrivate(RsaPrivateKey::new(key)))
}

fn public_certificate(der: &[u8]) -> Result<Key, KeyError> {
    let malformed = || KeyError::Malformed { what: "certificate" };
    let certificate = Certificate::from_der(der).map_err(|_| malformed())?;
    let spki = certificate.tbs_certificate.subject_public_key_info.to_der().map_err(|_| malformed())?;
    public_spki(&spki)
}

fn public_spki(der: &[u8]) -> Result<Key, KeyError> {
    let malformed = || KeyError::Malformed { what: "public key" };
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| malformed())?;
    if info.algorithm.oid == X_WING {
        return XWingRecipientKey::from_spki(&info).map(Key::XWingPublic);
    }
    rsa_only(&info.algorithm.oid)?;
    public_pkcs1(info.subject_public_key.as_bytes().ok_or_else(malformed)?)
}

fn public_pkcs1(der: &[u8]) -> Result<Key, KeyError> {
    let malformed = || KeyError::Malformed { what: "public key" };
    let numbers = pkcs1::RsaPublicKey::from_der(der).map_err(|_| malformed())?;
    judge(&numbers.modulus, &numbers.public_exponent)?;
    let key = aws_lc::RsaPublicKey::from_pkcs1_der(der).map_err(|_| malformed())?;
    Ok(Key::RsaPublic(RsaRecipientKey::new(key)))
}

fn judge(modulus: &UintRef<'_>, exponent: &UintRef<'_>) -> Result<(), KeyError> {
    weak::check(modulus.as_bytes(), exponent.as_bytes()).map_err(KeyError::Weak)
}

fn rsa_only(algorithm: &ObjectIdentifier) -> Result<(), KeyError> {
    let algorithm = match *algorithm {
        RSA_ENCRYPTION => return Ok(()),
        RSA_PSS => "an RSA-PSS (signing)",
        EC => "an elliptic-curve",
        ED25519 => "an Ed25519",
        _ => "another",
    };
    Err(KeyError::NotRsa { algorithm })
}

/// Takes off what environment variables and copying add: quotes, white space, line ends written as `\n`.
fn unescape(text: &str) -> Zeroizing<String> {
    let text = text.trim().trim_start_matches('\u{feff}');
    let quoted = |quote| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    let text = quoted('"').or_else(|| quoted('\'')).unwrap_or(text);
    // Room for everything, so that no copy of a private key is left behind by growing.
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    for (n, line) in text.trim().split("\\n").enumerate() {
        if n > 0 {
            plain.push('\n');
        }
        plain.push_str(line.strip_suffix("\\r").unwrap_or(line));
    }
    plain
}

fn not_pem(text: &str) -> KeyError {
    if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
        KeyError::OpenSsh
    } else if text.starts_with("PuTTY-User-Key-File") {
        KeyError::Putty
    } else if text.starts_with("arn:") {
        KeyError::Arn
    } else {
        KeyError::NotAKey
    }
}

/// Whether `text` can be a label. Messages show labels; were a damaged BEGIN line taken for one, they would show the
/// beginning of the key that follows it.
fn is_label(text: &str) -> bool {
    text.len() <= LABEL_LEN_MAX
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ')
}

/// `der` as PEM under `label`.
pub(crate) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let letters = Zeroizing::new(base64::encode(der));
    // Room for everything, so that no copy of a private key is left behind by growing.
    let room = letters.len() * (LINE_LEN + 1) / LINE_LEN + 2 * (label.len() + 20);
    let mut pem = Zeroizing::new(String::with_capacity(room));
    pem.push_str("-----BEGIN ");
    pem.push_str(label);
    pem.push_str("-----\n");
    for line in letters.as_bytes().chunks(LINE_LEN) {
        pem.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        pem.push('\n');
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}

#[cfg(test)]
mod tests;
