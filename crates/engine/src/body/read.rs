//! One body, read from its beginning.

use std::io::{IoSliceMut, Read, Write};

use waxwing_core::NotAuthentic;
use waxwing_core::body::{BodyCipher, BodyDecryptor, BodyParams};
use waxwing_profiles::NonceCounter;
use zeroize::Zeroizing;

use super::bytes::Bytes;
use super::fingerprint::Fingerprints;
use super::piece::{Buffer, PIECE_LEN};
use super::plaintext::{FrameRule, Plaintext, PlaintextCheck};
use crate::io::fill;
use crate::pump::{Made, pump};
use crate::{Error, Work};

/// Bytes of a region's nonce.
const NONCE_LEN: usize = 12;
/// Bytes of a region's tag.
const TAG_LEN: usize = 16;

/// Everything that one body needs to be opened, as often as it is read.
pub(crate) struct Body {
    pub(crate) ciphertext: Bytes,
    pub(crate) key: Zeroizing<Vec<u8>>,
    pub(crate) aad: Vec<u8>,
    pub(crate) shape: Shape,
    pub(crate) frame: Option<FrameRule>,
    pub(crate) checks: Vec<PlaintextCheck>,
}

/// How the ciphertext is cut.
pub(crate) enum Shape {
    /// Not at all.
    Whole { cipher: BodyCipher, iv: Vec<u8>, tag: Option<Vec<u8>> },
    /// Into nonce, data and tag, again and again.
    Regions { data_len: u64, nonces: Vec<NonceCounter> },
}

/// What is done with the pieces' fingerprints while they are read.
pub(crate) enum Prints<'a> {
    Ignore,
    Learn(&'a mut Fingerprints),
    Compare(&'a Fingerprints),
}

impl Body {
    /// Reads and decrypts everything once, into `sink`. **What `sink` gets is not authentic** before this returns.
    pub(crate) fn decrypt(
        &self,
        sink: &mut (dyn Write + Send),
        prints: Prints<'_>,
        work: &Work<'_>,
    ) -> Result<(), Error> {
        let mut plaintext = Plaintext::new(sink, self.frame.as_ref(), &self.checks);
        let mut pieces = CiphertextPieces::new(&self.ciphertext, prints);
        let mut steps = match &self.shape {
            Shape::Whole { .. } => Steps::Whole(Some(self.decryptor(&[])?)),
            Shape::Regions { nonces, .. } => Steps::Regions(Regions::new(nonces.clone())),
        };
        let make = |buffer: &mut Buffer| {
            let left = pieces.left();
            let piece = pieces.next(steps.wanted(self, left)?)?;
            let last = piece.len() as u64 == left;
            let written = steps.step(self, piece, last, buffer)?;
            Ok(Made { read: piece.len(), written, last })
        };
        pump(&mut plaintext, work, Buffer::new, make, |buffer, len, sink| {
            sink.write_all(buffer.written(len))
        })?;
        plaintext.finish()?;
        Ok(())
    }

    /// Whether a tag proves all of it, so that verifying needs nothing of the plaintext.
    pub(crate) fn proves_itself(&self) -> bool {
        let tagged = matches!(&self.shape, Shape::Whole { cipher, .. } if cipher.is_authenticated());
        tagged && self.frame.is_none() && self.checks.is_empty()
    }

    /// Reads everything once and throws the plaintext away: one thread reads and fingerprints, another decrypts.
    pub(crate) fn verify(&self, mut prints: Prints<'_>, work: &Work<'_>) -> Result<(), Error> {
        let Shape::Whole { tag, .. } = &self.shape else { unreachable!("a body of regions is decrypted") };
        let (mut source, mut left, mut index) = (self.ciphertext.reader(), self.ciphertext.len(), 0);
        let mut verifier = Verifier { decryptor: Some(self.decryptor(&[])?), scratch: Buffer::new() };
        let make = |buffer: &mut Buffer| {
            // Straight into the buffer that travels: nothing is gained by a copy here.
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_LEN);
            let piece = &mut buffer.room(len)[..len];
            read_piece(&mut source, piece)?;
            prints.see(index, piece)?;
            (index, left) = (index + 1, left - len as u64);
            Ok(Made { read: len, written: len, last: left == 0 })
        };
        pump(&mut verifier, work, Buffer::new, make, |buffer, len, sink| {
            sink.write_all(buffer.written(len))
        })?;
        let Verifier { decryptor, mut scratch } = verifier;
        let out = scratch.room(0);
        decryptor.ok_or(NotAuthentic)?.finish(tag.as_deref(), out)?;
        Ok(())
    }

    /// The decryptor of the whole ciphertext, or of the region that has `nonce`.
    fn decryptor(&self, nonce: &[u8]) -> Result<BodyDecryptor, NotAuthentic> {
        let (cipher, iv) = match &self.shape {
            Shape::Whole { cipher, iv, .. } => (*cipher, iv.as_slice()),
            Shape::Regions { .. } => (BodyCipher::Gcm, nonce),
        };
        BodyDecryptor::new(cipher, BodyParams { key: &self.key, iv, aad: &self.aad })
    }
}

impl Prints<'_> {
    fn see(&mut self, index: usize, piece: &[u8]) -> Result<(), Error> {
        match self {
            Self::Ignore => Ok(()),
            Self::Learn(prints) => {
                prints.push(piece);
                Ok(())
            }
            Self::Compare(prints) if prints.matches(index, piece) => Ok(()),
            Self::Compare(_) => Err(Error::InputChanged),
        }
    }
}

/// Fills `piece`: a source that has less was cut since its length was known.
fn read_piece(source: &mut dyn Read, piece: &mut [u8]) -> Result<(), Error> {
    let read = fill(source, &mut [IoSliceMut::new(piece)]).map_err(Error::input)?;
    if read < piece.len() { Err(Error::InputChanged) } else { Ok(()) }
}

/// Decrypts what is written to it, for nobody.
struct Verifier {
    /// Gone once it refused something: whoever feeds it must not learn where.
    decryptor: Option<BodyDecryptor>,
    scratch: Buffer,
}

impl Write for Verifier {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(decryptor) = &mut self.decryptor
            && decryptor.update(bytes, self.scratch.room(bytes.len())).is_err()
        {
            self.decryptor = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Reads the ciphertext in pieces of one length, each of which has a fingerprint, and gives out parts of them.
struct CiphertextPieces<'a> {
    source: Box<dyn Read + Send>,
    prints: Prints<'a>,
    index: usize,
    buffer: Vec<u8>,
    /// What of the buffer is still to be given out.
    held: std::ops::Range<usize>,
    /// Bytes that are not in the buffer yet.
    unread: u64,
}

impl<'a> CiphertextPieces<'a> {
    fn new(ciphertext: &Bytes, prints: Prints<'a>) -> Self {
        let unread = ciphertext.len();
        let len = usize::try_from(unread).unwrap_or(usize::MAX).min(PIECE_LEN);
        Self { source: ciphertext.reader(), prints, index: 0, buffer: vec![0; len], held: 0..0, unread }
    }

    fn left(&self) -> u64 {
        self.held.len() as u64 + self.unread
    }

    /// The next bytes, at most `max`; none only at the end.
    fn next(&mut self, max: usize) -> Result<&[u8], Error> {
        if self.held.is_empty() && self.unread > 0 {
            self.read()?;
        }
        let start = self.held.start;
        let len = self.held.len().min(max);
        self.held.start += len;
        Ok(&self.buffer[start..start + len])
    }

    fn read(&mut self) -> Result<(), Error> {
        let len = usize::try_from(self.unread).unwrap_or(usize::MAX).min(self.buffer.len());
        let piece = &mut self.buffer[..len];
        read_piece(&mut self.source, piece)?;
        self.prints.see(self.index, piece)?;
        self.index += 1;
        self.unread -= len as u64;
        self.held = 0..len;
        Ok(())
    }
}

/// Where in the ciphertext the decryption is.
enum Steps {
    Whole(Option<BodyDecryptor>),
    Regions(Regions),
}

impl Steps {
    /// How many bytes the next step takes, of `left`.
    fn wanted(&mut self, body: &Body, left: u64) -> Result<usize, NotAuthentic> {
        match (self, &body.shape) {
            (Self::Regions(regions), Shape::Regions { data_len, .. }) => regions.wanted(*data_len, left),
            _ => Ok(PIECE_LEN),
        }
    }

    fn step(
        &mut self,
        body: &Body,
        piece: &[u8],
        last: bool,
        buffer: &mut Buffer,
    ) -> Result<usize, NotAuthentic> {
        let out = buffer.room(piece.len());
        match (self, &body.shape) {
            (Self::Whole(decryptor), Shape::Whole { tag, .. }) => {
                let mut written = decryptor.as_mut().ok_or(NotAuthentic)?.update(piece, out)?;
                if last && let Some(decryptor) = decryptor.take() {
                    written += decryptor.finish(tag.as_deref(), &mut out[written..])?;
                }
                Ok(written)
            }
            (Self::Regions(regions), _) => regions.step(body, piece, out),
            _ => unreachable!("steps are made for their shape"),
        }
    }
}

/// One region after the other.
struct Regions {
    /// The ways to count that all nonces so far agree with.
    nonces: Vec<NonceCounter>,
    index: u64,
    place: Place,
    /// A nonce or a tag, as far as it was read.
    held: Vec<u8>,
    decryptor: Option<BodyDecryptor>,
}

/// What comes next in a region.
#[derive(Clone, Copy)]
enum Place {
    Nonce { data_len: u64 },
    Data { left: u64 },
    Tag,
}

impl Regions {
    fn new(nonces: Vec<NonceCounter>) -> Self {
        Self { nonces, index: 0, place: Place::Nonce { data_len: 0 }, held: Vec::new(), decryptor: None }
    }

    fn wanted(&mut self, data_len: u64, left: u64) -> Result<usize, NotAuthentic> {
        match self.place {
            Place::Nonce { .. } if self.held.is_empty() => {
                // A region holds a nonce and a tag at the least; no region at all would prove nothing at all.
                let room = left.checked_sub((NONCE_LEN + TAG_LEN) as u64).ok_or(NotAuthentic)?;
                self.place = Place::Nonce { data_len: room.min(data_len) };
                Ok(NONCE_LEN)
            }
            Place::Nonce { .. } => Ok(NONCE_LEN - self.held.len()),
            Place::Data { left } => Ok(usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_LEN)),
            Place::Tag => Ok(TAG_LEN - self.held.len()),
        }
    }

    fn step(&mut self, body: &Body, piece: &[u8], out: &mut [u8]) -> Result<usize, NotAuthentic> {
        match self.place {
            Place::Nonce { data_len } => {
                self.held.extend_from_slice(piece);
                if self.held.len() == NONCE_LEN {
                    self.nonces.retain(|counter| counter.nonce(self.index)[..] == self.held);
                    if self.nonces.is_empty() {
                        return Err(NotAuthentic);
                    }
                    self.decryptor = Some(body.decryptor(&self.held)?);
                    self.held.clear();
                    self.place = if data_len == 0 { Place::Tag } else { Place::Data { left: data_len } };
                }
                Ok(0)
            }
            Place::Data { left } => {
                let left = left - piece.len() as u64;
                self.place = if left == 0 { Place::Tag } else { Place::Data { left } };
                self.decryptor.as_mut().ok_or(NotAuthentic)?.update(piece, out)
            }
            Place::Tag => {
                self.held.extend_from_slice(piece);
                if self.held.len() < TAG_LEN {
                    return Ok(0);
                }
                let written = self.decryptor.take().ok_or(NotAuthentic)?.finish(Some(&self.held), out)?;
                self.held.clear();
                self.index += 1;
                self.place = Place::Nonce { data_len: 0 };
                Ok(written)
            }
        }
    }
}
