//! The record scheme over files and pipes: one ciphertext, verified before a byte of it is decrypted for anybody.

use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::sync::Arc;

use aws_lc_rs::constant_time;
use waxwing_core::Random;
use waxwing_core::body::{BodyEncryptor, BodyError, BodyParams};
use waxwing_core::content::{ContentKey, GCM_PLAINTEXT_LEN_MAX, Legacy, Permitted, Plan};
use waxwing_core::hash::{HashAlgorithm, Hasher};
use waxwing_formats::record::{Record, TAG_LEN};
use waxwing_formats::scheme::{Scheme, TagPlace};
use waxwing_keyring::{RecordKeys, RsaRecipientKey, wrap_content_key};
use zeroize::Zeroizing;

use crate::body::{Body, Buffer, Bytes, Pieces, Shape, release};
use crate::digest::Sha256Writer;
use crate::io::{Input, Output, Privacy, Sink, Spool, read_exact_at};
use crate::pump::{Made, pump};
use crate::{Error, Work};

/// Encrypts `input` into a bare ciphertext, and returns the record that belongs to it: wrapped key, IV, tag, scheme and key
/// id; with CBC, which proves nothing by itself, also the ciphertext's SHA-256.
///
/// # Errors
///
/// [`Error`].
pub fn seal_record(
    input: Input,
    output: Output,
    scheme: Permitted,
    recipient: &RsaRecipientKey,
    random: &dyn Random,
    work: &Work<'_>,
) -> Result<SealedRecord, Error> {
    let sink = output.open(Privacy::Umask).map_err(Error::output)?;
    let Scheme { wrap, tag: place, cipher } = scheme.scheme();
    let key = ContentKey::generate(cipher.key_len(), random)?;
    let mut iv = vec![0; cipher.iv_len()];
    random.fill(&mut iv)?;
    let params = BodyParams { key: key.expose(), iv: &iv, aad: &[] };
    let encryptor = BodyEncryptor::new(cipher.body(), params, random).map_err(encryption_failed)?;
    let wrapped_key = wrap_content_key(recipient, wrap, &key).map_err(Error::RecordKey)?;
    if let Some(len) = input.known_len() {
        work.observer.total(len);
        if let Sink::File(target) = &sink {
            target.preallocate(len).map_err(Error::output)?;
        }
    }
    let mut pieces = Pieces::new(input.into_stream());
    let encrypt_into = |sink: &mut (dyn Write + Send)| {
        if scheme.scheme().cipher.is_authenticated() {
            let (len, tag) = encrypt(&mut pieces, sink, encryptor, place, work)?;
            return Ok((len, tag, None));
        }
        let mut hashed = Sha256Writer::new(sink);
        let (len, tag) = encrypt(&mut pieces, &mut hashed, encryptor, place, work)?;
        Ok::<_, Error>((len, tag, Some(hashed.finish())))
    };
    let (plaintext_len, tag, digest) = match sink {
        Sink::File(target) => {
            let done = encrypt_into(&mut target.file())?;
            target.publish(work.durable).map_err(Error::output)?;
            done
        }
        Sink::Stream(mut sink) => encrypt_into(&mut sink)?,
    };
    let record = Record {
        wrapped_key,
        iv,
        tag: tag.filter(|_| place == TagPlace::Apart),
        scheme: Some(scheme.scheme()),
        key_id: Some(*recipient.key_id().as_bytes()),
        ciphertext_sha256: digest,
        ..Record::default()
    };
    Ok(SealedRecord { record, plaintext_len })
}

/// What [`seal_record`] made.
#[derive(Debug)]
pub struct SealedRecord {
    /// Everything that must reach the recipient beside the ciphertext.
    pub record: Record,
    /// Bytes of plaintext.
    pub plaintext_len: u64,
}

fn encrypt(
    pieces: &mut Pieces<impl Read>,
    sink: &mut (dyn Write + Send),
    encryptor: BodyEncryptor,
    place: TagPlace,
    work: &Work<'_>,
) -> Result<(u64, Option<[u8; TAG_LEN]>), Error> {
    let mut encryptor = Some(encryptor);
    let (mut plaintext_len, mut tag) = (0, None::<[u8; TAG_LEN]>);
    let make = |buffer: &mut Buffer| {
        let (input, last) = pieces.read()?;
        let output = buffer.room(input.len());
        plaintext_len += input.len() as u64;
        if plaintext_len > GCM_PLAINTEXT_LEN_MAX {
            return Err(Error::TooLong { limit: GCM_PLAINTEXT_LEN_MAX });
        }
        let current = encryptor.as_mut().expect("it is there until the last piece");
        let mut written = current.update(input, output).map_err(encryption_failed)?;
        if last && let Some(encryptor) = encryptor.take() {
            let (more, made) = encryptor.finish(&mut output[written..]).map_err(encryption_failed)?;
            written += more;
            tag = made.map(|tag| tag.try_into().expect("GCM's tag has 16 bytes"));
            if let (Some(made), TagPlace::Appended) = (tag, place) {
                output[written..written + TAG_LEN].copy_from_slice(&made);
                written += TAG_LEN;
            }
        }
        Ok(Made { read: input.len(), written, last })
    };
    pump(sink, work, Buffer::new, make, drain)?;
    Ok((plaintext_len, tag))
}

fn encryption_failed(err: BodyError) -> Error {
    match err {
        BodyError::Random(err) => err.into(),
        BodyError::TooLong { .. } => Error::TooLong { limit: GCM_PLAINTEXT_LEN_MAX },
        err => unreachable!("key and IV have the cipher's lengths: {err}"),
    }
}

fn drain(buffer: &Buffer, len: usize, sink: &mut dyn Write) -> io::Result<()> {
    sink.write_all(buffer.written(len))
}

/// How [`open_record`] is told what the record may be.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordOptions {
    /// The scheme, when the caller knows it: the record may then only agree.
    pub stated: Option<Scheme>,
    /// Whether legacy schemes are opened.
    pub legacy: Legacy,
}

/// What [`open_record`] opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedRecord {
    /// How it was made.
    pub scheme: Scheme,
    /// Bytes of plaintext.
    pub plaintext_len: u64,
}

impl OpenedRecord {
    /// Whether the content proved itself. CBC's does not, whatever came out.
    pub fn is_authenticated(&self) -> bool {
        self.scheme.cipher.is_authenticated()
    }
}

/// Opens the ciphertext in `input` that `record` belongs to.
///
/// The ciphertext is read twice: first to verify it, with what comes out thrown away, then to decrypt it. What comes from a
/// pipe is kept as ciphertext in a file without a name meanwhile. Between the passes a file may be exchanged: a file that
/// comes of it appears only if the second pass verifies too, and a stream gets only pieces that are those of the first.
///
/// # Errors
///
/// [`Error`]. Once the key was used, all that can be wrong is "not authentic".
pub fn open_record(
    record: &Record,
    input: Input,
    output: Output,
    keys: &RecordKeys,
    options: RecordOptions,
    work: &Work<'_>,
) -> Result<OpenedRecord, Error> {
    let plan = Plan::new(record, options.stated, options.legacy).map_err(Error::Plan)?;
    let key = keys.locate(record).map_err(Error::RecordKey)?;
    let sink = output.open(Privacy::Owner).map_err(Error::output)?;
    let (file, whole_len) = Spool::file(input, work.spool_dir).map_err(Error::spool)?;
    let (file, scheme) = (Arc::new(file), plan.scheme());
    let (len, tag) = cut_tag(&file, whole_len, scheme, plan.tag())?;
    if let Some(expected) = &record.ciphertext_sha256 {
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        Bytes::File(Arc::clone(&file), 0..whole_len).feed(work, |piece| hasher.update(piece))?;
        // Nothing secret is compared; the constant time costs nothing either.
        let same = constant_time::verify_slices_are_equal(&hasher.finish(), expected);
        same.map_err(|_| Error::DigestMismatch)?;
    }
    let content_key = key.unwrap(record, scheme)?;
    let body = Body {
        ciphertext: Bytes::File(file, 0..len),
        key: Zeroizing::new(content_key.expose().to_vec()),
        aad: Vec::new(),
        shape: Shape::Whole { cipher: scheme.cipher.body(), iv: record.iv.clone(), tag: tag.map(Vec::from) },
        frame: None,
        checks: Vec::new(),
    };
    let plaintext_len = release(&[body], &[], sink, scheme.cipher.is_authenticated(), work)?;
    Ok(OpenedRecord { scheme, plaintext_len })
}

/// The length of a ciphertext without its tag, and the tag, which may stand at its end.
fn cut_tag(
    file: &File,
    len: u64,
    scheme: Scheme,
    apart: Option<[u8; TAG_LEN]>,
) -> Result<(u64, Option<[u8; TAG_LEN]>), Error> {
    if !scheme.cipher.is_authenticated() || scheme.tag != TagPlace::Appended {
        return Ok((len, apart));
    }
    let len = len.checked_sub(TAG_LEN as u64).ok_or(Error::NoRoomForTag { len })?;
    let mut tag = [0; TAG_LEN];
    read_exact_at(file, len, &mut [IoSliceMut::new(&mut tag)]).map_err(Error::input)?;
    Ok((len, Some(tag)))
}
