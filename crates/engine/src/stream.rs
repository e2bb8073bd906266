//! Sealing and opening between what only reads and writes, on the thread that calls.

use std::io::{self, Read, Write};

use waxwing_core::Random;
use waxwing_core::envelope::{LockedHeader, SealOptions};
use waxwing_core::stream::{Opener, Sealer, Step};
use waxwing_formats::envelope::{Context, PLAINTEXT_LEN_MAX};
use waxwing_keyring::Keyring;
use zeroize::Zeroize as _;

use crate::Error;
use crate::header::{begin, unlock};

/// The most plaintext that one call of [`SealWriter::write`] takes, and the most ciphertext that [`OpenReader`] reads at once.
const PIECE_LEN: usize = 64 << 10;

/// Seals what is written to it.
///
/// [`finish`](Self::finish) writes the final frame. Dropped before, what was written is an envelope cut short, which no reader
/// takes for whole.
pub struct SealWriter<W: Write> {
    sink: W,
    /// `None` after a write that failed: what reached the sink is not known.
    sealer: Option<Sealer>,
    frames: Vec<u8>,
}

impl<W: Write> SealWriter<W> {
    /// Writes the header of a new envelope for every key of `recipients`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn new(
        mut sink: W,
        recipients: &Keyring,
        options: SealOptions,
        random: &dyn Random,
    ) -> Result<Self, Error> {
        let frame_len = options.frame_len;
        let (header, key) = pollster::block_on(begin(recipients, options, None, random))?;
        sink.write_all(&header).map_err(Error::output)?;
        Ok(Self { sink, sealer: Some(Sealer::new(key, frame_len)), frames: Vec::new() })
    }

    /// Writes the final frame and gives the sink back.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; the envelope is cut short then.
    pub fn finish(mut self) -> Result<W, Error> {
        let sealer = self.sealer.take().ok_or_else(|| Error::output(failed_before()))?;
        self.frames.clear();
        sealer.finish(&mut self.frames);
        self.sink.write_all(&self.frames).and_then(|()| self.sink.flush()).map_err(Error::output)?;
        Ok(self.sink)
    }
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        let mut sealer = self.sealer.take().ok_or_else(failed_before)?;
        let plaintext = &plaintext[..plaintext.len().min(PIECE_LEN)];
        self.frames.clear();
        sealer.push(plaintext, &mut self.frames).map_err(|_| too_long().into_io())?;
        self.sink.write_all(&self.frames)?;
        self.sealer = Some(sealer);
        Ok(plaintext.len())
    }

    /// Flushes the sink. Plaintext that does not fill a frame stays here until more comes, or the end.
    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// Reads the plaintext of an envelope from its beginning.
///
/// A frame's plaintext comes out when it has verified. That it is all of it is known only when reading returns 0: an envelope
/// that was cut short is an error at its end ([`io::ErrorKind::UnexpectedEof`]). Errors wrap an [`Error`], and stay.
pub struct OpenReader<R> {
    source: R,
    /// `None` after an error.
    opener: Option<Opener>,
    input: Vec<u8>,
    plaintext: Vec<u8>,
    /// Bytes at the front of `plaintext` that were read.
    used: usize,
}

impl<R: Read> OpenReader<R> {
    /// Reads the header from `source` and unlocks it with whichever key of `keyring` opens it. The envelope must have been sealed
    /// with `required`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn attached(source: R, keyring: &Keyring, required: &Context) -> Result<Self, Error> {
        let mut reader = Self::new(source, None);
        reader.opener = Some(reader.begin(Opener::attached(), keyring, required)?);
        Ok(reader)
    }

    /// The same for an envelope whose header was kept apart; `source` has its body.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn detached(
        source: R,
        header: &LockedHeader,
        keyring: &Keyring,
        required: &Context,
    ) -> Result<Self, Error> {
        let header = pollster::block_on(unlock(header, keyring, required))?;
        Ok(Self::new(source, Some(Opener::detached(header))))
    }

    fn new(source: R, opener: Option<Opener>) -> Self {
        Self { source, opener, input: vec![0; PIECE_LEN], plaintext: Vec::new(), used: 0 }
    }

    fn begin(&mut self, mut opener: Opener, keyring: &Keyring, required: &Context) -> Result<Opener, Error> {
        loop {
            let header = match opener.step()? {
                Step::NeedKey(locked) => Some(pollster::block_on(unlock(locked, keyring, required))?),
                Step::NeedInput => None,
                Step::Plaintext(_) | Step::Done => unreachable!("a body waits for its key"),
            };
            match header {
                Some(header) => {
                    opener.unlock(header);
                    return Ok(opener);
                }
                None => self.feed(&mut opener)?,
            }
        }
    }

    fn feed(&mut self, opener: &mut Opener) -> Result<(), Error> {
        match read_some(&mut self.source, &mut self.input)? {
            0 => opener.end(),
            len => opener.input(&self.input[..len]),
        }
        Ok(())
    }

    /// Takes the next plaintext; none at the end.
    fn advance(&mut self, opener: &mut Opener) -> Result<(), Error> {
        // What comes next overwrites it; the rest is wiped on drop.
        self.plaintext.clear();
        self.used = 0;
        loop {
            match opener.step()? {
                Step::NeedInput => {}
                Step::Plaintext([]) => continue,
                Step::Plaintext(frame) => {
                    self.plaintext.extend_from_slice(frame);
                    return Ok(());
                }
                Step::Done => return Ok(()),
                Step::NeedKey(_) => unreachable!("it was given before"),
            }
            self.feed(opener)?;
        }
    }
}

impl<R: Read> Read for OpenReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.used == self.plaintext.len() {
            let mut opener = self.opener.take().ok_or_else(failed_before)?;
            self.advance(&mut opener).map_err(Error::into_io)?;
            self.opener = Some(opener);
        }
        let rest = &self.plaintext[self.used..];
        let len = rest.len().min(out.len());
        out[..len].copy_from_slice(&rest[..len]);
        self.used += len;
        Ok(len)
    }
}

impl<R> Drop for OpenReader<R> {
    fn drop(&mut self) {
        // All of its room: a shorter frame leaves the end of a longer one behind it.
        self.plaintext.zeroize();
    }
}

pub(crate) fn too_long() -> Error {
    Error::TooLong { limit: PLAINTEXT_LEN_MAX }
}

fn read_some(source: &mut impl Read, into: &mut [u8]) -> Result<usize, Error> {
    loop {
        match source.read(into) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            read => return read.map_err(Error::source_failed),
        }
    }
}

pub(crate) fn failed_before() -> io::Error {
    io::Error::other("it failed before and cannot go on")
}
