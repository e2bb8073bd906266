use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write};
use std::ops::Range;

use waxwing_core::envelope::VerifiedHeader;
use waxwing_core::frames::{BodyShape, FrameKey, Place, TAG_LEN};
use waxwing_formats::envelope::{Context, PLAINTEXT_LEN_MAX};
use waxwing_keyring::Keyring;

use crate::batch::Batch;
use crate::header::{Body, read_detached_header};
use crate::io::{Input, Output, Privacy, Sink, read_exact_at, write_all, write_all_at};
use crate::parallel::for_each_batch;
use crate::pump::{Ahead, Made, pump};
use crate::range::{RangeReader, ReadAt};
use crate::{Error, OpenError, Work};

/// What was opened.
#[derive(Debug)]
pub struct Opened {
    /// The header, proven.
    pub header: VerifiedHeader,
    /// Bytes of plaintext that were written.
    pub plaintext_len: u64,
}

/// Opens the envelope in `input`, whose header is in `header` when it is detached.
///
/// An output file appears when the last frame has verified, or not at all. A stream gets frames as they verify, and an
/// error at its end when the envelope was cut short.
///
/// # Errors
///
/// [`Error`]. Once a key was used, all that can be wrong is "not authentic", or "cut short" as anybody could see.
pub fn open(
    input: Input,
    header: Option<Input>,
    output: Output,
    keyring: &Keyring,
    required: &Context,
    work: &Work<'_>,
) -> Result<Opened, Error> {
    // The output is opened before keys are used: a wrong path should not cost a call to a KMS.
    let sink = output.open(Privacy::Owner).map_err(Error::output)?;
    open_into(input, header, sink, keyring, required, work)
}

/// [`open`] into an output that is open already.
pub(crate) fn open_into(
    input: Input,
    header: Option<Input>,
    sink: Sink,
    keyring: &Keyring,
    required: &Context,
    work: &Work<'_>,
) -> Result<Opened, Error> {
    let Body { header, input, offset } = Body::unlock(input, header, keyring, required)?;
    let plaintext_len = match (input, sink) {
        (Input::File { file, len }, Sink::File(target)) => {
            let shape = BodyShape::of_body(header.frame_len(), len.saturating_sub(offset))?;
            work.observer.total(shape.plaintext_len());
            target.preallocate(shape.plaintext_len()).map_err(Error::output)?;
            open_file(&file, offset, shape, header.frame_key(), target.file(), work)?;
            target.publish(work.durable).map_err(Error::output)?;
            shape.plaintext_len()
        }
        (input, Sink::File(target)) => {
            let len = open_stream(input, offset, &header, &mut target.file(), work)?;
            target.publish(work.durable).map_err(Error::output)?;
            len
        }
        (input, Sink::Stream(mut sink)) => open_stream(input, offset, &header, &mut sink, work)?,
    };
    Ok(Opened { header, plaintext_len })
}

/// Opens only the frames that hold the plaintext bytes `range`, after the final frame has proven the length. The range
/// is cut to the plaintext's end.
///
/// # Errors
///
/// As [`open`]; [`Error::NotSeekable`] and [`Error::Range`].
pub fn open_range(
    input: Input,
    header: Option<Input>,
    range: Range<u64>,
    output: Output,
    keyring: &Keyring,
    required: &Context,
    work: &Work<'_>,
) -> Result<Opened, Error> {
    let Input::File { file, .. } = input else { return Err(Error::NotSeekable) };
    open_range_at(file, header, range, output, keyring, required, work)
}

/// [`open_range`] of anything that is read at an offset: it reads the header, the final frame and the frames that hold the
/// range, each with one call.
///
/// # Errors
///
/// As [`open_range`].
pub fn open_range_at(
    source: impl ReadAt,
    header: Option<Input>,
    range: Range<u64>,
    output: Output,
    keyring: &Keyring,
    required: &Context,
    work: &Work<'_>,
) -> Result<Opened, Error> {
    let sink = output.open(Privacy::Owner).map_err(Error::output)?;
    let mut reader = match header.map(read_detached_header).transpose()? {
        None => RangeReader::attached(source, keyring, required)?,
        Some(locked) => RangeReader::detached(source, &locked, keyring, required)?,
    };
    let len = reader.plaintext_len();
    if range.start > len {
        return Err(Error::Range { start: range.start, len });
    }
    let end = range.end.clamp(range.start, len);
    work.observer.total(end - range.start);
    let mut copy = |sink: &mut dyn Write| {
        let mut at = range.start;
        while at < end {
            if work.observer.stopped() {
                return Err(Error::Stopped);
            }
            let piece = reader.plaintext_at(at)?;
            // At most a frame.
            let piece = &piece[..piece.len().min(usize::try_from(end - at).unwrap_or(usize::MAX))];
            sink.write_all(piece).map_err(Error::output)?;
            at += piece.len() as u64;
            work.observer.advance(piece.len() as u64);
        }
        sink.flush().map_err(Error::output)
    };
    match sink {
        Sink::File(target) => {
            copy(&mut target.file())?;
            target.publish(work.durable).map_err(Error::output)?;
        }
        Sink::Stream(mut sink) => copy(&mut sink)?,
    }
    Ok(Opened { header: reader.into_header(), plaintext_len: end - range.start })
}

fn open_file(
    input: &File,
    body_offset: u64,
    shape: BodyShape,
    key: &FrameKey,
    output: &File,
    work: &Work<'_>,
) -> Result<(), Error> {
    let frame_len = shape.frame_len().bytes();
    let slot_len = frame_len + TAG_LEN;
    let slots = Batch::slots_for(slot_len).min(usize::try_from(shape.frames()).unwrap_or(usize::MAX));
    let buffer = || Batch::for_body(slot_len, slots, shape.body_len());
    for_each_batch(shape.frames().div_ceil(slots as u64), work, buffer, |index, batch| {
        let first = index * slots as u64;
        let at = shape.frame_offset(first);
        // At most a batch.
        let len = (shape.body_len() - at).min((slots * slot_len) as u64) as usize;
        read_exact_at(input, body_offset + at, &mut batch.parts_mut(slot_len, len)).map_err(Error::input)?;
        let total = open_batch(batch, key, frame_len, len, |i| shape.place(first + i))?;
        let offset = first * frame_len as u64;
        write_all_at(output, offset, &mut batch.parts(frame_len, total)).map_err(Error::output)?;
        work.observer.advance(total as u64);
        Ok(())
    })
}

fn open_stream(
    input: Input,
    offset: u64,
    header: &VerifiedHeader,
    sink: &mut (dyn Write + Send),
    work: &Work<'_>,
) -> Result<u64, Error> {
    if let Some(len) = input.known_len() {
        work.observer.total(len.saturating_sub(offset));
    }
    let source = match input {
        Input::File { mut file, .. } => {
            file.seek(SeekFrom::Start(offset)).map_err(Error::input)?;
            Box::new(file)
        }
        Input::Stream(stream) => stream,
    };
    let frame_len = header.frame_len().bytes();
    let slot_len = frame_len + TAG_LEN;
    let slots = Batch::slots_for(slot_len);
    let mut source = Ahead::new(source);
    let (mut index, mut plaintext_len) = (0, 0);
    let make = |batch: &mut Batch| {
        let (len, last) = source.fill(&mut batch.parts_mut(slot_len, slots * slot_len))?;
        let first = index;
        index += len.div_ceil(slot_len) as u64;
        let place = |i| Place { index: first + i, last: last && first + i + 1 == index.max(1) };
        let written = open_batch(batch, header.frame_key(), frame_len, len, place)?;
        plaintext_len += written as u64;
        if plaintext_len > PLAINTEXT_LEN_MAX {
            return Err(OpenError::TooLong.into());
        }
        Ok(Made { read: len, written, last })
    };
    let drain = |batch: &Batch, len, sink: &mut dyn Write| write_all(sink, &mut batch.parts(frame_len, len));
    pump(sink, work, || Batch::new(slot_len, slots), make, drain)?;
    Ok(plaintext_len)
}

/// Opens `len` bytes of frames that lie in the batch's slots, and says how many bytes of plaintext they hold.
fn open_batch(
    batch: &mut Batch,
    key: &FrameKey,
    frame_len: usize,
    len: usize,
    place: impl Fn(u64) -> Place,
) -> Result<usize, OpenError> {
    let slot_len = frame_len + TAG_LEN;
    // No bytes are a body without its first frame.
    let frames = len.div_ceil(slot_len).max(1);
    for (i, slot) in batch.slots_mut().take(frames).enumerate() {
        let frame = &mut slot[..(len - i * slot_len).min(slot_len)];
        open_frame(key, place(i as u64), frame_len, frame)?;
    }
    Ok(len.saturating_sub(frames * TAG_LEN))
}

/// Opens one frame of a body whose frames have `frame_len` bytes of plaintext.
pub(crate) fn open_frame<'a>(
    key: &FrameKey,
    place: Place,
    frame_len: usize,
    frame: &'a mut [u8],
) -> Result<&'a mut [u8], OpenError> {
    if !place.last {
        return Ok(key.open(place, frame)?);
    }
    // A final frame is empty only when it is also the first.
    let shortest = if place.index == 0 { TAG_LEN } else { TAG_LEN + 1 };
    if frame.len() < shortest {
        return Err(OpenError::Truncated);
    }
    key.open_last(place.index, frame.len() == frame_len + TAG_LEN, frame)
}
