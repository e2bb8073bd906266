//! New recipients for a file, whose body stays byte for byte; and a new DEK for one whose recipients may not be trusted.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use waxwing_core::Random;
use waxwing_core::envelope::{LockedHeader, SealOptions};
use waxwing_formats::envelope::Header;
use waxwing_keyring::{Change, Keyring, RewrapError, Rewrapped, rewrap};

use crate::header::read_attached_header;
use crate::io::{Existing, Input, PendingFile, Privacy, Sink, write_all_at};
use crate::relay::relay;
use crate::seal::seal_into;
use crate::{Error, Work, open, read_detached_header};

/// Bytes of a body that are compared at once.
const COMPARED_LEN: usize = 256 << 10;

/// What a header belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderKind {
    /// It stands in front of its body.
    Attached,
    /// It is a file of its own.
    Detached,
}

/// Gives the envelope or the detached header at `path` other recipients.
///
/// The new file is made beside the old one, whose body it gets byte for byte, read back and compared; then it takes the
/// old one's name, at once. A crash at any step leaves the old file or the new one. Nobody else rewraps the same file
/// meanwhile: a second rewrap is [`Error::Busy`].
///
/// # Errors
///
/// [`Error`]; the file is as it was then.
pub fn rewrap_file(
    path: &Path,
    kind: HeaderKind,
    keyring: &Keyring,
    change: &Change,
    work: &Work<'_>,
) -> Result<Rewrapped, Error> {
    let held = Held::lock(path)?;
    let (locked, body_at) = match kind {
        HeaderKind::Attached => read_attached_header(&mut held.input()?)?,
        HeaderKind::Detached => (read_detached_header(held.input()?)?, held.len),
    };
    let rewrapped = rewrap_header(&locked, keyring, change)?;
    let pending = held.replacement()?;
    let header_len = rewrapped.header.len() as u64;
    write_all_at(pending.file(), 0, &mut [io::IoSlice::new(&rewrapped.header)]).map_err(Error::output)?;
    work.observer.total(held.len - body_at);
    held.copy_body(body_at, &pending, header_len, work)?;
    held.compare_body(body_at, &pending, header_len, work)?;
    held.publish(pending, work)?;
    Ok(rewrapped)
}

/// The header alone: its new bytes, for whoever keeps it somewhere else than in a file.
///
/// # Errors
///
/// [`Error::Unlock`] and the like, [`Error::Wrap`], [`Error::Header`].
pub fn rewrap_header(locked: &LockedHeader, keyring: &Keyring, change: &Change) -> Result<Rewrapped, Error> {
    pollster::block_on(rewrap(locked, keyring, change)).map_err(|err| match err {
        RewrapError::Unlock(err) => err.into(),
        RewrapError::Wrap(err) => err.into(),
        RewrapError::Header(err) => Error::Header(err),
        err => Error::Io { side: crate::Side::Output, source: io::Error::other(err) },
    })
}

/// Seals the envelope at `path` anew: a fresh DEK, message id and body under the same context, suite and frame length,
/// for `recipients` alone. The plaintext is on no disk. The new file takes the old one's name at once.
///
/// # Errors
///
/// [`Error`]; the file is as it was then.
pub fn reencrypt_file(
    path: &Path,
    keyring: &Keyring,
    recipients: &Keyring,
    random: &dyn Random,
    work: &Work<'_>,
) -> Result<(), Error> {
    let held = Held::lock(path)?;
    let (locked, _) = read_attached_header(&mut held.input()?)?;
    let Header { fixed, .. } = locked.unverified();
    let options =
        SealOptions { suite: fixed.suite, frame_len: fixed.frame_len, context: fixed.context.clone() };
    let context = fixed.context.clone();
    let input = held.input()?;
    let output = Sink::File(held.replacement()?);
    relay(
        |out| open(input, None, out, keyring, &context, work).map(|_| ()),
        |plaintext| seal_into(plaintext, output, None, recipients, options, random, work).map(|_| ()),
    )
}

/// A file that nobody else rewraps meanwhile.
struct Held<'a> {
    path: &'a Path,
    file: File,
    len: u64,
}

impl<'a> Held<'a> {
    fn lock(path: &'a Path) -> Result<Self, Error> {
        let file = File::options().read(true).open(path).map_err(Error::input)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(Error::Busy),
            Err(fs::TryLockError::Error(err)) => return Err(Error::input(err)),
        }
        let held = Self { path, len: file.metadata().map_err(Error::input)?.len(), file };
        // Somebody may have replaced it between the opening and the lock.
        if held.is_current()? { Ok(held) } else { Err(Error::Busy) }
    }

    /// Whether the path still leads to the file that is locked.
    fn is_current(&self) -> Result<bool, Error> {
        let [named, own] = [fs::metadata(self.path), self.file.metadata()];
        let (named, own) = (named.map_err(Error::input)?, own.map_err(Error::input)?);
        Ok((named.dev(), named.ino()) == (own.dev(), own.ino()))
    }

    /// The file, read from its beginning.
    fn input(&self) -> Result<Input, Error> {
        Input::open_file(self.path)
    }

    /// A file that will take its place, readable by those who can read this one.
    fn replacement(&self) -> Result<PendingFile, Error> {
        let pending = PendingFile::create(self.path.to_owned(), Existing::Replace, Privacy::Owner);
        let pending = pending.map_err(Error::output)?;
        let permissions = self.file.metadata().map_err(Error::input)?.permissions();
        pending.file().set_permissions(permissions).map_err(Error::output)?;
        Ok(pending)
    }

    fn copy_body(&self, from: u64, pending: &PendingFile, to: u64, work: &Work<'_>) -> Result<(), Error> {
        let (mut source, mut target) = (&self.file, pending.file());
        source.seek(SeekFrom::Start(from)).map_err(Error::input)?;
        target.seek(SeekFrom::Start(to)).map_err(Error::output)?;
        let mut left = self.len - from;
        while left > 0 {
            if work.observer.stopped() {
                return Err(Error::Stopped);
            }
            // In the kernel, and on some file systems without copying at all.
            let piece = io::copy(&mut io::Read::take(source, left.min(COPIED_LEN)), &mut target);
            match piece.map_err(Error::output)? {
                0 => return Err(Error::InputChanged),
                copied => left -= copied,
            }
        }
        Ok(())
    }

    fn compare_body(&self, from: u64, pending: &PendingFile, to: u64, work: &Work<'_>) -> Result<(), Error> {
        use std::os::unix::fs::FileExt as _;
        let len = self.len - from;
        let (mut old, mut new) = (vec![0; COMPARED_LEN], vec![0; COMPARED_LEN]);
        let mut at = 0;
        while at < len {
            if work.observer.stopped() {
                return Err(Error::Stopped);
            }
            let piece = usize::try_from(len - at).unwrap_or(usize::MAX).min(COMPARED_LEN);
            self.file.read_exact_at(&mut old[..piece], from + at).map_err(Error::input)?;
            pending.file().read_exact_at(&mut new[..piece], to + at).map_err(Error::output)?;
            if old[..piece] != new[..piece] {
                return Err(Error::InputChanged);
            }
            at += piece as u64;
            work.observer.advance(piece as u64);
        }
        Ok(())
    }

    fn publish(&self, pending: PendingFile, work: &Work<'_>) -> Result<(), Error> {
        let unchanged = self.file.metadata().map_err(Error::input)?.len() == self.len;
        if !unchanged || !self.is_current()? {
            return Err(Error::InputChanged);
        }
        pending.publish(work.durable).map_err(Error::output)
    }
}

/// Bytes of a body that are copied between two looks at whether to stop.
const COPIED_LEN: u64 = 64 << 20;
