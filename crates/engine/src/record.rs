//! The record scheme over files and pipes: one ciphertext, verified before a byte of it is decrypted for anybody.

mod fingerprint;
mod piece;

use std::fs::File;
use std::io::{self, IoSliceMut, Read, Seek as _, SeekFrom, Write};

use aws_lc_rs::constant_time;
use waxwing_core::content::{Decryptor, Encryptor, GCM_PLAINTEXT_LEN_MAX, Legacy, Permitted, Plan};
use waxwing_core::{NotAuthentic, Random};
use waxwing_formats::record::{Record, TAG_LEN};
use waxwing_formats::scheme::{Scheme, TagPlace};
use waxwing_keyring::{RecordKeys, RsaRecipientKey, wrap_content_key};

use self::fingerprint::Fingerprints;
use self::piece::{Buffer, Pieces};
use crate::digest::Sha256Writer;
use crate::io::{Input, Output, Privacy, Sink, Spool, read_exact_at};
use crate::pump::{Ahead, Made, pump};
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
    let (encryptor, key, iv) = Encryptor::new(scheme, random)?;
    let Scheme { wrap, tag: place, .. } = scheme.scheme();
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
    encryptor: Encryptor,
    place: TagPlace,
    work: &Work<'_>,
) -> Result<(u64, Option<[u8; TAG_LEN]>), Error> {
    let mut encryptor = Some(encryptor);
    let (mut plaintext_len, mut tag) = (0, None);
    let make = |buffer: &mut Buffer| {
        let (input, last) = pieces.read()?;
        let output = buffer.room(input.len());
        plaintext_len += input.len() as u64;
        if plaintext_len > GCM_PLAINTEXT_LEN_MAX {
            return Err(Error::TooLong { limit: GCM_PLAINTEXT_LEN_MAX });
        }
        let current = encryptor.as_mut().expect("it is there until the last piece");
        let mut written = current.update(input, output);
        if last && let Some(encryptor) = encryptor.take() {
            let (more, made) = encryptor.finish(&mut output[written..]);
            written += more;
            tag = made;
            if let (Some(made), TagPlace::Appended) = (made, place) {
                output[written..written + TAG_LEN].copy_from_slice(&made);
                written += TAG_LEN;
            }
        }
        Ok(Made { read: input.len(), written, last })
    };
    pump(sink, work, Buffer::new, make, drain)?;
    Ok((plaintext_len, tag))
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
    let mut sink = output.open(Privacy::Owner).map_err(Error::output)?;
    let (file, len) = Spool::file(input, work.spool_dir).map_err(Error::spool)?;
    let scheme = plan.scheme();
    let body = Ciphertext::new(&file, len, scheme, plan.tag())?;
    // As often as it is read: for its digest, to verify it, to decrypt it.
    let verified_first = matches!(sink, Sink::Stream(_)) || scheme.cipher.is_authenticated();
    let passes = 1 + u64::from(record.ciphertext_sha256.is_some()) + u64::from(verified_first);
    work.observer.total(passes * body.len);
    if let Some(expected) = &record.ciphertext_sha256 {
        body.check_digest(len, expected, work)?;
    }
    let content_key = key.unwrap(record, scheme)?;
    let decryptor = || plan.decryptor(&content_key);
    // A stream cannot be taken back, so even CBC, which proves little, is tried to its end first.
    let mut fingerprints = match sink {
        Sink::File(_) => None,
        Sink::Stream(_) => Some(Fingerprints::new()?),
    };
    if let Sink::File(target) = &sink {
        target.preallocate(body.len).map_err(Error::output)?;
    }
    if verified_first {
        body.verify(decryptor()?, fingerprints.as_mut(), work)?;
    }
    let plaintext_len = match &mut sink {
        Sink::File(target) => body.decrypt(decryptor()?, None, &mut target.file(), work)?,
        Sink::Stream(sink) => body.decrypt(decryptor()?, fingerprints.as_ref(), sink, work)?,
    };
    if let Sink::File(target) = sink {
        target.publish(work.durable).map_err(Error::output)?;
    }
    Ok(OpenedRecord { scheme, plaintext_len })
}

/// A ciphertext in a file, without its tag.
struct Ciphertext<'a> {
    file: &'a File,
    len: u64,
    tag: Option<[u8; TAG_LEN]>,
}

impl<'a> Ciphertext<'a> {
    fn new(file: &'a File, len: u64, scheme: Scheme, apart: Option<[u8; TAG_LEN]>) -> Result<Self, Error> {
        let appended = scheme.cipher.is_authenticated() && scheme.tag == TagPlace::Appended;
        if !appended {
            return Ok(Self { file, len, tag: apart });
        }
        let len = len.checked_sub(TAG_LEN as u64).ok_or(Error::NoRoomForTag { len })?;
        let mut tag = [0; TAG_LEN];
        read_exact_at(file, len, &mut [IoSliceMut::new(&mut tag)]).map_err(Error::input)?;
        Ok(Self { file, len, tag: Some(tag) })
    }

    /// Compares the digest of all `len` bytes of the file, an appended tag included. One thread reads, another hashes.
    fn check_digest(&self, len: u64, expected: &[u8; 32], work: &Work<'_>) -> Result<(), Error> {
        let mut hasher = Sha256Writer::new(io::sink());
        let (mut source, mut left) = (Ahead::new(self.front(len)?), len);
        let make = |buffer: &mut Buffer| {
            let (read, last) = buffer.read(&mut source)?;
            left -= read as u64;
            Ok(Made { read, written: read, last })
        };
        pump(&mut hasher, work, Buffer::new, make, drain)?;
        if left > 0 {
            return Err(Error::InputChanged);
        }
        // Nothing secret is compared; the constant time costs nothing either.
        constant_time::verify_slices_are_equal(&hasher.finish(), expected).map_err(|_| Error::DigestMismatch)
    }

    fn front(&self, len: u64) -> Result<impl Read + use<'a>, Error> {
        let mut file = self.file;
        file.seek(SeekFrom::Start(0)).map_err(Error::input)?;
        Ok(file.take(len))
    }

    /// Reads everything once and throws the plaintext away. `fingerprints` learn what identifies each piece.
    fn verify(
        &self,
        mut decryptor: Decryptor,
        mut fingerprints: Option<&mut Fingerprints>,
        work: &Work<'_>,
    ) -> Result<(), Error> {
        let mut pieces = self.pieces()?;
        let mut scratch = Buffer::new();
        let mut left = self.len;
        loop {
            if work.observer.stopped() {
                return Err(Error::Stopped);
            }
            let (piece, last) = pieces.read()?;
            if let Some(fingerprints) = &mut fingerprints {
                fingerprints.push(piece);
            }
            let scratch = scratch.room(piece.len());
            decryptor.update(piece, scratch)?;
            left -= piece.len() as u64;
            work.observer.advance(piece.len() as u64);
            match (last, left) {
                (false, _) => {}
                (true, 0) => return Ok(decryptor.finish(self.tag.as_ref(), scratch).map(|_| ())?),
                (true, _) => return Err(Error::InputChanged),
            }
        }
    }

    fn decrypt(
        &self,
        decryptor: Decryptor,
        fingerprints: Option<&Fingerprints>,
        sink: &mut (dyn Write + Send),
        work: &Work<'_>,
    ) -> Result<u64, Error> {
        let (mut pieces, mut decryptor) = (self.pieces()?, Some(decryptor));
        let (mut index, mut left, mut plaintext_len) = (0, self.len, 0);
        let make = |buffer: &mut Buffer| {
            let (input, last) = pieces.read()?;
            let output = buffer.room(input.len());
            if fingerprints.is_some_and(|known| !known.matches(index, input)) {
                return Err(Error::InputChanged);
            }
            (index, left) = (index + 1, left - input.len() as u64);
            let current = decryptor.as_mut().ok_or(NotAuthentic)?;
            let mut written = current.update(input, output)?;
            if last && let Some(decryptor) = decryptor.take() {
                if left > 0 {
                    return Err(Error::InputChanged);
                }
                written += decryptor.finish(self.tag.as_ref(), &mut output[written..])?;
            }
            plaintext_len += written as u64;
            Ok(Made { read: input.len(), written, last })
        };
        pump(sink, work, Buffer::new, make, drain)?;
        Ok(plaintext_len)
    }

    fn pieces(&self) -> Result<Pieces<impl Read + use<'a>>, Error> {
        Ok(Pieces::new(self.front(self.len)?))
    }
}
