//! The file of a keystore (`docs/formats/keystore-v1.md`): two envelopes, one behind the other.
//!
//! The first holds 32 random bytes, the root KEK, for whoever may open the keystore. The second holds the keys, sealed under
//! the root KEK. So a change of the keys needs none of the recipients' public keys, and a change of the recipients touches
//! no key.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use waxwing_core::Random;
use waxwing_core::envelope::SealOptions;
use waxwing_core::stream::{Opener, Sealer, Step};
use waxwing_formats::envelope::{Context, FrameLen, Header, Recipient};
use waxwing_formats::keystore::CONTENTS_LEN_MAX;
use waxwing_keyring::{Change, Kek, Keyring, Keystore, Rewrapped};
use zeroize::Zeroizing;

use crate::header::{begin, unlock};
use crate::{Error, Existing, Output, Work, rewrap_header, write_secret};

/// Bytes of the root KEK.
const ROOT_LEN: usize = 32;
/// Bytes of the first envelope's body: one frame.
const FRONT_BODY_LEN: usize = ROOT_LEN + waxwing_core::frames::TAG_LEN;
/// What the header of the second envelope calls the root KEK.
const ROOT_NAME: &str = "keystore";
/// The longest file.
const FILE_LEN_MAX: usize = 8 << 20;
/// How long a change waits for another process's change.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long it sleeps between two looks.
const LOCK_LOOK: Duration = Duration::from_millis(20);

/// Where a keystore is kept.
#[derive(Debug, Clone)]
pub struct KeystoreFile {
    path: PathBuf,
}

/// A keystore that was opened, and what it takes to write it back.
pub struct OpenKeystore {
    /// Its keys.
    pub keys: Keystore,
    /// The first envelope.
    front: Vec<u8>,
    root: Kek,
}

impl KeystoreFile {
    /// The keystore in the file at `path`, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is there.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Makes the file, for these recipients. It must not be there yet.
    ///
    /// # Errors
    ///
    /// [`Error::OutputExists`], [`Error::Wrap`], [`Error::Io`].
    pub fn create(&self, keys: &Keystore, recipients: &Keyring, random: &dyn Random) -> Result<(), Error> {
        self.write_anew(Keystore::decode(&keys.encode())?, recipients, Existing::Keep, random)
    }

    /// Opens it with one of its recipients' keys. Another process may change it meanwhile: what was read is one state of it.
    ///
    /// # Errors
    ///
    /// [`Error`]: as for any envelope, and [`Error::Keystore`].
    pub fn open(&self, keyring: &Keyring) -> Result<OpenKeystore, Error> {
        let bytes = self.read()?;
        let front_len = front_len(&bytes)?;
        let (front, back) = bytes.split_at(front_len);
        let secret = open_small(keyring, &front_context(), front)?;
        let secret = secret.as_slice().try_into().map_err(|_| waxwing_core::NotAuthentic)?;
        let root = root_kek(secret)?;
        let mut under_root = Keyring::default();
        under_root.push(root_kek(secret)?);
        let contents = open_small(&under_root, &back_context(), back)?;
        Ok(OpenKeystore { keys: Keystore::decode(&contents)?, front: front.to_vec(), root })
    }

    /// Opens it, changes its keys and writes it back, alone: another process's change waits until this one is over. The new
    /// file takes the old one's place at once, and is on the disk before this returns.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; [`Error::Busy`]; what `change` returns. The file is as it was then.
    pub fn update<T>(
        &self,
        keyring: &Keyring,
        random: &dyn Random,
        change: impl FnOnce(&mut Keystore) -> Result<T, waxwing_keyring::KeystoreError>,
    ) -> Result<T, Error> {
        let _lock = self.lock()?;
        let mut open = self.open(keyring)?;
        let changed = change(&mut open.keys)?;
        self.write(&open, Existing::Replace, random)?;
        Ok(changed)
    }

    /// For whom the file is sealed. Nothing of it is proven.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Open`] for a malformed header.
    pub fn recipients(&self) -> Result<Vec<Recipient>, Error> {
        let bytes = self.read()?;
        Ok(crate::read_detached_header(stream(&bytes[..header_len(&bytes)?]))?
            .unverified()
            .recipients
            .clone())
    }

    /// Seals it anew for `recipients` alone, under a fresh root KEK: nobody else opens what is written from here on, with
    /// whatever they kept.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; [`Error::Wrap`], [`Error::Busy`].
    pub fn reseal(&self, keyring: &Keyring, recipients: &Keyring, random: &dyn Random) -> Result<(), Error> {
        let _lock = self.lock()?;
        let OpenKeystore { keys, .. } = self.open(keyring)?;
        self.write_anew(keys, recipients, Existing::Replace, random)
    }

    /// Lets others open it, or fewer. The root KEK stays: who was removed and kept an old front opens later keys too, which
    /// [`Self::reseal`] prevents.
    ///
    /// # Errors
    ///
    /// As [`rewrap_header`]; [`Error::Busy`].
    pub fn rewrap(&self, keyring: &Keyring, change: &Change) -> Result<Rewrapped, Error> {
        let _lock = self.lock()?;
        let bytes = self.read()?;
        let (header, rest) = bytes.split_at(header_len(&bytes)?);
        let locked = crate::read_detached_header(stream(header))?;
        locked.require_context(&front_context())?;
        let rewrapped = rewrap_header(&locked, keyring, change)?;
        self.write_bytes(&[&rewrapped.header, rest].concat(), Existing::Replace)?;
        Ok(rewrapped)
    }

    fn read(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let file = File::open(&self.path).map_err(Error::input)?;
        file.take(FILE_LEN_MAX as u64 + 1).read_to_end(&mut bytes).map_err(Error::input)?;
        match bytes.len() {
            0..=FILE_LEN_MAX => Ok(bytes),
            _ => Err(Error::TooLong { limit: FILE_LEN_MAX as u64 }),
        }
    }

    /// Writes both envelopes, under a fresh root KEK.
    fn write_anew(
        &self,
        keys: Keystore,
        recipients: &Keyring,
        existing: Existing,
        random: &dyn Random,
    ) -> Result<(), Error> {
        let mut secret = Zeroizing::new([0; ROOT_LEN]);
        random.fill(secret.as_mut())?;
        let root = root_kek(&secret)?;
        let front = seal_small(recipients, front_context(), secret.as_slice(), random)?;
        self.write(&OpenKeystore { keys, front, root }, existing, random)
    }

    fn write(&self, open: &OpenKeystore, existing: Existing, random: &dyn Random) -> Result<(), Error> {
        let contents = open.keys.encode();
        if contents.len() > CONTENTS_LEN_MAX {
            return Err(Error::TooLong { limit: CONTENTS_LEN_MAX as u64 });
        }
        let mut under_root = Keyring::default();
        under_root.push(open.root.duplicate());
        let back = seal_small(&under_root, back_context(), &contents, random)?;
        self.write_bytes(&[open.front.as_slice(), &back].concat(), existing)
    }

    fn write_bytes(&self, bytes: &[u8], existing: Existing) -> Result<(), Error> {
        let output = Output::File { path: self.path.clone(), existing };
        write_secret(output, bytes, &Work { durable: true, ..Work::default() })
    }

    /// Holds off the changes of others until it is dropped. The lock is a file of its own: the keystore's is replaced.
    fn lock(&self) -> Result<File, Error> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".lock");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(PathBuf::from(name)).map_err(Error::output)?;
        let deadline = Instant::now() + LOCK_WAIT_MAX;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(err)) => return Err(Error::output(err)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Err(Error::Busy),
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_LOOK),
            }
        }
    }
}

fn root_kek(secret: &[u8; ROOT_LEN]) -> Result<Kek, Error> {
    Kek::new(ROOT_NAME, secret).map_err(|err| Error::Keystore(err.into()))
}

fn front_context() -> Context {
    context("keystore/1")
}

fn back_context() -> Context {
    context("keystore-contents/1")
}

/// Keeps these envelopes apart from all others, and from each other.
fn context(what: &str) -> Context {
    Context::new([("waxwing".to_owned(), what.to_owned())]).expect("the context is short and spelt right")
}

/// Bytes of the first header.
fn header_len(bytes: &[u8]) -> Result<usize, Error> {
    let total = Header::total_len(bytes).map_err(crate::OpenError::Header)?;
    total.filter(|&len| len <= bytes.len()).ok_or(Error::Open(crate::OpenError::Truncated))
}

/// Bytes of the first envelope.
fn front_len(bytes: &[u8]) -> Result<usize, Error> {
    let len = header_len(bytes)? + FRONT_BODY_LEN;
    if len <= bytes.len() { Ok(len) } else { Err(Error::Open(crate::OpenError::Truncated)) }
}

fn stream(bytes: &[u8]) -> crate::Input {
    crate::Input::Stream(Box::new(io::Cursor::new(bytes.to_vec())))
}

/// Seals a few bytes.
fn seal_small(
    recipients: &Keyring,
    context: Context,
    plaintext: &[u8],
    random: &dyn Random,
) -> Result<Vec<u8>, Error> {
    let options = SealOptions { context, ..SealOptions::default() };
    let len = Some(plaintext.len() as u64);
    let (mut sealed, key) = pollster::block_on(begin(recipients, options, len, random))?;
    let mut sealer = Sealer::new(key, FrameLen::DEFAULT);
    let too_long = |_| Error::TooLong { limit: waxwing_formats::envelope::PLAINTEXT_LEN_MAX };
    sealer.push(plaintext, &mut sealed).map_err(too_long)?;
    sealer.finish(&mut sealed);
    Ok(sealed)
}

/// Opens a few bytes: all of them, or nothing.
fn open_small(keyring: &Keyring, required: &Context, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut opener = Opener::attached();
    opener.input(sealed);
    opener.end();
    // Room for everything, so that no copy is left behind by growing.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(sealed.len()));
    loop {
        let header = match opener.step()? {
            Step::NeedKey(header) => pollster::block_on(unlock(header, keyring, required))?,
            Step::Plaintext(frame) => {
                plaintext.extend_from_slice(frame);
                continue;
            }
            Step::Done => return Ok(plaintext),
            Step::NeedInput => return Err(Error::Open(crate::OpenError::Truncated)),
        };
        opener.unlock(header);
    }
}

#[cfg(test)]
mod tests;
