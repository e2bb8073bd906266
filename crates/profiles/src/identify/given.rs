//! The files of a message, as far as they are looked at.

use std::io::{self, Read, Seek, SeekFrom};

use crate::document::{Document, DocumentError, DocumentKind, zip};

/// The most bytes of a file that are looked at. A longer one is no document, and only its length counts.
pub const READ_MAX: usize = 16 << 20;
/// The most files of a message that are looked at.
pub const FILES_MAX: usize = 64;
/// The most bytes whose distribution is counted.
const SAMPLE_LEN: usize = 1 << 20;
/// Fewer bytes than this say nothing about how random they look.
const SAMPLE_LEN_MIN: usize = 64;
/// Pearson's test of 256 equally likely bytes has 255 degrees of freedom: mean 255, standard deviation 22.6. Random bytes
/// exceed this bound, six deviations above, less than once in a million.
const CHI_SQUARED_MAX: f64 = 391.0;

/// A file that was given.
#[derive(Debug)]
pub struct Given {
    /// Its name, without folders.
    pub name: String,
    /// Bytes in it.
    pub len: u64,
    /// Its first bytes, or all.
    pub(super) front: Vec<u8>,
    /// What it reads as.
    documents: Vec<(DocumentKind, Document)>,
    /// What a ZIP archive has in it.
    pub(super) members: Option<Vec<(String, u64)>>,
    /// Why it is no document although it looks like one.
    pub refused: Option<DocumentError>,
}

impl Given {
    /// Looks at a file.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn read(name: impl Into<String>, mut file: impl Read + Seek) -> io::Result<Self> {
        let len = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut front = Vec::new();
        file.by_ref().take(READ_MAX as u64).read_to_end(&mut front)?;
        let mut given =
            Self { name: name.into(), len, front, documents: Vec::new(), members: None, refused: None };
        if given.front.starts_with(b"PK\x03\x04") {
            given.members = zip::members(file).ok();
        } else if given.is_whole() {
            given.parse();
        }
        if given.documents.is_empty() {
            given.front.truncate(SAMPLE_LEN);
            given.front.shrink_to_fit();
        }
        Ok(given)
    }

    fn parse(&mut self) {
        let text = self.front.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.front);
        let kinds: &[DocumentKind] = match text.trim_ascii_start().first() {
            Some(b'{') => &[DocumentKind::Json, DocumentKind::Headers],
            Some(b'[') => &[DocumentKind::Json],
            Some(b'<') => &[DocumentKind::Xml],
            Some(_) => &[DocumentKind::Jwe, DocumentKind::Headers, DocumentKind::Text],
            None => &[],
        };
        for &kind in kinds {
            match Document::parse(kind, &self.front) {
                Ok(document) => self.documents.push((kind, document)),
                Err(err) if matches!(kind, DocumentKind::Json | DocumentKind::Xml) => {
                    let is_text = std::str::from_utf8(&self.front).is_ok();
                    self.refused = is_text.then_some(err);
                }
                Err(_) => {}
            }
        }
    }

    /// The file read as `kind`, if it can be.
    pub(super) fn document(&self, kind: DocumentKind) -> Option<&Document> {
        self.documents.iter().find(|(known, _)| *known == kind).map(|(_, document)| document)
    }

    /// Whether all of it was looked at.
    pub(super) fn is_whole(&self) -> bool {
        self.front.len() as u64 == self.len
    }

    /// Whether it is JSON or XML, and so no ciphertext.
    pub fn is_structured(&self) -> bool {
        self.refused.is_some()
            || [DocumentKind::Json, DocumentKind::Xml].iter().any(|&kind| self.document(kind).is_some())
    }

    /// Whether its bytes are as evenly spread as those of a ciphertext, or of what was packed well. Short files do not tell.
    pub fn looks_random(&self) -> bool {
        let sample = &self.front[..self.front.len().min(SAMPLE_LEN)];
        if sample.len() < SAMPLE_LEN_MIN || sample.is_ascii() {
            return false;
        }
        let mut counts = [0u32; 256];
        sample.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
        let expected = sample.len() as f64 / 256.0;
        let chi_squared: f64 =
            counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
        chi_squared < CHI_SQUARED_MAX
    }

    /// Who sent it, or for which key it is, as far as the file says so: the first of the places where schemes have it.
    pub fn sender(&self) -> Option<String> {
        const PLACES: [(DocumentKind, &str); 19] = [
            (DocumentKind::Json, "AgentID"),
            (DocumentKind::Json, "KeyId"),
            (DocumentKind::Json, "keyId"),
            (DocumentKind::Json, "encryptedPayload.publicKeyFingerprint"),
            (DocumentKind::Json, "value.0.encryptedContent.encryptionCertificateId"),
            (DocumentKind::Json, "SaleToPOIRequest.SecurityTrailer.KeyIdentifier"),
            (DocumentKind::Json, "encryption.publicKeyId"),
            (DocumentKind::Json, "x-amz-meta-sender"),
            (DocumentKind::Json, "kid"),
            (DocumentKind::Jwe, "header.kid"),
            (DocumentKind::Headers, "x-encryption-certificate-fingerprint"),
            (DocumentKind::Headers, "x-public-key-fingerprint"),
            (DocumentKind::Xml, "//Issuer"),
            (DocumentKind::Xml, "//KeyName"),
            (DocumentKind::Xml, "//X509IssuerName"),
            (DocumentKind::Xml, "//FATCAEntitySenderId"),
            (DocumentKind::Xml, "xml/AgentID"),
            (DocumentKind::Xml, "xml/ToUserName"),
            (DocumentKind::Xml, "data/@id"),
        ];
        let at = |document: &Document, path: &str| {
            let text = document.select(path).ok().flatten()?.text()?.trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let said = PLACES.iter().find_map(|&(kind, path)| at(self.document(kind)?, path));
        said.or_else(|| self.inner_key_id())
    }

    /// The key id of a document inside the document: a JWE in a field, Azure's `encryptiondata`.
    fn inner_key_id(&self) -> Option<String> {
        let json = self.document(DocumentKind::Json)?;
        let text_at = |document: &Document, path: &str| {
            document.select(path).ok().flatten()?.text().map(std::borrow::Cow::into_owned)
        };
        if let Some(text) = text_at(json, "encryptiondata") {
            let inner = Document::parse(DocumentKind::Json, text.as_bytes()).ok()?;
            return text_at(&inner, "WrappedContentKey.KeyId");
        }
        let (_, token) = json.find_text(is_jwe)?;
        text_at(&Document::parse(DocumentKind::Jwe, token.as_bytes()).ok()?, "header.kid")
    }
}

/// Whether a text is a JWE in its compact form.
pub(super) fn is_jwe(text: &str) -> bool {
    text.starts_with("eyJ") && Document::parse(DocumentKind::Jwe, text.as_bytes()).is_ok()
}
