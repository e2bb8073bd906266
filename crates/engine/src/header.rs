//! Headers from inputs, and the keys that unlock them.

use std::io::Read;

use waxwing_core::Random;
use waxwing_core::envelope::{LockedHeader, SealOptions, VerifiedHeader};
use waxwing_core::frames::FrameKey;
use waxwing_formats::envelope::{Context, HEADER_LEN_MAX, Header, PREFIX_LEN};
use waxwing_keyring::Keyring;

use crate::io::Input;
use crate::{Error, OpenError, ReadAt};

/// An envelope whose header was proven and whose body is yet to be read.
pub(crate) struct Body {
    pub(crate) header: VerifiedHeader,
    pub(crate) input: Input,
    /// Where the body begins in a file. A stream stands there already.
    pub(crate) offset: u64,
}

impl Body {
    /// Reads the header from `header`, or from the front of `input` when it is attached, and unlocks it.
    pub(crate) fn unlock(
        mut input: Input,
        header: Option<Input>,
        keyring: &Keyring,
        required: &Context,
    ) -> Result<Self, Error> {
        let (locked, offset) = match header {
            Some(detached) => (read_detached_header(detached)?, 0),
            None => read_attached_header(&mut input)?,
        };
        let header = pollster::block_on(unlock(&locked, keyring, required))?;
        Ok(Self { header, input, offset })
    }
}

/// Makes the header of a new envelope for every key of `recipients`, and the key that seals its body.
pub(crate) async fn begin(
    recipients: &Keyring,
    options: SealOptions,
    plaintext_len: Option<u64>,
    random: &dyn Random,
) -> Result<(Vec<u8>, FrameKey), Error> {
    let (draft, wrapped) = recipients.draft(options, plaintext_len, random).await?;
    draft.seal_header(&wrapped).map_err(Error::Header)
}

/// Proves a header that was sealed with `required`.
pub(crate) async fn unlock(
    locked: &LockedHeader,
    keyring: &Keyring,
    required: &Context,
) -> Result<VerifiedHeader, Error> {
    locked.require_context(required)?;
    Ok(keyring.unlock(locked).await?)
}

/// Reads the header in front of a body, and says how long it is. A stream stands at the body then.
///
/// # Errors
///
/// [`Error::Io`] and [`OpenError::Header`].
pub fn read_attached_header(input: &mut Input) -> Result<(LockedHeader, u64), Error> {
    let bytes = match input {
        Input::File { file, .. } => header_at_front(file)?,
        Input::Stream(stream) => header_of_stream(stream)?,
    };
    let locked = LockedHeader::decode(&bytes).map_err(OpenError::Header)?;
    Ok((locked, bytes.len() as u64))
}

/// The same for what is read at an offset: two reads, however long the body is.
///
/// # Errors
///
/// As [`read_attached_header`].
pub fn read_header_at(source: &impl ReadAt) -> Result<(LockedHeader, u64), Error> {
    let bytes = header_at_front(source)?;
    let locked = LockedHeader::decode(&bytes).map_err(OpenError::Header)?;
    Ok((locked, bytes.len() as u64))
}

/// Reads a header that was kept apart: the whole input.
///
/// # Errors
///
/// As [`read_attached_header`].
pub fn read_detached_header(input: Input) -> Result<LockedHeader, Error> {
    let mut bytes = Vec::new();
    let limit = (PREFIX_LEN + HEADER_LEN_MAX + 1) as u64;
    input.into_stream().take(limit).read_to_end(&mut bytes).map_err(Error::input)?;
    Ok(LockedHeader::decode(&bytes).map_err(OpenError::Header)?)
}

/// The bytes of a header, as many as it claims and are there. Grows with what is there, never with the claim.
fn header_of_stream(source: &mut dyn Read) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    source.take(PREFIX_LEN as u64).read_to_end(&mut bytes).map_err(Error::input)?;
    if let Some(total) = Header::total_len(&bytes).map_err(OpenError::Header)? {
        source.take((total - PREFIX_LEN) as u64).read_to_end(&mut bytes).map_err(Error::input)?;
    }
    Ok(bytes)
}

/// The bytes of the header in front of a body, as many as it claims and are there, with two reads: each may be a request.
pub(crate) fn header_at_front(source: &impl ReadAt) -> Result<Vec<u8>, Error> {
    let size = source.size().map_err(Error::input)?;
    let mut bytes = Vec::new();
    let read_up_to = |len: usize, bytes: &mut Vec<u8>| {
        let from = bytes.len();
        bytes.resize(usize::try_from(size).unwrap_or(usize::MAX).min(len), 0);
        source.read_exact_at(&mut bytes[from..], from as u64).map_err(Error::input)
    };
    read_up_to(PREFIX_LEN, &mut bytes)?;
    if let Some(total) = Header::total_len(&bytes).map_err(OpenError::Header)? {
        read_up_to(total, &mut bytes)?;
    }
    Ok(bytes)
}
