//! Holds one preset against files, place by place.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use waxwing_formats::base64::Reading;
use waxwing_formats::body::BodyCipher;
use waxwing_formats::record::Record;

use super::given::is_jwe;
use super::{Fact, Given, Speaks};
use crate::document::{Document, DocumentError, DocumentKind, Selected, zip};
use crate::encoding::Encoding;
use crate::model::{
    Check, FieldSize, Hash, ITEM, Layout, Number, Origin, PartKind, Profile, Selector, Source,
    UnwrapAlgorithm, Value, Verify,
};

/// What the observations count.
const PLACE: i32 = 2;
const WORD: i32 = 2;
const EXPECTED: i32 = 3;
const LENGTH: i32 = 1;
const AGAINST: i32 = -3;
const MISSING: i32 = -2;
/// An RSA modulus of 1024 to 8192 bits, in bytes.
const MODULUS_LENS: [u64; 7] = [128, 192, 256, 384, 512, 768, 1024];
/// What key services make of a 32-byte key, with room: AWS about 180 bytes, Google 113.
const KMS_BLOB_LENS: std::ops::RangeInclusive<u64> = 100..=512;
const BLOCK_LEN: u64 = 16;

/// Everything that was seen.
#[derive(Default)]
pub(super) struct Observed {
    pub(super) facts: Vec<Fact>,
    /// How many places and words of documents spoke for the preset.
    pub(super) named: usize,
    pub(super) contradicted: bool,
    pub(super) only_bodies_missing: bool,
}

/// Whether a file can be this part at all: a document in which at least one place is there, or bytes.
pub(super) fn may_be(profile: &Profile, part: &str, kind: PartKind, file: &Given) -> bool {
    let Some(kind) = document_kind(kind) else {
        return match kind {
            PartKind::Zip => file.members.is_some(),
            _ => !file.is_structured(),
        };
    };
    let Some(document) = file.document(kind) else { return false };
    selectors(profile).any(|at| at.part == part && matches!(document.select(&at.path), Ok(Some(_)) | Err(_)))
}

fn document_kind(kind: PartKind) -> Option<DocumentKind> {
    Some(match kind {
        PartKind::Json => DocumentKind::Json,
        PartKind::Xml => DocumentKind::Xml,
        PartKind::Headers => DocumentKind::Headers,
        PartKind::Text => DocumentKind::Text,
        PartKind::Jwe => DocumentKind::Jwe,
        PartKind::Raw | PartKind::Zip => return None,
    })
}

/// The places of a profile's byte strings, documents, lists and expectations.
fn selectors(profile: &Profile) -> impl Iterator<Item = &Selector> {
    fn of<'a>(source: &'a Source, found: &mut Vec<&'a Selector>) {
        match &source.origin {
            Origin::At { at, .. } => found.push(at),
            Origin::Computed(_, args) => args.iter().for_each(|arg| of(arg, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    profile.bytes.values().for_each(|source| of(source, &mut found));
    found.extend(profile.parts.iter().filter_map(|(_, part)| part.from.as_ref()));
    found.extend(profile.repeat.as_ref().map(|repeat| &repeat.over));
    found.extend(profile.expects.iter().map(|expect| &expect.at));
    found.into_iter()
}

/// Bytes: how many, and which, where they are at hand.
#[derive(Clone)]
struct Extent {
    len: u64,
    held: Option<Vec<u8>>,
}

impl Extent {
    fn range(&self, start: u64, end: u64) -> Self {
        let held = self.held.as_ref().and_then(|held| {
            Some(held.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)?.to_vec())
        });
        Self { len: end - start, held }
    }
}

/// A document of the message: a file, or found inside one.
enum Held<'a> {
    File(&'a Document),
    Inner(Document),
}

impl Held<'_> {
    fn document(&self) -> &Document {
        match self {
            Self::File(document) => document,
            Self::Inner(document) => document,
        }
    }
}

pub(super) struct Evidence<'a> {
    profile: &'a Profile,
    documents: &'a BTreeMap<&'a str, Held<'a>>,
    raw: BTreeMap<&'a str, &'a Given>,
    item: Option<Selected<'a>>,
    known: BTreeMap<String, Option<Extent>>,
    seen: BTreeSet<Selector>,
    observed: Observed,
}

impl<'a> Evidence<'a> {
    /// Holds `profile` against the files that its parts were `given`, and adds the bodies that the message names.
    pub(super) fn observe(
        profile: &'a Profile,
        parts: &[(&'a str, PartKind)],
        given: &mut Vec<(String, usize)>,
        files: &'a [Given],
    ) -> Observed {
        let mut observed = Observed { only_bodies_missing: true, ..Observed::default() };
        let mut raw = BTreeMap::new();
        let mut documents = BTreeMap::new();
        for &(name, kind) in parts {
            let file = given.iter().find(|(part, _)| part == name).map(|&(_, file)| &files[file]);
            match (file, document_kind(kind)) {
                (Some(file), None) => drop(raw.insert(name, file)),
                (Some(file), Some(kind)) => {
                    documents.insert(name, Held::File(file.document(kind).expect("it may be this part")));
                }
                (None, kind) => {
                    observed.only_bodies_missing &= kind.is_none();
                    let text = format!("no file is the part `{name}`");
                    observed.facts.push(Fact { speaks: Speaks::Missing, text, weight: MISSING });
                }
            }
        }
        inner_documents(profile, files, &mut documents, &mut observed);
        let mut evidence = Evidence {
            profile,
            documents: &documents,
            raw,
            item: None,
            known: BTreeMap::new(),
            seen: BTreeSet::new(),
            observed,
        };
        evidence.bodies(given, files);
        evidence.all(given, files);
        evidence.observed
    }

    fn all(&mut self, given: &[(String, usize)], files: &[Given]) {
        self.expects();
        let algorithm = self.value(&self.profile.unwrap.algorithm);
        if algorithm == Some(UnwrapAlgorithm::RsaOaep) {
            for value in [&self.profile.unwrap.hash, &self.profile.unwrap.mgf1].into_iter().flatten() {
                self.value(value);
            }
        }
        let cipher = self.value(&self.profile.content.cipher);
        self.value(&self.profile.content.key_bits);
        if let Some(Number::At(at)) = self.profile.content.regions.as_ref().map(|regions| &regions.data_len) {
            self.place(at, Encoding::IntText, false);
        }
        if let Some(at) = &self.profile.unwrap.context {
            self.place(at, Encoding::Utf8, false);
        }
        let names: Vec<&str> = self.profile.bytes.keys().map(String::as_str).collect();
        let fields = self.profile.layouts.values().flat_map(|layout| &layout.fields);
        let names: Vec<&str> = names.into_iter().chain(fields.map(|field| field.name.as_str())).collect();
        for name in names {
            self.named(name);
        }
        let (unwrap, content) = (&self.profile.unwrap, &self.profile.content);
        for source in [&unwrap.label, &unwrap.aad, &content.aad].into_iter().flatten() {
            self.source(source, "a source");
        }
        for verify in &self.profile.verifies {
            self.verify(verify);
        }
        self.wrapped(algorithm);
        self.ciphertext(cipher);
        self.imitations();
        self.stated_scheme(given, files);
    }

    fn speaks(&mut self, weight: i32, text: String) {
        self.observed.facts.push(Fact { speaks: Speaks::For, text, weight });
    }

    /// A place or word of a document speaks for the preset.
    fn names(&mut self, weight: i32, text: String) {
        self.observed.named += 1;
        self.speaks(weight, text);
    }

    fn against(&mut self, text: String) {
        self.observed.contradicted = true;
        self.observed.facts.push(Fact { speaks: Speaks::Against, text, weight: AGAINST });
    }

    fn missing(&mut self, text: String) {
        self.observed.only_bodies_missing = false;
        self.observed.facts.push(Fact { speaks: Speaks::Missing, text, weight: MISSING });
    }

    /// What stands at a place: `None` too where the file itself is missing, which was said before.
    fn text(&self, at: &Selector) -> Result<Option<Option<Cow<'a, str>>>, DocumentError> {
        let selected = match (&self.item, at.part == ITEM) {
            (Some(item), true) => item.select(&at.path)?,
            (None, true) => return Ok(None),
            (_, false) => match self.documents.get(at.part.as_str()) {
                Some(held) => held.document().select(&at.path)?,
                None => return Ok(None),
            },
        };
        Ok(Some(selected.and_then(Selected::text)))
    }

    /// A place that must be there, unless it is `optional`: its bytes.
    fn place(&mut self, at: &Selector, encoding: Encoding, optional: bool) -> Option<Vec<u8>> {
        let is_new = self.seen.insert(at.clone());
        let text = match self.text(at) {
            Err(err) => {
                if is_new {
                    self.against(format!("`{at}`: {err}"));
                }
                return None;
            }
            Ok(None) => return None,
            Ok(Some(None)) => {
                if is_new && !optional {
                    self.missing(format!("`{at}` is not there"));
                }
                return None;
            }
            Ok(Some(Some(text))) => text,
        };
        match encoding.decode(&text) {
            Ok(bytes) if !bytes.is_empty() || optional => {
                if is_new {
                    self.names(PLACE, format!("`{at}` is {encoding}, {} bytes", bytes.len()));
                }
                Some(bytes)
            }
            Ok(_) => {
                self.against(format!("`{at}` is empty"));
                None
            }
            Err(err) => {
                self.against(format!("`{at}`: {err}"));
                None
            }
        }
    }

    fn expects(&mut self) {
        for expect in &self.profile.expects {
            self.seen.insert(expect.at.clone());
            let wanted = expect.is.join("` or `");
            match self.text(&expect.at) {
                Ok(None) => {}
                Ok(Some(Some(text))) if expect.is.iter().any(|word| *word == text) => {
                    self.names(EXPECTED, format!("`{}` is `{text}`", expect.at));
                }
                Ok(Some(Some(_))) => {
                    self.against(format!("`{}` is something else than `{wanted}`", expect.at))
                }
                Ok(Some(None)) => {
                    self.missing(format!("`{}` is not there: it should be `{wanted}`", expect.at));
                }
                Err(err) => self.against(format!("`{}`: {err}", expect.at)),
            }
        }
    }

    fn value<T: Clone>(&mut self, value: &Value<T>) -> Option<T> {
        let choice = match value {
            Value::Fixed(value) => return Some(value.clone()),
            Value::Chosen(choice) => choice,
        };
        let is_new = self.seen.insert(choice.at.clone());
        let text = self.text(&choice.at).ok()??;
        let Some(text) = text else {
            if choice.or.is_none() && is_new {
                self.missing(format!("`{}` is not there", choice.at));
            }
            return choice.or.clone();
        };
        let found = choice.map.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        match (&found, is_new) {
            (Some(_), true) => {
                self.names(WORD, format!("`{}` is `{text}`, a word of this scheme", choice.at))
            }
            (None, true) => self.against(format!("`{}` is no word of this scheme", choice.at)),
            (_, false) => {}
        }
        found
    }

    /// The bytes of this name, where no key is needed for them.
    fn named(&mut self, name: &str) -> Option<Extent> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let found = match (self.profile.bytes.get(name), self.profile.layout_of(name)) {
            (Some(source), _) => self.source(source, name),
            (None, Some((whole, layout))) => {
                let extent = self.named(whole);
                if let Some(extent) = extent {
                    self.cut(whole, &extent, layout);
                }
                self.known.get(name).cloned().flatten()
            }
            (None, None) => None,
        };
        self.known.insert(name.to_owned(), found.clone());
        found
    }

    fn source(&mut self, source: &Source, what: &str) -> Option<Extent> {
        let mut found = match &source.origin {
            Origin::At { at, also, encoding, or } => match self.raw_extent(at) {
                Some(extent) => extent,
                None => {
                    // The spelling that the message has.
                    let has = |at: &&Selector| matches!(self.text(at), Ok(Some(Some(_))));
                    let at = also.iter().find(has).unwrap_or(at);
                    let bytes = self.place(at, *encoding, or.is_some());
                    match (bytes, or) {
                        (Some(bytes), _) => Some(Extent { len: bytes.len() as u64, held: Some(bytes) }),
                        (None, Some(or)) => self.source(or, what),
                        (None, None) => None,
                    }
                }
            },
            Origin::Of(name) => self.named(name),
            Origin::Bytes(bytes) => Some(Extent { len: bytes.len() as u64, held: Some(bytes.clone()) }),
            Origin::Computed(_, args) => {
                for arg in args {
                    self.source(arg, what);
                }
                None
            }
            Origin::Secret { .. } | Origin::Index => None,
        }?;
        if let Some(slice) = source.slice {
            match slice.range(found.len) {
                Some(range) => found = found.range(range.start, range.end),
                None => {
                    self.against(format!("{} bytes are too few to hold `{what}`", found.len));
                    return None;
                }
            }
        }
        if !source.lens.is_empty() && !source.lens.iter().any(|&len| len as u64 == found.len) {
            let wanted = source.lens.iter().map(usize::to_string).collect::<Vec<_>>().join(" or ");
            self.against(format!("`{what}` has {} bytes instead of {wanted}", found.len));
        } else if !source.lens.is_empty() {
            self.speaks(LENGTH, format!("`{what}` has {} bytes, as it should", found.len));
        }
        Some(found)
    }

    /// The bytes of a file or member; `None` where `at` is a place in a document.
    fn raw_extent(&mut self, at: &Selector) -> Option<Option<Extent>> {
        let kind = self.profile.part(&at.part)?.kind;
        if document_kind(kind).is_some() {
            return None;
        }
        let Some(file) = self.raw.get(at.part.as_str()).copied() else { return Some(None) };
        if kind == PartKind::Raw {
            return Some(Some(Extent { len: file.len, held: Some(file.front.clone()) }));
        }
        let members = file.members.as_deref().unwrap_or_default();
        let found: Vec<_> = members.iter().filter(|(name, _)| zip::matches(&at.path, name)).collect();
        Some(match found[..] {
            [(_, len)] => {
                self.names(PLACE, format!("the archive has one member called `{}`", at.path));
                Some(Extent { len: *len, held: None })
            }
            _ => {
                self.missing(format!("{} members of the archive are called `{}`", found.len(), at.path));
                None
            }
        })
    }

    fn cut(&mut self, whole: &str, extent: &Extent, layout: &Layout) {
        let fixed = |size| if let FieldSize::Fixed(len) = size { len as u64 } else { 0 };
        let rest_at = layout.fields.iter().position(|field| field.size == FieldSize::Rest);
        let behind: u64 = layout
            .fields
            .iter()
            .skip(rest_at.unwrap_or(layout.fields.len()))
            .map(|field| fixed(field.size))
            .sum();
        let mut start = 0;
        for field in &layout.fields {
            let len = match field.size {
                FieldSize::Fixed(len) => Some(len as u64),
                FieldSize::Rest => extent.len.checked_sub(start + behind),
                FieldSize::Prefixed(width) => {
                    let digits = extent.range(start, start + width as u64).held;
                    start += width as u64;
                    digits.map(|digits| digits.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
                }
            };
            let end = len.and_then(|len| start.checked_add(len)).filter(|&end| end <= extent.len);
            let Some(end) = end.filter(|&end| end > start || field.size == FieldSize::Rest) else {
                self.against(format!(
                    "`{whole}` has {} bytes, in which `{}` does not fit",
                    extent.len, field.name
                ));
                return;
            };
            if matches!(field.size, FieldSize::Prefixed(_)) {
                let text = format!(
                    "the length in front of `{}` says {} bytes, and they are there",
                    field.name,
                    end - start
                );
                self.speaks(LENGTH, text);
            }
            self.known.insert(field.name.clone(), Some(extent.range(start, end)));
            start = end;
        }
    }

    fn verify(&mut self, verify: &Verify) {
        let found = self.source(&verify.equals, "what is compared");
        let Some(found) = found.filter(|_| verify.truncate.is_none()) else { return };
        let wanted = match &verify.check {
            Check::Hash(hash) => digest_len(*hash),
            Check::Hmac { hash, .. } => hash.output_len() as u64,
            Check::Size => return self.size(verify, &found),
            Check::Bytes => return,
        };
        if found.len == wanted {
            self.speaks(
                LENGTH,
                format!("the digest over `{}` has {wanted} bytes, as it should", verify.over),
            );
        } else {
            self.against(format!(
                "the digest over `{}` has {} bytes instead of {wanted}",
                verify.over, found.len
            ));
        }
    }

    fn size(&mut self, verify: &Verify, said: &Extent) {
        let said: Option<u64> =
            said.held.as_ref().and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let found = if verify.is_after() { None } else { self.named(&verify.over) };
        match (said, found) {
            (Some(said), Some(found)) if said == found.len => {
                self.speaks(LENGTH, format!("`{}` has {said} bytes, as the message says", verify.over));
            }
            (Some(said), Some(found)) => {
                self.against(format!("`{}` has {} bytes; the message says {said}", verify.over, found.len));
            }
            _ => {}
        }
    }

    /// Whether the wrapped key is as long as the algorithm makes it.
    fn wrapped(&mut self, algorithm: Option<UnwrapAlgorithm>) {
        let (Some(algorithm), Some(wrapped)) = (algorithm, self.known.get("wrapped").cloned().flatten())
        else {
            return;
        };
        let len = wrapped.len;
        let keys = [16, 24, 32].map(|key: u64| match algorithm {
            UnwrapAlgorithm::AesKw => key + 8,
            UnwrapAlgorithm::AesGcm => 12 + key + 16,
            _ => (key / BLOCK_LEN + 1) * BLOCK_LEN,
        });
        let (fits, shape) = match algorithm {
            UnwrapAlgorithm::RsaPkcs1 | UnwrapAlgorithm::RsaOaep => {
                (MODULUS_LENS.contains(&len), "what RSA makes")
            }
            UnwrapAlgorithm::Kms => (KMS_BLOB_LENS.contains(&len), "what a key service makes"),
            UnwrapAlgorithm::Direct => return,
            // Azure wraps its version in front of the key.
            UnwrapAlgorithm::AesKw => (keys.contains(&len) || len == 48, "AES key wrap's"),
            UnwrapAlgorithm::AesGcm => (keys.contains(&len), "IV, key and tag of AES-GCM"),
            UnwrapAlgorithm::AesEcbPkcs7 => (keys.contains(&len), "a padded key under AES-ECB"),
        };
        if fits {
            self.speaks(LENGTH, format!("the wrapped key has {len} bytes, {shape}"));
        } else {
            self.against(format!("the wrapped key has {len} bytes, not {shape}"));
        }
    }

    /// Whether the ciphertext is as long as the cipher makes it.
    fn ciphertext(&mut self, cipher: Option<BodyCipher>) {
        let (Some(cipher), Some(ciphertext)) = (cipher, self.known.get("ct").cloned().flatten()) else {
            return;
        };
        let block = match cipher {
            BodyCipher::Gcm | BodyCipher::Ctr => return,
            BodyCipher::CbcPkcs7Block32 => 2 * BLOCK_LEN,
            _ => BLOCK_LEN,
        };
        if ciphertext.len > 0 && ciphertext.len.is_multiple_of(block) {
            self.speaks(
                LENGTH,
                format!("the ciphertext has {} bytes, whole blocks of {block}", ciphertext.len),
            );
        } else {
            self.against(format!("the ciphertext has {} bytes, no whole blocks of {block}", ciphertext.len));
        }
    }

    /// Snowflake writes the header names of S3EC v1 and the JSON of Azure CSE v1, with keys that neither knows.
    fn imitations(&mut self) {
        let at = |part: &str, path: &str| Selector { part: part.to_owned(), path: path.to_owned() };
        let (place, sign, is_exact) = match self.profile.id.as_str() {
            "s3ec-v1-aes" | "s3ec-v1-rsa" => (at("metadata", "x-amz-matdesc"), "\"smkId\"", false),
            "azure-cse-v1" => (at("ed", "WrappedContentKey.KeyId"), "symmKey1", true),
            _ => return,
        };
        let Ok(Some(Some(text))) = self.text(&place) else { return };
        if if is_exact { text == sign } else { text.contains(sign) } {
            self.against(format!("`{place}` says {sign}: Snowflake writes that, in this scheme's form"));
        }
    }

    /// A record that states its scheme settles which of the record presets it is.
    fn stated_scheme(&mut self, given: &[(String, usize)], files: &[Given]) {
        let Some(preset) = self.profile.id.strip_prefix("record-") else { return };
        let Some((_, file)) = given.iter().find(|(part, _)| part == "record") else { return };
        let Ok((record, _)) = Record::decode(&files[*file].front, Reading::Strict) else { return };
        let Some(scheme) = record.scheme else { return };
        let stated = format!("{}-{}", scheme.wrap, scheme.cipher).replace("aes-", "");
        // `oaep-sha256-256-gcm` is the preset `oaep-sha256-gcm`; `pkcs1-128-cbc` is `pkcs1-cbc-128`.
        let words = |text: &str| {
            let mut words: Vec<String> = text.split('-').map(str::to_owned).collect();
            words.retain(|word| preset.starts_with("pkcs1") || !matches!(word.as_str(), "128" | "256"));
            words.sort();
            words
        };
        if words(&stated) == words(preset) {
            self.names(EXPECTED, format!("the record states the scheme {scheme}"));
        } else {
            self.against(format!("the record states the scheme {scheme}"));
        }
    }

    /// The bodies that the message names: by their names, else, where as many files are left, in the order of those.
    fn bodies(&mut self, given: &mut Vec<(String, usize)>, files: &'a [Given]) {
        let Some(repeat) = &self.profile.repeat else { return };
        let Some(held) = self.documents.get(repeat.over.part.as_str()) else { return };
        let items = match held.document().items(&repeat.over.path) {
            Ok(items) if !items.is_empty() => items,
            Ok(_) | Err(_) => return self.missing(format!("`{}` is no list with an entry", repeat.over)),
        };
        self.item = items.first().copied();
        self.names(PLACE, format!("`{}` has {} entries", repeat.over, items.len()));
        let names: Vec<String> = items
            .iter()
            .take(super::FILES_MAX)
            .filter_map(|item| item.select(&repeat.name).ok().flatten()?.text().map(Cow::into_owned))
            .collect();
        let is_free = |given: &[(String, usize)], at: usize| {
            !files[at].is_structured() && given.iter().all(|&(_, used)| used != at)
        };
        let mut unnamed = Vec::new();
        for name in names {
            match (0..files.len()).find(|&at| files[at].name == name && is_free(given, at)) {
                Some(at) => {
                    self.names(PLACE, "a file has the name that the list has for it".to_owned());
                    given.push((name, at));
                }
                None => unnamed.push(name),
            }
        }
        let left: Vec<usize> = (0..files.len()).filter(|&at| is_free(given, at)).collect();
        if left.len() == unnamed.len() {
            given.extend(unnamed.into_iter().zip(left));
        } else {
            for name in unnamed {
                let text = format!("no file is the body `{}`", name.escape_debug());
                self.observed.facts.push(Fact { speaks: Speaks::Missing, text, weight: MISSING });
            }
        }
        let first = given.iter().find(|(name, _)| self.profile.part(name).is_none());
        if let Some(&(_, at)) = first {
            self.raw.insert(&repeat.body, &files[at]);
        }
    }
}

fn digest_len(hash: Hash) -> u64 {
    match hash {
        Hash::Md5 => 16,
        Hash::Sha1 => 20,
        Hash::Sha256 => 32,
        Hash::Sha384 => 48,
        Hash::Sha512 => 64,
    }
}

/// Reads the documents that stand inside others. A JWE may stand bare, or in another field than the preset's.
fn inner_documents<'a>(
    profile: &'a Profile,
    files: &'a [Given],
    documents: &mut BTreeMap<&'a str, Held<'a>>,
    observed: &mut Observed,
) {
    for (name, part) in &profile.parts {
        let (Some(from), Some(kind)) = (&part.from, document_kind(part.kind)) else { continue };
        let text = documents
            .get(from.part.as_str())
            .and_then(|held| held.document().select(&from.path).ok().flatten()?.text().map(Cow::into_owned));
        if let Some(text) = text {
            match Document::parse(kind, text.as_bytes()) {
                Ok(inner) => {
                    observed.named += 1;
                    let text = format!("`{from}` holds a document of its own");
                    observed.facts.push(Fact { speaks: Speaks::For, text, weight: PLACE });
                    documents.insert(name, Held::Inner(inner));
                }
                Err(err) => {
                    observed.contradicted = true;
                    let text = format!("`{from}`: {err}");
                    observed.facts.push(Fact { speaks: Speaks::Against, text, weight: AGAINST });
                }
            }
            continue;
        }
        let mut missing = format!("`{from}` is not there");
        if kind == DocumentKind::Jwe {
            for file in files {
                if let Some(token) = file.document(DocumentKind::Jwe) {
                    documents.insert(name, Held::File(token));
                    missing = format!(
                        "the token stands bare, and not at `{from}`: put it there, or write a profile of your own"
                    );
                } else if let Some((path, token)) =
                    file.document(DocumentKind::Json).and_then(|json| json.find_text(is_jwe))
                    && let Ok(token) = Document::parse(kind, token.as_bytes())
                {
                    documents.insert(name, Held::Inner(token));
                    missing = format!(
                        "the token stands at `{path}`, and not at `{from}`: write a profile of your own that says so"
                    );
                }
            }
        }
        observed.only_bodies_missing = false;
        observed.facts.push(Fact { speaks: Speaks::Missing, text: missing, weight: MISSING });
    }
}
