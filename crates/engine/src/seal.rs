use std::fs::File;
use std::io::{IoSlice, Write};

use waxwing_core::Random;
use waxwing_core::envelope::SealOptions;
use waxwing_core::frames::{BodyShape, FrameKey, Place, TAG_LEN};
use waxwing_formats::envelope::{FrameLen, PLAINTEXT_LEN_MAX};
use waxwing_keyring::Keyring;

use crate::batch::Batch;
use crate::header::begin;
use crate::io::{Input, Output, Privacy, Sink, read_exact_at, write_all, write_all_at};
use crate::parallel::for_each_batch;
use crate::pump::{Ahead, Made, pump};
use crate::small::write_sink;
use crate::{Error, Work};

/// Where the header goes.
#[derive(Default)]
pub enum HeaderPlace {
    /// In front of the body.
    #[default]
    Attached,
    /// Into an output of its own.
    Detached(Output),
}

/// What was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Bytes of plaintext.
    pub plaintext_len: u64,
    /// Bytes of header.
    pub header_len: u64,
    /// Bytes of body.
    pub body_len: u64,
}

/// Seals `input` into a new envelope for every key of `recipients`.
///
/// From file to file, frames are sealed by several threads at once; otherwise one after the other. An output file appears
/// when it is complete, or not at all.
///
/// # Errors
///
/// [`Error`].
pub fn seal(
    input: Input,
    output: Output,
    header_place: HeaderPlace,
    recipients: &Keyring,
    options: SealOptions,
    random: &dyn Random,
    work: &Work<'_>,
) -> Result<Sealed, Error> {
    if input.known_len().is_some_and(|len| len > PLAINTEXT_LEN_MAX) {
        return Err(Error::TooLong { limit: PLAINTEXT_LEN_MAX });
    }
    // Outputs are opened before keys are used: a wrong path should not cost a call to a KMS.
    let body = output.open(Privacy::Umask).map_err(Error::output)?;
    let detached = match header_place {
        HeaderPlace::Attached => None,
        HeaderPlace::Detached(output) => Some(output.open(Privacy::Umask).map_err(Error::output)?),
    };
    seal_into(input, body, detached, recipients, options, random, work)
}

/// [`seal`] into outputs that are open already.
pub(crate) fn seal_into(
    input: Input,
    body: Sink,
    detached: Option<Sink>,
    recipients: &Keyring,
    options: SealOptions,
    random: &dyn Random,
    work: &Work<'_>,
) -> Result<Sealed, Error> {
    let frame_len = options.frame_len;
    let (header, key) = pollster::block_on(begin(recipients, options, input.known_len(), random))?;
    let front: &[u8] = if detached.is_some() { &[] } else { &header };
    let plaintext_len = match (input, body) {
        (Input::File { file, len }, Sink::File(target)) => {
            let shape =
                BodyShape::of_plaintext(frame_len, len).ok_or(Error::TooLong { limit: PLAINTEXT_LEN_MAX })?;
            work.observer.total(len);
            target.preallocate(front.len() as u64 + shape.body_len()).map_err(Error::output)?;
            seal_file(&file, shape, &key, target.file(), front, work)?;
            if file.metadata().map_err(Error::input)?.len() != len {
                return Err(Error::InputChanged);
            }
            target.publish(work.durable).map_err(Error::output)?;
            len
        }
        (input, Sink::File(target)) => {
            let len = seal_stream(input, front, &key, frame_len, &mut target.file(), work)?;
            target.publish(work.durable).map_err(Error::output)?;
            len
        }
        (input, Sink::Stream(mut sink)) => seal_stream(input, front, &key, frame_len, &mut sink, work)?,
    };
    if let Some(sink) = detached {
        write_sink(sink, &header, work)?;
    }
    let shape = BodyShape::of_plaintext(frame_len, plaintext_len).expect("sealing stopped at the limit");
    Ok(Sealed { plaintext_len, header_len: header.len() as u64, body_len: shape.body_len() })
}

fn seal_file(
    input: &File,
    shape: BodyShape,
    key: &FrameKey,
    output: &File,
    front: &[u8],
    work: &Work<'_>,
) -> Result<(), Error> {
    let frame_len = shape.frame_len().bytes();
    let slot_len = frame_len + TAG_LEN;
    let slots = Batch::slots_for(slot_len).min(usize::try_from(shape.frames()).unwrap_or(usize::MAX));
    let buffer = || Batch::for_body(slot_len, slots, shape.body_len());
    for_each_batch(shape.frames().div_ceil(slots as u64), work, buffer, |index, batch| {
        let first = index * slots as u64;
        let offset = first * frame_len as u64;
        // At most a batch.
        let len = (shape.plaintext_len() - offset).min((slots * frame_len) as u64) as usize;
        read_exact_at(input, offset, &mut batch.parts_mut(frame_len, len)).map_err(Error::input)?;
        let total = seal_batch(batch, key, frame_len, first, len, |index| shape.place(index));
        let mut parts = batch.parts(slot_len, total);
        let mut at = front.len() as u64 + shape.frame_offset(first);
        if index == 0 {
            // One call for a small file.
            parts.insert(0, IoSlice::new(front));
            at = 0;
        }
        write_all_at(output, at, &mut parts).map_err(Error::output)?;
        work.observer.advance(len as u64);
        Ok(())
    })
}

fn seal_stream(
    input: Input,
    front: &[u8],
    key: &FrameKey,
    frame_len: FrameLen,
    mut sink: &mut (dyn Write + Send),
    work: &Work<'_>,
) -> Result<u64, Error> {
    if let Some(len) = input.known_len() {
        work.observer.total(len);
    }
    write_all(&mut sink, &mut [IoSlice::new(front)]).map_err(Error::output)?;
    let frame_len = frame_len.bytes();
    let slot_len = frame_len + TAG_LEN;
    let slots = Batch::slots_for(slot_len);
    let mut source = Ahead::new(input.into_stream());
    let (mut index, mut plaintext_len) = (0, 0);
    let make = |batch: &mut Batch| {
        let (len, last) = source.fill(&mut batch.parts_mut(frame_len, slots * frame_len))?;
        plaintext_len += len as u64;
        if plaintext_len > PLAINTEXT_LEN_MAX {
            return Err(Error::TooLong { limit: PLAINTEXT_LEN_MAX });
        }
        let first = index;
        index += len.div_ceil(frame_len).max(1) as u64;
        let place = |at| Place { index: at, last: last && at + 1 == index };
        Ok(Made { read: len, written: seal_batch(batch, key, frame_len, first, len, place), last })
    };
    let drain = |batch: &Batch, len, sink: &mut dyn Write| write_all(sink, &mut batch.parts(slot_len, len));
    pump(sink, work, || Batch::new(slot_len, slots), make, drain)?;
    Ok(plaintext_len)
}

/// Seals `len` bytes of plaintext that lie in the batch's slots, and says how many bytes of frames they became. No bytes
/// are one empty frame.
fn seal_batch(
    batch: &mut Batch,
    key: &FrameKey,
    frame_len: usize,
    first: u64,
    len: usize,
    place: impl Fn(u64) -> Place,
) -> usize {
    let frames = len.div_ceil(frame_len).max(1);
    for (i, slot) in batch.slots_mut().take(frames).enumerate() {
        let plaintext_len = (len - i * frame_len).min(frame_len);
        key.seal(place(first + i as u64), &mut slot[..plaintext_len + TAG_LEN]);
    }
    len + frames * TAG_LEN
}
