//! Envelope encryption: each file sealed under a fresh key, that key wrapped for whoever may open it.
//!
//! ```
//! use waxwing::{Keyring, RsaPrivateKey, RsaSize, open_file, seal_file};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let (report, sealed, opened) = (dir.path().join("report.csv"), dir.path().join("report.wax"), dir.path().join("back.csv"));
//! # std::fs::write(&report, "amount\n12\n")?;
//! let mut keys = Keyring::default();
//! keys.push(RsaPrivateKey::generate(RsaSize::Rsa3072)?);
//! seal_file(&report, &sealed, &keys)?;
//! open_file(&sealed, &opened, &keys)?;
//! assert_eq!(std::fs::read(&opened)?, b"amount\n12\n");
//! # Ok(())
//! # }
//! ```
//!
//! [`seal_file`] and [`open_file`] are [`seal`] and [`open`] with everything at its default: AES-256-GCM, frames of 64 KiB,
//! no context, as many threads as there are cores. Those take streams as well, and a context, and watch progress:
//!
//! ```
//! use waxwing::{Context, HeaderPlace, Input, Kek, Keyring, Output, SealOptions, SystemRandom, Work, seal};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let target = dir.path().join("out.wax");
//! let mut recipients = Keyring::default();
//! recipients.push(Kek::generate("backup/1", &SystemRandom)?);
//! let options = SealOptions { context: Context::new([("host", "web1")])?, ..SealOptions::default() };
//! let input = Input::Stream(Box::new(&b"whatever can be read"[..]));
//! seal(input, Output::file(&target), HeaderPlace::Attached, &recipients, options, &SystemRandom, &Work::default())?;
//! # Ok(())
//! # }
//! ```
//!
//! | what | use |
//! |---|---|
//! | files, pipes | [`seal`], [`open`], [`open_range`] |
//! | whole folders | [`seal_tree`], [`open_tree`] |
//! | for other recipients, under another DEK | [`rewrap_file`], [`reencrypt_file`] |
//! | keys of your own, in versions | [`KeystoreFile`] |
//! | anything that reads or writes | [`SealWriter`], [`OpenReader`] |
//! | parts, of anything that reads at an offset | [`RangeReader`] |
//! | HTTP bodies and the like, asynchronously | `asynchronous` (feature `async`) |
//!
//! None of them holds more than a few frames. A [`RangeReader`] reads where it is told to, and only the frames that hold it:
//!
//! ```
//! use std::io::{Read, Seek, SeekFrom, Write};
//! use waxwing::{Context, Kek, Keyring, RangeReader, SealOptions, SealWriter, SystemRandom};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut keys = Keyring::default();
//! keys.push(Kek::generate("backup/1", &SystemRandom)?);
//! let mut writer = SealWriter::new(Vec::new(), &keys, SealOptions::default(), &SystemRandom)?;
//! writer.write_all(b"0123456789")?;
//! let sealed = writer.finish()?;
//!
//! let mut reader = RangeReader::attached(sealed.as_slice(), &keys, &Context::default())?;
//! let mut part = [0; 3];
//! reader.seek(SeekFrom::Start(4))?;
//! reader.read_exact(&mut part)?;
//! assert_eq!(&part, b"456");
//! # Ok(())
//! # }
//! ```
//!
//! Partners' schemes are [`Profile`]s: a preset, or a TOML text of your own.
//!
//! ```
//! use std::sync::Arc;
//! use waxwing::{
//!     Input, Legacy, Output, PartOutputs, Parts, ProfileKeys, RsaPrivateKey, RsaSize, SealKeys, SystemRandom, Work,
//!     open_message, preset, seal_message,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let (message, opened) = (dir.path().join("message.json"), dir.path().join("report.csv"));
//! let profile = &preset("jwe-rsa").expect("it comes with Waxwing").profile;
//! let key = Arc::new(RsaPrivateKey::generate(RsaSize::Rsa2048)?);
//!
//! let keys = SealKeys { recipient: Some(key.public()), ..SealKeys::default() };
//! let parts = PartOutputs::from([("msg".to_owned(), Output::file(&message))]);
//! let input = Input::Stream(Box::new(&b"amount\n12\n"[..]));
//! seal_message(profile, input, parts, &keys, &SystemRandom, Legacy::Refused, &Work::default())?;
//!
//! let keys = ProfileKeys { rsa: Some(key), ..ProfileKeys::default() };
//! let mut parts = Parts::default();
//! parts.insert("msg", Input::open_file(&message)?);
//! open_message(profile, parts, Output::file(&opened), &keys, Legacy::Refused, &Work::default())?;
//! assert_eq!(std::fs::read(&opened)?, b"amount\n12\n");
//! # Ok(())
//! # }
//! ```
//!
//! # What it is for, and what not
//!
//! It keeps files from everybody without a recipient's key, wherever they lie, and notices every change before plaintext
//! comes out. It does not say who sealed a file, does not hide its size, and cannot take back what a recipient has read.
//! A file under its own name is complete and has verified; a stream gets frames as they verify, and an error at its end if
//! the envelope was cut short. Records of partners ([`seal_record`], [`open_record`]) protect less; [`Scheme`] says how much.
//!
//! The formats are specified in `docs/formats/`, with vectors and a second reader.

use std::path::Path;

pub use waxwing_core::content::{Legacy, Permitted, PlanError};
pub use waxwing_core::envelope::{LockedHeader, SealOptions};
pub use waxwing_core::{Dek, NotAuthentic, Random, RandomError, SystemRandom};
#[cfg(feature = "async")]
pub use waxwing_engine::asynchronous;
pub use waxwing_engine::{
    Error, Existing, Fate, HeaderKind, HeaderPlace, Input, KeystoreFile, LeftOut, MessageError, Observer,
    OpenError, OpenKeystore, OpenReader, Opened, OpenedMessage, OpenedRecord, Output, PartOutputs, Parts,
    ProfileKeys, RangeReader, ReadAt, RecordOptions, SealKeys, SealWriter, Sealed, SealedRecord, Secrets,
    Tree, TreeSummary, Work, open, open_message, open_range, open_record, open_tree, reencrypt_file, relay,
    rewrap_file, rewrap_header, seal, seal_message, seal_record, seal_tree,
};
pub use waxwing_formats::base64::Reading;
pub use waxwing_formats::envelope::{Context, FrameLen, HeaderError, PassphraseCost, Suite};
pub use waxwing_formats::record::{Record, RecordError, Spelling};
pub use waxwing_formats::scheme::{Cipher, Digest, KeyLen, Scheme, TagPlace, Wrap};
#[cfg(feature = "aws-kms")]
pub use waxwing_keyring::{AwsCredentials, AwsCredentialsProvider, AwsKms, AwsKmsName, AwsKmsOptions};
pub use waxwing_keyring::{
    BoxFuture, CacheCounts, CacheLimits, Cached, Change, DataKey, Kek, Key, KeyError, KeyId, KeyName,
    KeyProvider, KeyService, Keyring, Keystore, KeystoreError, Limited, MonotonicClock, NewKey, Passphrase,
    PassphraseError, RecordKeys, RetryLimits, Retrying, RsaPrivateKey, RsaRecipientKey, RsaSize,
    ServiceError, Sleep, UnlockError, UnwrapError, WrapError, XWingPrivateKey, XWingRecipientKey,
};

pub use waxwing_profiles::{Profile, ProfileError, Protection, preset, presets};

/// Seals the file `from` into the new file `to`, for every key of `recipients`.
///
/// # Errors
///
/// [`Error`]; nothing is left at `to` then.
pub fn seal_file(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    recipients: &Keyring,
) -> Result<Sealed, Error> {
    let (input, output) = (Input::open_file(from.as_ref())?, Output::file(to.as_ref()));
    let options = SealOptions::default();
    seal(input, output, HeaderPlace::Attached, recipients, options, &SystemRandom, &Work::default())
}

/// Opens the envelope `from` into the new file `to`, with whichever of `keys` opens it.
///
/// # Errors
///
/// [`Error`]; nothing is left at `to` then.
pub fn open_file(from: impl AsRef<Path>, to: impl AsRef<Path>, keys: &Keyring) -> Result<Opened, Error> {
    let (input, output) = (Input::open_file(from.as_ref())?, Output::file(to.as_ref()));
    open(input, None, output, keys, &Context::default(), &Work::default())
}
