//! Sealing and opening of bodies that arrive and leave as streams of bytes: HTTP requests, objects of a store.
//!
//! Nothing is read before somebody asks for what comes of it, and no more is held than a frame and the piece at hand.
//! Sealing and opening run on the thread that polls: about a tenth of a millisecond for each frame of 64 KiB at most.

use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt as _, stream};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};
use waxwing_core::Random;
use waxwing_core::envelope::{LockedHeader, SealOptions};
use waxwing_core::stream::{Opener, Sealer, Step};
use waxwing_formats::envelope::Context;
use waxwing_keyring::Keyring;

use crate::Error;
use crate::header::{begin, unlock};
use crate::stream::{failed_before, too_long};

/// The bytes of a body as it arrives, in pieces of any size.
pub type Body = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The most that [`body`] reads at once.
const PIECE_LEN: usize = 64 << 10;

/// Seals a body into a new envelope for every key of `recipients`. The header is the first item.
///
/// # Errors
///
/// [`Error`], before the first item for what has to do with keys. A stream that ends with an error is an envelope cut
/// short, which no reader takes for whole.
pub async fn seal_body(
    plaintext: Body,
    recipients: &Keyring,
    options: SealOptions,
    random: &dyn Random,
) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
    let frame_len = options.frame_len;
    let (header, key) = begin(recipients, options, None, random).await?;
    let header = stream::iter([Ok(Bytes::from(header))]);
    let sealer = Sealer::new(key, frame_len);
    Ok(header.chain(stream::try_unfold((plaintext, Some(sealer)), seal_next)))
}

async fn seal_next(
    (mut plaintext, sealer): (Body, Option<Sealer>),
) -> Result<Option<(Bytes, (Body, Option<Sealer>))>, Error> {
    let Some(mut sealer) = sealer else { return Ok(None) };
    let mut frames = Vec::new();
    while let Some(piece) = plaintext.next().await {
        sealer.push(&piece.map_err(Error::source_failed)?, &mut frames).map_err(|_| too_long())?;
        if !frames.is_empty() {
            return Ok(Some((frames.into(), (plaintext, Some(sealer)))));
        }
    }
    sealer.finish(&mut frames);
    Ok(Some((frames.into(), (plaintext, None))))
}

/// Opens the envelope that arrives in `envelope`, whose header is `header` if it was kept apart. Each item is the plaintext of a
/// frame that verified; that they are all is known only when the stream ends without an error.
///
/// The first poll reads the header and asks the keyring, which may ask a key service.
pub fn open_body(
    envelope: Body,
    header: Option<LockedHeader>,
    keyring: Keyring,
    required: Context,
) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    let opening = Opening { envelope, header, opener: None, keyring, required };
    stream::try_unfold(opening, |mut opening| async move {
        let next = opening.next().await?;
        Ok(next.map(|plaintext| (plaintext, opening)))
    })
}

struct Opening {
    envelope: Body,
    /// Until it is used.
    header: Option<LockedHeader>,
    opener: Option<Opener>,
    keyring: Keyring,
    required: Context,
}

impl Opening {
    /// The next plaintext; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let mut opener = match (self.opener.take(), self.header.take()) {
            (Some(opener), _) => opener,
            (None, None) => Opener::attached(),
            (None, Some(header)) => Opener::detached(unlock(&header, &self.keyring, &self.required).await?),
        };
        loop {
            let header = match opener.step()? {
                Step::NeedInput => None,
                Step::NeedKey(locked) => Some(unlock(locked, &self.keyring, &self.required).await?),
                Step::Plaintext([]) => continue,
                Step::Plaintext(plaintext) => {
                    let plaintext = Bytes::copy_from_slice(plaintext);
                    self.opener = Some(opener);
                    return Ok(Some(plaintext));
                }
                Step::Done => return Ok(None),
            };
            match header {
                Some(header) => opener.unlock(header),
                None => match self.envelope.next().await {
                    Some(piece) => opener.input(&piece.map_err(Error::source_failed)?),
                    None => opener.end(),
                },
            }
        }
    }
}

/// What can be read asynchronously, as a body.
pub fn body(reader: impl AsyncRead + Send + 'static) -> Body {
    Box::pin(ReaderStream::with_capacity(reader, PIECE_LEN))
}

/// A stream of [`seal_body`] or [`open_body`], to be read asynchronously. Errors wrap an [`Error`], and stay: an envelope that was
/// cut short never looks complete, however often it is read.
pub fn into_async_read(
    stream: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
) -> impl AsyncRead + Send {
    let mut stream = Box::pin(stream);
    let mut failed = false;
    StreamReader::new(stream::poll_fn(move |context| {
        if failed {
            return Poll::Ready(Some(Err(failed_before())));
        }
        let item = ready!(stream.as_mut().poll_next(context));
        failed = matches!(item, Some(Err(_)));
        Poll::Ready(item.map(|item| item.map_err(Error::into_io)))
    }))
}
