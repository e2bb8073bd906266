//! Headers of the native envelope: made, and believed.
//!
//! Types carry what was checked. A [`LockedHeader`] is well formed and nothing more; only a DEK that reproduces its
//! commitment and MAC turns it into a [`VerifiedHeader`], and only that gives out the key of the frames.

use aws_lc_rs::constant_time;
use waxwing_formats::codec::Encode as _;
use waxwing_formats::envelope::{Context, Fixed, FrameLen, HASH_LEN, Header, HeaderError, Recipient, Suite};

use crate::frames::FrameKey;
use crate::schedule::Schedule;
use crate::{Dek, NotAuthentic, OpenError, Random, RandomError};

/// What the sealer of an envelope chooses.
#[derive(Debug, Clone)]
pub struct SealOptions {
    /// The content cipher.
    pub suite: Suite,
    /// The size of the frames.
    pub frame_len: FrameLen,
    /// Named values, public but authenticated.
    pub context: Context,
}

impl Default for SealOptions {
    /// AES-256-GCM, frames of 64 KiB, no context.
    fn default() -> Self {
        Self { suite: Suite::Aes256Gcm, frame_len: FrameLen::DEFAULT, context: Context::default() }
    }
}

impl SealOptions {
    /// The fixed fields of one new envelope, with a message id of its own.
    ///
    /// # Errors
    ///
    /// [`RandomError`].
    pub fn draw(self, random: &dyn Random) -> Result<Fixed, RandomError> {
        let Self { suite, frame_len, context } = self;
        let mut message_id = [0; HASH_LEN];
        random.fill(&mut message_id)?;
        Ok(Fixed { suite, frame_len, message_id, context })
    }
}

/// What a wrapped DEK is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// The envelope's fixed fields, context among them.
    pub fixed: &'a Fixed,
    /// The commitment to the DEK.
    pub commitment: &'a [u8; HASH_LEN],
}

/// An envelope about to be sealed: a fresh DEK and message id, used once.
pub struct Draft {
    fixed: Fixed,
    dek: Dek,
    schedule: Schedule,
}

impl Draft {
    /// Draws a DEK and a message id. Neither ever serves a second plaintext: an interrupted seal starts with a new draft.
    ///
    /// # Errors
    ///
    /// [`RandomError`].
    pub fn new(options: SealOptions, random: &dyn Random) -> Result<Self, RandomError> {
        let fixed = options.draw(random)?;
        Ok(Self::with_dek(fixed, Dek::generate(random)?))
    }

    /// The same around a DEK that a key service made. `fixed` must be fresh ([`SealOptions::draw`]): its message id keeps
    /// two envelopes apart even where a cache lends them one DEK.
    pub fn with_dek(fixed: Fixed, dek: Dek) -> Self {
        let schedule = Schedule::new(&dek, &fixed);
        Self { fixed, dek, schedule }
    }

    /// The DEK to wrap for each recipient.
    pub fn dek(&self) -> &Dek {
        &self.dek
    }

    /// What each wrapping is bound to.
    pub fn binding(&self) -> Binding<'_> {
        Binding { fixed: &self.fixed, commitment: &self.schedule.commitment }
    }

    /// Closes the header: its bytes, and the key that seals the frames of its one body.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] for no recipient, or more than fit.
    pub fn seal_header(self, recipients: &[Recipient]) -> Result<(Vec<u8>, FrameKey), HeaderError> {
        let mut bytes = Header::maced_bytes(&self.fixed, &self.schedule.commitment, recipients)?;
        let mac = self.schedule.mac(&bytes);
        bytes.extend(mac);
        Ok((bytes, self.schedule.into_frame_key()))
    }
}

/// A decoded header whose DEK is not known yet.
#[derive(Debug, Clone)]
pub struct LockedHeader(Header);

impl LockedHeader {
    /// Decodes a header from exactly its own bytes.
    ///
    /// # Errors
    ///
    /// [`HeaderError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        Header::decode(bytes).map(Self)
    }

    /// The header as it was decoded: nothing in it is proven.
    pub fn unverified(&self) -> &Header {
        &self.0
    }

    /// What each wrapping is bound to.
    pub fn binding(&self) -> Binding<'_> {
        Binding { fixed: &self.0.fixed, commitment: &self.0.commitment }
    }

    /// Refuses a context without the entries that the caller requires, before any key is used.
    ///
    /// # Errors
    ///
    /// [`OpenError::ContextMismatch`].
    pub fn require_context(&self, required: &Context) -> Result<(), OpenError> {
        match self.0.fixed.context.first_mismatch(required) {
            None => Ok(()),
            Some(key) => Err(OpenError::ContextMismatch { key: key.to_owned() }),
        }
    }

    /// [`Self::verify`], keeping what a rewrap needs.
    ///
    /// # Errors
    ///
    /// As [`Self::verify`].
    pub fn verify_to_rewrap(&self, dek: Dek) -> Result<Option<Rewrap>, NotAuthentic> {
        let verified = self.verify(&dek)?;
        Ok(verified.map(|header| Rewrap { schedule: Schedule::new(&dek, &self.0.fixed), header, dek }))
    }

    /// Tries a DEK: `None` when it is not the one committed to, so that the next candidate may be tried.
    ///
    /// # Errors
    ///
    /// [`NotAuthentic`] when the DEK is the one and the MAC is wrong: final.
    pub fn verify(&self, dek: &Dek) -> Result<Option<VerifiedHeader>, NotAuthentic> {
        let Self(header) = self;
        let schedule = Schedule::new(dek, &header.fixed);
        if constant_time::verify_slices_are_equal(&schedule.commitment, &header.commitment).is_err() {
            return Ok(None);
        }
        let bytes = header.to_bytes();
        let (maced, _) = bytes.split_at(bytes.len() - HASH_LEN);
        if !schedule.mac_matches(maced, &header.mac) {
            return Err(NotAuthentic);
        }
        Ok(Some(VerifiedHeader { header: header.clone(), frame_key: schedule.into_frame_key() }))
    }
}

/// A header that a DEK has proven.
#[derive(Debug)]
pub struct VerifiedHeader {
    header: Header,
    frame_key: FrameKey,
}

impl VerifiedHeader {
    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The size of the frames.
    pub fn frame_len(&self) -> FrameLen {
        self.header.fixed.frame_len
    }

    /// The key that opens the frames of the body.
    pub fn frame_key(&self) -> &FrameKey {
        &self.frame_key
    }
}

/// A header whose DEK is at hand, so that it can be written anew for others.
pub struct Rewrap {
    header: VerifiedHeader,
    dek: Dek,
    schedule: Schedule,
}

impl Rewrap {
    /// The header as it is.
    pub fn header(&self) -> &Header {
        self.header.header()
    }

    /// The DEK to wrap for each new recipient.
    pub fn dek(&self) -> &Dek {
        &self.dek
    }

    /// What each wrapping is bound to.
    pub fn binding(&self) -> Binding<'_> {
        Binding { fixed: &self.header().fixed, commitment: &self.header().commitment }
    }

    /// The header's bytes with these recipients: the same DEK and body, another MAC.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] for no recipient, or more than fit.
    pub fn with_recipients(&self, recipients: &[Recipient]) -> Result<Vec<u8>, HeaderError> {
        let Header { fixed, commitment, .. } = self.header();
        let mut bytes = Header::maced_bytes(fixed, commitment, recipients)?;
        let mac = self.schedule.mac(&bytes);
        bytes.extend(mac);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
