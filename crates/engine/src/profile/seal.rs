//! Writes a message by its profile.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};

use waxwing_core::body::{BodyCipher, BodyEncryptor, BodyError, BodyParams, SLACK_LEN};
use waxwing_core::content::Legacy;
use waxwing_core::{Random, key_wrap};
use waxwing_keyring::{DataKey, KeyService, RsaRecipientKey, Wrapping};
use waxwing_profiles::document::{DOCUMENT_LEN_MAX, DocumentWriter};
use waxwing_profiles::{
    BlobPiece, Check, Encoding, NonceCounter, Origin, PartKind, Profile, REGION_LEN_MAX, Selector,
    UnwrapAlgorithm, Verify, Writing,
};
use zeroize::Zeroizing;

use super::error::MessageError;
use super::evaluate::{Evaluation, hash_algorithm, mac_algorithm};
use super::keys::Secrets;
use super::message::{Message, document_kind};
use super::open::consent;
use crate::body::Bytes;
use crate::body::{CheckKind, PlaintextCheck, Running};
use crate::body::{PIECE_LEN, Pieces};
use crate::io::{Existing, Input, Output, Privacy, Sink};
use crate::pump::{Made, pump};
use crate::{Error, Work};

/// Where the parts of a message go, by the names of the profile.
pub type PartOutputs = BTreeMap<String, Output>;

/// The longest content that becomes part of a document, or has a frame around it.
const HELD_LEN_MAX: usize = DOCUMENT_LEN_MAX / 2;
/// The shortest region that is written: a shorter one is more nonce and tag than content.
const REGION_LEN_MIN: u64 = 4096;
/// Bytes of an AES-GCM wrapped key's IV.
const GCM_IV_LEN: usize = 12;

/// Whom a message is sealed for.
#[derive(Default)]
pub struct SealKeys<'a> {
    /// Wraps the key, where RSA does.
    pub recipient: Option<&'a RsaRecipientKey>,
    /// Shared secrets by the names of the profile.
    pub secrets: Secrets,
    /// Makes the key and wraps it, where a key service does.
    pub service: Option<&'a dyn KeyService>,
}

/// Seals `input` as a message of `profile`, and writes each of its parts to where `outputs` says.
///
/// The ciphertext is written as it comes where it is a file of its own, and held in memory where it is part of a document
/// (at most 32 MiB). Files appear when they are complete, the ciphertext first.
///
/// # Errors
///
/// [`Error`]; [`MessageError::NotWritable`] where the profile does not say how its messages are written.
pub fn seal_message(
    profile: &Profile,
    input: Input,
    mut outputs: PartOutputs,
    keys: &SealKeys<'_>,
    random: &dyn Random,
    legacy: Legacy,
    work: &Work<'_>,
) -> Result<(), Error> {
    let writing =
        profile.writing().map_err(|why| MessageError::NotWritable { id: profile.id.clone(), why })?;
    consent(profile, writing.algorithm, legacy)?;
    for (name, _) in profile.files() {
        if !outputs.contains_key(name) {
            return Err(MessageError::NoPart { name: name.to_owned() }.into());
        }
    }
    if let Some(name) = outputs.keys().find(|name| !profile.files().any(|(known, _)| known == name.as_str()))
    {
        let known: Vec<&str> = profile.files().map(|(name, _)| name).collect();
        return Err(MessageError::UnknownPart { name: name.clone(), known: known.join(", ") }.into());
    }
    if outputs.values().any(is_taken) {
        return Err(Error::OutputExists);
    }
    let message = Message::blank(profile, work)?;
    let values = Evaluation::new(profile, &message, &keys.secrets);
    let mut sealing =
        Sealing { profile, writing: &writing, values: &values, random, work, draft: Draft::new(profile)? };
    sealing.decide()?;
    sealing.wrap(keys)?;
    sealing.encrypt(input, &mut outputs)?;
    sealing.draft.write(profile, outputs, work)
}

/// Whether an output's name is taken: better known before the first of several is written.
fn is_taken(output: &Output) -> bool {
    matches!(output, Output::File { path, existing: Existing::Keep } if path.exists() && !is_device(path))
}

fn is_device(path: &std::path::Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

struct Sealing<'a> {
    profile: &'a Profile,
    writing: &'a Writing,
    values: &'a Evaluation<'a>,
    random: &'a dyn Random,
    work: &'a Work<'a>,
    draft: Draft,
}

impl<'a> Sealing<'a> {
    /// Settles everything that is neither key nor content.
    fn decide(&mut self) -> Result<(), Error> {
        for (at, word) in &self.writing.words {
            self.values.assign(at, word.clone());
            self.draft.set(at, word, false)?;
        }
        for (at, encoding, len) in &self.writing.random {
            // A template may hold what is the same in every message.
            if self.values.template_text(at)?.is_some() {
                continue;
            }
            let bytes = match encoding {
                Encoding::Utf8 | Encoding::Utf8Zero8 | Encoding::IntText => self.random_text(*len)?,
                _ => self.random_bytes(*len)?,
            };
            self.put(at, *encoding, &bytes)?;
        }
        if let Some(at) = self.profile.jwe_aad() {
            let aad = self.draft.jwe_aad(&at.part)?;
            self.values.assign(at, aad);
        }
        if let Some(len) = self.writing.iv_len {
            let iv = self.iv(len)?;
            self.values.give("iv", Bytes::secret(iv));
        }
        Ok(())
    }

    fn iv(&self, len: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
        let source = self.profile.bytes.get("iv").map(|source| &source.origin);
        if let Some(Origin::At { encoding: Encoding::Utf8, .. }) = source {
            return self.random_text(len);
        }
        let mut iv = self.random_bytes(len)?;
        if self.writing.cipher == BodyCipher::Ctr {
            // The second half counts: readers differ in how many of its bits do, unless it begins with zero.
            iv[len / 2..].fill(0);
        }
        Ok(iv)
    }

    /// Puts bytes to a place, and lets whatever is computed from that place know them.
    fn put(&mut self, at: &Selector, encoding: Encoding, bytes: &[u8]) -> Result<(), Error> {
        let malformed = |source| MessageError::Encoding { what: format!("`{at}`"), source };
        let text = encoding.encode(bytes).map_err(malformed)?;
        self.draft.set(at, &text, encoding == Encoding::IntText)?;
        self.values.assign(at, text);
        Ok(())
    }

    fn random_bytes(&self, len: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut bytes = Zeroizing::new(vec![0; len]);
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Random letters and digits, six bits each.
    fn random_text(&self, len: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789AB";
        let mut bytes = self.random_bytes(len)?;
        bytes.iter_mut().for_each(|byte| *byte = LETTERS[usize::from(*byte % 64)]);
        Ok(bytes)
    }

    /// Draws what is wrapped, and wraps it.
    fn wrap(&mut self, keys: &SealKeys<'_>) -> Result<(), Error> {
        match self.writing.algorithm {
            UnwrapAlgorithm::Direct => return Ok(()),
            UnwrapAlgorithm::Kms => return self.take_from_service(keys),
            _ => {}
        }
        let mut blob = Zeroizing::new(Vec::new());
        let mut length_len = 0;
        for piece in &self.writing.blob {
            let bytes = match piece {
                BlobPiece::LengthOfNext(width) => {
                    length_len = *width;
                    continue;
                }
                BlobPiece::Random(len) => self.random_bytes(*len)?,
                BlobPiece::Known(name) => self.compared_with(name)?,
            };
            blob.extend_from_slice(&big_endian(bytes.len(), std::mem::take(&mut length_len)));
            blob.extend_from_slice(&bytes);
        }
        self.values.give_unwrapped(blob.clone());
        let wrapped = self.wrapped(keys, &blob)?;
        self.values.give("wrapped", Bytes::held(wrapped));
        Ok(())
    }

    /// Has the key service make the key.
    fn take_from_service(&mut self, keys: &SealKeys<'_>) -> Result<(), Error> {
        let missing = |needed| MessageError::NoKey { needed };
        let service = keys.service.ok_or(missing("a key service"))?;
        let made = pollster::block_on(service.generate())?;
        let DataKey { key, wrapped } = made.ok_or(missing("a key service that makes keys"))?;
        self.values.give_unwrapped(Zeroizing::new(key.expose().to_vec()));
        self.values.give("wrapped", Bytes::held(wrapped));
        Ok(())
    }

    /// What a name must equal, byte for byte.
    fn compared_with(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut verifies = self.profile.verifies.iter();
        let found = verifies.find(|verify| verify.over == name && matches!(verify.check, Check::Bytes));
        self.values.source_whole(&found.expect("the plan found it").equals, name)
    }

    fn wrapped(&self, keys: &SealKeys<'_>, blob: &[u8]) -> Result<Vec<u8>, Error> {
        let unwrap = &self.profile.unwrap;
        let whole = |source: &Option<_>, what: &str| match source {
            Some(source) => self.values.source_whole(source, what),
            None => Ok(Zeroizing::default()),
        };
        match self.writing.algorithm {
            UnwrapAlgorithm::RsaPkcs1 | UnwrapAlgorithm::RsaOaep => {
                let recipient =
                    keys.recipient.ok_or(MessageError::NoKey { needed: "a recipient's RSA key" })?;
                let label = whole(&unwrap.label, "label")?;
                let wrapping = match self.writing.hash {
                    Some(digest) => {
                        Wrapping::Oaep { digest, mgf1: self.writing.mgf1.unwrap_or(digest), label: &label }
                    }
                    None => Wrapping::Pkcs1 { len: blob.len() },
                };
                Ok(recipient.wrap_blob(wrapping, blob).map_err(MessageError::Wrapped)?)
            }
            UnwrapAlgorithm::AesKw => {
                let kek = whole(&unwrap.kek, "kek")?;
                let failed = |err: key_wrap::KeyWrapError| MessageError::KeyDoesNotFit(err.to_string());
                Ok(key_wrap::wrap(&kek, blob).map_err(failed)?)
            }
            UnwrapAlgorithm::AesEcbPkcs7 => {
                let kek = whole(&unwrap.kek, "kek")?;
                self.encrypt_short(BodyCipher::EcbPkcs7, BodyParams { key: &kek, iv: &[], aad: &[] }, blob)
            }
            UnwrapAlgorithm::AesGcm => {
                let (kek, aad) = (whole(&unwrap.kek, "kek")?, whole(&unwrap.aad, "aad")?);
                let iv = self.random_bytes(GCM_IV_LEN)?;
                let wrapped =
                    self.encrypt_short(BodyCipher::Gcm, BodyParams { key: &kek, iv: &iv, aad: &aad }, blob)?;
                Ok([iv.as_slice(), &wrapped].concat())
            }
            UnwrapAlgorithm::Kms | UnwrapAlgorithm::Direct => {
                unreachable!("nothing is wrapped here")
            }
        }
    }

    /// Ciphertext, then tag.
    fn encrypt_short(
        &self,
        cipher: BodyCipher,
        params: BodyParams<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let mut encryptor = BodyEncryptor::new(cipher, params, self.random).map_err(body_error)?;
        let mut out = vec![0; plaintext.len() + 2 * SLACK_LEN];
        let mut len = encryptor.update(plaintext, &mut out).map_err(body_error)?;
        let (more, tag) = encryptor.finish(&mut out[len..]).map_err(body_error)?;
        len += more;
        out.truncate(len);
        out.extend(tag.unwrap_or_default());
        Ok(out)
    }

    /// Encrypts the content, to its file or into its document, and fills in everything that is said of it.
    fn encrypt(&mut self, input: Input, outputs: &mut PartOutputs) -> Result<(), Error> {
        let body = &self.writing.body;
        let is_file = self.profile.part(&body.at.part).is_some_and(|part| part.kind == PartKind::Raw);
        let input: Box<dyn Read + Send> = match &self.profile.frame {
            None => {
                input.known_len().into_iter().for_each(|len| self.work.observer.total(len));
                input.into_stream()
            }
            Some(_) => Box::new(Cursor::new(self.framed(input)?)),
        };
        if is_file {
            let output = outputs.remove(&body.at.part).expect("every part has an output");
            match output.open(Privacy::Umask).map_err(Error::output)? {
                Sink::File(target) => {
                    let said = self.encrypt_into(input, &mut target.file())?;
                    self.fill(&said)?;
                    target.publish(self.work.durable).map_err(Error::output)
                }
                Sink::Stream(mut sink) => {
                    let said = self.encrypt_into(input, &mut sink)?;
                    self.fill(&said)
                }
            }
        } else {
            let mut held = Held(Vec::new());
            let said = self.encrypt_into(input, &mut held)?;
            self.put(&body.at, body.encoding, &held.0)?;
            self.fill(&said)
        }
    }

    /// The content with its frame around it.
    fn framed(&self, input: Input) -> Result<Vec<u8>, Error> {
        let frame = self.profile.frame.as_ref().expect("the caller saw it");
        let mut held = Held(self.random_bytes(frame.skip)?.to_vec());
        held.0.extend([0; 4]);
        let front = held.0.len();
        let mut input = input.into_stream();
        io::copy(&mut input, &mut held).map_err(|err| match held.0.len() > HELD_LEN_MAX {
            true => MessageError::ContentLength { limit: HELD_LEN_MAX }.into(),
            false => Error::input(err),
        })?;
        let len = u32::try_from(held.0.len() - front).expect("it is below the limit");
        held.0[frame.skip..front].copy_from_slice(&len.to_be_bytes());
        if let Some(trailer) = &frame.trailer {
            held.0.extend_from_slice(&self.values.source_whole(trailer, "trailer")?);
        }
        Ok(held.0)
    }

    /// Writes the ciphertext and what stands around it, and tells what is to be said of it.
    fn encrypt_into(
        &self,
        input: Box<dyn Read + Send>,
        sink: &mut (dyn Write + Send),
    ) -> Result<Said<'a>, Error> {
        let key = self.values.whole("key")?;
        let aad = match &self.profile.content.aad {
            Some(aad) => self.values.source_whole(aad, "aad")?,
            None => Zeroizing::default(),
        };
        let iv = match (&self.profile.content.regions, self.writing.cipher.iv_lens()) {
            (Some(_), _) | (_, [0]) => Zeroizing::default(),
            _ => self.values.whole("iv")?,
        };
        let checks = self.checks()?;
        let (behind, about): (Vec<_>, Vec<_>) = checks.iter().partition(|(verify, _)| !verify.is_after());
        let mut of_plaintext: Vec<Running<'_>> = about.iter().map(|(_, check)| check.start()).collect();
        let mut of_ciphertext: Vec<Running<'_>> = behind.iter().map(|(_, check)| check.start()).collect();
        let pieces = &self.writing.body.pieces;
        let place =
            pieces.iter().position(|(name, _)| name == "ct").expect("the ciphertext is in its own place");
        for (name, width) in &pieces[..place] {
            self.write_piece(name, *width, sink)?;
        }
        let params = BodyParams { key: &key, iv: &iv, aad: &aad };
        let tag = {
            let mut cipher = self.cipher(params)?;
            let mut plaintext = Hashing { inner: input, checks: &mut of_plaintext };
            let mut ciphertext = HashingSink { inner: sink, checks: &mut of_ciphertext };
            run(&mut plaintext, &mut ciphertext, &mut cipher, self.work)?;
            cipher.tag
        };
        if let Some(tag) = tag {
            self.values.give("tag", Bytes::held(tag));
        }
        for (name, width) in &pieces[place + 1..] {
            self.write_piece(name, *width, sink)?;
        }
        let of_plaintext = about.iter().zip(of_plaintext);
        let all = of_plaintext.chain(behind.iter().zip(of_ciphertext));
        Ok(all.map(|((verify, _), running)| (*verify, running.value())).collect())
    }

    /// Writes a piece that stands beside the ciphertext, its length before it in `width` bytes.
    fn write_piece(&self, name: &str, width: usize, sink: &mut dyn Write) -> Result<(), Error> {
        let bytes = self.values.whole(name)?;
        sink.write_all(&big_endian(bytes.len(), width))
            .and_then(|()| sink.write_all(&bytes))
            .map_err(Error::output)
    }

    fn cipher<'b>(&'b self, params: BodyParams<'b>) -> Result<Cipher<'b>, Error> {
        let new = Cipher {
            cipher: self.writing.cipher,
            params,
            random: self.random,
            encryptor: None,
            regions: None,
            tag: None,
        };
        let Some(regions) = &self.profile.content.regions else { return Ok(new) };
        let data_len = self.values.number(&regions.data_len, REGION_LEN_MAX)?;
        if data_len < REGION_LEN_MIN {
            let why = format!("regions of {data_len} bytes are too short; {REGION_LEN_MIN} are the least");
            return Err(MessageError::NotWritable { id: self.profile.id.clone(), why }.into());
        }
        Ok(Cipher {
            regions: Some(RegionState { counter: regions.nonces[0], data_len, index: 0, left: 0 }),
            ..new
        })
    }

    /// What is said of ciphertext and plaintext, to be computed while they pass.
    fn checks(&self) -> Result<Vec<(&'a Verify, PlaintextCheck)>, Error> {
        let verifies = self.profile.verifies.iter().filter(|verify| passes_by(verify));
        verifies
            .filter_map(|verify| Some(self.check(verify).transpose()?.map(|check| (verify, check))))
            .collect()
    }

    /// How what is said of a byte string is computed; `None` when it is the string itself.
    fn check(&self, verify: &Verify) -> Result<Option<PlaintextCheck>, Error> {
        let kind = match &verify.check {
            Check::Size => CheckKind::Size,
            Check::Hash(hash) => CheckKind::Hash(hash_algorithm(*hash)),
            Check::Hmac { hash, key } => {
                CheckKind::Mac(mac_algorithm(*hash), self.values.source_whole(key, "key")?)
            }
            Check::Bytes => return Ok(None),
        };
        Ok(Some(PlaintextCheck { kind, expected: Zeroizing::default(), truncate: verify.truncate }))
    }

    /// Puts everything that was made to its place.
    fn fill(&mut self, said: &[(&Verify, Zeroizing<Vec<u8>>)]) -> Result<(), Error> {
        for (verify, value) in said {
            self.put_compared(verify, value)?;
        }
        for verify in self.profile.verifies.iter().filter(|verify| !passes_by(verify)) {
            let over = self.values.whole(&verify.over)?;
            let value = match self.check(verify)? {
                None => over,
                Some(check) => {
                    let mut running = check.start();
                    running.update(&over);
                    running.value()
                }
            };
            self.put_compared(verify, &value)?;
        }
        for name in ["wrapped", "iv", "tag"] {
            let source = self.profile.bytes.get(name);
            if let Some(Origin::At { at, encoding, .. }) = source.map(|source| &source.origin)
                && *at != self.writing.body.at
            {
                let bytes = self.values.whole(name)?;
                self.draft.set_bytes(at, *encoding, &bytes)?;
            }
        }
        Ok(())
    }

    fn put_compared(&mut self, verify: &Verify, value: &[u8]) -> Result<(), Error> {
        match &verify.equals.origin {
            Origin::At { at, .. } if self.writing.words.contains_key(at) => Ok(()),
            Origin::At { at, encoding, .. } => self.draft.set_bytes(at, *encoding, value),
            _ => Ok(()),
        }
    }
}

/// What is to be said of something in the message.
type Said<'a> = Vec<(&'a Verify, Zeroizing<Vec<u8>>)>;

/// Whether a comparison is over what is read or written piece by piece.
fn passes_by(verify: &Verify) -> bool {
    matches!(verify.over.as_str(), "ct" | "plaintext") && !matches!(verify.check, Check::Bytes)
}

fn big_endian(number: usize, width: usize) -> Vec<u8> {
    let bytes = (number as u64).to_be_bytes();
    bytes[bytes.len() - width..].to_vec()
}

fn body_error(err: BodyError) -> Error {
    match err {
        BodyError::Random(err) => err.into(),
        BodyError::TooLong { .. } => Error::TooLong { limit: REGION_LEN_MAX },
        err => MessageError::KeyDoesNotFit(err.to_string()).into(),
    }
}

/// The body's cipher, over all of it or region by region.
struct Cipher<'a> {
    cipher: BodyCipher,
    params: BodyParams<'a>,
    random: &'a dyn Random,
    encryptor: Option<BodyEncryptor>,
    regions: Option<RegionState>,
    tag: Option<Vec<u8>>,
}

struct RegionState {
    counter: NonceCounter,
    data_len: u64,
    index: u64,
    /// Plaintext that the open region still takes.
    left: u64,
}

impl Cipher<'_> {
    /// Encrypts a piece behind what `out` has.
    fn step(&mut self, piece: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.regions.is_none() {
            if self.encryptor.is_none() {
                self.encryptor =
                    Some(BodyEncryptor::new(self.cipher, self.params, self.random).map_err(body_error)?);
            }
            self.update(piece, out)?;
            if last {
                self.tag = self.finish(out)?;
            }
            return Ok(());
        }
        let mut piece = piece;
        loop {
            let state = self.regions.as_mut().expect("there are regions");
            if self.encryptor.is_none() && (!piece.is_empty() || (last && state.index == 0)) {
                let nonce = state.counter.nonce(state.index);
                out.extend_from_slice(&nonce);
                (state.index, state.left) = (state.index + 1, state.data_len);
                let params = BodyParams { iv: &nonce, ..self.params };
                self.encryptor =
                    Some(BodyEncryptor::new(BodyCipher::Gcm, params, self.random).map_err(body_error)?);
            }
            let state = self.regions.as_mut().expect("there are regions");
            let take = usize::try_from(state.left).unwrap_or(usize::MAX).min(piece.len());
            let (now, later) = piece.split_at(take);
            state.left -= take as u64;
            let full = state.left == 0;
            self.update(now, out)?;
            piece = later;
            if self.encryptor.is_some() && (full || (last && piece.is_empty())) {
                let tag = self.finish(out)?;
                out.extend(tag.unwrap_or_default());
            }
            if piece.is_empty() {
                return Ok(());
            }
        }
    }

    fn update(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(encryptor) = &mut self.encryptor else { return Ok(()) };
        let at = out.len();
        out.resize(at + piece.len() + SLACK_LEN, 0);
        let len = encryptor.update(piece, &mut out[at..]).map_err(body_error)?;
        out.truncate(at + len);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        let encryptor = self.encryptor.take().expect("it was begun");
        let at = out.len();
        out.resize(at + SLACK_LEN, 0);
        let (len, tag) = encryptor.finish(&mut out[at..]).map_err(body_error)?;
        out.truncate(at + len);
        Ok(tag)
    }
}

fn run(
    input: &mut (dyn Read + Send),
    sink: &mut (dyn Write + Send),
    cipher: &mut Cipher<'_>,
    work: &Work<'_>,
) -> Result<(), Error> {
    let mut pieces = Pieces::new(input);
    let make = |out: &mut Vec<u8>| {
        let (piece, last) = pieces.read()?;
        out.clear();
        cipher.step(piece, last, out)?;
        Ok(Made { read: piece.len(), written: out.len(), last })
    };
    pump(sink, work, || Vec::with_capacity(PIECE_LEN), make, |out, _, sink| sink.write_all(out))
}

/// Hashes what is read.
struct Hashing<'a, 'b> {
    inner: Box<dyn Read + Send>,
    checks: &'a mut Vec<Running<'b>>,
}

impl Read for Hashing<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(out)?;
        self.checks.iter_mut().for_each(|check| check.update(&out[..len]));
        Ok(len)
    }
}

/// Hashes what is written.
struct HashingSink<'a, 'b> {
    inner: &'a mut (dyn Write + Send),
    checks: &'a mut Vec<Running<'b>>,
}

impl Write for HashingSink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.inner.write(bytes)?;
        self.checks.iter_mut().for_each(|check| check.update(&bytes[..len]));
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Bytes on their way into a document.
struct Held(Vec<u8>);

impl Write for Held {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > HELD_LEN_MAX {
            let err = MessageError::ContentLength { limit: HELD_LEN_MAX };
            return Err(io::Error::other(err));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The parts of a message beside its ciphertext, as far as they are filled in.
struct Draft {
    documents: BTreeMap<String, DocumentWriter>,
    /// Files of bare bytes, such as a wrapped key.
    files: BTreeMap<String, Vec<u8>>,
}

impl Draft {
    fn new(profile: &Profile) -> Result<Self, Error> {
        let mut documents = BTreeMap::new();
        for (name, part) in profile.parts.iter().filter(|(_, part)| !part.kind.is_unbounded()) {
            let malformed = |source| MessageError::Document { part: name.clone(), source };
            let writer =
                DocumentWriter::new(document_kind(part), part.template.as_deref()).map_err(malformed)?;
            documents.insert(name.clone(), writer);
        }
        Ok(Self { documents, files: BTreeMap::new() })
    }

    fn set(&mut self, at: &Selector, text: &str, number: bool) -> Result<(), Error> {
        let malformed = |source| MessageError::Document { part: at.part.clone(), source };
        let Some(document) = self.documents.get_mut(&at.part) else { return Ok(()) };
        Ok(document.set(&at.path, text, number).map_err(malformed)?)
    }

    fn set_bytes(&mut self, at: &Selector, encoding: Encoding, bytes: &[u8]) -> Result<(), Error> {
        if !self.documents.contains_key(&at.part) {
            self.files.insert(at.part.clone(), bytes.to_vec());
            return Ok(());
        }
        let malformed = |source| MessageError::Encoding { what: format!("`{at}`"), source };
        let text = encoding.encode(bytes).map_err(malformed)?;
        self.set(at, &text, encoding == Encoding::IntText)
    }

    fn jwe_aad(&self, part: &str) -> Result<String, Error> {
        let aad = self.documents.get(part).and_then(DocumentWriter::jwe_aad);
        Ok(aad.ok_or_else(|| MessageError::NoPart { name: part.to_owned() })?)
    }

    /// Puts inner documents into outer ones, and writes the outer ones.
    fn write(mut self, profile: &Profile, outputs: PartOutputs, work: &Work<'_>) -> Result<(), Error> {
        // A part is read from one that is written before it in no certain order: go on until all are in place.
        let mut inner: Vec<(&str, &Selector)> = profile
            .parts
            .iter()
            .filter_map(|(name, part)| Some((name.as_str(), part.from.as_ref()?)))
            .collect();
        while !inner.is_empty() {
            let holds =
                |name: &str, inner: &[(&str, &Selector)]| inner.iter().any(|(_, from)| from.part == name);
            let (ready, later): (Vec<_>, Vec<_>) =
                inner.iter().copied().partition(|(name, _)| !holds(name, &inner));
            for (name, from) in ready {
                let document = self.documents.remove(name).expect("documents are put in place once").finish();
                self.set(from, &document, false)?;
            }
            inner = later;
        }
        for (name, output) in outputs {
            let bytes = match self.documents.remove(&name) {
                Some(document) => document.finish().into_bytes(),
                None => self.files.remove(&name).unwrap_or_default(),
            };
            crate::write(output, &bytes, work)?;
        }
        Ok(())
    }
}
