//! Finds out why a message does not open: tries what partners get wrong.
//!
//! **A loop of guesses is an oracle.** This is for the key's holder, on one message, on a machine of their own; the worker
//! never does it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use waxwing_core::content::Legacy;
use waxwing_formats::body::BodyCipher;
use waxwing_formats::scheme::Wrap;
use waxwing_keyring::BlobError;
use waxwing_profiles::{
    Check, Encoding, Function, Origin, PartKind, Profile, Slice, Source, UNWRAPPED, UnwrapAlgorithm, Value,
};

use super::error::MessageError;
use super::evaluate::Evaluation;
use super::keys::ProfileKeys;
use super::message::{Message, Parts};
use super::open::open_message;
use crate::io::Output;
use crate::{Error, Work};

/// The longest message that is diagnosed: it is decrypted in many ways.
pub const DIAGNOSED_LEN_MAX: u64 = 16 << 20;
/// Bytes of plaintext that are looked at.
const HEAD_LEN: usize = 256;
/// The most readings of one content that are tried.
const READINGS_MAX: usize = 4000;
/// How a partner may write bytes as text.
const WRITTEN: [Encoding; 5] =
    [Encoding::Base64, Encoding::Hex, Encoding::Base64Url, Encoding::Base64Any, Encoding::Utf8];

/// What was found.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// In one word.
    pub verdict: Verdict,
    /// What is different from the profile, one line each, and what speaks for the verdict.
    pub findings: Vec<String>,
    /// The profile that opens the message, where one was found.
    pub profile: Option<Profile>,
    /// Whether that is proven, by a tag, a MAC or a digest of the content. Otherwise the content merely makes sense.
    pub certain: bool,
}

/// What [`diagnose`] concludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The message opens as the profile says.
    Opens,
    /// It opens if the profile is changed.
    OpensChanged,
    /// It was wrapped for another key, or the wrapped key was damaged: nothing can tell these two apart.
    WrongKey,
    /// The wrapped key is for this key, but in none of the ways that are known.
    UnknownWrap,
    /// The key unwraps. The content was damaged, or encrypted in a way that is not known.
    Content,
    /// The message is not of this profile.
    OtherScheme,
}

/// Why `profile` does not open the message whose files `parts` gives, as often as it is asked.
///
/// # Errors
///
/// The system's, and [`Error::Message`] for what is missing from the key holder's side.
pub fn diagnose(
    profile: &Profile,
    parts: &dyn Fn() -> Result<Parts, Error>,
    keys: &ProfileKeys,
    work: &Work<'_>,
) -> Result<Diagnosis, Error> {
    let patient = Patient { parts, keys, work };
    let mut suspect = Suspect { profile: profile.clone(), findings: Vec::new() };
    patient.right_encodings(&mut suspect)?;
    match patient.open(&suspect.profile)? {
        Outcome::Opens { head } if suspect.is_certain() || makes_sense(&head) => {
            return Ok(suspect.conclude());
        }
        Outcome::Refused(err) => {
            if let Some(diagnosis) = patient.refused(&mut suspect, err)? {
                return Ok(diagnosis);
            }
        }
        Outcome::Opens { .. } | Outcome::Fails => {}
    }
    if let Some(diagnosis) = patient.right_wrap(&mut suspect)? {
        return Ok(diagnosis);
    }
    patient.right_content(suspect)
}

/// A profile on its way to the truth.
#[derive(Clone)]
struct Suspect {
    profile: Profile,
    findings: Vec<String>,
}

impl Suspect {
    /// Whether opening proves that everything is right.
    fn is_certain(&self) -> bool {
        let digest = |check: &Check| matches!(check, Check::Hash(_) | Check::Hmac { .. });
        // A MAC over the ciphertext says nothing of the IV.
        self.profile.content.cipher.possible().all(|cipher| cipher.is_authenticated())
            || self.profile.verifies.iter().any(|verify| verify.is_after() && digest(&verify.check))
    }

    fn conclude(self) -> Diagnosis {
        let verdict = if self.findings.is_empty() { Verdict::Opens } else { Verdict::OpensChanged };
        let certain = self.is_certain();
        Diagnosis { verdict, findings: self.findings, profile: Some(self.profile), certain }
    }

    fn fails(self, verdict: Verdict, why: impl Into<String>) -> Diagnosis {
        let mut findings = self.findings;
        findings.push(why.into());
        Diagnosis { verdict, findings, profile: None, certain: false }
    }
}

/// What one try to open came to.
enum Outcome {
    Opens {
        head: Vec<u8>,
    },
    /// Before a key was used.
    Refused(MessageError),
    /// After a key was used.
    Fails,
}

struct Patient<'a> {
    parts: &'a dyn Fn() -> Result<Parts, Error>,
    keys: &'a ProfileKeys,
    work: &'a Work<'a>,
}

impl Patient<'_> {
    fn open(&self, profile: &Profile) -> Result<Outcome, Error> {
        let head = Head::default();
        let output = Output::Stream(Box::new(head.clone()));
        match open_message(
            profile,
            (self.parts)()?,
            output,
            self.keys,
            Legacy::Accepted,
            &Work { observer: &(), ..*self.work },
        ) {
            Ok(_) => Ok(Outcome::Opens { head: head.take() }),
            Err(Error::Message(
                err @ (MessageError::NoKey { .. }
                | MessageError::NoSecret { .. }
                | MessageError::NoPart { .. }),
            )) => Err(err.into()),
            Err(Error::Message(err)) => Ok(Outcome::Refused(err)),
            Err(Error::Open(_)) => Ok(Outcome::Fails),
            Err(err) => Err(err),
        }
    }

    /// Finds the encodings in which everything has the length that it must have.
    fn right_encodings(&self, suspect: &mut Suspect) -> Result<(), Error> {
        for name in ["wrapped", "iv", "tag", "ct"] {
            let Some(Origin::At { at, encoding, .. }) =
                suspect.profile.bytes.get(name).map(|source| &source.origin)
            else {
                continue;
            };
            if suspect.profile.repeat.is_some() || self.fits(&suspect.profile, name)? {
                continue;
            }
            let (at, written) = (at.clone(), *encoding);
            let is_file = suspect.profile.part(&at.part).is_some_and(|part| part.kind.is_unbounded());
            if is_file && name != "wrapped" {
                continue;
            }
            for encoding in WRITTEN.into_iter().filter(|&encoding| encoding != written) {
                let change = |profile: &mut Profile| {
                    if let Some((_, part)) =
                        profile.parts.iter_mut().find(|(part, _)| is_file && *part == at.part)
                    {
                        part.kind = PartKind::Text;
                    }
                    if let Some(Source { origin: Origin::At { encoding: known, .. }, .. }) =
                        profile.bytes.get_mut(name)
                    {
                        *known = encoding;
                    }
                };
                let Ok(changed) = suspect.profile.changed(change) else { continue };
                if self.fits(&changed, name)? {
                    suspect.profile = changed;
                    suspect.findings.push(format!("`{at}` is written as {encoding}, not as {written}"));
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether a name's bytes decode, and have a length that they may have.
    fn fits(&self, profile: &Profile, name: &str) -> Result<bool, Error> {
        let message = match Message::read(profile, (self.parts)()?, self.work) {
            Err(Error::Message(_)) => return Ok(true),
            read => read?,
        };
        let values = Evaluation::new(profile, &message, &self.keys.secrets);
        let len = match values.bytes(name) {
            Ok(bytes) => bytes.len(),
            Err(Error::Message(MessageError::Encoding { .. } | MessageError::Length { .. })) => {
                return Ok(false);
            }
            Err(Error::Message(_)) => return Ok(true),
            Err(err) => return Err(err),
        };
        let ciphers: Vec<BodyCipher> = profile.content.cipher.possible().copied().collect();
        Ok(match (name, &self.keys.rsa) {
            ("wrapped", Some(rsa)) => len == rsa.modulus_len() as u64,
            ("iv", _) => {
                ciphers.iter().any(|cipher| cipher.iv_lens().iter().any(|&known| known as u64 == len))
            }
            _ => true,
        })
    }

    /// What is wrong before a key is used, and what may be done about it. `None`: go on.
    fn refused(&self, suspect: &mut Suspect, err: MessageError) -> Result<Option<Diagnosis>, Error> {
        match err {
            MessageError::Wrapped(BlobError::WrappedLength { len, expected }) => {
                let why = format!(
                    "the wrapped key is {len} bytes long, and this RSA key makes {expected}: it was wrapped for a key of {} bits, or cut",
                    len * 8
                );
                Ok(Some(suspect.clone().fails(Verdict::WrongKey, why)))
            }
            MessageError::Mismatch { check, over } => {
                let Some(without) = self.without_check(suspect, &over)? else {
                    let why = format!(
                        "the {check} of `{over}` is not what the message says: it was damaged or exchanged"
                    );
                    return Ok(Some(suspect.clone().fails(Verdict::Content, why)));
                };
                *suspect = without;
                match self.open(&suspect.profile)? {
                    Outcome::Opens { head } if suspect.is_certain() || makes_sense(&head) => {
                        Ok(Some(suspect.clone().conclude()))
                    }
                    _ => Ok(None),
                }
            }
            err @ MessageError::Length { .. } => {
                suspect.findings.push(err.to_string());
                // A length that the profile does not take may be another place for the IV or the tag.
                Ok(None)
            }
            err => Ok(Some(suspect.clone().fails(Verdict::OtherScheme, chain(&err)))),
        }
    }

    /// The profile with a failing comparison put right, or without it.
    fn without_check(&self, suspect: &Suspect, over: &str) -> Result<Option<Suspect>, Error> {
        for (index, verify) in
            suspect.profile.verifies.iter().enumerate().filter(|(_, verify)| verify.over == over)
        {
            let Origin::At { at, encoding, .. } = &verify.equals.origin else { continue };
            let (at, written) = (at.clone(), *encoding);
            for encoding in WRITTEN.into_iter().filter(|&encoding| encoding != written) {
                let change = |profile: &mut Profile| {
                    if let Origin::At { encoding: known, .. } = &mut profile.verifies[index].equals.origin {
                        *known = encoding;
                    }
                };
                if let Ok(changed) = suspect.profile.changed(change)
                    && !matches!(self.open(&changed)?, Outcome::Refused(_))
                {
                    let mut better = suspect.clone();
                    better.profile = changed;
                    better.findings.push(format!("`{at}` is written as {encoding}, not as {written}"));
                    return Ok(Some(better));
                }
            }
            let swap = |profile: &mut Profile| {
                profile.verifies[index].over = "plaintext".to_owned();
            };
            if over == "ct"
                && let Ok(swapped) = suspect.profile.changed(swap)
                && matches!(self.open(&swapped)?, Outcome::Opens { .. })
            {
                let mut better = suspect.clone();
                better.profile = swapped;
                better.findings.push(format!("`{at}` is about the plaintext, not about the ciphertext"));
                return Ok(Some(better));
            }
        }
        Ok(None)
    }

    /// Finds how the key is wrapped. `None`: go on to the content.
    fn right_wrap(&self, suspect: &mut Suspect) -> Result<Option<Diagnosis>, Error> {
        let (Some(rsa), true) = (&self.keys.rsa, is_rsa(&suspect.profile)) else { return Ok(None) };
        let message = Message::read(&suspect.profile, (self.parts)()?, self.work)?;
        let values = Evaluation::new(&suspect.profile, &message, &self.keys.secrets);
        let wrapped = values.whole("wrapped")?;
        let label = match &suspect.profile.unwrap.label {
            Some(label) => values.source_whole(label, "label")?.to_vec(),
            None => Vec::new(),
        };
        let tried = match rsa.danger_try_wrappings(&label, &wrapped) {
            Ok(tried) => tried,
            Err(err) => return self.refused(suspect, MessageError::Wrapped(err)),
        };
        let stated = stated_wrap(&suspect.profile, &values);
        if stated.is_some_and(|stated| tried.opens.contains(&stated)) {
            return Ok(None);
        }
        let Some(&found) = tried.opens.first() else {
            return Ok(Some(match tried.is_for_this_key {
                true => suspect.clone().fails(
                    Verdict::UnknownWrap,
                    "the wrapped key is for this RSA key, but in no padding that is known; perhaps OAEP has a label",
                ),
                false => suspect.clone().fails(
                    Verdict::WrongKey,
                    "the wrapped key does not open with this RSA key in any way: it was wrapped for another key, or damaged",
                ),
            }));
        };
        let change = |profile: &mut Profile| set_wrap(profile, found);
        if let Ok(changed) = suspect.profile.changed(change) {
            suspect.profile = changed;
        }
        let stated = stated.map_or("what the profile says".to_owned(), |stated| stated.to_string());
        suspect.findings.push(format!("the key is wrapped with {found}, not with {stated}"));
        match self.open(&suspect.profile)? {
            Outcome::Opens { head } if suspect.is_certain() || makes_sense(&head) => {
                Ok(Some(suspect.clone().conclude()))
            }
            _ => Ok(None),
        }
    }

    /// Tries the readings of the content, those with the fewest differences first.
    fn right_content(&self, suspect: Suspect) -> Result<Diagnosis, Error> {
        let mut sensible = None;
        for reading in readings(&suspect) {
            let Outcome::Opens { head } = self.open(&reading.profile)? else { continue };
            if reading.is_certain() {
                return Ok(reading.conclude());
            }
            if sensible.is_none() && makes_sense(&head) {
                sensible = Some(reading);
            }
        }
        if let Some(reading) = sensible {
            return Ok(reading.conclude());
        }
        // It opened as it is, and nothing else makes more sense of it.
        if let Outcome::Opens { .. } = self.open(&suspect.profile)? {
            let mut diagnosis = suspect.conclude();
            diagnosis.findings.push("the content opens, but nothing proves it and it is not text or a known kind of file: the IV could be wrong".to_owned());
            return Ok(diagnosis);
        }
        let why = match is_rsa(&suspect.profile) {
            true => {
                "the key unwraps, and no known reading of the content opens: it was damaged, or encrypted in another way"
            }
            false => {
                "no known reading of the content opens: the secret is another one, or the content was damaged"
            }
        };
        Ok(suspect.fails(Verdict::Content, why))
    }
}

fn is_rsa(profile: &Profile) -> bool {
    profile.unwrap.algorithm.possible().any(|algorithm| algorithm.is_rsa())
}

/// How the profile says that this message's key is wrapped.
fn stated_wrap(profile: &Profile, values: &Evaluation<'_>) -> Option<Wrap> {
    match values.value(&profile.unwrap.algorithm).ok()? {
        UnwrapAlgorithm::RsaPkcs1 => Some(Wrap::Pkcs1),
        UnwrapAlgorithm::RsaOaep => {
            let digest = values.value(profile.unwrap.hash.as_ref()?).ok()?;
            let mgf1 = match &profile.unwrap.mgf1 {
                Some(mgf1) => values.value(mgf1).ok()?,
                None => digest,
            };
            Some(Wrap::Oaep { digest, mgf1 })
        }
        _ => None,
    }
}

fn set_wrap(profile: &mut Profile, wrap: Wrap) {
    (profile.unwrap.kek, profile.unwrap.aad, profile.unwrap.context) = (None, None, None);
    match wrap {
        Wrap::Pkcs1 => {
            profile.unwrap.algorithm = Value::Fixed(UnwrapAlgorithm::RsaPkcs1);
            (profile.unwrap.hash, profile.unwrap.mgf1, profile.unwrap.label) = (None, None, None);
            one_length(profile);
        }
        Wrap::Oaep { digest, mgf1 } => {
            profile.unwrap.algorithm = Value::Fixed(UnwrapAlgorithm::RsaOaep);
            profile.unwrap.hash = Some(Value::Fixed(digest));
            profile.unwrap.mgf1 = (digest != mgf1).then_some(Value::Fixed(mgf1));
        }
    }
}

/// PKCS#1 v1.5 needs one length: the longest of those that the profile takes.
fn one_length(profile: &mut Profile) {
    let whole = profile
        .bytes
        .values_mut()
        .find(|source| matches!(&source.origin, Origin::Of(of) if of == UNWRAPPED) && source.slice.is_none());
    if let Some(source) = whole
        && let Some(&longest) = source.lens.iter().max()
    {
        source.lens = vec![longest];
        source.write = None;
    }
}

/// A difference that a content may have from its profile: what it is, and how the profile changes.
type Difference = (&'static str, fn(&mut Profile));

/// For each choice that a writer makes, what partners choose. The first is always "as the profile says".
const DIFFERENCES: [&[Difference]; 6] = [
    &[
        ("the IV is all zeros", |profile| set_iv(profile, Origin::Bytes(vec![0; iv_len(profile)]), None)),
        ("the IV is the beginning of the key", |profile| {
            set_iv(profile, Origin::Of("key".to_owned()), Some(Slice { start: 0, end: Some(16) }));
        }),
        ("the IV stands in front of the ciphertext", iv_in_front),
        ("the IV is the place as it is, with no bit turned", |profile| {
            if let Some(Origin::Computed(Function::Not, args)) = profile.bytes.get("iv").map(|iv| &iv.origin)
            {
                let place = args[0].clone();
                profile.bytes.insert("iv".to_owned(), place);
            }
        }),
        ("the IV is wrapped behind the key", |profile| {
            one_blob(profile, 48);
            set_iv(profile, Origin::Of("blob".to_owned()), Some(Slice { start: 32, end: Some(48) }));
            set_key_slice(profile, "blob");
        }),
    ],
    &[
        ("the tag stands behind the ciphertext", |profile| {
            cut_ciphertext(
                profile,
                Slice { start: 0, end: Some(-16) },
                "tag",
                Slice { start: -16, end: None },
            );
        }),
        ("the tag stands in front of the ciphertext", |profile| {
            cut_ciphertext(profile, Slice { start: 16, end: None }, "tag", Slice { start: 0, end: Some(16) });
        }),
    ],
    &[
        ("the content is AES-GCM", |profile| set_cipher(profile, BodyCipher::Gcm)),
        ("the content is AES-CBC with PKCS#7 padding", |profile| set_cipher(profile, BodyCipher::CbcPkcs7)),
        ("the content is AES-CBC with another padding, of which the last byte alone counts", |profile| {
            set_cipher(profile, BodyCipher::CbcIso10126);
        }),
        ("the content is AES-CFB", |profile| set_cipher(profile, BodyCipher::Cfb128Pkcs7)),
        ("the content is AES-ECB", |profile| set_cipher(profile, BodyCipher::EcbPkcs7)),
        ("the content is AES-CTR", |profile| set_cipher(profile, BodyCipher::Ctr)),
    ],
    &[
        ("the ciphertext is written as hex", |profile| set_ct_encoding(profile, Encoding::Hex)),
        ("the ciphertext is written as base64", |profile| set_ct_encoding(profile, Encoding::Base64)),
        ("the ciphertext is written as base64url", |profile| set_ct_encoding(profile, Encoding::Base64Any)),
    ],
    &[
        ("a bare key of 32 bytes is wrapped", |profile| bare_key(profile, 32)),
        ("a bare key of 16 bytes is wrapped", |profile| bare_key(profile, 16)),
        ("the secret is written as hex", |profile| set_secret_encoding(profile, Encoding::Hex)),
        ("the secret is written as base64", |profile| set_secret_encoding(profile, Encoding::Base64)),
        ("the secret's characters are the key", |profile| set_secret_encoding(profile, Encoding::Utf8)),
    ],
    &[
        ("the MAC is over the text of the ciphertext, not over its bytes", mac_over_text),
        ("nothing is authenticated beside the content", |profile| {
            profile.content.aad = None;
            drop_unused(profile);
        }),
        ("no comparison of the content holds", |profile| {
            profile.verifies.retain(|verify| matches!(verify.check, Check::Bytes));
        }),
    ],
];

/// Every profile that differs from the suspect in some of the choices: one difference first, then two, then three.
fn readings(suspect: &Suspect) -> Vec<Suspect> {
    const TOGETHER_MAX: usize = 3;
    let mut level = vec![(suspect.clone(), 0)];
    let mut all = Vec::new();
    for _ in 0..TOGETHER_MAX {
        let mut next = Vec::new();
        for (from, choice) in &level {
            for (place, differences) in DIFFERENCES.iter().enumerate().skip(*choice) {
                for (what, change) in *differences {
                    if let Ok(profile) = from.profile.changed(change)
                        && profile.to_toml() != from.profile.to_toml()
                    {
                        let mut findings = from.findings.clone();
                        findings.push((*what).to_owned());
                        next.push((Suspect { profile, findings }, place + 1));
                    }
                }
            }
        }
        all.extend(next.iter().map(|(suspect, _)| suspect.clone()));
        if all.len() > READINGS_MAX {
            all.truncate(READINGS_MAX);
            break;
        }
        level = next;
    }
    all
}

fn plain(origin: Origin, slice: Option<Slice>) -> Source {
    Source { origin, slice, lens: Vec::new(), write: None, line: 0 }
}

fn iv_len(profile: &Profile) -> usize {
    match profile.content.cipher.possible().next() {
        Some(BodyCipher::Gcm) => 12,
        _ => 16,
    }
}

fn set_iv(profile: &mut Profile, origin: Origin, slice: Option<Slice>) {
    profile.layouts.retain(|_, layout| layout.fields.iter().all(|field| field.name != "iv"));
    profile.bytes.insert("iv".to_owned(), plain(origin, slice));
    drop_unused(profile);
}

fn iv_in_front(profile: &mut Profile) {
    let len = i32::try_from(iv_len(profile)).expect("12 or 16");
    cut_ciphertext(profile, Slice { start: len, end: None }, "iv", Slice { start: 0, end: Some(len) });
}

/// Cuts another byte string from the ciphertext, where the profile has it in one piece.
fn cut_ciphertext(profile: &mut Profile, rest: Slice, name: &str, part: Slice) {
    let Some(ct) = profile.bytes.get("ct").filter(|ct| ct.slice.is_none()).cloned() else { return };
    profile.bytes.insert("uncut".to_owned(), Source { lens: Vec::new(), ..ct });
    profile.bytes.insert("ct".to_owned(), plain(Origin::Of("uncut".to_owned()), Some(rest)));
    profile.bytes.insert(name.to_owned(), plain(Origin::Of("uncut".to_owned()), Some(part)));
    drop_unused(profile);
}

fn set_cipher(profile: &mut Profile, cipher: BodyCipher) {
    profile.content.cipher = Value::Fixed(cipher);
    profile.content.regions = None;
    if !cipher.is_authenticated() {
        profile.content.aad = None;
        profile.bytes.remove("tag");
        profile.layouts.retain(|_, layout| layout.fields.iter().all(|field| field.name != "tag"));
    }
    if cipher == BodyCipher::EcbPkcs7 {
        profile.bytes.remove("iv");
    }
    drop_unused(profile);
}

fn set_ct_encoding(profile: &mut Profile, new: Encoding) {
    let name = match profile.bytes.get("ct").map(|ct| &ct.origin) {
        Some(Origin::Of(whole)) => whole.clone(),
        _ => "ct".to_owned(),
    };
    let Some(Source { origin: Origin::At { at, encoding, .. }, .. }) = profile.bytes.get_mut(&name) else {
        return;
    };
    let in_document = !matches!(
        profile.parts.iter().find(|(part, _)| *part == at.part).map(|(_, part)| part.kind),
        Some(PartKind::Raw | PartKind::Zip)
    );
    if in_document {
        *encoding = new;
    }
}

/// What is unwrapped, in one piece of a known length, under a name.
fn one_blob(profile: &mut Profile, len: usize) {
    unwrapped_is(profile, "blob", len);
}

fn set_key_slice(profile: &mut Profile, blob: &str) {
    let key = plain(Origin::Of(blob.to_owned()), Some(Slice { start: 0, end: Some(32) }));
    profile.bytes.insert("key".to_owned(), key);
    drop_unused(profile);
}

fn bare_key(profile: &mut Profile, len: usize) {
    unwrapped_is(profile, "key", len);
    profile.content.key_bits = Value::Fixed(vec![len * 8]);
    drop_unused(profile);
}

/// Nothing but `name` is made of what is unwrapped.
fn unwrapped_is(profile: &mut Profile, name: &str, len: usize) {
    if matches!(profile.unwrap.algorithm, Value::Fixed(UnwrapAlgorithm::Direct)) {
        return;
    }
    let of_it = |source: &Source| matches!(&source.origin, Origin::Of(of) if of == UNWRAPPED);
    let gone: Vec<String> =
        profile.bytes.iter().filter(|(_, source)| of_it(source)).map(|(name, _)| name.clone()).collect();
    let cut = profile.layouts.remove(UNWRAPPED);
    let fields = cut.into_iter().flat_map(|layout| layout.fields).map(|field| field.name);
    for gone in gone.into_iter().chain(fields) {
        profile.bytes.remove(&gone);
        profile.verifies.retain(|verify| verify.over != gone);
    }
    let whole = Source { lens: vec![len], ..plain(Origin::Of(UNWRAPPED.to_owned()), None) };
    profile.bytes.insert(name.to_owned(), whole);
}

fn set_secret_encoding(profile: &mut Profile, new: Encoding) {
    let kek = profile.unwrap.kek.iter_mut();
    for source in profile.bytes.values_mut().chain(kek) {
        if let Origin::Secret { encoding, .. } = &mut source.origin {
            *encoding = new;
            source.lens.clear();
        }
    }
    if profile.content.key_bits.possible().flatten().all(|&bits| bits <= 256) {
        profile.content.key_bits = Value::Fixed(vec![128, 256]);
    }
}

fn mac_over_text(profile: &mut Profile) {
    let Some(ct) = profile.bytes.get("ct").cloned() else { return };
    let Origin::At { at, also, or, .. } = ct.origin else { return };
    let mut found = false;
    for verify in &mut profile.verifies {
        if matches!(verify.check, Check::Hmac { .. }) && verify.over == "ct" {
            verify.over = "ct_text".to_owned();
            found = true;
        }
    }
    if found {
        let text = plain(Origin::At { at, also, encoding: Encoding::Utf8, or }, None);
        profile.bytes.insert("ct_text".to_owned(), text);
    }
}

/// Drops what nothing uses any more, which a profile must not have.
fn drop_unused(profile: &mut Profile) {
    // What is dropped may have been the last use of something else.
    for _ in 0..profile.bytes.len() {
        let text = profile.to_toml();
        let Err(err) = Profile::parse(&text) else { return };
        let Some(name) =
            err.fault.strip_prefix('`').and_then(|rest| rest.strip_suffix("` is used by nothing"))
        else {
            return;
        };
        if profile.bytes.remove(name).is_none() {
            return;
        }
    }
}

/// Whether the beginning of a content looks like something that people send: text, or a file of a known kind.
fn makes_sense(head: &[u8]) -> bool {
    const MAGIC: [&[u8]; 9] = [
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"\x1f\x8b",
        b"%PDF-",
        b"\x89PNG",
        b"\xff\xd8\xff",
        b"BZh",
        b"\xfd7zXZ",
        b"\x28\xb5\x2f\xfd",
    ];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // Cut in the middle of a character.
        Err(err) if err.error_len().is_none() && head.len() == HEAD_LEN => {
            std::str::from_utf8(&head[..err.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "\0",
    };
    let printable = text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    printable || MAGIC.iter().any(|magic| head.starts_with(magic))
}

fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(err) = source {
        text += &format!(": {err}");
        source = err.source();
    }
    text
}

/// Keeps the beginning of what is written.
#[derive(Clone, Default)]
struct Head(Arc<Mutex<Vec<u8>>>);

impl Head {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().expect("writing does not panic"))
    }
}

impl Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut head = self.0.lock().expect("writing does not panic");
        let room = HEAD_LEN - head.len();
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
