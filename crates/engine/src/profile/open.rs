//! Opens a message by its profile.

use aws_lc_rs::constant_time;
use waxwing_core::NotAuthentic;
use waxwing_core::body::{BodyCipher, BodyDecryptor, BodyParams, SLACK_LEN};
use waxwing_core::content::Legacy;

use waxwing_core::key_wrap;
use waxwing_formats::scheme::Digest;
use waxwing_keyring::{BlobError, Wrapping};
use waxwing_profiles::{
    Check, Origin, PLAINTEXT, Profile, Protection, REGION_LEN_MAX, Source, UnwrapAlgorithm, UnwrappedLen,
    Value, Verify,
};
use zeroize::Zeroizing;

use super::error::MessageError;
use super::evaluate::{Evaluation, hash_algorithm, mac_algorithm};
use super::keys::ProfileKeys;
use super::message::{Message, Parts};
use crate::body::{Body, CheckKind, FrameRule, PlaintextCheck, Shape, release};
use crate::io::{Output, Privacy};
use crate::{Error, Work};

/// The most bodies of one message: all their files are open at once.
pub const BODIES_MAX: usize = 500;
/// Bytes of an AES-GCM wrapped key's IV and of its tag.
const GCM_IV_LEN: usize = 12;
const GCM_TAG_LEN: usize = 16;

/// What [`open_message`] opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedMessage {
    /// What that proves.
    pub protection: Protection,
    /// How many bodies there were.
    pub bodies: usize,
}

/// Opens a message by `profile`.
///
/// In this order: what the message must say, what it chooses, every value and digest that no key is needed for, the
/// wrapped key's length; then the key; then everything else, which fails in one way. The content is read twice where that
/// proves something or where `output` is a stream: first to verify it, then to decrypt it.
///
/// # Errors
///
/// [`Error::Message`] before a key was used, and "not authentic" for whatever is wrong afterwards.
pub fn open_message(
    profile: &Profile,
    parts: Parts,
    output: Output,
    keys: &ProfileKeys,
    legacy: Legacy,
    work: &Work<'_>,
) -> Result<OpenedMessage, Error> {
    let message = Message::read(profile, parts, work)?;
    let whole = Evaluation::new(profile, &message, &keys.secrets);
    let evaluations = bodies(&whole, &message)?;
    let plans = evaluations.iter().map(|body| Plan::new(body, keys, work)).collect::<Result<Vec<_>, _>>()?;
    plans.iter().try_for_each(|plan| consent(profile, plan.algorithm, legacy))?;
    let sink = output.open(Privacy::Owner).map_err(Error::output)?;
    let mut unwrapped = Unwrapped::default();
    let opened: Result<Vec<Body>, Error> =
        evaluations.iter().zip(&plans).map(|(body, plan)| plan.body(body, keys, &mut unwrapped)).collect();
    let bodies = opened.map_err(after_key)?;
    let totals = match &profile.repeat {
        Some(repeat) => plaintext_checks(&whole, &repeat.totals).map_err(after_key)?,
        None => Vec::new(),
    };
    let protection = profile.protection();
    release(&bodies, &totals, sink, protection.is_authenticated(), work)?;
    Ok(OpenedMessage { protection, bodies: bodies.len() })
}

/// Refuses what is legacy unless the caller consented.
pub(super) fn consent(profile: &Profile, algorithm: UnwrapAlgorithm, legacy: Legacy) -> Result<(), Error> {
    let reasons = profile.legacy_reasons_with(algorithm);
    if legacy == Legacy::Refused && !reasons.is_empty() {
        let (id, reasons) = (profile.id.clone(), reasons.join(", "));
        return Err(MessageError::Legacy { id, reasons }.into());
    }
    Ok(())
}

/// From the use of a key on, whatever the message is or says wrongly is one failure. The system's own failures stay.
fn after_key(err: Error) -> Error {
    match err {
        Error::Message(_) => NotAuthentic.into(),
        err => err,
    }
}

/// One evaluation for each body: the message's own, or one for each entry of its list, in order.
fn bodies<'a>(whole: &Evaluation<'a>, message: &'a Message<'a>) -> Result<Vec<Evaluation<'a>>, Error> {
    let Some(repeat) = &whole.profile.repeat else { return Ok(vec![whole.again()]) };
    let over = || repeat.over.clone();
    let items = message.items(&repeat.over)?;
    let count = items.len();
    if count == 0 || count > BODIES_MAX {
        return Err(MessageError::Items { over: over(), count, max: BODIES_MAX }.into());
    }
    let mut bodies = Vec::with_capacity(count);
    for (place, item) in items.into_iter().enumerate() {
        let number = match &repeat.order {
            None => place + 1,
            Some(path) => {
                let number = message.item_text(item, path)?.parse().ok();
                number.ok_or_else(|| MessageError::Order { over: over(), count })?
            }
        };
        bodies.push((number, item, message.item_text(item, &repeat.name)?));
    }
    bodies.sort_by_key(|&(number, ..)| number);
    if bodies.iter().enumerate().any(|(place, &(number, ..))| number != place + 1) {
        return Err(MessageError::Order { over: over(), count }.into());
    }
    Ok(bodies
        .into_iter()
        .map(|(number, item, file)| whole.of_item(item, number as u64 - 1, file.into_owned()))
        .collect())
}

/// How a body is to be opened: everything that could be settled before a key is used.
struct Plan {
    algorithm: UnwrapAlgorithm,
    hash: Option<Digest>,
    mgf1: Option<Digest>,
    cipher: BodyCipher,
    key_bits: Vec<usize>,
    data_len: Option<u64>,
}

impl Plan {
    fn new(body: &Evaluation<'_>, keys: &ProfileKeys, work: &Work<'_>) -> Result<Self, Error> {
        let profile = body.profile;
        body.expect()?;
        let (unwrap, content) = (&profile.unwrap, &profile.content);
        let algorithm = body.value(&unwrap.algorithm)?;
        let digest =
            |value: &Option<Value<Digest>>| value.as_ref().map(|value| body.value(value)).transpose();
        // What the algorithm does not use is not asked for: a message that chooses AES need not name an OAEP digest.
        let oaep = algorithm == UnwrapAlgorithm::RsaOaep;
        let plan = Self {
            algorithm,
            hash: if oaep { digest(&unwrap.hash)? } else { None },
            mgf1: if oaep { digest(&unwrap.mgf1)? } else { None },
            cipher: body.value(&content.cipher)?,
            key_bits: body.value(&content.key_bits)?,
            data_len: match &content.regions {
                Some(regions) => Some(body.number(&regions.data_len, REGION_LEN_MAX)?),
                None => None,
            },
        };
        // That a secret is missing, or has a length that cannot be, is the holder's mistake and tells nothing of the message.
        let kek = match &unwrap.kek {
            Some(Source { origin: Origin::Secret { name, .. }, .. }) if !algorithm.is_aes() => {
                Some(name.as_str())
            }
            _ => None,
        };
        for name in profile.secrets().into_keys().filter(|name| Some(*name) != kek) {
            keys.secrets.require(name)?;
        }
        for name in profile.bytes.keys().filter(|name| !profile.is_keyed(name)) {
            body.bytes(name)?;
        }
        plan.check_lengths(body, keys)?;
        for verify in
            profile.verifies.iter().filter(|verify| !verify.is_after() && !needs_key(profile, verify))
        {
            let name =
                || MessageError::Mismatch { check: check_name(&verify.check), over: verify.over.clone() };
            compare(body, verify, work)?.map_err(|NotAuthentic| name())?;
        }
        Ok(plan)
    }

    fn check_lengths(&self, body: &Evaluation<'_>, keys: &ProfileKeys) -> Result<(), Error> {
        let profile = body.profile;
        let missing = |needed| Error::from(MessageError::NoKey { needed });
        if self.algorithm.is_rsa() {
            let key = keys.rsa.as_ref().ok_or_else(|| missing("a private RSA key"))?;
            let (len, expected) = (body.whole("wrapped")?.len(), key.modulus_len());
            if len != expected {
                return Err(MessageError::Wrapped(BlobError::WrappedLength { len, expected }).into());
            }
        }
        if self.algorithm == UnwrapAlgorithm::Kms && keys.service.is_none() {
            return Err(missing("a key service"));
        }
        let length = |what: &str, len: usize, lens: &[usize]| {
            let expected = lens.iter().map(usize::to_string).collect::<Vec<_>>().join(" or ");
            MessageError::Length { what: format!("`{what}`"), len: len as u64, expected }
        };
        let has = |name: &str| profile.bytes.contains_key(name) || profile.layout_of(name).is_some();
        if has("iv") && !profile.is_keyed("iv") {
            let (len, lens) = (body.whole("iv")?.len(), self.cipher.iv_lens());
            if !lens.contains(&len) {
                return Err(length("iv", len, lens).into());
            }
        }
        if has("tag") && !profile.is_keyed("tag") {
            let len = body.whole("tag")?.len();
            let lens: Vec<usize> =
                self.key_bits.iter().filter_map(|bits| self.cipher.tag_len(bits / 8)).collect();
            if !lens.contains(&len) {
                return Err(length("tag", len, &lens).into());
            }
        }
        Ok(())
    }

    /// Uses the key, and says how the body is decrypted.
    fn body(&self, body: &Evaluation<'_>, keys: &ProfileKeys, known: &mut Unwrapped) -> Result<Body, Error> {
        let profile = body.profile;
        if self.algorithm != UnwrapAlgorithm::Direct {
            let wrapped = body.whole("wrapped")?;
            body.give_unwrapped(known.unwrap(&wrapped, || self.unwrap(body, keys, &wrapped))?);
        }
        let key = body.whole("key")?;
        if !self.key_bits.contains(&(key.len() * 8)) {
            return Err(NotAuthentic.into());
        }
        for verify in
            profile.verifies.iter().filter(|verify| !verify.is_after() && needs_key(profile, verify))
        {
            compare(body, verify, &Work::default())??;
        }
        let shape = match (&profile.content.regions, self.data_len) {
            (Some(regions), Some(data_len)) => Shape::Regions { data_len, nonces: regions.nonces.clone() },
            _ => Shape::Whole {
                cipher: self.cipher,
                iv: match self.cipher.iv_lens() {
                    [0] => Vec::new(),
                    _ => body.whole("iv")?.to_vec(),
                },
                tag: match self.cipher.is_authenticated() {
                    true => Some(body.whole("tag")?.to_vec()),
                    false => None,
                },
            },
        };
        Ok(Body {
            ciphertext: body.bytes("ct")?,
            key,
            aad: match &profile.content.aad {
                Some(aad) => body.source_whole(aad, "aad")?.to_vec(),
                None => Vec::new(),
            },
            shape,
            frame: match &profile.frame {
                Some(frame) => Some(FrameRule {
                    skip: frame.skip,
                    trailer: match &frame.trailer {
                        Some(trailer) => body.source_whole(trailer, "trailer")?,
                        None => Zeroizing::default(),
                    },
                }),
                None => None,
            },
            checks: plaintext_checks(body, &profile.verifies)?,
        })
    }

    fn unwrap(
        &self,
        body: &Evaluation<'_>,
        keys: &ProfileKeys,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let unwrap = &body.profile.unwrap;
        let kek = || body.source_whole(unwrap.kek.as_ref().expect("a checked profile has it"), "kek");
        match self.algorithm {
            UnwrapAlgorithm::RsaPkcs1 | UnwrapAlgorithm::RsaOaep => {
                let label =
                    unwrap.label.as_ref().map(|label| body.source_whole(label, "label")).transpose()?;
                let key = keys.rsa.as_ref().ok_or(NotAuthentic)?;
                let wrapping = match self.hash {
                    Some(digest) => Wrapping::Oaep {
                        digest,
                        mgf1: self.mgf1.unwrap_or(digest),
                        label: label.as_ref().map_or(&[], |label| label.as_slice()),
                    },
                    None => Wrapping::Pkcs1 { len: self.pkcs1_len(body.profile) },
                };
                key.unwrap_blob(wrapping, wrapped).map_err(|_| NotAuthentic.into())
            }
            UnwrapAlgorithm::AesKw => key_wrap::unwrap(&kek()?, wrapped).map_err(|_| NotAuthentic.into()),
            UnwrapAlgorithm::AesEcbPkcs7 => {
                decrypt_short(BodyCipher::EcbPkcs7, &kek()?, &[], &[], wrapped, None)
            }
            UnwrapAlgorithm::AesGcm => {
                let aad = match &unwrap.aad {
                    Some(aad) => body.source_whole(aad, "aad")?,
                    None => Zeroizing::default(),
                };
                let (iv, rest) = wrapped.split_at_checked(GCM_IV_LEN).ok_or(NotAuthentic)?;
                let at = rest.len().checked_sub(GCM_TAG_LEN).ok_or(NotAuthentic)?;
                let (wrapped, tag) = rest.split_at(at);
                decrypt_short(BodyCipher::Gcm, &kek()?, iv, &aad, wrapped, Some(tag))
            }
            UnwrapAlgorithm::Kms => {
                let context = unwrap.context.as_ref().map(|at| body.text(at)).transpose()?;
                let service = keys.service.as_ref().ok_or(NotAuthentic)?;
                Ok(pollster::block_on(service.unwrap(wrapped, context.as_deref()))?)
            }
            UnwrapAlgorithm::Direct => unreachable!("nothing is wrapped"),
        }
    }

    fn pkcs1_len(&self, profile: &Profile) -> usize {
        match (profile.unwrapped_len(), self.key_bits.as_slice()) {
            (Some(UnwrappedLen::Fixed(len)), _) => len,
            (Some(UnwrappedLen::Key), [bits]) => bits / 8,
            _ => unreachable!("a checked profile that may use PKCS#1 v1.5 knows the length"),
        }
    }
}

/// What was unwrapped last: the bodies of a list mostly share one wrapped key, and a private key's operation is dear.
#[derive(Default)]
struct Unwrapped {
    wrapped: Vec<u8>,
    blob: Option<Zeroizing<Vec<u8>>>,
}

impl Unwrapped {
    fn unwrap(
        &mut self,
        wrapped: &[u8],
        unwrap: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, Error>,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        if let Some(blob) = self.blob.as_ref().filter(|_| self.wrapped == wrapped) {
            return Ok(blob.clone());
        }
        let blob = unwrap()?;
        *self = Self { wrapped: wrapped.to_vec(), blob: Some(blob.clone()) };
        Ok(blob)
    }
}

/// Decrypts what is short enough to be held: a wrapped key.
fn decrypt_short(
    cipher: BodyCipher,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
    tag: Option<&[u8]>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut decryptor = BodyDecryptor::new(cipher, BodyParams { key, iv, aad })?;
    let mut out = Zeroizing::new(vec![0; ciphertext.len() + 2 * SLACK_LEN]);
    let mut len = decryptor.update(ciphertext, &mut out)?;
    len += decryptor.finish(tag, &mut out[len..])?;
    out.truncate(len);
    Ok(out)
}

/// Whether a comparison tells anything about a key.
fn needs_key(profile: &Profile, verify: &Verify) -> bool {
    let key = matches!(&verify.check, Check::Hmac { .. });
    key || profile.is_keyed(&verify.over) || profile.depends_on_key(&verify.equals)
}

fn check_name(check: &Check) -> String {
    match check {
        Check::Bytes => "value".to_owned(),
        Check::Size => "length".to_owned(),
        Check::Hash(hash) => hash.name().to_owned(),
        Check::Hmac { hash, .. } => format!("HMAC-{}", hash.name()),
    }
}

/// What a comparison came to, once everything could be read.
type Compared = Result<(), NotAuthentic>;

/// Compares what is there before anything is decrypted.
fn compare(body: &Evaluation<'_>, verify: &Verify, work: &Work<'_>) -> Result<Compared, Error> {
    let expected = body.source_whole(&verify.equals, &verify.over)?;
    let over = body.bytes(&verify.over)?;
    if matches!(verify.check, Check::Bytes) {
        let made = body.whole(&verify.over)?;
        return Ok(constant_time::verify_slices_are_equal(&made, &expected).map_err(|_| NotAuthentic));
    }
    let check = plaintext_check(body, verify, expected)?;
    let mut running = check.start();
    over.feed(work, |piece| running.update(piece))?;
    Ok(running.finish())
}

/// The comparisons over the plaintext among `verifies`.
fn plaintext_checks(body: &Evaluation<'_>, verifies: &[Verify]) -> Result<Vec<PlaintextCheck>, Error> {
    let after = verifies.iter().filter(|verify| verify.is_after());
    after.map(|verify| plaintext_check(body, verify, body.source_whole(&verify.equals, PLAINTEXT)?)).collect()
}

fn plaintext_check(
    body: &Evaluation<'_>,
    verify: &Verify,
    expected: Zeroizing<Vec<u8>>,
) -> Result<PlaintextCheck, Error> {
    let kind = match &verify.check {
        Check::Size => CheckKind::Size,
        Check::Hash(hash) => CheckKind::Hash(hash_algorithm(*hash)),
        Check::Hmac { hash, key } => CheckKind::Mac(mac_algorithm(*hash), body.source_whole(key, "key")?),
        Check::Bytes => unreachable!("a checked profile compares no plaintext with bytes"),
    };
    Ok(PlaintextCheck { kind, expected, truncate: verify.truncate })
}
