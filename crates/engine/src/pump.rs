//! A pipe from a source through a transformation into a sink: one thread reads and transforms, another writes.

use std::io::{self, IoSliceMut, Read, Write};
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use crate::io::fill;
use crate::{Error, Work};

/// Buffers in existence at once: one being made, the others on their way out.
const BUFFERS: usize = 4;

/// What [`pump`] is told of a buffer that was made.
pub(crate) struct Made {
    /// Bytes of input that went into it.
    pub(crate) read: usize,
    /// Bytes that are to be written of it.
    pub(crate) written: usize,
    /// Whether it is the last.
    pub(crate) last: bool,
}

/// Has `make` read and transform one buffer after the other, up to the last, while another thread has `drain` write them.
/// There is always a last buffer, if an empty one; where it is the first, there is no other thread.
pub(crate) fn pump<B: Send>(
    sink: &mut (dyn Write + Send),
    work: &Work<'_>,
    new_buffer: impl Fn() -> B,
    mut make: impl FnMut(&mut B) -> Result<Made, Error>,
    drain: impl Fn(&B, usize, &mut dyn Write) -> io::Result<()> + Send,
) -> Result<(), Error> {
    let mut make = |buffer: &mut B| {
        if work.observer.stopped() {
            return Err(Error::Stopped);
        }
        let made = make(buffer)?;
        work.observer.advance(made.read as u64);
        Ok(made)
    };
    let mut first = new_buffer();
    let made = make(&mut first)?;
    if made.last {
        return drain(&first, made.written, sink).and_then(|()| sink.flush()).map_err(Error::output);
    }
    thread::scope(|scope| {
        let (ready, outgoing) = sync_channel::<(B, usize)>(BUFFERS);
        let (done, free) = channel::<B>();
        ready.send((first, made.written)).expect("the receiver is right here, and has room");
        for _ in 1..BUFFERS {
            done.send(new_buffer()).expect("the receiver is right here");
        }
        let writer = scope.spawn(move || {
            for (buffer, written) in outgoing {
                drain(&buffer, written, &mut *sink)?;
                // The other thread may be gone: then nobody needs the buffer.
                let _ = done.send(buffer);
            }
            sink.flush()
        });
        let mut forward = || {
            // Nobody at the other end: writing failed, and says why when it is joined.
            while let Ok(mut buffer) = free.recv() {
                let made = make(&mut buffer)?;
                if ready.send((buffer, made.written)).is_err() || made.last {
                    break;
                }
            }
            Ok(())
        };
        let forwarded = forward();
        drop(ready);
        let written = writer.join().expect("writing does not panic").map_err(Error::output);
        forwarded.and(written)
    })
}

/// A source that knows when it has given its last byte: it stays one byte ahead.
pub(crate) struct Ahead<R> {
    source: R,
    next: Option<u8>,
}

impl<R: Read> Ahead<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, next: None }
    }

    /// Fills `parts`, which are not empty, as far as the source goes. Says how many bytes came and whether they were the last.
    pub(crate) fn fill(&mut self, mut parts: &mut [IoSliceMut<'_>]) -> Result<(usize, bool), Error> {
        let room: usize = parts.iter().map(|part| part.len()).sum();
        let mut filled = 0;
        if let Some(byte) = self.next.take() {
            parts[0][0] = byte;
            IoSliceMut::advance_slices(&mut parts, 1);
            filled = 1;
        }
        filled += fill(&mut self.source, parts).map_err(Error::input)?;
        if filled < room {
            return Ok((filled, true));
        }
        let mut byte = [0];
        let more = fill(&mut self.source, &mut [IoSliceMut::new(&mut byte)]).map_err(Error::input)?;
        self.next = (more > 0).then_some(byte[0]);
        Ok((filled, self.next.is_none()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_known_as_such_at_every_length() {
        for len in 0..10u8 {
            let bytes: Vec<u8> = (0..len).collect();
            let mut ahead = Ahead::new(bytes.as_slice());
            let mut seen: Vec<u8> = Vec::new();
            loop {
                let (mut one, mut other) = ([0; 2], [0; 1]);
                let parts = &mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut other)];
                let (filled, last) = ahead.fill(parts).unwrap();
                seen.extend([one.as_slice(), &other].concat()[..filled].iter());
                assert!(filled == 3 || last, "{len}");
                if last {
                    break;
                }
            }
            assert_eq!(seen, bytes);
        }
    }
}
